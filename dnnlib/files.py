"""Files that a reader may see are never half-written: temporary name in the same folder, fsync, `os.replace`.

And the digest of a file, by which one that is not what it should be is known.
"""

import contextlib
import glob
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LONGEST_NAME = 255  # bytes, of nearly all file systems

_umask = os.umask(0)  # read once, before threads: there is no other way to ask for it
os.umask(_umask)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success its content is on disk under `path`, on any error nothing is left.

    The temporary file is locked all the while, which tells `remove_abandoned` to leave it alone. Raises OSError as the
    file system reports it.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=temporary_prefix(path), suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        try_lock(handle)
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
    """Yields, as `atomic_path` does, but the temporary file, open for writing bytes and reading them again."""
    with atomic_path(path) as temporary, open(temporary, "wb+") as file:
        yield file


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a whole text file atomically, in UTF-8. What that cannot carry (lone surrogates) becomes `\\udc80` and such."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def is_own_file(path: str | os.PathLike) -> bool:
    """Tells whether there is a regular file of that very name: no link to another, and no pipe or device, which may never
    end. Raises OSError as the file system reports it."""
    return stat.S_ISREG(os.lstat(path).st_mode)


def file_sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file as hexadecimal digits. Raises OSError as the file system reports it."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def remove_abandoned(path: str | os.PathLike) -> None:
    """Removes what killed processes left of earlier attempts to write `path` by `atomic_path`.

    It looks through the whole folder: for few and large files, not for each of thousands.
    """
    path = Path(path)
    for left in path.parent.glob(f"{glob.escape(temporary_prefix(path))}????????.tmp"):  # as mkstemp names them
        with contextlib.suppress(OSError), open(left, "rb+") as file:
            if try_lock(file.fileno()):
                left.unlink()


def temporary_prefix(path: Path) -> str:
    """Returns how the names of temporary files for `path` begin: with its own name, or a part and a digest of a long one."""
    try:
        most = os.pathconf(path.parent, "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):  # no such folder, or system
        most = LONGEST_NAME
    most -= len("..????????.tmp")
    if len(os.fsencode(path.name)) <= most:
        return f".{path.name}."
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    return f".{shortened(path.name, most - len(digest) - 1)}-{digest}."


def shortened(name: str, most: int) -> str:
    """Returns a name, or as much of its beginning as has at most so many bytes."""
    while len(os.fsencode(name)) > most:
        name = name[:-1]
    return name


def try_lock(handle: int) -> bool | None:
    """Locks an open file or folder (flock) until it is closed. False: another process has it; None: there are no locks here,
    as on Windows and on some file systems."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself durable, where the platform lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
