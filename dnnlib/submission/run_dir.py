"""Makes the numbered run directories, `<result-dir>/<5-digit id>-<description>` (SPEC 11).

Several runs may start at the same moment in one result folder, also on several machines over a shared file
system. Making a directory is atomic everywhere, so it serves as the lock: an id is reserved by making
`.reserved-<id>`, whose name does not depend on the description, and the reservation goes once the run
directory stands.
"""

import contextlib
import errno
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dnnlib.errors import UserError, one_line

_RUN_NAME = re.compile(r"([0-9]{5})-")
_HIGHEST_ID = 99999
_ATTEMPTS = 20
_PAUSE = 0.005  # seconds between attempts

_T = TypeVar("_T")


def create_run_dir(result_dir: str | os.PathLike, description: str) -> Path:
    """Makes `<result_dir>/<id>-<description>` and returns it; the id is one above the highest there, 00000 in a new folder.

    No two runs get the same id, whatever their descriptions and however close together they start. `result_dir` is made
    if it is missing; names in it that do not begin with five digits and a dash are ignored.

    Raises UserError naming `--result-dir` where the folder cannot be made or written to, or the ids are used up, and
    ValueError for a description that is no file name (a bug of the caller).
    """
    if not description or "/" in description or os.sep in description or "\0" in description:
        raise ValueError(f"not usable in a file name: {description!r}")
    result_dir = Path(result_dir)
    return _in_folder(result_dir, lambda: _claim(result_dir, description))


def check_result_dir(result_dir: str | os.PathLike) -> None:
    """Finds out whether `create_run_dir` would be able to work, by trying; nothing is left behind that was not there.

    Meant to be called before slow work, so that a mistyped or read-only folder is reported at once. Raises UserError as
    `create_run_dir` does.
    """
    result_dir = Path(result_dir)
    missing = []  # innermost first, which is the order to remove them in
    folder = result_dir
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = folder.parent
    try:
        _in_folder(result_dir, lambda: _try_writing(result_dir))
    finally:
        for folder in missing:  # rmdir takes empty folders only: what another run has put there meanwhile is safe
            with contextlib.suppress(OSError):
                folder.rmdir()


def _in_folder(result_dir: Path, work: Callable[[], _T]) -> _T:
    """Makes the folder if it is missing and calls `work`; what the file system refuses becomes a UserError."""
    for attempt in range(_ATTEMPTS):
        try:
            result_dir.mkdir(parents=True, exist_ok=True)
            return work()
        except (FileNotFoundError, FileExistsError) as error:
            # Another program's `check_result_dir` may have removed the folder under our feet, or something that knows no
            # reservations may have taken the name: look again.
            if attempt == _ATTEMPTS - 1:
                raise _refusal(result_dir, error) from error
            time.sleep(_PAUSE)
        except OSError as error:
            raise _refusal(result_dir, error) from error
    raise AssertionError("not reached")


def _claim(result_dir: Path, description: str) -> Path:
    """Makes the run directory under the first id that is free and that nobody else has reserved."""
    number = max(_ids(result_dir), default=-1) + 1
    while number <= _HIGHEST_ID:
        reservation = result_dir / f".reserved-{number:05d}"
        try:
            os.mkdir(reservation)
        except FileExistsError:  # a run that starts right now, or one that was killed while it did: leave the id to it
            number += 1
            continue
        try:
            # Only now is it certain who may use the id: somebody may have taken and released it since we looked.
            if number not in _ids(result_dir):
                run_dir = result_dir / f"{number:05d}-{description}"
                os.mkdir(run_dir)
                return run_dir
        finally:
            with contextlib.suppress(OSError):
                os.rmdir(reservation)
        number = max(_ids(result_dir), default=-1) + 1
    raise UserError(f"--result-dir {result_dir}: the run ids are used up (up to {_HIGHEST_ID}); give another folder")


def _ids(result_dir: Path) -> set[int]:
    """Returns the ids in use, of whatever kind the entry is."""
    return {int(match[1]) for match in map(_RUN_NAME.match, os.listdir(result_dir)) if match}


def _try_writing(result_dir: Path) -> None:
    """Makes a folder with a small file in it, and removes both. A full disk may still have room for a bare folder."""
    with tempfile.TemporaryDirectory(prefix=".check-", dir=result_dir) as folder, open(Path(folder, "file"), "wb") as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())


def _refusal(result_dir: Path, error: OSError) -> UserError:
    """Returns the one line for what the file system said."""
    where = os.fspath(error.filename) if error.filename else os.fspath(result_dir)
    reason = error.strerror or one_line(error)
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        text = f"a file is in the way ({where}); give another folder, or move the file"
    elif error.errno == errno.ENAMETOOLONG:
        text = f"the path is too long for this file system ({where}); give shorter names"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        text = f"no room for a run directory ({reason}); free some space, or give another folder"
    else:
        text = f"cannot make a run directory there ({reason}: {where}); give a folder that you can write to"
    return UserError(f"--result-dir {result_dir}: {text}")
