"""Network files: pickles in the 2019 program's format (SPEC section 10), read without running anything that they hold.

The source text that 2019 files carry (`build_module_src`) is never looked at: only names, settings and arrays are taken.
This module knows files and arrays; what the settings and the variables mean is for the caller to know.
"""

import os
import pickle
import pickletools
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dnnlib.errors import UserError, one_line
from dnnlib.files import atomic_write
from dnnlib.tflib.safe_pickle import (
    COPY_AGAIN,
    GIVE_NETWORK,
    FormatError,
    array_of,
    kind_of,
    mapping_of,
    number_of,
    read_records,
)

MAX_FILE_BYTES = 1 << 30  # the largest network known has 10 MB
_MAX_DEPTH, _MAX_VALUES = 8, 10_000  # of the settings
_STATE_KEYS = ("version", "name", "static_kwargs", "build_func_name", "variables")
_NO_SOURCE = "# The source is not needed: the network is built from its settings by the program that reads this file.\n"
_OLD_RECONSTRUCT, _NEW_RECONSTRUCT = (f"numpy.{core}.multiarray _reconstruct" for core in ("core", "_core"))


@dataclass(eq=False)
class Network:
    """Holds a network as its file does. Pickles as `dnnlib.tflib.network.Network`, in version 3 of the 2019 format.

    name: of the network, e.g. 'net'.
    static_kwargs: settings by name; str, int, float, bool, None, and list, tuple and dict (with str keys) of those.
    build_func_name: of the 2019 program's function that built it, 'blindspot_pipeline' or 'simple_pipeline'.
    variables: arrays by name, ordered, float32.
    """

    name: str
    static_kwargs: dict[str, Any]
    build_func_name: str
    variables: dict[str, np.ndarray] = field(repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state in the 2019 format, of fresh copies and interned names, so that equal networks give equal bytes.

        Raises FormatError on settings or variables that a file cannot hold.
        """
        return {
            "version": 3,
            "name": sys.intern(self.name),
            "static_kwargs": _settings(self.static_kwargs),
            "components": {},
            "build_module_src": _NO_SOURCE,
            "build_func_name": sys.intern(self.build_func_name),
            "variables": list(_variables(self.variables.items()).items()),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(_fields(state))


def load_network(path: str | os.PathLike) -> Network:
    """Reads a network file, of the 2019 program (format version 2 or 3) or of ours; runs nothing that is in it.

    Arrays of any float width, byte order and memory order become C-ordered float32. Raises UserError on anything wrong.
    """
    try:
        data = _read(path)
        root = read_records(data)
        if kind_of(root) != "network" or root.args:
            holds = kind_of(root) or type(root).__name__
            raise FormatError(f"is a pickle but holds no network (it holds: {holds})", GIVE_NETWORK)
        return Network(**_fields(root.state, len(data)))
    except FormatError as error:
        raise UserError(f"{path}: {error}") from error
    except MemoryError as error:
        raise UserError(f"{path}: does not fit into memory; if it is not that large, {COPY_AGAIN}") from error
    except Exception as error:  # damaged bytes reach many kinds: EOFError, KeyError, OverflowError, UnicodeDecodeError, ...
        raise UserError(f"{path}: is damaged or cut short ({one_line(error)[:120]}); {COPY_AGAIN}") from error


def save_network(network: Network, path: str | os.PathLike) -> None:
    """Writes a network file atomically. Pickle protocol 3, with the names of old NumPy, so any Python 3 can read it.

    Raises UserError when the file cannot be written.
    """
    data = _with_old_numpy_names(pickle.dumps(network, protocol=3))
    try:
        with atomic_write(path) as file:
            file.write(data)
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise UserError(f"{path}: cannot be written ({reason}); free some space or choose another place") from error


def check_variables(network: Network, expected: Mapping[str, tuple[int, ...]], path: str | os.PathLike) -> None:
    """Raises UserError unless the network has exactly the expected variables, of the expected shapes, all values finite.

    `path` is the file that the message names.
    """
    other = "is it the network of another configuration?"
    for name in expected:
        if name not in network.variables:
            raise UserError(f"{path}: lacks the variable {name!r}; {other}")
    unknown = [repr(name)[:60] for name in network.variables if name not in expected]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise UserError(f"{path}: has unknown variables ({', '.join(unknown[:3])}{more}); {other}")
    for name, shape in expected.items():
        value = network.variables[name]
        if value.shape != tuple(shape):
            found, wanted = _shape_text(value.shape), _shape_text(shape)
            raise UserError(f"{path}: the variable {name!r} has shape {found} where {wanted} is expected; {other}")
        if not np.isfinite(value).all():
            raise UserError(f"{path}: the variable {name!r} has non-finite values; use another snapshot, or {COPY_AGAIN}")


def _shape_text(shape: Iterable[int]) -> str:
    """Describes a shape for a message."""
    return "x".join(map(str, shape)) or "scalar"


_OTHER_KINDS = {
    b"\x1f\x8b": ("a gzip archive", "unpack it first"),
    b"PK\x03\x04": ("a zip archive", "unpack it first"),
    b"\x89HDF\r\n": ("an HDF5 file", GIVE_NETWORK),
    b"\x89PNG": ("a PNG image", GIVE_NETWORK),
    b"\xff\xd8\xff": ("a JPEG image", GIVE_NETWORK),
    b"\x93NUMPY": ("a NumPy array", GIVE_NETWORK),
    b"<": ("a web page or XML", "download the network itself"),  # what a download page gives in place of the file
    b"version https://git-lfs": ("a Git LFS pointer", "fetch the file itself with `git lfs pull`"),
}


def _read(path: str | os.PathLike) -> bytes:
    """Reads the file's bytes. Raises FormatError on what cannot be read, is too large, or is plainly of another kind."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise FormatError("is a folder", "name the network file in it")
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device may never end
            raise FormatError("is not a regular file", GIVE_NETWORK)
        if status.st_size > MAX_FILE_BYTES:
            raise FormatError(f"is larger than {MAX_FILE_BYTES >> 20} MiB, which no network is", GIVE_NETWORK)
        with open(path, "rb") as file:
            data = file.read(status.st_size)  # not more: `read` takes the memory that it is told before it looks
    except FileNotFoundError:
        raise FormatError("there is no such file", "check the name") from None
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise FormatError(f"cannot be read ({reason})", "check the name and the permissions") from error
    if not data:
        raise FormatError("is empty")
    for magic, (kind, remedy) in _OTHER_KINDS.items():
        if data.startswith(magic):
            raise FormatError(f"is not a network file but {kind}", remedy)
    return data


def _fields(state, file_bytes: int | None = None) -> dict[str, Any]:
    """Checks a state in the 2019 format, of records or of real arrays, and returns the arguments of `Network`."""
    # The parts that there are.
    state = mapping_of(state, "its state")
    for key in _STATE_KEYS:
        if key not in state:
            raise FormatError(f"lacks {key!r}, which every network file has", GIVE_NETWORK)
    # What they are.
    version, variables = state["version"], state["variables"]
    if type(version) is not int or version not in (2, 3):
        text = str(version)[:20] if type(version) is int else f"of type {type(version).__name__}"
        raise FormatError(f"has format version {text}, and this program reads 2 and 3", "export it in one of those")
    for key in ("name", "build_func_name"):
        if type(state[key]) is not str:
            raise FormatError(f"has a {key!r} that is not text")
    if mapping_of(state.get("components", {}), "'components'"):
        raise FormatError("is made of component networks, which this program has not", GIVE_NETWORK)
    if not isinstance(variables, list) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in variables):
        raise FormatError("has 'variables' that are not a list of pairs of name and array")
    return {
        "name": state["name"],
        "static_kwargs": _settings(state["static_kwargs"]),
        "build_func_name": state["build_func_name"],
        "variables": _variables(variables, file_bytes),
    }


