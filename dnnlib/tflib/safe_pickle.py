"""Reads the pickles that network files are, without running anything that they ask for.

`pickle.load` calls whatever a file names, and hashes whatever it uses as a key. Here neither is done: `read_records` goes
through the operations itself, refuses those that no network file needs, and only notes what would have been called.
`mapping_of`, `array_of` and `number_of` turn these records into values once names, types, shapes and byte counts are known
to agree; only then does NumPy see them. The work is bounded by the size of the file: each operation is done once, and what
is referred to many times is not gone through more often than its parts are counted.
"""

import math
import pickle
import pickletools
import sys
from typing import Any

import numpy as np

_MAX_OPERATIONS = 50_000  # about 30 for each variable
_MALICIOUS = "which no network file needs; it may be malicious, and nothing of it was run"
COPY_AGAIN = "copy or download the file again"
GIVE_NETWORK = "give the .pickle file of a trained network"


class FormatError(ValueError):
    """Says what is wrong with a network file: a phrase that follows the file's name, and the remedy."""

    def __init__(self, message: str, remedy: str = COPY_AGAIN):
        super().__init__(f"{message}; {remedy}" if remedy else message)


# ---- What a file may name

_ADMITTED = {
    ("dnnlib.tflib.network", "Network"): "network",
    ("dnnlib.util", "EasyDict"): "dict",  # a dict with attributes, which the 2019 program used for settings
    ("collections", "OrderedDict"): "dict",
    ("_codecs", "encode"): "bytes",  # how protocol 2 writes bytes
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    **{(f"numpy.{core}.multiarray", "_reconstruct"): "array" for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): "number" for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): "array from a buffer" for core in ("core", "_core")},
}


def _admitted(module: str, name: str) -> str:
    """Says what a file names by a class or function, in a word or two; FormatError if no network file needs it."""
    kind = _ADMITTED.get((module, name))
    if kind is None:
        raise FormatError(f"refers to {f'{module}.{name}'[:100]!r}, {_MALICIOUS}", remedy="")
    return kind


class _Named:
    """Stands in for an admitted class or function itself."""

    __slots__ = ("kind",)

    def __init__(self, kind: str):
        self.kind = kind


class _Record:
    """Stands in for a dict, or for the result of a call: notes arguments, state and items, and runs nothing."""

    __slots__ = ("kind", "args", "state", "entries")

    def __init__(self, kind: str, args: tuple = ()):
        self.kind, self.args, self.state = kind, args, None
        self.entries: list[tuple[Any, Any]] = []


def kind_of(value) -> str:
    """Returns which admitted name a record stands for (a value of `_ADMITTED`), e.g. 'network'; '' for what is no record."""
    return value.kind if isinstance(value, _Record) else ""


# ---- Which operations the bytes ask for

_ARGUMENTS = {  # these put their argument on the stack
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_records(data: bytes) -> Any:
    """Reads the object that a pickle holds, with records for dicts and for all that is not built in. Runs nothing.

    Raises FormatError on what no network file needs, and nearly any other exception on damaged bytes.
    """
    if not data.startswith(pickle.PROTO):  # protocol 2 and later; network files were never written in another
        _refuse_older(data)
    machine = _Machine()
    for count, (operation, argument, position) in enumerate(pickletools.genops(data)):
        if count > _MAX_OPERATIONS:
            raise FormatError("is a pickle of far more parts than a network has, or damaged")
        if operation.name == "FRAME" and argument > len(data) - position:
            raise ValueError("a frame goes beyond the end")
        machine.do(operation.name, argument)
    return machine.stack.pop()


def _refuse_older(data: bytes) -> None:
    """Refuses what does not begin as a pickle of protocol 2 or later. What a pickle before that would run is named."""
    try:
        for _, (operation, argument, _) in zip(range(_MAX_OPERATIONS), pickletools.genops(data), strict=False):
            if operation.name in ("GLOBAL", "INST"):
                _admitted(*argument.split(" ", 1))
    except FormatError:
        raise
    except Exception:  # noqa: S110 - no pickle at all
        pass
    raise FormatError("is not a network file (these begin as pickles of protocol 2 or later)", GIVE_NETWORK)


class _Machine:
    """Does the operations of a pickle, one after the other: those that network files need, on a stack, as `pickle` would.

    stack: the values since the last mark; those before a mark wait in `_below`.
    """

    def __init__(self):
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}  # by indices that the file chooses, so no list

    def do(self, name: str, argument: Any) -> None:
        """Does one operation. Raises FormatError where no file needs it, and others where the stack is not as it needs."""
        stack = self.stack
        if name in _ARGUMENTS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self._name(*(argument.split(" ", 1) if name == "GLOBAL" else (stack.pop(-2), stack.pop())))
        elif name in ("NEWOBJ", "REDUCE", "BUILD"):
            self._call(name)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            if argument not in self._memo:
                raise ValueError(f"nothing was remembered as number {argument}")
            stack.append(self._memo[argument])
        elif name == "PROTO":
            if argument > 5:
                raise ValueError(f"unsupported pickle protocol: {argument}")
        elif name not in ("FRAME", "STOP"):
            self._collect(name, argument)

    def _collect(self, name: str, argument: Any) -> None:
        """Begins lists, tuples and dicts, and fills them; refuses all other operations."""
        stack = self.stack
        if name == "MARK":
            self._below.append(stack)
            self.stack = []
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_DICT":
            stack.append(_Record("dict"))
        elif name in _TUPLES:
            values = [stack.pop() for _ in range(_TUPLES[name])]
            stack.append(tuple(reversed(values)))
        elif name == "TUPLE":
            values = self._since_mark()
            self.stack.append(tuple(values))
        elif name in ("APPEND", "APPENDS"):
            values = [stack.pop()] if name == "APPEND" else self._since_mark()
            self._top(list).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = [stack.pop(), stack.pop()][::-1] if name == "SETITEM" else self._since_mark()
            self._top(_Record).entries.extend(zip(values[::2], values[1::2], strict=True))
        else:
            if name == "INST":
                _admitted(*argument.split(" ", 1))  # says more of what is foreign
            raise FormatError(f"uses the pickle operation {name}, {_MALICIOUS}", remedy="")

    def _name(self, module: Any, attribute: Any) -> None:
        """Puts what the file names on the stack."""
        if type(module) is not str or type(attribute) is not str:
            raise ValueError("a name that is not text")
        self.stack.append(_Named(_admitted(module, attribute)))

    def _call(self, operation: str) -> None:
        """Notes a call, or the state that an object is given."""
        value = self.stack.pop()
        if operation == "BUILD":
            self._top(_Record).state = value
            return
        named = self.stack.pop()
        if not isinstance(named, _Named) or not isinstance(value, tuple):
            raise ValueError("a call of what cannot be called")
        self.stack.append(_Record(named.kind, value))

    def _since_mark(self) -> list[Any]:
        """Takes all values since the last mark off the stack."""
        values, self.stack = self.stack, self._below.pop()
        return values

    def _top(self, kind: type) -> Any:
        """Returns the topmost value, without taking it off. Raises ValueError unless it is of that type."""
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"a {type(self.stack[-1]).__name__} where another type is needed")
        return self.stack[-1]


