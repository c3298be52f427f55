"""Network files: what is written is read back, the 2019 format is read, and the rest is refused in plain words."""

import csv
import gzip
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pickle_maker as make
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dnnlib.errors import UserError
from dnnlib.tflib import network as network_module
from dnnlib.tflib.network import Network, check_variables, load_network, save_network

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT.parent / "shared" / "golden"

FLOATS = st.sampled_from(["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
ARRAYS = FLOATS.flatmap(lambda dtype: hnp.arrays(dtype, SHAPES))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda part: st.lists(part, max_size=3) | st.tuples(part, part) | st.dictionaries(st.text(max_size=4), part, max_size=3),
    max_leaves=8,
)
NETWORKS = st.builds(
    Network,
    st.text(max_size=8),
    st.dictionaries(st.text(max_size=8), PLAIN, max_size=4),
    st.sampled_from(["blindspot_pipeline", "simple_pipeline"]),
    st.dictionaries(st.text(max_size=12), ARRAYS, max_size=4),
)


def small_network() -> Network:
    variables = {"enc_conv0/W": np.arange(12, dtype=np.float32).reshape(2, 2, 1, 3), "enc_conv0/b": np.zeros(3, np.float32)}
    return Network("net", {"input_shape": [None, 3, None, None], "noise_style": "gauss"}, "blindspot_pipeline", variables)


def as_float32(array) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.array(array).astype("=f4")


def assert_same(network: Network, expected: Network) -> None:
    assert (network.name, network.build_func_name) == (expected.name, expected.build_func_name)
    assert repr(network.static_kwargs) == repr(expected.static_kwargs)  # repr: True is not 1, -0.0 is not 0.0
    assert list(network.variables) == list(expected.variables)
    for name, value in network.variables.items():
        assert value.dtype == np.float32 and value.dtype.isnative and value.flags.c_contiguous and value.flags.writeable
        assert value.shape == expected.variables[name].shape
        assert value.tobytes() == as_float32(expected.variables[name]).tobytes()


def load_bytes(folder: Path, data: bytes) -> Network:
    path = folder / "network.pickle"
    path.write_bytes(data)
    return load_network(path)


def message(folder: Path, data: bytes) -> str:
    """The one line that refuses the file."""
    with pytest.raises(UserError) as error:
        load_bytes(folder, data)
    text = str(error.value)
    assert text.startswith(str(folder / "network.pickle") + ": ") and "\n" not in text
    return text


# ---- Ours


@given(network=NETWORKS)
@settings(max_examples=60, deadline=None)
def test_what_is_saved_is_loaded(tmp_path_factory, network):
    path = tmp_path_factory.getbasetemp() / "network.pickle"
    save_network(network, path)
    assert_same(load_network(path), network)
    with open(path, "rb") as file:
        assert_same(pickle.load(file), network)


@given(network=NETWORKS)
@settings(max_examples=40, deadline=None)
def test_equal_networks_give_equal_bytes(tmp_path_factory, network):
    first, second = (tmp_path_factory.getbasetemp() / name for name in ("first.pickle", "second.pickle"))
    save_network(network, first)
    save_network(load_network(first), second)
    assert first.read_bytes() == second.read_bytes()


def test_equal_bytes_however_the_parts_are_shared(tmp_path):
    """`pickle` writes an object that it meets twice once only, so equal but distinct strings and arrays need care."""
    shared, copied = "".join(["ga", "uss"]), "".join(["gau", "ss"])
    array = np.ones((2, 3), np.float32)
    one = Network("net", {"a": shared, "b": shared, "name": "net"}, "f", {"x": array, "y": array})
    other_array = np.asfortranarray(np.ones((2, 3), ">f8"))
    other = Network("".join(["n", "et"]), {"a": shared, "b": copied, "name": "net"}, "f", {"x": array, "y": other_array})
    save_network(one, tmp_path / "one")
    save_network(other, tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_the_file_names_functions_that_old_numpy_knows(tmp_path):
    network = small_network()
    network.static_kwargs["trap"] = "cnumpy._core.multiarray\n_reconstruct\n"  # text, which must stay as it is
    save_network(network, tmp_path / "network.pickle")
    data = (tmp_path / "network.pickle").read_bytes()
    assert data.count(b"cnumpy.core.multiarray\n_reconstruct\n") == 1
    assert_same(load_network(tmp_path / "network.pickle"), network)


def test_settings_that_no_file_can_hold_are_not_written(tmp_path):
    network = small_network()
    network.static_kwargs["shape"] = {1, 2}
    with pytest.raises(ValueError, match="'shape'"):
        save_network(network, tmp_path / "network.pickle")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "network.pickle"
    save_network(small_network(), path)
    before = path.read_bytes()
    large = small_network()
    large.variables["more"] = np.zeros(10_000, np.float32)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # the file system refuses to write on, as a full disk does
    try:
        with pytest.raises(UserError, match=r"network\.pickle: cannot be written \(File too large\)"):
            save_network(large, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["absent/network.pickle", "folder"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, place):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=f"{place}: cannot be written"):
        save_network(small_network(), tmp_path / place)
    assert list(tmp_path.rglob("*")) == [tmp_path / "folder"]


# ---- The 2019 format, and arrays of every kind


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("core", ["core", "_core"])
def test_the_2019_format(tmp_path, version, core):
    raw = struct.pack("<6f", *range(6))
    variables = [("a/W", make.array((2, 3), raw, core=core)), ("a/b", make.array((), raw[4:8], core=core))]
    network = load_bytes(tmp_path, make.pickled(make.network(version=version, variables=variables)))
    kwargs = {"input_shape": [None, 3, None, None], "noise_style": "gauss", "diagonal_covariance": False}
    expected = {"a/W": np.arange(6, dtype=np.float32).reshape(2, 3), "a/b": np.array(1, np.float32)}
    assert_same(network, Network("net", kwargs, "blindspot_pipeline", expected))


def test_dicts_and_numbers_of_2019_settings(tmp_path):
    def of_class(module: str, attribute: str, items: dict) -> make.Code:
        return make.Code(make.name(module, attribute) + b")\x81" + make.encode(items).removeprefix(b"}"))

    number = make.call(make.name("numpy.core.multiarray", "scalar"), make.dtype("f8"), struct.pack("<d", 0.1))
    easy = of_class("dnnlib.util", "EasyDict", {"sigma": number})
    ordered = of_class("collections", "OrderedDict", {"b": 1, "a": [easy]})
    settings = load_bytes(tmp_path, make.pickled(make.network(static_kwargs=ordered))).static_kwargs
    assert repr(settings) == "{'b': 1, 'a': [{'sigma': 0.1}]}"  # and not subclasses of dict or float


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8"])
def test_every_protocol_type_and_order(tmp_path, monkeypatch, protocol, dtype):
    base = np.arange(24).reshape(2, 3, 4).astype(dtype)
    layouts = {"c": base, "fortran": np.asfortranarray(base), "k": base.transpose(1, 0, 2), "strided": base[:, ::2]}
    state = small_network().__getstate__() | {"variables": list(layouts.items())}
    monkeypatch.setattr(Network, "__getstate__", lambda self: state)
    data = pickle.dumps(object.__new__(Network), protocol)
    monkeypatch.undo()
    network = load_bytes(tmp_path, data)
    assert_same(network, Network("net", small_network().static_kwargs, "blindspot_pipeline", layouts))


def test_golden_files():
    """The six networks that the 2019 program trained, where the ground truth is at hand."""
    files = sorted(GOLDEN.glob("network-final-*.pickle"))
    if not files:
        pytest.skip(f"no golden networks in {GOLDEN}")
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    with open(GOLDEN / "variables.csv", newline="") as file:
        for row in csv.DictReader(file):
            shape = tuple(map(int, row["shape"].split("x")))
            shapes.setdefault(row["configuration"], {})[row["variable"]] = shape
    for path in files:
        style, rest = path.stem.removeprefix("network-final-").split("-", 1)
        network = load_network(path)
        check_variables(network, shapes[f"gauss25-{rest}"], path)
        assert network.static_kwargs["noise_style"] == style.rstrip("0123456789")
        with open(path, "rb") as file:
            assert_same(network, pickle.load(file))
    assert len(files) == 6


# ---- What is not a network file

ONE = make.array((1,), b"\0\0\0\0")
NOT_NETWORKS = {
    "is empty": b"",
    "gzip archive; unpack": gzip.compress(b"x"),
    "zip archive; unpack": b"PK\x03\x04 and so on",
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "PNG": b"\x89PNG\r\n\x1a\n",
    "web page": b"<!DOCTYPE html><html>",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
    "is not a network file": b"These are notes on how the network was trained.\n",
    "protocol 2 or later": pickle.dumps({"a": 1}, 0),
    "holds: dict": pickle.dumps({"version": 3}),
    "holds: list": pickle.dumps([1, 2]),
    "holds: dict)": make.pickled(make.call(make.name("collections", "OrderedDict"))),
    "its state, NoneType": make.pickled(make.Code(make.name("dnnlib.tflib.network", "Network") + b")\x81")),
    "format version 4": make.pickled(make.network(version=4)),
    "format version of type bool": make.pickled(make.network(version=True)),
    "'name' that is not text": make.pickled(make.network(name=3)),
    "'build_func_name' that is not text": make.pickled(make.network(build_func_name=None)),
    "component networks": make.pickled(make.network(components={"part": 1})),
    "'components', list": make.pickled(make.network(components=[])),
    "'static_kwargs', list": make.pickled(make.network(static_kwargs=[1])),
    "a key that is not text": make.pickled(make.network(static_kwargs={1: 2})),
    "the setting 'a', bytes instead": make.pickled(make.network(static_kwargs={"a": [b"x"]})),
    "the setting 'a', array instead": make.pickled(make.network(static_kwargs={"a": ONE})),
    "list of pairs": make.pickled(make.network(variables={"a": ONE})),
    "of pairs of name": make.pickled(make.network(variables=[("a", ONE, 3)])),
    "whose name is not text": make.pickled(make.network(variables=[(1, ONE)])),
    "no array in the variable 'a'": make.pickled(make.network(variables=[("a", 1.5)])),
    "two variables named 'a'": make.pickled(make.network(variables=[("a", ONE), ("a", ONE)])),
    "not among f2, f4, f8": make.pickled(make.network(variables=[("a", make.array((1,), b"\0" * 4, make.dtype("i4")))])),
    "pickle protocol: 6": make.pickled(make.network(), protocol=6),
}


@pytest.mark.parametrize("what", NOT_NETWORKS)
def test_what_is_not_a_network_is_refused(tmp_path, what):
    text = message(tmp_path, NOT_NETWORKS[what])
    assert what in text and ";" in text  # the remedy follows the semicolon


@pytest.mark.parametrize("key", ["version", "name", "static_kwargs", "build_func_name", "variables"])
def test_a_missing_part_is_named(tmp_path, key):
    assert f"lacks '{key}'" in message(tmp_path, make.pickled(make.network(without=key)))


def test_parts_that_may_be_missing(tmp_path):
    for key in ("components", "build_module_src"):
        assert load_bytes(tmp_path, make.pickled(make.network(without=key))).name == "net"


def test_places_that_hold_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"\x80\x03N.")
    os.truncate(tmp_path / "large", (1 << 30) + 1)
    expected = {"absent": "no such file", "": "is a folder", "pipe": "not a regular file", "large": "larger than 1024 MiB"}
    for name, text in expected.items():
        with pytest.raises(UserError, match=text):
            load_network(tmp_path / name)


# ---- The variables that a network must have


def test_variables_are_checked():
    def wrong(**changes) -> str:
        network = small_network()
        network.variables |= changes
        with pytest.raises(UserError) as error:
            check_variables(network, expected, "some.pickle")
        return str(error.value)

    expected = {"enc_conv0/W": (2, 2, 1, 3), "enc_conv0/b": (3,)}
    check_variables(small_network(), expected, "some.pickle")
    text = wrong(**{"enc_conv0/b": np.zeros((1, 3), np.float32)})
    assert text.startswith("some.pickle: the variable 'enc_conv0/b' has shape 1x3 where 3 is expected;")
    for value in (np.nan, np.inf, -np.inf):
        assert "'enc_conv0/b' has non-finite values" in wrong(**{"enc_conv0/b": np.array([0, value, 0], np.float32)})
    text = wrong(**{name: np.zeros(1, np.float32) for name in "pqrst"})
    assert "unknown variables ('p', 'q', 'r' and 2 more)" in text
    expected["nin_c/W"] = (1, 1, 3, 9)
    assert "lacks the variable 'nin_c/W'" in wrong()


def test_no_tensorflow():
    code = "import sys, dnnlib.tflib.network; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
    assert network_module.Network.__module__ == "dnnlib.tflib.network"
