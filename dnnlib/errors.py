"""The one error type for what a user can cause, and how a script ends on it."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator


class UserError(Exception):
    """Says what the user can mend, in one line that names the option or file and the remedy."""

    status = 1  # the exit status


class WorkerLost(UserError):
    """Says that another worker of the job is gone; the job can go on from its last state."""

    status = 75  # EX_TEMPFAIL: try again


class Terminated(KeyboardInterrupt):
    """Stands for SIGTERM and SIGHUP, as KeyboardInterrupt for SIGINT: the program is wanted to end, with status 143."""


def one_line(error: BaseException) -> str:
    """Returns the message of an error of some library, folded into one line."""
    return " ".join(str(error).split()) or type(error).__name__


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
    """Calls a script's `main`. A UserError ends as `Error: <line>` and its status, SIGINT as 130, SIGTERM as 143."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names of files need not be what the terminal can show
            stream.reconfigure(errors="backslashreplace")
    try:
        main()
        if sys.stdout:  # None where the shell closed it
            sys.stdout.flush()
    except UserError as error:
        print(f"Error: {one_line(error)}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt as error:
        print("Interrupted.", file=sys.stderr)
        sys.exit(143 if isinstance(error, Terminated) else 130)
    except BrokenPipeError:  # e.g. `--help | head`: nobody reads on, which is no error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
