"""Ports of workers that others could reach: closed by a network of their own, or refused."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from material import random_images, write_bare_shard

from dnnlib.errors import UserError
from dnnlib.submission import private_network
from dnnlib.submission.private_network import check_ports, in_private_network
from dnnlib.tflib.layout import free_addresses

ROOT = Path(__file__).resolve().parent.parent
ENTER = """
import ctypes, encodings.idna, os, socket, sys  # idna: nobody may not be able to read it later
from dnnlib.submission.private_network import enter_private_network, in_private_network
if len(sys.argv) > 1:
    os.setuid(int(sys.argv[1]))
    ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: its files in /proc are its own, as those of a user's programs are
try:
    enter_private_network()
except OSError as error:
    sys.exit(f"not here: {error}")
"""
LISTEN = """
print(in_private_network())
listening = socket.create_server(("0.0.0.0", 0))
port = listening.getsockname()[1]
socket.create_connection(("127.0.0.1", port), 10).close()
print(port, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("user", [[], ["65534"]], ids=["as I am", "as nobody"])
def test_what_listens_in_a_private_network_is_reached_from_within_alone(user, tmp_path):
    if user and private_network.os.getuid():
        pytest.skip("only root can become somebody else")
    process = subprocess.Popen(
        [sys.executable, "-c", ENTER + LISTEN, *user], env={"PYTHONPATH": str(ROOT)}, cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        private, port = process.stdout.readline(), process.stdout.readline()
        if not private and process.wait(10) and "not here" in (said := process.stderr.read()):
            pytest.skip(f"this system allows no network namespaces ({said.strip()})")
        assert private == "True\n"
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", int(port)), 5)
    finally:
        process.communicate("", 10)


LOCAL = ("127.0.0.1:9000", "localhost:9001", "[::1]:9002", "127.9.9.9:9003")


def test_open_ports_on_loopback_are_refused(monkeypatch):
    monkeypatch.setattr(private_network, "in_private_network", lambda: False)
    with pytest.raises(UserError, match=r"^--workers 127\.0\.0\.1:9000,.*--local N, .*--open-ports$"):
        check_ports(LOCAL, opened=False)


@pytest.mark.parametrize(("workers", "opened", "private"), [
    (LOCAL, True, False), (LOCAL, False, True), ((), False, False), (("127.0.0.1:9000", "node1:9000"), False, False),
])  # fmt: skip
def test_others_are_not(monkeypatch, workers, opened, private):
    monkeypatch.setattr(private_network, "in_private_network", lambda: private)
    check_ports(workers, opened)


def test_a_network_with_other_interfaces_is_not_private(monkeypatch):
    """Loopback counts as none, others where they are up."""
    flags = {"lo": 0x49, "eth0": 0x1043, "down0": 0x1002}

    def ioctl(_socket, _what, request):
        name, _ = private_network.struct.unpack(private_network._REQUEST, request)
        return private_network.struct.pack(private_network._REQUEST, name, flags[name.rstrip(b"\0").decode()])

    monkeypatch.setattr(private_network.fcntl, "ioctl", ioctl)
    for names, private in ((["lo"], True), (["lo", "down0"], True), (["lo", "eth0"], False)):
        monkeypatch.setattr(private_network.socket, "if_nameindex", lambda names=names: list(enumerate(names, 1)))
        assert in_private_network() == private


def test_the_command_line_refuses_them_before_anything_is_made(tmp_path):
    if in_private_network():
        pytest.skip("there is no network here that others could come from")
    write_bare_shard(tmp_path / "shard.h5", random_images([(40, 50)]))
    command = [
        sys.executable, ROOT / "selfsupervised_denoising.py", "--train=gauss25-n2c", "--train-h5=shard.h5",
        "--minibatch-size=2", "--train-resolution=32", f"--validation-set={ROOT / 'tests/data/golden/kodak'}",
        f"--workers={','.join(free_addresses(2))}", "--task=0",
    ]  # fmt: skip
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("Error: --workers 127.0.0.1:")
    assert [path.name for path in tmp_path.iterdir()] == ["shard.h5"]
