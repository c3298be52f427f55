"""A file of arrays and plain values that a reader can trust: written whole or not at all, and guarded by a checksum.

Layout: a line that names the format, a line with the SHA-256 of all that follows, then the length of a JSON text
(8 bytes, little-endian), the text, and an uncompressed .npz of the arrays.
"""

import hashlib
import io
import json
import math
import os
import stat
import zipfile
from collections.abc import Mapping

import numpy as np

from dnnlib.errors import one_line
from dnnlib.files import atomic_write

_FORMAT = b"selfsupervised-denoising state 1\n"
_MAX_BYTES = 1 << 32  # the largest known has some tens of MB


class DamagedState(Exception):
    """Says that a file is no state, is truncated, or has changed since it was written."""


def save_state(path: str | os.PathLike, arrays: Mapping[str, np.ndarray], values: dict) -> None:
    """Writes arrays (any shape and plain dtype) and values (what JSON holds) atomically. Raises OSError."""
    text = json.dumps(values).encode("utf-8")
    body = io.BytesIO()
    body.write(len(text).to_bytes(8, "little"))
    body.write(text)
    np.savez(body, **arrays)
    with atomic_write(path) as file:
        file.write(_FORMAT)
        file.write(hashlib.sha256(body.getbuffer()).hexdigest().encode("ascii") + b"\n")
        file.write(body.getbuffer())


def load_state(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict]:
    """Returns arrays and values as they were saved. Raises DamagedState, and OSError where the file cannot be read.

    Nothing is made larger than the file is, whoever has written it.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # a pipe may have no end
        raise DamagedState("it is not a regular file")
    if status.st_size > _MAX_BYTES:
        raise DamagedState(f"it is larger than {_MAX_BYTES >> 30} GiB, which no state is")
    with open(path, "rb") as file:
        content = file.read()
    if not content.startswith(_FORMAT):
        raise DamagedState("it is not a state file of this program")
    start = len(_FORMAT) + 65
    body = memoryview(content)[start:]
    if content[len(_FORMAT) : start] != hashlib.sha256(body).hexdigest().encode("ascii") + b"\n":
        raise DamagedState("its checksum does not match, so it was damaged or cut short")
    try:
        length = int.from_bytes(body[:8], "little")
        values = json.loads(bytes(body[8 : 8 + length]).decode("utf-8"))
        return _arrays(body[8 + length :]), values
    except DamagedState:
        raise
    except Exception as error:  # whoever makes the checksum right can have written anything
        raise DamagedState(f"it holds what this program does not write ({one_line(error)[:100]})") from error


def _arrays(data: memoryview) -> dict[str, np.ndarray]:
    """Reads the arrays of an uncompressed .npz. Raises DamagedState where they would be larger than it."""
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        compressed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if compressed or sum(member.file_size for member in members) > len(data):
            raise DamagedState("its arrays claim to be larger than it is")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise DamagedState(f"it holds {name[:60]!r} twice")
            arrays[name] = _array(archive.read(member), name)
    return arrays


def _array(data: bytes, name: str) -> np.ndarray:
    """Reads an array of numbers in the .npy format. Raises DamagedState unless there are as many as it says."""
    file = io.BytesIO(data)
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in "biuf" or math.prod(shape) * dtype.itemsize != len(data) - file.tell():
        raise DamagedState(f"its {name[:60]!r} has another type or size than it says")
    return np.load(io.BytesIO(data), allow_pickle=False)
