"""Reads the pickles that network files are, without running anything that they ask for.

`pickle.load` calls whatever a file names. Here nothing is called: `_scan` refuses operations that no network file needs,
`_Reader` unpickles into records that only note what the file would have called, and `mapping_of`, `array_of` and `number_of`
turn records into values once names, types, shapes and byte counts are known to agree; only then does NumPy see them.
"""

import io
import math
import pickle
import pickletools
import sys
from typing import Any

import numpy as np

_MAX_OPERATIONS = 50_000  # about 30 for each variable
_MAX_TUPLES = 5_000  # about 5 for each variable; hashing tuples nested much deeper overflows the C stack
_MALICIOUS = "which no network file needs; it may be malicious, and nothing of it was run"
COPY_AGAIN = "copy or download the file again"
GIVE_NETWORK = "give the .pickle file of a trained network"


class FormatError(ValueError):
    """Says what is wrong with a network file: a phrase that follows the file's name, and the remedy."""

    def __init__(self, message: str, remedy: str = COPY_AGAIN):
        super().__init__(f"{message}; {remedy}" if remedy else message)


# ---- Which operations the bytes ask for

_OPERATIONS = {
    *("PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_DICT", "SETITEM", "SETITEMS", "GLOBAL", "STACK_GLOBAL", "NEWOBJ", "REDUCE", "BUILD"),
}


def _scan(data: bytes) -> None:
    """Refuses, before anything is unpickled, what `find_class` does not see.

    That is: extension codes and persistent ids (looked up elsewhere), memo indices (`pickle` makes its memo as large as the
    highest one, so a single flipped bit could claim 16 GiB), and too many operations. Raises FormatError, and ValueError
    where the bytes are no pickle at all.
    """
    binary = data.startswith(pickle.PROTO)  # protocol 2 and later; network files were never written in another
    tuples = 0
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(data)):
            name = operation.name
            if name in ("GLOBAL", "INST"):
                _admitted(*argument.split(" ", 1))
            if binary and name not in _OPERATIONS:
                raise FormatError(f"uses the pickle operation {name}, {_MALICIOUS}", remedy="")
            tuples += name.startswith("TUPLE")
            memo_index = argument if name in ("BINPUT", "LONG_BINPUT") else 0
            if max(count, memo_index) > _MAX_OPERATIONS or tuples > _MAX_TUPLES:
                raise FormatError("is a pickle of far more parts than a network has, or damaged")
    except FormatError:
        raise
    except Exception:
        if binary:
            raise
    if not binary:
        raise FormatError("is not a network file (these begin as pickles of protocol 2 or later)", GIVE_NETWORK)


# ---- Unpickling into records

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


class _Record:
    """Stands in for the result of calling an admitted class or function: notes arguments, state and items, runs nothing.

    Having a `__setstate__` is also what makes the BUILD operation fail on the class itself.
    """

    __slots__ = ("args", "state", "entries")
    kind = ""

    def __new__(cls, *args):
        self = super().__new__(cls)
        self.args, self.state, self.entries = args, None, []
        return self

    def __setstate__(self, state) -> None:
        self.state = state

    def __setitem__(self, key, value) -> None:
        self.entries.append((key, value))


class _Reader(pickle.Unpickler):
    """Unpickles into records. Each reference gets a class of its own, so nothing in a file can change a later load."""

    def find_class(self, module: str, name: str) -> type[_Record]:
        kind = _admitted(module, name)
        return type(kind, (_Record,), {"__slots__": (), "kind": kind})


def read_records(data: bytes) -> Any:
    """Reads the object that a pickle holds, with records for all that is not built in. Nothing in `data` is run.

    Raises FormatError on what no network file needs, and, as `pickle` does, nearly any other exception on damaged bytes.
    """
    _scan(data)
    return _Reader(io.BytesIO(data)).load()


def kind_of(value) -> str:
    """Returns which admitted name a record stands for (a value of `_ADMITTED`), e.g. 'network'; '' for what is no record."""
    return value.kind if isinstance(value, _Record) else ""


# ---- From records to checked values; `what` says in a message which part of the file is meant


def mapping_of(value, what: str) -> dict[str, Any]:
    """Returns a new dict of the items of a dict, or of the record of one. Raises FormatError unless all keys are text."""
    if kind_of(value) == "dict" and not value.args:
        items = value.entries
    elif isinstance(value, dict):
        items = list(value.items())
    else:
        raise FormatError(f"has, for {what}, {kind_of(value) or type(value).__name__} instead of a dict")
    if not all(type(key) is str for key, _ in items):
        raise FormatError(f"has, in {what}, a key that is not text")
    return {sys.intern(key): item for key, item in items}


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
