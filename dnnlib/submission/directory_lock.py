"""Keeps a second process out of a run directory: two `--resume` of one run would ruin it."""

import contextlib
import os
from pathlib import Path

from dnnlib.errors import UserError
from dnnlib.files import try_lock


class DirectoryLock:
    """Holds a lock on a directory until `close`, or until the process ends, however it does; leaves no file behind.

    Raises UserError where another process holds it. Systems and file systems that know no such locks go without.
    """

    def __init__(self, folder: Path):
        self._handle: int | None = None
        with contextlib.suppress(OSError):  # Windows opens no folders
            self._handle = os.open(folder, os.O_RDONLY)
            if try_lock(self._handle) is False:
                self.close()
                raise UserError(f"{folder}: another process is at work in this run directory")

    def close(self) -> None:
        """Releases the lock."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
