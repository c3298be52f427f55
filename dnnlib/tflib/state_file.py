"""A file of arrays and plain values that a reader can trust: written whole or not at all, and guarded by a checksum.

Layout: a line that names the format, a line with the SHA-256 of all that follows, then the length of a JSON text
(8 bytes, little-endian), the text, and an uncompressed .npz of the arrays.
"""

import hashlib
import io
import json
import os
from collections.abc import Mapping

import numpy as np

from dnnlib.files import atomic_write

_FORMAT = b"selfsupervised-denoising state 1\n"


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
    """Returns arrays and values as they were saved. Raises DamagedState, and OSError where the file cannot be read."""
    with open(path, "rb") as file:
        content = file.read()
    if not content.startswith(_FORMAT):
        raise DamagedState("it is not a state file of this program")
    start = len(_FORMAT) + 65
    body = memoryview(content)[start:]
    if content[len(_FORMAT) : start] != hashlib.sha256(body).hexdigest().encode("ascii") + b"\n":
        raise DamagedState("its checksum does not match, so it was damaged or cut short")
    length = int.from_bytes(body[:8], "little")
    values = json.loads(bytes(body[8 : 8 + length]).decode("utf-8"))
    with np.load(io.BytesIO(body[8 + length :]), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}, values
