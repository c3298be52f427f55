"""Writes a training shard: one HDF5 file of all pictures of a folder that have the right size (SPEC 8)."""

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from dnnlib.denoising.data.shard_rows import ShardFile, ShardRows
from dnnlib.denoising.pictures.auto_white import AUTO_WHITE, found_white
from dnnlib.denoising.pictures.axes import check_axes
from dnnlib.denoising.pictures.decided_scale import Decided
from dnnlib.denoising.pictures.files import read_header
from dnnlib.denoising.pictures.folder_scale import FolderScale
from dnnlib.denoising.pictures.images import read_clean_channels
from dnnlib.denoising.pictures.picture import Header
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.denoising.pictures.search import find_pictures
from dnnlib.errors import UserError, one_line
from dnnlib.files import atomic_path, remove_abandoned
from dnnlib.parallel import cores, ordered_map
from dnnlib.progress import progress_bar, say

MIN_SIDE, MAX_SIDE = 256, 512  # of width and of height, in pixels, both inclusive
SHUFFLE_SEED = 0xBADF00D
MOST_WORKERS = 256
MOST_NAMED = 20  # files of a wrong size: of a large folder it may be most


class Candidate(NamedTuple):
    """A picture of the right size, by its header.

    path: of the file.
    mode: what its pixels are: RGB, L, ...
    channels: how many pictures it makes: one, or one of each channel where they are no RGB.
    """

    path: str
    mode: str
    channels: int


Read = tuple[Candidate, list[tuple[np.ndarray, Decided]] | UserError]  # what a file makes, with the scale of each


@dataclass
class Statistics:
    """Counts what `write_shard` did, in files, and the images written."""

    looked_at: int = 0
    wrong_size: int = 0
    unreadable: int = 0
    written: int = 0
    pixels: int = 0  # height * width, summed over the images written
    modes: Counter[str] = field(default_factory=Counter)  # of the images written, as they were in their files
    sides: tuple[int, int] = (MIN_SIDE, MAX_SIDE)  # allowed

    def lines(self) -> list[str]:
        """Returns the block printed at the end."""
        return [
            "Statistics:",
            f"  files looked at: {self.looked_at}",
            f"  skipped, width or height outside {self.sides[0]}..{self.sides[1]}: {self.wrong_size}",
            f"  skipped, unreadable: {self.unreadable}",
            f"  images written: {self.written}",
            f"  total pixels: {self.pixels}",
            "  image modes:",
            *(f"    {mode}: {count} images" for mode, count in self.modes.most_common()),
            "  image sizes:",
            f"    >= {self.sides[0]}x{self.sides[0]}: {self.written} images",
        ]


def write_shard(
    input_dir: str, out: str | os.PathLike, max_files: int | None = None, workers: int | None = None,
    min_size: int | None = None, max_size: int | None = None, black: float = 0.0, white: float | str | None = None,
    axes: str | None = None,
) -> Statistics:  # fmt: skip
    """Writes all pictures below a folder whose width and height are right to a shard.

    input_dir: the folder, or a glob pattern.
    out: the shard. It appears under its name when it is whole; a file that was there is replaced then.
    max_files: how many are kept, the first ones in the shuffled order; None: all.
    workers: threads that read and decode, None: one a core; the shard is the same, byte for byte, whatever their number.
    min_size, max_size: of width and height, in pixels, both inclusive; None: 256 and 512.
    black, white: the values that become 0 and 255; white None: as tags or the type say; AUTO_WHITE: it is measured.
    axes: of arrays and TIFF files, a letter each; None: as the file says, or as is usual.

    The order is that of the sorted paths, shuffled with a fixed seed. The shard: `images`, vlen uint8 (n,), each RGB,
    channels first, flattened; `shapes`, int32 (n, 3): 3, height, width; attribute `complete`. Of files with several pages
    the first is taken; where its channels are no RGB, each becomes a picture. Progress and statistics are printed. Files
    that cannot be read are named, counted and left out.

    Raises UserError for wrong arguments, where no picture is left, where most pictures would be nearly black since white is
    another than the type's, and where `out` cannot be written.
    """
    check_counts(max_files, workers)
    sides = check_sides(MIN_SIDE if min_size is None else min_size, MAX_SIDE if max_size is None else max_size)
    Scale(black, None if white == AUTO_WHITE else white).check()
    check_axes(axes)
    with new_shard(out) as temporary:  # first of all, so that an unwritable folder is known at once
        paths = shuffled(find_pictures(input_dir))
        told = Scale(black, found_white(white, paths, black, writable_only=False, axes=axes))
        statistics = Statistics(sides=sides)
        scales = FolderScale("--input-dir")
        _write(temporary, paths, max_files, statistics, workers or cores(), told, axes, scales)
    for line in [*statistics.lines(), *scales.warnings()]:
        say(line)
    return statistics


def check_counts(max_files: int | None, workers: int | None) -> None:
    """Raises UserError, naming the option, for numbers that cannot be."""
    if max_files is not None and max_files < 1:
        raise UserError(f"--max-files must be at least 1, not {max_files}")
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise UserError(f"--workers must be from 1 to {MOST_WORKERS}, not {workers}")


def check_sides(min_size: int, max_size: int) -> tuple[int, int]:
    """Returns the smallest and the largest side. Raises UserError, naming the option, for sizes that cannot be."""
    if min_size < 1:
        raise UserError(f"--min-size must be at least 1, not {min_size}")
    if max_size < min_size:
        raise UserError(f"--max-size {max_size} is below --min-size {min_size}: no picture can be of such a size")
    return min_size, max_size


