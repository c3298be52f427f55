"""The one error type for what a user can cause, and how a script ends on it."""

import contextlib
import os
import signal
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from types import FrameType

LONGEST_LINE = 10_000  # characters; a path may have 4096
LONGEST_REASON = 400  # of what is found in a file, or told by a library


class UserError(Exception):
    """Says what the user can mend, in one line that names the option or file and the remedy."""

    status = 1  # the exit status


class WorkerLost(UserError):
    """Says that another worker of the job is gone; the job can go on from its last state."""

    status = 75  # EX_TEMPFAIL: try again


class Terminated(KeyboardInterrupt):
    """Stands for SIGTERM and SIGHUP, as KeyboardInterrupt for SIGINT: the program is wanted to end, with status 143 or 129.

    number: of the signal.
    """

    def __init__(self, number: int = signal.SIGTERM):
        """Takes the signal; where another worker of the job got one, it is SIGTERM."""
        super().__init__()
        self.status = 128 + number


def one_line(error: BaseException) -> str:
    """Returns the message of an error, folded into one line; that of some library is cut where it is very long."""
    most = LONGEST_LINE if isinstance(error, UserError) else LONGEST_REASON
    return printable(" ".join(str(error)[: 2 * most].split()), most) or type(error).__name__


def printable(text: str, most: int = LONGEST_LINE) -> str:
    """Returns a text of any origin so that a terminal shows it and does nothing else: control characters and such are
    escaped (`\\x1b`), and what is longer than `most` characters is cut."""
    shown = "".join(map(_shown, text[: most + 1]))
    return shown if len(shown) <= most else f"{shown[: most - 4]} ..."


def _shown(character: str) -> str:
    """Returns a character, or its escape, where it is none that is seen: of control, of direction, half of a pair."""
    is_seen = character.isprintable() or unicodedata.category(character) == "Zs"
    return character if is_seen else character.encode("unicode_escape").decode("ascii")


@contextlib.contextmanager
def raised_by_library() -> Iterator[None]:
    """Makes a UserError of whatever a library raises for a picture or its metadata, which is nearly anything.

    Only calls of the library belong into it: errors of ours are to keep their traceback.
    """
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        raise UserError(one_line(error)) from error


def run_script(main: Callable[[], None]) -> None:
    """Calls a script's `main`. A UserError ends as `Error: <line>` and its status; signals end it wherever it is.

    SIGINT, SIGTERM and SIGHUP unwind the script as an exception does, so that nothing half-written stays, and end it with
    `Interrupted.` and the status 130, 143 or 129.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names of files need not be what the terminal can show
            stream.reconfigure(errors="backslashreplace")
    try:
        with _raised_signals():
            main()
        if sys.stdout:  # None where the shell closed it
            sys.stdout.flush()
    except UserError as error:
        print(f"Error: {one_line(error)}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt as error:
        print("Interrupted.", file=sys.stderr)
        sys.exit(error.status if isinstance(error, Terminated) else 128 + signal.SIGINT)
    except BrokenPipeError:  # e.g. `--help | head`: nobody reads on, which is no error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


@contextlib.contextmanager
def _raised_signals() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP raise Terminated within, as Python makes SIGINT raise KeyboardInterrupt.

    What is ignored from outside stays so: SIGHUP under nohup.
    """

    def terminate(number: int, _frame: FrameType | None) -> None:
        raise Terminated(number)

    before = {}
    if threading.current_thread() is threading.main_thread():  # in no other one handlers can be set
        numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        default = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
        before = {number: signal.signal(number, terminate) for number in default}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
