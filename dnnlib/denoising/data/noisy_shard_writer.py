"""Writes a shard of pictures that are noisy already, to learn from real noise, and sets some apart to validate on."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import h5py
import numpy as np

from dnnlib.denoising.data import noisy_pages
from dnnlib.denoising.data.held_out_strip import described, split
from dnnlib.denoising.data.noisy_pages import NoisyOptions, Page, pieces, read_pages, stored_scale
from dnnlib.denoising.data.noisy_shard import HELD_OUT, PAGE_SIZES, Source, kind_of
from dnnlib.denoising.data.shard_rows import ShardFile, ShardRows
from dnnlib.denoising.data.shard_writer import new_shard, shuffled
from dnnlib.denoising.pictures.folder_scale import FolderScale
from dnnlib.denoising.pictures.search import find_pictures
from dnnlib.errors import UserError
from dnnlib.parallel import cores, ordered_map
from dnnlib.progress import progress_bar, say

CLIPPED = 0.005  # a share of the values that is worth a warning
# Values that may be clipped ones, by the kind of type.
_LIMITS = {"u": "0, white or the type's largest", "i": "white or the type's ends", "f": "black or white"}
_MOST_DIFFERENT = 10  # files of another kind that may be odd ones; if they also outnumber the others, the first is


def write_noisy_shard(input_dir: str, out: str | os.PathLike, options: NoisyOptions) -> None:
    """Writes all pictures under `input_dir` (a folder, a glob pattern or a file) of the right size to `out`, in a shuffled
    order that is always the same. Which are held out is decided by their names, so that one more changes nothing for the
    others: about a share of `options.holdout`, at least one, and not all. Where only one file can be used, a strip of each
    of its pages is held out, as `split` cuts it.

    The file: `images`, vlen uint8 or uint16 (n,), each channels first, flattened; `shapes`, int32 (n, 3); the same and
    `names`, `pages` in the group `held_out`, and for strips `page_sizes`, int32 (n, 2), height and width of the whole pages;
    attributes `noisy`, `black`, `white`, `complete`, `source_dtype`, `source_black` and `source_white` (of the files, before
    floats became integers), and `checksum` of all names and contents. Pictures to train on are cut into pieces of at most
    LARGEST_PIECE pixels a side. It appears under its name when it is whole.

    Raises UserError for floats of unknown white, where no picture is left, where the only one is too small for both parts,
    where most, and more than ten, are of another kind (8 and 16 bits, grey and RGB) than the first, and where `out` cannot
    be written. Files that cannot be read or are of another kind than the first are named and left out.
    """
    with new_shard(out) as temporary:
        named = os.path.isfile(input_dir)
        paths = [input_dir] if named else shuffled(find_pictures(input_dir, writable_only=True))
        with ShardFile(temporary) as shard:
            root = input_dir if os.path.isdir(input_dir) else os.path.commonpath([os.path.dirname(path) for path in paths])
            lines = _fill(shard, paths, root, options)
    for line in lines:
        say(line)


def _fill(shard: ShardFile, paths: list[str], root: str, o: NoisyOptions) -> list[str]:
    """Writes everything, and returns the statistics to print at the end.

    shard: the one that is made.
    paths: of the files, in their order.
    root: the folder from which names count.
    o: the options.
    """
    counts = _Counts(looked_at=len(paths))
    parts, scales = None, FolderScale("--input-dir")
    # The files of lowest and highest rank wait to the end: one is held out and one is not, whatever their ranks.
    ends: list[tuple[float, list[Page]]] = []
    for pages in _usable(paths, root, o, counts):
        parts = parts or _Parts(shard, pages[0])
        scales.add(pages[0].path, pages[0].found)
        ends = sorted([*ends, (_rank(pages[0].name), pages)], key=lambda end: end[0])
        if len(ends) > 2:
            rank, pages = ends.pop(1)
            parts.add(pages, held_out=rank < o.holdout)
    if not ends:
        raise counts.none_left()
    if len(ends) == 1:
        parts.add_split(ends[0][1], o.holdout)
    else:
        for (_, pages), held_out in zip(ends, (True, False), strict=True):
            parts.add(pages, held_out)
    parts.close()
    return ["Statistics:", *counts.lines(parts.kind), *parts.lines(), *scales.warnings()]


@dataclass
class _Counts:
    """Counts files.

    looked_at: all that there are.
    taken: those that went into the shard.
    skipped: those that cannot be read or are of a wrong size.
    different: those of another kind than the first.
    """

    looked_at: int
    taken: int = 0
    skipped: int = 0
    different: int = 0

    def lines(self, kind: str) -> list[str]:
        """Returns what the statistics say of the files that are left out. kind: of the first."""
        lines = [f"  files skipped: {self.skipped + self.different}"]
        if self.different:
            lines.append(f"  of them of another kind than the first ({kind}): {self.different}")
        return lines

    def none_left(self) -> UserError:
        """Returns the error for no file that can be used."""
        return UserError(f"--input-dir: none of the {self.looked_at} files looked at can be used: see above why")


def _usable(paths: list[str], root: str, o: NoisyOptions, counts: _Counts) -> Iterator[list[Page]]:
    """Yields the pages of the files that can be used, in order, and prints a line for each file.

    paths: of the files.
    root: the folder from which names count.
    o: the options.
    counts: what is counted on the way.
    """
    most = min(len(paths), o.max_files or len(paths))
    first: Page | None = None
    with progress_bar(len(paths), "file") as bar:
        for pages in ordered_map(lambda path: read_pages(path, root, o), paths, o.workers or cores(), ahead=1):
            bar.update()
            if isinstance(pages, UserError):
                counts.skipped += 1
                say(f"skipped: {pages}")
                continue
            first = first or pages[0]
            if reason := _difference(first, pages):
                counts.different += 1
                if counts.different > max(counts.taken, _MOST_DIFFERENT):
                    raise UserError(f"--input-dir: {reason}, as most are: put each kind into a folder of its own")
                say(f"skipped: {reason}")
                continue
            counts.taken += 1
            several = f", {len(pages)} pictures" if len(pages) > 1 else ""
            say(f"{counts.taken}/{most}: {pages[0].path}{several}")
            yield pages
            if counts.taken == most:
                return


def _difference(first: Page, pages: list[Page]) -> str | None:
    """Returns what is wrong with pages that are of another kind than the first of all; None where they are alike."""
    for page in pages:
        for one, other in zip(first.kind, page.kind, strict=True):
            if one != other:
                return f"{page.path} is {other}, and {first.path} is {one}"
        one, other = (f"black {p.found.scale.black:g} and white {p.found.scale.white:g}" for p in (first, page))
        if one != other:
            return f"{page.path} has {other}, and {first.path} has {one}; --black and --white make them the same"
    return None


def _rank(name: str) -> float:
    """Returns a number from 0 to 1, as if drawn by lot, but always the same of a name."""
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:7], "big") / 2**56


class _Parts:
    """Writes both parts of a shard, those to train on and those held out, and counts what they hold."""

    def __init__(self, shard: ShardFile, first: Page):
        """Makes the empty parts. first: the page that the others must be like."""
        self._first, self._file = first, shard.file
        source = first.found.scale
        self._source = Source(kind_of(first.dtype), source)
        self.scale = stored_scale(first.dtype, source)  # in the shard
        self._checksum = hashlib.sha256()
        self.training = ShardRows(shard, shard.file, first.pixels.dtype)
        self.held_out = ShardRows(shard, shard.file.create_group(HELD_OUT), first.pixels.dtype)
        self._names: list[str] = []
        self._pages: list[int] = []
        self._page_sizes: list[tuple[int, ...]] = []  # of whole pages, of which strips are held out
        self._strips: dict[str, None] = {}  # what they are, in words, each once
        self._pictures, self._clipped, self._values = 0, 0, 0

    @property
    def kind(self) -> str:
        """Returns what all pages are, in words."""
        return " ".join(self._first.kind)

    def add(self, pages: list[Page], held_out: bool) -> None:
        """Writes the pages of a file into one of the parts."""
        for page in pages:
            # For the checksum and the statistics.
            heading = f"{held_out} {page.name} {page.page} {page.pixels.dtype} {page.pixels.shape}\n"
            self._checksum.update(heading.encode(errors="surrogateescape"))
            self._checksum.update(page.pixels)
            black = [self.scale.black] if page.dtype.kind == "f" else []
            limits = 0, np.iinfo(page.pixels.dtype).max, self.scale.white, *black
            self._clipped += sum(np.count_nonzero(page.pixels == limit) for limit in set(limits))
            self._values += page.pixels.size
            # Into the part.
            if held_out:
                self.held_out.append(page.pixels)
                self._names.append(page.name)
                self._pages.append(page.page)
            else:
                self._pictures += 1
                for piece in pieces(page.pixels):
                    self.training.append(piece)

    def add_split(self, pages: list[Page], share: float) -> None:
        """Writes the pages of the only file into both parts, a strip of each, about `share` of it, into the held-out one.

        No page is held out as a whole: those of a file often show the same, and would tell nothing of another picture.
        """
        for page in pages:
            try:
                rest, strip = split(page.pixels, share)
            except UserError as error:
                raise UserError(f"--input-dir: {page.path}: {error}") from None
            self.add([page._replace(pixels=rest)], held_out=False)
            self.add([page._replace(pixels=strip)], held_out=True)
            self._page_sizes.append(page.pixels.shape[1:])
            self._strips[described(strip, page.pixels)] = None

    def close(self) -> None:
        """Writes what belongs to the shard as a whole."""
        self.training.close()
        self.held_out.close()
        source = self._source
        self._file.attrs.update({"noisy": True, "black": self.scale.black, "white": self.scale.white})
        self._file.attrs.update(source_dtype=source.dtype, source_black=source.scale.black, source_white=source.scale.white)
        self._file.attrs["checksum"] = self._checksum.hexdigest()
        group = self._file[HELD_OUT]
        names = [name.encode(errors="surrogateescape") for name in self._names]
        group.create_dataset("names", data=names, dtype=h5py.string_dtype())
        group.create_dataset("pages", data=np.array(self._pages, np.int32))
        if self._page_sizes:
            group.create_dataset(PAGE_SIZES, data=np.array(self._page_sizes, np.int32))

    def lines(self) -> list[str]:
        """Returns the block printed at the end."""
        colours, side = self._first.kind[0], noisy_pages.LARGEST_PIECE
        limits = _LIMITS[self._first.dtype.kind]
        held_out = f"pictures held out: {len(self.held_out)}"
        if self._strips:
            held_out = f"held out: a strip of {' or '.join(self._strips)} of each picture"
        lines = [
            f"  pictures to train on: {self._pictures}, in {len(self.training)} pieces of at most {side} x {side} pixels",
            f"  {held_out}",
            f"  {colours}, {self._first.pixels.dtype}, black {self.scale.black:g}, white {self.scale.white:g}",
            f"  values at {limits}: {100 * self._clipped / self._values:.2f} %",
        ]
        if self._clipped > CLIPPED * self._values:
            lines.append("Warning: noise that was clipped looks weaker than it is; see docs/real-noise.md")
        return lines
