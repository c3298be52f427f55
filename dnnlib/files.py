"""Files that a reader may see are never half-written: temporary name in the same folder, fsync, `os.replace`."""

import contextlib
import glob
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_umask = os.umask(0)  # read once, before threads: there is no other way to ask for it
os.umask(_umask)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success its content is on disk under `path`, on any error nothing is left.

    The temporary file is locked (flock) all the while. What a killed process left of an earlier attempt at the same
    `path` is not locked any more, and is removed first. Raises OSError as the file system reports it.
    """
    path = Path(path)
    _remove_abandoned(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        _lock(handle)
        yield temporary
        os.fsync(handle)
        temporary.chmod(0o666 & ~_umask)  # mkstemp makes files private; ours are as any other file of the user
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    finally:
        os.close(handle)
    _sync_folder(path.parent)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """As `atomic_path`, with the temporary file open for writing bytes."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        yield file


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a whole text file (UTF-8) atomically."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def _lock(handle: int) -> bool:
    """Whether the lock was to be had. On Windows, and where the file system knows no locks, it never is."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _remove_abandoned(path: Path) -> None:
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????.tmp"):  # as mkstemp names them
        with contextlib.suppress(OSError), open(left, "rb+") as file:
            if _lock(file.fileno()):
                left.unlink()


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself durable, where the platform lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