def _settings(static_kwargs) -> dict[str, Any]:
    """Copies plain values; the size is bounded: a few lists that hold each other can stand for 10^9 values."""
    left = _MAX_VALUES

    def plain(value, where: str, depth: int):
        """Copies a value; where: what a message calls it; depth: how many others it is in."""
        nonlocal left
        left -= 1
        if left < 0 or depth > _MAX_DEPTH:
            raise FormatError("has, in 'static_kwargs', too many values or too deep a nesting")
        if value is None or type(value) in (bool, int, float):
            return value
        if type(value) is str:
            return sys.intern(value)
        if type(value) in (list, tuple):
            return type(value)(plain(item, where, depth + 1) for item in value)
        if kind_of(value) == "number":
            return number_of(value, where)
        if kind_of(value) == "dict" or isinstance(value, dict):
            return mapping(value, where, depth)
        raise FormatError(f"has, for {where}, {kind_of(value) or type(value).__name__} instead of a plain value")

    def mapping(value, where: str, depth: int) -> dict[str, Any]:
        """Copies a dict. Parameters as for `plain`."""
        return {key: plain(item, f"the setting {key[:60]!r}", depth + 1) for key, item in mapping_of(value, where).items()}

    return mapping(static_kwargs, "'static_kwargs'", 0)


def _variables(pairs: Iterable[tuple[Any, Any]], file_bytes: int | None = None) -> dict[str, np.ndarray]:
    """Copies float32 arrays, by name. Together they may not exceed the file, though many may claim the same bytes of it."""
    variables: dict[str, np.ndarray] = {}
    for name, value in pairs:
        if type(name) is not str:
            raise FormatError("has a variable whose name is not text")
        if name in variables:
            raise FormatError(f"has two variables named {name[:60]!r}")
        what = f"the variable {name[:60]!r}"
        source = value if isinstance(value, np.ndarray) else array_of(value, what)
        if source.dtype.kind != "f":
            raise FormatError(f"has, for {what}, {source.dtype} where floats are expected")
        if file_bytes is not None:
            file_bytes -= source.nbytes
            if file_bytes < 0:
                raise FormatError("claims larger arrays than the file has room for")
        array = np.empty(source.shape, np.float32)
        with np.errstate(all="ignore"):  # a float64 too large becomes infinite, which `check_variables` reports
            array[...] = source
        variables[sys.intern(name)] = array
    return variables


def _with_old_numpy_names(data: bytes) -> bytes:
    """Gives the function that pickled arrays name its name of before NumPy 2, which knows both; older NumPy does not."""
    for operation, argument, position in pickletools.genops(data):
        if operation.name == "GLOBAL" and argument == _NEW_RECONSTRUCT:  # named once, then taken from the memo
            end = position + len("c") + len(_NEW_RECONSTRUCT) + len("\n")
            return data[:position] + b"c" + _OLD_RECONSTRUCT.replace(" ", "\n").encode() + b"\n" + data[end:]
    return data
