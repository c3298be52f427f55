"""State files: what is saved comes back, and any damage is noticed."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnlib.tflib.state_file import DamagedState, load_state, save_state

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


def test_a_failed_save_leaves_the_old_one(tmp_path):
    path = tmp_path / "state"
    save_state(path, ARRAYS, VALUES)
    content = path.read_bytes()
    with pytest.raises(TypeError):
        save_state(path, ARRAYS, {"n": object()})
    assert path.read_bytes() == content
    assert json.dumps(load_state(path)[1]) == json.dumps(VALUES)