@contextlib.contextmanager
def new_shard(out: str | os.PathLike) -> Iterator[Path]:
    """Yields the temporary name of a file that is to become `out` when it is whole. Raises UserError where it cannot."""
    out = Path(out)
    try:
        if out.exists() and not out.is_file():
            raise UserError(f"--out: {out} is not a file; give the name of a file to write")
        remove_abandoned(out)
        with atomic_path(out) as temporary:
            yield temporary
    except BrokenPipeError:  # nobody reads what is printed: not the file's fault
        raise
    except OSError as error:
        raise UserError(f"--out: cannot write {out}: {error.strerror or one_line(error)}") from error


def shuffled(paths: list[str]) -> list[str]:
    """Returns paths in an order that the same paths always get."""
    paths = list(paths)
    np.random.RandomState(SHUFFLE_SEED).shuffle(paths)
    return paths


def right_size(paths: Sequence[str], axes: str | None, statistics: Statistics, workers: int) -> Iterator[Candidate]:
    """Looks at the headers and yields the pictures of the right size, in the order of the paths; the first others are named.

    paths: of the files.
    axes: of arrays and TIFF files, as the user told them.
    statistics: what is counted on the way.
    workers: threads that read.
    """
    with progress_bar(len(paths), "file") as bar:
        for path, header in ordered_map(partial(_header, axes=axes), paths, workers):
            bar.update()
            statistics.looked_at += 1
            if statistics.looked_at % 100 == 0:
                say(f"looked at {statistics.looked_at} of {len(paths)} files")
            if isinstance(header, UserError):
                statistics.unreadable += 1
                say(f"skipped: {header}")
                continue
            sides = header.width, header.height
            if min(sides) >= statistics.sides[0] and max(sides) <= statistics.sides[1]:
                yield Candidate(path, header.mode, header.channels)
                continue
            statistics.wrong_size += 1
            if statistics.wrong_size <= MOST_NAMED:
                limit = f"{statistics.sides[0]}..{statistics.sides[1]}"
                more = "; others of a wrong size are only counted" if statistics.wrong_size == MOST_NAMED else ""
                say(f"skipped: {path}: {header.width} x {header.height} pixels, outside {limit}{more}")


def _header(path: str, axes: str | None) -> tuple[str, Header | UserError]:
    """Reads a header; returns what is wrong with the file where that cannot be."""
    try:
        return path, read_header(path, axes)
    except UserError as error:
        return path, error


def _decode(candidate: Candidate, told: Scale, axes: str | None) -> Read:
    """Reads what a file makes, each as RGB, uint8 [3, H, W], with its scale; returns what is wrong with the file where that
    cannot be."""
    try:
        read = read_clean_channels(candidate.path, told, axes)
        return candidate, [(np.ascontiguousarray(pixels.transpose(2, 0, 1)), found) for pixels, found in read]
    except UserError as error:
        return candidate, error


def _write(
    file_name: Path, paths: Sequence[str], max_files: int | None, statistics: Statistics, workers: int,
    told: Scale, axes: str | None, scales: FolderScale,
) -> None:  # fmt: skip
    """Fills the HDF5 file; a few pictures a worker are in memory.

    file_name: of the shard that is made.
    paths: of the pictures in their order.
    max_files: how many are kept, None: all.
    statistics: what is counted on the way.
    workers: threads that read and decode.
    told: black and white, as the user told them.
    axes: likewise.
    scales: collects those of the pictures.
    """
    candidates = right_size(paths, axes, statistics, workers)
    with contextlib.closing(candidates):
        selected = list(itertools.islice(candidates, max_files))
        if not selected:
            raise _nothing_kept(statistics)
        # Where a selected picture turns out to be damaged, the next one of the right size takes its place.
        decode = partial(_decode, told=told, axes=axes)
        most = sum(candidate.channels for candidate in selected)
        pictures = itertools.chain(ordered_map(decode, selected, workers), map(decode, candidates))
        with ShardFile(file_name) as shard, progress_bar(most, "image") as bar:
            rows = ShardRows(shard, shard.file, np.dtype(np.uint8), most)
            _write_rows(rows, pictures, most, statistics, scales, bar)


def _write_rows(
    rows: ShardRows, pictures: Iterator[Read], most: int, statistics: Statistics, scales: FolderScale, bar: tqdm,
) -> None:  # fmt: skip
    """Adds pictures to a shard, in order.

    rows: of the shard.
    pictures: decoded, uint8 [3,H,W], with their scales, or what is wrong with them.
    most: how many are added, at most.
    statistics: what is counted.
    scales: those of the pictures are added.
    bar: is moved on with each.
    """
    for candidate, read in pictures:
        if isinstance(read, UserError):
            statistics.unreadable += 1
            say(f"skipped: {read}")
            continue
        for channel, (pixels, found) in enumerate(read[: most - statistics.written], start=1):
            scales.add(candidate.path, found)
            scales.check_clean(complete=False)
            rows.append(pixels)
            statistics.written += 1
            statistics.pixels += pixels.shape[1] * pixels.shape[2]
            statistics.modes[candidate.mode] += 1
            which = f", channel {channel} of {len(read)}" if len(read) > 1 else ""
            say(f"{statistics.written}/{most}: {candidate.path}{which}")
            bar.update()
        if statistics.written == most:
            break
    if not len(rows):
        raise _nothing_kept(statistics)
    scales.check_clean(complete=True)
    rows.close()


def _nothing_kept(found: Statistics) -> UserError:
    """Returns the error for a folder without a picture that can be used."""
    return UserError(
        f"--input-dir: none of the {found.looked_at} pictures looked at can be used: {found.wrong_size} are not within "
        f"{found.sides[0]}..{found.sides[1]} pixels in width and height, {found.unreadable} cannot be read"
    )
