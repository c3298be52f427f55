"""The commands that a folder is learned with, each run as it is printed, in a process of its own."""

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from dnnlib.errors import Terminated, UserError
from dnnlib.progress import say

ROOT = Path(__file__).resolve().parents[3]  # where the scripts are
TOOL, PROGRAM = "dataset_tool_h5.py", "selfsupervised_denoising.py"


class Steps:
    """Runs commands one after the other, and keeps them for the report."""

    def __init__(self) -> None:
        self.commands: list[str] = []  # as one would type them
        self.left_out: UserError | None = None  # what `denoise` was told of files that it had to leave out

    def run(self, script: str, *options: str, at_most: float | None = None, end: Path | None = None) -> None:
        """Runs one of our scripts, and waits for it. Raises UserError where it fails; what it printed says why.

        options: of the command line.
        at_most: seconds, after which abort.txt in the newest run below `end` ends a training early.
        """
        command = shlex.join(["python", os.path.relpath(ROOT / script), *options])
        self.commands.append(command)
        say(f"$ {command}")
        # In a session of its own, so that Ctrl-C reaches it once, from here.
        child = subprocess.Popen([sys.executable, str(ROOT / script), *options], start_new_session=True)
        timer = threading.Timer(at_most, _abort_newest, [end]) if at_most is not None and end is not None else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            status = child.wait()
        except KeyboardInterrupt as error:
            child.send_signal(error.status - 128 if isinstance(error, Terminated) else signal.SIGINT)
            try:
                child.wait()  # it finishes its step, and keeps a state
            except KeyboardInterrupt:
                child.kill()
                child.wait()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if status:
            raise UserError(f"--learn: the step {script} ended with status {status}; what it printed says why")

    def denoise(self, made: Path, *options: str) -> None:
        """Runs --denoise. Raises UserError where it fails, but not for files that it had to leave out: `left_out` is that.

        made: what is there afterwards if it has done its work, a file or a folder with something in it.
        """
        try:
            self.run(PROGRAM, *options)
        except UserError as error:
            if not (made.is_file() or (made.is_dir() and any(made.iterdir()))):
                raise
            self.left_out = error


def newest_run(folder: Path) -> Path | None:
    """Returns the newest run directory in a folder, None where there is none."""
    return max(folder.glob("[0-9]*-*"), default=None)


def finished_network(folder: Path) -> Path | None:
    """Returns the network at the end of the newest run in a folder, which may have been ended early; None without one."""
    run = newest_run(folder)
    found: Sequence[Path] = sorted(run.glob("network-*.pickle")) if run is not None and _is_finished(run) else ()
    return found[-1] if found else None


def _is_finished(run: Path) -> bool:
    """Tells whether a run came to its end."""
    return (run / "_finished.txt").exists()


def _abort_newest(folder: Path) -> None:
    """Ends the newest run in a folder early."""
    run = newest_run(folder)
    if run is not None:
        (run / "abort.txt").touch()