# ---- From records to checked values; `what` says in a message which part of the file is meant


def mapping_of(value, what: str) -> dict[str, Any]:
    """Returns a new dict of the items of a dict, or of the record of one. Raises FormatError unless all keys are text, and
    each is there once."""
    if kind_of(value) == "dict" and not value.args:
        items = value.entries
    elif isinstance(value, dict):
        items = list(value.items())
    else:
        raise FormatError(f"has, for {what}, {kind_of(value) or type(value).__name__} instead of a dict")
    if not all(type(key) is str for key, _ in items):
        raise FormatError(f"has, in {what}, a key that is not text")
    mapping = {sys.intern(key): item for key, item in items}
    if len(mapping) < len(items):  # else the items, which may be referred to many times, would be more than what is counted
        raise FormatError(f"has, in {what}, a key twice")
    return mapping


def array_of(record, what: str) -> np.ndarray:
    """Views the bytes of a pickled array of float16, 32 or 64. Raises FormatError unless shape and byte count agree."""
    axes = None
    if kind_of(record) == "array" and isinstance(record.state, tuple) and len(record.state) == 5:
        _, shape, dtype, fortran, raw = record.state
        order = "F" if fortran is True else "C"
    elif kind_of(record) == "array from a buffer" and len(record.args) in (4, 5):
        raw, dtype, shape, order, *rest = record.args
        axes = rest[0] if rest and order == "K" else None
        order = "F" if order == "F" else "C"
    else:
        raise FormatError(f"has no array in {what}")
    dtype = _dtype(dtype, ("f2", "f4", "f8"), what)
    if not isinstance(shape, tuple) or len(shape) > 32 or not all(type(n) is int and 0 <= n < 1 << 31 for n in shape):
        raise FormatError(f"has an impossible shape for {what}")
    array = np.ndarray(shape, dtype, _bytes(raw, math.prod(shape) * dtype.itemsize, what), order=order)
    if axes is None:
        return array
    if not isinstance(axes, tuple) or not all(type(axis) is int for axis in axes) or sorted(axes) != list(range(len(shape))):
        raise FormatError(f"has an impossible order of axes for {what}")
    return array.transpose(axes)


def number_of(record, what: str) -> bool | int | float:
    """Returns the plain value of a pickled NumPy number. Raises FormatError on other types."""
    if kind_of(record) != "number" or len(record.args) != 2:
        raise FormatError(f"has no number in {what}")
    dtype = _dtype(record.args[0], ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"), what)
    return np.ndarray((), dtype, _bytes(record.args[1], dtype.itemsize, what)).item()


def _dtype(record, codes: tuple[str, ...], what: str) -> np.dtype:
    """Returns the dtype that a record stands for, if it is plain (no fields, sub-arrays, objects) and among the codes."""
    code = record.args[0] if kind_of(record) == "dtype" and record.args else None
    state = record.state if type(code) is str and code in codes else None
    if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
        raise FormatError(f"has, for {what}, a type that is not among {', '.join(codes)}")
    byte_order = state[1]
    if type(byte_order) is not str or byte_order not in ("<", ">", "=", "|"):
        raise FormatError(f"has, for {what}, an unknown byte order")
    return np.dtype(byte_order + code)


def _bytes(value, length: int, what: str) -> bytes | bytearray:
    """Returns the bytes of a value or of its record; FormatError unless there are `length` of them."""
    raw = None
    if isinstance(value, (bytes, bytearray)):
        raw = value
    elif kind_of(value) == "bytes" and len(value.args) == 2 and all(type(part) is str for part in value.args):
        text, encoding = value.args
        raw = text if encoding == "latin1" else None  # one byte for each character
    if raw is None:
        raise FormatError(f"has no bytes for {what}")
    if len(raw) != length:
        raise FormatError(f"has {len(raw)} bytes for {what}, which its shape does not agree with")
    return raw.encode("latin1") if isinstance(raw, str) else raw
