"""Writes a shard of pictures that are noisy already, to learn from real noise, and sets some apart to validate on."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dnnlib.denoising.data.noisy_pages import NoisyOptions, Page, read_pages
from dnnlib.denoising.data.noisy_shard_parts import Parts
from dnnlib.denoising.data.shard_rows import ShardFile
from dnnlib.denoising.data.shard_writer import new_shard, shuffled
from dnnlib.denoising.pictures.auto_white import found_white
from dnnlib.denoising.pictures.folder_scale import FolderScale
from dnnlib.denoising.pictures.search import find_pictures
from dnnlib.errors import UserError
from dnnlib.parallel import cores, ordered_map
from dnnlib.progress import progress_bar, say

_MOST_DIFFERENT = 10  # files of another kind that may be odd ones; if they also outnumber the others, the first is


def write_noisy_shard(input_dir: str, out: str | os.PathLike, options: NoisyOptions) -> None:
    """Writes all pictures under `input_dir` (a folder, a glob pattern or a file) of the right size to `out`, in a shuffled
    order that is always the same. Which are held out is decided by their names, so that one more changes nothing for the
    others: about a share of `options.holdout`, at least one, and not all. Where only one file can be used, a strip of each
    of its pages is held out, as `split` cuts it.

    The file: `images`, vlen uint8 or uint16 (n,), each channels first, flattened; `shapes`, int32 (n, 3); the same and
    `names`, `pages` in the group `held_out`, and for strips `page_sizes`, int32 (n, 2), height and width of the whole pages;
    where pixels have no value, also `corners`, int32 (n, 2), row and column of what is held out;
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
        options = replace(options, white=found_white(options.white, paths, options.black, options.nodata, axes=options.axes))
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
        parts = parts or Parts(shard, pages[0])
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
    pixels, used: of those that are taken: all, and those in rectangles where all have a value.
    """

    looked_at: int
    taken: int = 0
    skipped: int = 0
    different: int = 0
    pixels: int = 0
    used: int = 0

    def take(self, pages: list[Page]) -> None:
        """Counts a file that is taken."""
        self.taken += 1
        for page in pages:
            here = sum(part[0].size for part in (page.pixels, *page.others))
            self.used += here
            self.pixels += here if page.place is None else page.place[2] * page.place[3]

    def lines(self, kind: str) -> list[str]:
        """Returns what the statistics say of the files that are left out. kind: of the first."""
        lines = [f"  files skipped: {self.skipped + self.different}"]
        if self.different:
            lines.append(f"  of them of another kind than the first ({kind}): {self.different}")
        if self.used < self.pixels:
            left_out = 100 * (1 - self.used / self.pixels)
            lines.append(f"  left out, to have no pixels without a value (nodata, NaN): {left_out:.1f} % of the pixels")
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
            counts.take(pages)
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
