"""Writes a training shard: one HDF5 file of all pictures of a folder that have the right size (SPEC 8)."""

import contextlib
import errno
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from tqdm import tqdm

from dnnlib.denoising.images import image_header, read_image
from dnnlib.denoising.picture_search import find_pictures
from dnnlib.errors import UserError, one_line
from dnnlib.files import atomic_path, remove_abandoned
from dnnlib.parallel import cores, ordered_map
from dnnlib.progress import progress_bar, say

MIN_SIDE, MAX_SIDE = 256, 512  # of width and of height, in pixels, both inclusive
SHUFFLE_SEED = 0xBADF00D
_ROWS_PER_CHUNK = 1024  # of 16-byte references to the pictures, which HDF5 keeps elsewhere in the file
MOST_WORKERS = 256
_RESERVE = 32 * 2**20  # bytes of disk taken ahead; half of it must hold a picture, all shapes, and what HDF5 keeps back

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


def write_shard(
    input_dir: str, out: str | os.PathLike, max_files: int | None = None, workers: int | None = None
) -> Statistics:
    """Writes all pictures under `input_dir` (a folder or a glob pattern) whose width and height lie in 256..512 to `out`.

    The order is that of the sorted paths, shuffled with a fixed seed; with `max_files` the first so many are kept.
    The file: `images`, vlen uint8 (n,), each RGB, channels first, flattened; `shapes`, int32 (n, 3): 3, height, width;
    attribute `complete`. It appears under its name when it is whole; a file that was there is replaced then.
    Progress and statistics are printed. Files that cannot be read are named, counted and left out.
    workers: threads that read and decode, None for one a core; the file is the same, byte for byte, whatever their number.

    Raises UserError for wrong arguments, where no picture is left, and where `out` cannot be written.
    """
    if max_files is not None and max_files < 1:
        raise UserError(f"--max-files must be at least 1, not {max_files}")
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise UserError(f"--workers must be from 1 to {MOST_WORKERS}, not {workers}")
    out = Path(out)
    try:
        if out.exists() and not out.is_file():
            raise UserError(f"--out: {out} is not a file; give the name of a file to write")
        remove_abandoned(out)
        with atomic_path(out) as temporary:  # first of all, so that an unwritable folder is known at once
            paths = find_pictures(input_dir)
            np.random.RandomState(SHUFFLE_SEED).shuffle(paths)
            statistics = Statistics()
            _write(temporary, paths, max_files, statistics, workers or cores())
    except BrokenPipeError:  # nobody reads what is printed: not the file's fault
        raise
    except OSError as error:
        raise UserError(f"--out: cannot write {out}: {error.strerror or one_line(error)}") from error
    for line in statistics.lines():
        say(line)
    return statistics


def right_size(paths: Sequence[str], statistics: Statistics, workers: int) -> Iterator[Candidate]:
    """Looks at the headers and yields the pictures whose width and height lie in 256..512, in the order of the paths."""
    with progress_bar(len(paths), "file") as bar:
        for path, header in ordered_map(_header, paths, workers):
            bar.update()
            statistics.looked_at += 1
            if statistics.looked_at % 100 == 0:
                say(f"looked at {statistics.looked_at} of {len(paths)} files")
            if isinstance(header, UserError):
                statistics.unreadable += 1
                say(f"skipped: {header}")
                continue
            width, height, mode = header
            if min(width, height) >= MIN_SIDE and max(width, height) <= MAX_SIDE:
                yield Candidate(path, mode)
            else:
                statistics.wrong_size += 1


def _header(path: str) -> tuple[str, tuple[int, int, str] | UserError]:
    try:
        return path, image_header(path)
    except UserError as error:
        return path, error


def _decode(candidate: Candidate) -> tuple[Candidate, np.ndarray | UserError]:
    """RGB, uint8 [3, H, W]; or what is wrong with the file."""
    try:
        return candidate, np.ascontiguousarray(read_image(candidate.path).transpose(2, 0, 1))
    except UserError as error:
        return candidate, error


def _write(file_name: Path, paths: Sequence[str], max_files: int | None, statistics: Statistics, workers: int) -> None:
    """Fills the HDF5 file; a few pictures a worker are in memory."""
    candidates = right_size(paths, statistics, workers)
    with contextlib.closing(candidates):
        selected = list(itertools.islice(candidates, max_files))
        if not selected:
            raise _nothing_kept(statistics)
        # Where a selected picture turns out to be damaged, the next one of the right size takes its place.
        pictures = itertools.chain(ordered_map(_decode, selected, workers), map(_decode, candidates))
        _reserve(file_name, 0)
        # Unlocked: the temporary file's lock is ours.
        with h5py.File(file_name, "w", locking=False) as file, progress_bar(len(selected), "image") as bar:
            _write_rows(file, pictures, len(selected), statistics, bar)
            file.attrs["complete"] = True
            file.flush()
            used = file.id.get_filesize()
    if file_name.stat().st_size > used:
        os.truncate(file_name, used)  # gives back what was reserved and not needed


def _write_rows(
    file: h5py.File, pictures: Iterator[tuple[Candidate, np.ndarray | UserError]],
    most: int, statistics: Statistics, bar: tqdm,
) -> None:
    """Creates both data sets and fills them with at most `most` pictures, in order."""
    images = file.create_dataset(
        "images", (most,), h5py.vlen_dtype(np.uint8), maxshape=(most,), chunks=(min(most, _ROWS_PER_CHUNK),)
    )
    shapes = []
    reserved = 0
    for candidate, pixels in pictures:
        if isinstance(pixels, UserError):
            statistics.unreadable += 1
            say(f"skipped: {pixels}")
            continue
        used = file.id.get_filesize()
        if used + _RESERVE // 2 > reserved:
            reserved = used + _RESERVE
            _reserve(Path(file.filename), used)
        images[statistics.written] = pixels.ravel()
        shapes.append(pixels.shape)
        statistics.written += 1
        statistics.pixels += pixels.shape[1] * pixels.shape[2]
        statistics.modes[candidate.mode] += 1
        say(f"{statistics.written}/{most}: {candidate.path}")
        bar.update()
        if statistics.written == most:
            break
    if not shapes:
        raise _nothing_kept(statistics)
    images.resize(len(shapes), axis=0)
    file.create_dataset("shapes", data=np.array(shapes, np.int32))


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


def _nothing_kept(found: Statistics) -> UserError:
    return UserError(
        f"--input-dir: none of the {found.looked_at} pictures looked at can be used: {found.wrong_size} are not within "
        f"{MIN_SIDE}..{MAX_SIDE} pixels in width and height, {found.unreadable} cannot be read"
    )
