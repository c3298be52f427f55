#!/usr/bin/env python3
"""Starts workers of a training, and starts them again from the last state when one was lost.

All workers of this machine (--local N), or the one worker of a node whose scheduler starts one launcher a node
(--workers and --task). Signals are passed on. The exit status is that of the workers: 0 when all have ended well, 75 when
a worker was lost once more than --restarts, else the first that is neither.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dnnlib.command_line import CommandLine
from dnnlib.errors import UserError, WorkerLost, run_script
from dnnlib.submission.private_network import enter_private_network
from dnnlib.tflib.layout import free_addresses

PROGRAM = Path(__file__).resolve().parent.parent / "selfsupervised_denoising.py"
LOST = WorkerLost.status
GRACE = 60.0  # seconds that the others have to end by themselves, once one has ended with an error of its own
PAUSE = 10.0  # seconds before workers are started again: those of other nodes must have noticed the loss, too

EPILOG = """examples:
  # four processes on this machine
  python tools/launch.py --local 4 --restarts 3 -- --train=gauss25-n2c --train-h5=shard.h5 --dataset-dir=datasets

  # on node 1 of two; node 0 does the same with --task 0
  python tools/launch.py --workers node0:9000,node1:9000 --task 1 --restarts 3 -- --train=gauss25-n2c ..."""


class Job:
    """Holds the processes that are running now, and the signal that was passed on to them."""

    def __init__(self):
        self.processes: list[subprocess.Popen] = []
        self.signal: int | None = None

    def pass_on(self, number: int, _frame) -> None:
        """Passes a signal on: a handler for `signal.signal`."""
        self.signal = number
        self.send(number)

    def send(self, number: int) -> None:
        """Sends a signal to all processes that still run."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)

    def run(self, commands: Sequence[Sequence[str]]) -> list[int]:
        """Runs all commands at the same time, and returns their exit statuses, negative for a signal."""
        # In sessions of their own, so that a Ctrl-C reaches them once: by way of us.
        self.processes = [subprocess.Popen(command, start_new_session=True) for command in commands]
        try:
            patience = None
            while any(process.poll() is None for process in self.processes):
                time.sleep(0.1)
                failed = any(process.poll() not in (None, 0, LOST) and process.poll() > 0 for process in self.processes)
                if failed and patience is None:
                    patience = time.monotonic() + GRACE
                    self.send(signal.SIGTERM)
                if patience is not None and time.monotonic() > patience:
                    self.send(signal.SIGKILL)
        finally:
            self.send(signal.SIGKILL)
        return [process.wait() for process in self.processes]


def main() -> None:
    """Reads the command line, starts the workers, and ends with their exit status."""
    parser = CommandLine(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--local", type=int, metavar="N", help="start N workers on this machine")
    parser.add_argument("--workers", metavar="HOST:PORT,...", help="all workers of the job, of which one is started here")
    parser.add_argument("--task", type=int, metavar="K", help="which of them")
    parser.add_argument("--restarts", type=int, default=3, metavar="R", help="start again at most so often (default: 3)")
    parser.add_argument("options", nargs="*", metavar="-- OPTIONS", help="of selfsupervised_denoising.py")
    args = parser.parse_args()
    if (args.local is None) == (args.workers is None):
        raise UserError("give --local N, or --workers and --task")
    if args.workers is not None and args.task is None:
        raise UserError("--task is missing: say which of the --workers is to be started here")
    if args.local is not None and args.local < 1:
        raise UserError(f"--local {args.local}: must be at least 1")
    if args.restarts < 0:
        raise UserError(f"--restarts {args.restarts}: must be at least 0")
    if args.local is not None and "--open-ports" not in args.options:
        close_ports()
    job = Job()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, job.pass_on)
    sys.exit(supervise(job, args))


def close_ports() -> None:
    """Makes all that is started here unreachable from outside. Raises UserError where that cannot be done."""
    try:
        enter_private_network()
    except OSError as error:
        raise UserError(
            f"--local: no network of its own can be had here ({error.strerror or error}), and all who reach this machine "
            "could run code through the ports of the workers; if nobody can, give --open-ports after the --"
        ) from error


def supervise(job: Job, args: argparse.Namespace) -> int:
    """Starts the workers, again and again where one was lost, and returns the exit status."""
    for attempt in range(args.restarts + 1):
        told = any(option.partition("=")[0] == "--resume" for option in args.options)  # which run it is
        resume = ["--resume", "auto"] if attempt and not told else []
        statuses = job.run(commands(args, resume))
        if not any(statuses):
            return 0
        own = [status for status in statuses if status not in (0, LOST) and status > 0]
        if own or job.signal is not None:
            return own[0] if own else 128 + job.signal
        if attempt < args.restarts:
            print(f"A worker was lost; starting again from the last state ({attempt + 1} of {args.restarts}).", flush=True)
            time.sleep(PAUSE if args.workers else 0)
    return LOST


def commands(args: argparse.Namespace, resume: list[str]) -> list[list[str]]:
    """Returns the command of each worker that is started here. resume: options that are added to those given."""
    if args.workers:
        workers, tasks = args.workers, [args.task]
    else:
        workers, tasks = ",".join(free_addresses(args.local)), range(args.local)
    program = [sys.executable, str(PROGRAM), *args.options, *resume]
    return [[*program, "--workers", workers, "--task", str(task)] for task in tasks]


if __name__ == "__main__":
    os.environ.pop("TF_CONFIG", None)  # the options say who is who
    run_script(main)
