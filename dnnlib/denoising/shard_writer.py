"""Writes a training shard: one HDF5 file of all pictures of a folder that have the right size (SPEC 8)."""

import errno
import functools
import glob
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from dnnlib.denoising.images import image_header, read_image
from dnnlib.errors import UserError, one_line
from dnnlib.files import atomic_path

SUFFIXES = (".jpeg", ".jpg", ".png")  # in any case
MIN_SIDE, MAX_SIDE = 256, 512  # of width and of height, in pixels, both inclusive
SHUFFLE_SEED = 0xBADF00D
_ROWS_PER_CHUNK = 1024  # of 16-byte references to the pictures, which HDF5 keeps elsewhere in the file
_RESERVE = 32 * 2**20  # bytes of disk taken ahead; half of it must hold one picture and what HDF5 has not yet written

_say = functools.partial(print, flush=True)  # hours of work: its progress must not wait in a pipe's buffer


class Candidate(NamedTuple):
    """A picture of the right size, by its header."""

    path: str
    mode: str  # Pillow's name: RGB, L, ...


@dataclass
class Statistics:
    """What `write_shard` did, counted in files."""

    looked_at: int = 0
    wrong_size: int = 0
    unreadable: int = 0
    written: int = 0
    pixels: int = 0  # height * width, summed over the images written
    modes: Counter[str] = field(default_factory=Counter)  # of the images written, as they were in their files

    def lines(self) -> list[str]:
        """The block printed at the end."""
        return [
            "Statistics:",
            f"  files looked at: {self.looked_at}",
            f"  skipped, width or height outside {MIN_SIDE}..{MAX_SIDE}: {self.wrong_size}",
            f"  skipped, unreadable: {self.unreadable}",
            f"  images written: {self.written}",
            f"  total pixels: {self.pixels}",
            "  image modes:",
            *(f"    {mode}: {count} images" for mode, count in self.modes.most_common()),
            "  image sizes:",
            f"    >= {MIN_SIDE}x{MIN_SIDE}: {self.written} images",
        ]


def write_shard(input_dir: str, out: str | os.PathLike, max_files: int | None = None) -> Statistics:
    """Writes all pictures under `input_dir` (a folder or a glob pattern) whose width and height lie in 256..512 to `out`.

    The order is that of the sorted paths, shuffled with a fixed seed; with `max_files` the first so many are kept.
    The file: `images`, vlen uint8 (n,), each RGB, channels first, flattened; `shapes`, int32 (n, 3): 3, height, width;
    attribute `complete`. It appears under its name when it is whole; a file that was there is replaced then.
    Progress and statistics are printed. Files that cannot be read are named, counted and left out.

    Raises UserError for wrong arguments, where no picture is left, and where `out` cannot be written.
    """
    if max_files is not None and max_files < 1:
        raise UserError(f"--max-files must be at least 1, not {max_files}")
    out = Path(out)
    try:
        if out.exists() and not out.is_file():
            raise UserError(f"--out: {out} is not a file; give the name of a file to write")
        with atomic_path(out) as temporary:  # first of all, so that an unwritable folder is known at once
            paths = find_pictures(input_dir)
            np.random.RandomState(SHUFFLE_SEED).shuffle(paths)
            statistics = Statistics()
            _write(temporary, paths, max_files, statistics)
    except BrokenPipeError:  # nobody reads what is printed: not the file's fault
        raise
    except OSError as error:
        raise UserError(f"--out: cannot write {out}: {error.strerror or one_line(error)}") from error
    for line in statistics.lines():
        _say(line)
    return statistics


def find_pictures(input_dir: str) -> list[str]:
    """Paths of all *.JPEG, *.jpg and *.png (in any case) under a folder, or under all that a glob pattern matches; sorted.

    What can be reached in two ways, by links between folders, is found once. Raises UserError where nothing is found.
    """
    if os.path.isdir(input_dir):
        roots = [input_dir]
    elif glob.has_magic(input_dir):
        roots = sorted(glob.glob(input_dir, recursive=True))
        if not roots:
            raise UserError(f"--input-dir: nothing matches {input_dir}")
    elif os.path.exists(input_dir):
        raise UserError(f"--input-dir: {input_dir} is not a folder; give the folder that holds the pictures")
    else:
        raise UserError(f"--input-dir: there is no folder {input_dir}")
    walked: set[tuple[int, int]] = set()
    files = itertools.chain.from_iterable(_walk(root, walked) if os.path.isdir(root) else [root] for root in roots)
    real_folder = functools.cache(os.path.realpath)
    paths = sorted(
        {
            (real_folder(os.path.dirname(path)), os.path.basename(path)): path  # a pattern may match by several ways, too
            for path in files
            if path.lower().endswith(SUFFIXES)
        }.values()
    )
    if not paths:
        raise UserError(f"--input-dir: no *.JPEG, *.jpg or *.png in {input_dir}")
    return paths


