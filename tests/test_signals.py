"""Signals end every script as an exception does: one line, the shell's status, and nothing half-written."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from material import write_network

ROOT = Path(__file__).resolve().parent.parent
NAME = "gauss25-blindspot-sigma_known"
START = """
import os, signal, sys, time
from dnnlib.errors import run_script
from dnnlib.files import atomic_write

def signalled():
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    time.sleep(60)  # it does not get there
"""


def ended(code: str, *arguments: str, place: Path, start=()) -> subprocess.CompletedProcess:
    """Runs Python code that begins with START."""
    command = [*start, sys.executable, "-c", START + code, *arguments]
    return subprocess.run(
        command, cwd=place, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
        timeout=100, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_unwinds_whatever_is_going_on(tmp_path, name, status):
    code = """
def main():
    with atomic_write("result.png") as file:
        file.write(b"half")
        file.flush()
        signalled()
run_script(main)
"""
    done = ended(code, name, place=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (status, "Interrupted.\n", "")
    assert not list(tmp_path.iterdir())


def test_under_nohup_a_closed_terminal_does_not_matter(tmp_path):
    code = "run_script(lambda: [os.kill(os.getpid(), signal.SIGHUP), print('went on')])"
    done = ended(code, place=tmp_path, start=("nohup",))
    assert (done.returncode, done.stdout) == (0, "went on\n")


def test_handlers_are_the_old_ones_afterwards(tmp_path):
    code = """
before = signal.getsignal(signal.SIGTERM)
run_script(lambda: None)
print(before == signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
"""
    assert ended(code, place=tmp_path).stdout == "True\n"


def test_an_export_leaves_no_temporary_folder(tmp_path):
    write_network(tmp_path / "network.pickle", NAME)
    code = """
from dnnlib.denoising.inference import export

def half(network, configuration, folder):
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"half")
    signalled()

export._save = half
run_script(lambda: export.export("network.pickle", "model"))
"""
    done = ended(code, "SIGTERM", place=tmp_path)
    assert (done.returncode, done.stderr) == (143, "Interrupted.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["network.pickle"]
