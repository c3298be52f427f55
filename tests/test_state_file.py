"""State files: what is saved comes back, and any damage is noticed."""

import hashlib
import io
import json
import os
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnlib.tflib.state_file import DamagedState, load_state, save_state

FORMAT = b"selfsupervised-denoising state 1\n"
ARRAYS = {"nin/W": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "power": np.float32(0.9), "none": np.zeros([0, 2])}
VALUES = {"n": 1234, "report": {"steps": [[0.1, -2.5]]}, "text": "ä"}


def test_round_trip(tmp_path):
    path = tmp_path / "state"
    save_state(path, ARRAYS, VALUES)
    arrays, values = load_state(path)
    assert values == VALUES
    assert {name: (a.dtype, a.tolist()) for name, a in arrays.items()} == {
        name: (np.asarray(a).dtype, np.asarray(a).tolist()) for name, a in ARRAYS.items()
    }
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_same_state_gives_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_state(tmp_path / name, ARRAYS, VALUES)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_byte_is_guarded(tmp_path):
    path = tmp_path / "state"
    save_state(path, {"w": np.arange(3, dtype=np.float32)}, {"n": 1})
    content = path.read_bytes()
    for i in range(len(content)):
        path.write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        with pytest.raises(DamagedState):
            load_state(path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cut_short_or_longer(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cut") / "state"
    save_state(path, ARRAYS, VALUES)
    content = path.read_bytes()
    kept = data.draw(st.integers(0, len(content) - 1))
    for changed in (content[:kept], content + content[: kept + 1]):
        path.write_bytes(changed)
        with pytest.raises(DamagedState):
            load_state(path)


def write_body(path, text: bytes, archive: bytes) -> None:
    """A state file with a right checksum, of whatever content."""
    body = len(text).to_bytes(8, "little") + text + archive
    path.write_bytes(FORMAT + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def npy(shape, dtype: str = "<f4", data: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


BODIES = {
    "no values": (b"", npz({})),
    "no JSON": (b"{", npz({})),
    "deep JSON": (b"[" * 100_000, npz({})),
    "a number too long to be read": (b"1" * 100_000, npz({})),
    "no archive": (b"{}", b"PK"),
    "compressed": (b"{}", npz({"w.npy": npy((1 << 26,), data=bytes(1 << 28))}, zipfile.ZIP_DEFLATED)),
    "no array": (b"{}", npz({"w.npy": b"text"})),
    "too large": (b"{}", npz({"w.npy": npy((1 << 40,))})),
    "far too large": (b"{}", npz({"w.npy": npy((1 << 62, 1 << 62, 0))})),
    "too small": (b"{}", npz({"w.npy": npy((1,), data=bytes(8))})),
    "pickled": (b"{}", npz({"w.npy": npy((1,), "|O", bytes(8))})),
    "of records": (b"{}", npz({"w.npy": npy((1,), [("a", "<f4")], bytes(4))})),
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_right_checksum_of_a_strange_content(tmp_path, kind):
    write_body(tmp_path / "state", *BODIES[kind])
    tracemalloc.start()
    try:
        with pytest.raises(DamagedState):
            load_state(tmp_path / "state")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 23  # bytes


def test_a_file_too_large_to_be_read(tmp_path):
    write_body(tmp_path / "state", b"{}", npz({}))
    os.truncate(tmp_path / "state", (1 << 32) + 1)  # takes no space on disk
    with pytest.raises(DamagedState, match="larger than 4 GiB"):
        load_state(tmp_path / "state")


def test_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "state")
    with pytest.raises(DamagedState, match="not a regular file"):
        load_state(tmp_path / "state")


def test_a_failed_save_leaves_the_old_one(tmp_path):
    path = tmp_path / "state"
    save_state(path, ARRAYS, VALUES)
    content = path.read_bytes()
    with pytest.raises(TypeError):
        save_state(path, ARRAYS, {"n": object()})
    assert path.read_bytes() == content
    assert json.dumps(load_state(path)[1]) == json.dumps(VALUES)
