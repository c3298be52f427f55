"""Hostile and damaged network files: nothing in them runs, nothing is made larger than they are, and one line says why."""

import contextlib
import copyreg
import pickle
import random
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pickle_maker as make
import pytest

from dnnlib.errors import UserError
from dnnlib.tflib.network import Network, load_network, save_network

ROOT = Path(__file__).resolve().parent.parent
FOREIGN = "which no network file needs; it may be malicious, and nothing of it was run"


def refused(folder: Path, data: bytes) -> str:
    path = folder / "network.pickle"
    path.write_bytes(data)
    with pytest.raises(UserError) as error:
        load_network(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    return str(error.value)


def shell(marker: Path) -> str:
    return f"touch '{marker}'"


def python(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w').close()"


OS_SYSTEM = make.name("os", "system")
# What each does under plain `pickle.load`: it makes the marker file.
ATTACKS = {
    "os.system": lambda m: make.call(OS_SYSTEM, shell(m)),
    "builtins.eval": lambda m: make.call(make.name("builtins", "eval"), python(m)),
    "builtins.exec": lambda m: make.call(make.name("builtins", "exec"), python(m)),
    "subprocess.getoutput": lambda m: make.call(make.name("subprocess", "getoutput"), shell(m)),
    "dnnlib.tflib.network.os.system": lambda m: make.Code(  # through a module that a network file may name
        make.encode("dnnlib.tflib.network") + make.encode("os.system") + b"\x93" + make.encode((shell(m),)) + b"R"
    ),
    "os.system (by INST)": lambda m: make.Code(b"(" + make.encode(shell(m)) + b"ios\nsystem\n"),
    "os.system (by OBJ)": lambda m: make.Code(b"(" + OS_SYSTEM + make.encode(shell(m)) + b"o"),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("place", ["root", "bare", "setting", "variable", "state", "source"])
def test_nothing_runs(tmp_path, attack, place):
    if place == "bare" and "dnnlib" in attack:
        return  # older protocols have no names on the stack
    marker = tmp_path / "marker"
    code = ATTACKS[attack](marker)
    whole = {
        "root": make.pickled(code, 4),
        "bare": bytes(code) + b".",  # without the mark that begins a pickle since protocol 2
        "setting": make.pickled(make.network(static_kwargs={"a": code}), 4),
        "variable": make.pickled(make.network(variables=[("a", code)]), 4),
        "state": make.pickled(make.build(make.network(), code), 4),
        "source": make.pickled(make.network(build_module_src=code), 4),  # a part that is not looked at
    }[place]
    with contextlib.suppress(Exception):  # after the harm
        pickle.loads(whole)
    assert marker.exists(), "the attack works on plain pickle, so the test below can fail"
    marker.unlink()
    text = refused(tmp_path, whole)
    assert not marker.exists()
    assert f"refers to '{attack.split()[0]}', {FOREIGN}" in text


def test_extension_codes_are_refused_even_when_cached(tmp_path):
    """`pickle` keeps a cache of them, which it does not pass through `find_class`."""
    copyreg.add_extension("os", "getpid", 240)
    try:
        for operation in (b"\x82\xf0", b"\x83\xf0\0", b"\x84\xf0\0\0\0"):
            data = make.pickled(make.Code(operation + b")R"))
            assert isinstance(pickle.loads(data), int)
            assert "EXT" in refused(tmp_path, data)
    finally:
        copyreg.remove_extension("os", "getpid", 240)
        copyreg.clear_extension_cache()


OPERATIONS = {
    "PERSID": b"Pname\n",
    "BINPERSID": b"NQ",
    "NEWOBJ_EX": make.name("collections", "OrderedDict") + b")}\x92",
    "NEXT_BUFFER": b"\x97",
    "DUP": b"N2",
    "LONG4": b"\x8b\x01\0\0\0\x01",
    "FROZENSET": b"(\x91",
    "PUT": b"Np99999999\n",
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_that_no_file_needs_are_refused(tmp_path, operation):
    text = refused(tmp_path, make.pickled(make.Code(OPERATIONS[operation]), 5))
    assert f"the pickle operation {operation}, {FOREIGN}" in text


NETWORK_CLASS, ORDERED = make.name("dnnlib.tflib.network", "Network"), make.name("collections", "OrderedDict")
CLASS_CHANGES = {
    "attribute": make.build(NETWORK_CLASS, (None, {"__setstate__": ORDERED})),
    "dict": make.build(NETWORK_CLASS, {"__setstate__": ORDERED}),
    "item": make.Code(NETWORK_CLASS + make.encode("name") + b"Ns"),
    "append": make.Code(NETWORK_CLASS + b"Na"),
}


@pytest.mark.parametrize("change", CLASS_CHANGES)
def test_a_file_cannot_change_a_later_load(tmp_path, change):
    before = dict(vars(Network))
    refused(tmp_path, make.pickled(make.network(static_kwargs={"a": CLASS_CHANGES[change]})))
    refused(tmp_path, make.pickled(CLASS_CHANGES[change]))
    assert dict(vars(Network)) == before
    (tmp_path / "network.pickle").write_bytes(make.pickled(make.network()))
    assert load_network(tmp_path / "network.pickle").variables["enc_conv0/b"].tolist() == [0.5, -1.0]


# ---- Arrays that claim what they have not


def frombuffer(raw, shape, order="C", *axes) -> make.Code:
    return make.call(make.name("numpy.core.numeric", "_frombuffer"), raw, make.dtype(), shape, order, *axes)


def shared_list(depth: int) -> make.Code:
    """Lists that hold the last one ten times: a few bytes stand for 10^depth values."""
    code = b"]q\0"
    for index in range(depth):
        code += b"](" + b"h" + bytes([index]) + (b"h" + bytes([index])) * 9 + b"eq" + bytes([index + 1])
    return make.Code(b"](" + code + b"e")


def shared_tuples(depth: int) -> make.Code:
    """Tuples that hold the last one twice: to hash the outermost takes 2^depth steps."""
    return make.Code(b")" + b"".join(b"q" + bytes([index]) + b"h" + bytes([index]) + b"\x86" for index in range(depth)))


RAW = b"\0" * 8
MUCH, TAKE_MUCH = bytes(1 << 18), make.Code(b"h\0")  # `MANY` names the same bytes 64 times, by the memo
MANY = [(str(index), make.array((1 << 16,), TAKE_MUCH)) for index in range(64)]
RECONSTRUCT, SCALAR = (make.name("numpy.core.multiarray", attribute) for attribute in ("_reconstruct", "scalar"))
PLAIN_DTYPE, ENCODE = make.name("numpy", "dtype"), make.name("_codecs", "encode")
IN_A_VARIABLE = {  # what the message says: arrays
    "an impossible shape": [
        make.array((2**70,), RAW),
        make.array((-1, -2), RAW),
        make.array((True, 2), RAW),
        make.array((2.0,), RAW),
        make.array([2], RAW),
        make.array(None, RAW),
        make.array((1,) * 33 + (2,), RAW),
        frombuffer(RAW, (2**40,)),
    ],
    "has 8 bytes for": [make.array((2**31 - 1,) * 3, RAW), make.array((3,), RAW), make.array((1,), RAW)],
    "array is too big": [make.array((2**31 - 1, 2**31 - 1, 2**31 - 1, 0), b"")],
    "has no bytes for": [
        make.array((2,), [0.0, 1.0]),
        make.array((2,), "\0" * 8),
        make.array((2,), make.call(ENCODE, "\0" * 8, "rot13")),
        make.array((2,), make.call(ENCODE, RAW, "latin1")),
    ],
    "can't encode": [make.array((2,), make.call(ENCODE, "\u1234" * 8, "latin1"))],
    "a type that is not among": [
        make.array((1,), [make.network()], make.dtype("O8", "|")),
        make.array((1,), RAW, make.dtype("O8", "|")),
        make.array((1,), RAW, make.dtype("V8", "|")),
        make.array((2,), RAW, make.dtype(subtype=(make.dtype(), (2,)))),
        make.array((2,), RAW, make.dtype(names=("a",), fields={"a": (make.dtype(), 0)})),
        make.array((2,), RAW, make.call(PLAIN_DTYPE, "f4", 0, 1)),
        make.array((2,), RAW, make.call(PLAIN_DTYPE)),
        make.array((2,), RAW, PLAIN_DTYPE),
    ],
    "an unknown byte order": [make.array((2,), RAW, make.dtype(order="?"))],
    "has no array in": [
        make.call(RECONSTRUCT, make.name("numpy", "ndarray"), (2**40,), b"b"),
        make.call(make.name("numpy", "ndarray"), (2**40,)),
        make.name("numpy", "ndarray"),
        make.call(make.name("numpy.core.numeric", "_frombuffer")),
    ],
    "an impossible order of axes": [frombuffer(RAW, (1, 2), "K", (0, 0)), frombuffer(RAW, (1, 2), "K", (2**70, 0))],
}
IN_A_SETTING = {
    "too many values or too deep": [
        shared_list(7),
        shared_list(20),
        make.Code(b"]q\0h\0a"),  # a list that holds itself
        make.Code(b"]" * 500 + b"a" * 499),
    ],
    "a key that is not text": [make.Code(b"})" + b"\x85" * 30_000 + b"Ns")],
    "a key twice": [make.Code(b"}(" + make.encode("a") + b"q\0N" + b"h\0N" * 9 + b"u")],
    "has 9 bytes for": [make.call(SCALAR, make.dtype("f8"), b"123456789")],
    "a type that is not among": [make.call(SCALAR, make.dtype("O8", "|"), RAW)],
}
ELSEWHERE = {
    "larger arrays than the file": [make.network(build_module_src=make.Code(make.encode(MUCH) + b"q\0"), variables=MANY)],
    "far more parts": [
        make.Code(b"](" + b"N" * 60_000 + b"e"),
    ],
    "cut short": [
        b"\x8e" + struct.pack("<Q", 1 << 62),  # bytes
        b"\x96" + struct.pack("<Q", 1 << 32),  # bytearray
        b"X" + struct.pack("<I", 1 << 31),  # text
        b"\x95" + struct.pack("<Q", 1 << 62) + make.network(),  # frame
    ],
}
BOMBS = [
    *((text, make.network(variables=[("a", code)])) for text, codes in IN_A_VARIABLE.items() for code in codes),
    *((text, make.network(static_kwargs={"a": code})) for text, codes in IN_A_SETTING.items() for code in codes),
    *((text, code) for text, codes in ELSEWHERE.items() for code in codes),
]


@pytest.mark.parametrize(("text", "code"), BOMBS, ids=[f"{i}: {text}" for i, (text, _) in enumerate(BOMBS)])
def test_claims_that_a_file_cannot_keep(tmp_path, text, code):
    data = make.pickled(make.Code(code), 5)
    tracemalloc.start()
    try:
        assert text in refused(tmp_path, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(data) + (4 << 20)  # bytes; NumPy reports what it takes, too


def test_no_key_is_hashed(tmp_path):
    """Nor compared with others: hashing shared tuples may take for ever, and comparing keys of the same hash very long."""
    path = tmp_path / "network.pickle"
    for key in (make.encode([]), shared_tuples(60)):
        items = make.Code(b"}" + key + b"Ns")
        path.write_bytes(make.pickled(make.network(build_module_src=items)))  # a part that is not looked at
        code = "import sys; from dnnlib.tflib.network import load_network; load_network(sys.argv[1])"
        subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, timeout=100, check=True)  # a hang would block SIGINT
        assert "a key that is not text" in refused(tmp_path, make.pickled(make.network(static_kwargs=items)))


def test_memo_indices_take_no_memory(tmp_path):
    (tmp_path / "network.pickle").write_bytes(make.pickled(make.Code(b"Nr\xff\xff\xff\xff" + make.network())))
    tracemalloc.start()
    try:
        load_network(tmp_path / "network.pickle")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


# ---- Damage


def small_files(folder: Path) -> dict[str, bytes]:
    variables = {"enc_conv0/W": np.arange(8, dtype=np.float32).reshape(2, 2, 1, 2), "enc_conv0/b": np.ones(2, np.float32)}
    network = Network("net", {"input_shape": [None, 3], "noise_style": "gauss"}, "simple_pipeline", variables)
    save_network(network, folder / "ours.pickle")
    return {
        "ours": (folder / "ours.pickle").read_bytes(),
        "2019": make.pickled(make.network()),
        "protocol 2": pickle.dumps(network, 2),
        "protocol 4": pickle.dumps(network, 4),
    }


def load_or_refuse(path: Path, data: bytes) -> bool:
    """Whether the bytes still are a network; anything but a UserError passes through."""
    path.write_bytes(data)
    try:
        network = load_network(path)
    except UserError:
        return False
    assert all(value.dtype == np.float32 for value in network.variables.values())
    return True


def test_a_file_cut_short_is_refused(tmp_path):
    for data in small_files(tmp_path).values():
        path = tmp_path / "network.pickle"
        assert load_or_refuse(path, data)
        assert not any(load_or_refuse(path, data[:length]) for length in range(len(data)))


def test_flipped_bits(tmp_path):
    """One bit at a time: 600 of each file. Some only change a value; the others must end in a UserError."""
    rng = random.Random(1)
    for data in small_files(tmp_path).values():
        loaded = 0
        for _ in range(600):
            damaged = bytearray(data)
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            loaded += load_or_refuse(tmp_path / "network.pickle", bytes(damaged))
        assert 0 < loaded < 600


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # of `pickletools`, on names that are no names
def test_spliced_bytes(tmp_path):
    """Pieces of one file in another, and bytes at random."""
    rng = random.Random(2)
    files = list(small_files(tmp_path).values())
    for _ in range(1000):
        data, other = bytearray(rng.choice(files)), rng.choice(files)
        start, source, length = rng.randrange(len(data)), rng.randrange(len(other)), rng.randrange(1, 40)
        piece = other[source : source + length] if rng.random() < 0.7 else rng.randbytes(length)
        data[start : start + rng.randrange(40)] = piece
        load_or_refuse(tmp_path / "network.pickle", bytes(data))
