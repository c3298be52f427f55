"""Runs our programs as processes, as a user does."""

import contextlib
import fcntl
import io
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import NamedTuple

import pytest

import selfsupervised_denoising

FOLDER = Path(__file__).resolve().parent.parent
LIMIT = 240  # seconds, for machines that do other work


class Program:
    """One of our programs at work in `place`; what it prints goes into files."""

    def __init__(self, place: Path, script: str, arguments: str):
        command = [sys.executable, str(FOLDER / script), *arguments.split()]
        self._out, self._err = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115 (gone with this)
        self.process = subprocess.Popen(command, cwd=place, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err)

    @property
    def stdout(self) -> str:
        return os.pread(self._out.fileno(), 1 << 20, 0).decode()

    @property
    def stderr(self) -> str:
        return os.pread(self._err.fileno(), 1 << 20, 0).decode()

    def wait_for(self, pattern: str) -> None:
        """Until it has printed a line that begins so, or has ended."""
        deadline = time.monotonic() + LIMIT
        while not re.search(pattern, self.stdout, re.MULTILINE):
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"no line {pattern!r} in: {self.stdout}{self.stderr}")
            time.sleep(0.01)

    def ended(self) -> "Program":
        """Waits for its end."""
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"still running after {LIMIT} s; printed: {self.stdout}{self.stderr}")
        return self

    @property
    def status(self) -> int:
        return self.process.returncode


def run(place: Path, script: str, arguments: str) -> Program:
    return Program(place, script, arguments).ended()


class Finished(NamedTuple):
    """What a program that has ended leaves: as of `Program`."""

    status: int
    stdout: str
    stderr: str


def run_here(place: Path, arguments: str) -> Finished:
    """Runs selfsupervised_denoising.py in this process, which has TensorFlow already: a start takes seconds.

    For what is to succeed: mistakes of a user raise UserError here.
    """
    from dnnlib.tflib.runtime import tf  # late: not all that use this module need it

    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch, tf.Graph().as_default(),
    ):  # fmt: skip
        patch.chdir(place)
        patch.setattr("sys.argv", ["selfsupervised_denoising.py", *arguments.split()])
        selfsupervised_denoising.main()
    return Finished(0, out.getvalue(), err.getvalue())


def run_on_terminal(command: list, place: Path) -> tuple[int, str, str]:
    """With stderr on a terminal -> exit status, what went to stdout, what went to the terminal."""
    ours, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 150, 0, 0))
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(list(map(str, command)), cwd=place, stdin=subprocess.DEVNULL, stdout=out, stderr=terminal)
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal ends
            while piece := os.read(ours, 1 << 16):
                shown += piece
        os.close(ours)
        status = process.wait(LIMIT)
        return status, os.pread(out.fileno(), 1 << 20, 0).decode(), shown.decode()


def call(arguments: str, monkeypatch) -> None:
    """Calls the program's `main` in the working directory as it is; what is patched in this process is patched there."""
    monkeypatch.setattr(sys, "argv", ["selfsupervised_denoising.py", *shlex.split(arguments)])
    selfsupervised_denoising.main()


@contextlib.contextmanager
def listening_to_ctrl_c():
    """What is started here takes notice of SIGINT, even where these tests run in the background and do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