def right_size(paths: Iterable[str], total: int, statistics: Statistics) -> Iterator[Candidate]:
    """Looks at the headers, one after another, and yields the pictures whose width and height lie in 256..512."""
    for path in paths:
        statistics.looked_at += 1
        if statistics.looked_at % 100 == 0:
            _say(f"looked at {statistics.looked_at} of {total} files")
        try:
            width, height, mode = image_header(path)
        except UserError as error:
            statistics.unreadable += 1
            _say(f"skipped: {error}")
            continue
        if min(width, height) >= MIN_SIDE and max(width, height) <= MAX_SIDE:
            yield Candidate(path, mode)
        else:
            statistics.wrong_size += 1


def decoded(candidates: Iterable[Candidate]) -> Iterator[tuple[Candidate, np.ndarray | UserError]]:
    """The pictures' RGB pixels, uint8 [H, W, 3], in order; for one that cannot be read, what is wrong with it."""
    for candidate in candidates:
        try:
            yield candidate, read_image(candidate.path)
        except UserError as error:
            yield candidate, error


def _write(file_name: Path, paths: list[str], max_files: int | None, statistics: Statistics) -> None:
    """Fills the HDF5 file; one picture at a time is in memory."""
    candidates = right_size(paths, len(paths), statistics)
    selected = list(itertools.islice(candidates, max_files))
    if not selected:
        raise _nothing_kept(statistics)
    _reserve(file_name, 0)
    with h5py.File(file_name, "w") as file:
        # Where a selected picture turns out to be damaged, the next one of the right size takes its place.
        _write_rows(file, decoded(itertools.chain(selected, candidates)), len(selected), statistics)
        file.attrs["complete"] = True
        file.flush()
        used = file.id.get_filesize()
    if file_name.stat().st_size > used:
        os.truncate(file_name, used)  # gives back what was reserved and not needed


def _write_rows(
    file: h5py.File, pictures: Iterator[tuple[Candidate, np.ndarray | UserError]], most: int, statistics: Statistics
) -> None:
    """Creates both data sets and fills them with at most `most` pictures, in order."""
    rows = min(most, _ROWS_PER_CHUNK)
    images = file.create_dataset("images", (most,), h5py.vlen_dtype(np.uint8), maxshape=(most,), chunks=(rows,))
    shapes = file.create_dataset("shapes", (most, 3), np.int32, maxshape=(most, 3), chunks=(rows, 3))
    reserved = 0
    for candidate, pixels in pictures:
        if isinstance(pixels, UserError):
            statistics.unreadable += 1
            _say(f"skipped: {pixels}")
            continue
        used = file.id.get_filesize()
        if used + _RESERVE // 2 > reserved:
            reserved = used + _RESERVE
            _reserve(Path(file.filename), used)
        images[statistics.written] = pixels.transpose(2, 0, 1).ravel()
        shapes[statistics.written] = (3, *pixels.shape[:2])
        statistics.written += 1
        statistics.pixels += pixels.shape[0] * pixels.shape[1]
        statistics.modes[candidate.mode] += 1
        _say(f"{statistics.written}/{most}: {candidate.path}")
        if statistics.written == most:
            return
    if statistics.written == 0:
        raise _nothing_kept(statistics)
    images.resize(statistics.written, axis=0)
    shapes.resize(statistics.written, axis=0)


def _reserve(path: Path, start: int) -> None:
    """Takes the disk space of the next `_RESERVE` bytes of a file, from `start` on; raises OSError where there is less.

    HDF5 does not survive a full disk: after a failed write it cannot close its file, and the process crashes when it
    ends. So it never writes where space was not taken before. Systems that cannot reserve go without.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with open(path, "rb+") as file:
        try:
            os.posix_fallocate(file.fileno(), start, _RESERVE)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise


def _walk(root: str, walked: set[tuple[int, int]]) -> Iterator[str]:
    """All files under a folder; links are followed, but no folder is walked that is in `walked` already."""

    def unreadable(error: OSError) -> None:
        if error.filename == root:
            raise UserError(f"--input-dir: cannot read the folder {root}: {error.strerror}")
        _say(f"skipped: cannot read the folder {error.filename}: {error.strerror}")

    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=unreadable):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in walked:
            subfolders.clear()
            continue
        walked.add((status.st_dev, status.st_ino))
        subfolders.sort()  # so that of two ways into a folder it is always the same one that counts
        yield from (os.path.join(folder, name) for name in files)


def _nothing_kept(found: Statistics) -> UserError:
    return UserError(
        f"--input-dir: none of the {found.looked_at} pictures looked at can be used: {found.wrong_size} are not within "
        f"{MIN_SIDE}..{MAX_SIDE} pixels in width and height, {found.unreadable} cannot be read"
    )
