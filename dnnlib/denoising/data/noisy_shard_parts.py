"""The two parts of a shard of noisy pictures while it is written: pages to train on, cut into pieces, and those held out."""

import hashlib

import h5py
import numpy as np

from dnnlib.denoising.data import noisy_pages
from dnnlib.denoising.data.held_out_strip import described, split
from dnnlib.denoising.data.noisy_pages import Page, pieces, stored_scale
from dnnlib.denoising.data.noisy_shard import CORNERS, HELD_OUT, PAGE_SIZES
from dnnlib.denoising.data.shard_rows import ShardFile, ShardRows
from dnnlib.denoising.pictures.scale import Source, kind_of
from dnnlib.errors import UserError

CLIPPED = 0.005  # a share of the values that is worth a warning
# Values that may be clipped ones, by the kind of type.
_LIMITS = {"u": "0, white or the type's largest", "i": "white or the type's ends", "f": "black or white"}


class Parts:
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
        self._page_sizes: list[tuple[int, ...]] = []  # of whole pages, of which parts are held out
        self._corners: list[tuple[int, int]] = []  # of these parts in the pages
        self._has_parts = self._has_corners = False  # whether these are needed
        self._strips: dict[str, None] = {}  # what they are, in words, each once
        self._pictures, self._clipped, self._values = 0, 0, 0

    @property
    def kind(self) -> str:
        """Returns what all pages are, in words."""
        return " ".join(self._first.kind)

    def add(self, pages: list[Page], held_out: bool) -> None:
        """Writes the pages of a file into one of the parts."""
        for page in pages:
            parts = [page.pixels] if held_out else [page.pixels, *page.others]
            for pixels in parts:
                self._note(page, pixels, held_out)
            if held_out:
                self.held_out.append(page.pixels)
                self._names.append(page.name)
                self._pages.append(page.page)
                top, left, *size = page.place or (0, 0, *page.pixels.shape[1:])
                self._page_sizes.append(tuple(size))
                self._corners.append((top, left))
                self._has_corners |= page.place is not None
            else:
                self._pictures += 1
                for pixels in parts:
                    for piece in pieces(pixels):
                        self.training.append(piece)

    def _note(self, page: Page, pixels: np.ndarray, held_out: bool) -> None:
        """Takes pixels [C,H,W] of a page into the checksum and the statistics."""
        heading = f"{held_out} {page.name} {page.page} {pixels.dtype} {pixels.shape}\n"
        self._checksum.update(heading.encode(errors="surrogateescape"))
        self._checksum.update(np.ascontiguousarray(pixels))
        black = [self.scale.black] if page.dtype.kind == "f" else []
        limits = 0, np.iinfo(pixels.dtype).max, self.scale.white, *black
        self._clipped += sum(np.count_nonzero(pixels == limit) for limit in set(limits))
        self._values += pixels.size

    def add_split(self, pages: list[Page], share: float) -> None:
        """Writes the pages of the only file into both parts, a strip of each, about `share` of it, into the held-out one.

        No page is held out as a whole: those of a file often show the same, and would tell nothing of another picture.
        """
        for page in pages:
            try:
                rest, strip = split(page.pixels, share)
            except UserError as error:
                raise UserError(f"--input-dir: {page.path}: {error}") from None
            top, left, *size = page.place or (0, 0, *page.pixels.shape[1:])
            _, height, width = (whole - part for whole, part in zip(page.pixels.shape, strip.shape, strict=True))
            self.add([page._replace(pixels=rest)], held_out=False)
            self.add([page._replace(pixels=strip, place=page.place and (top + height, left + width, *size))], held_out=True)
            self._page_sizes[-1] = tuple(size)
            self._has_parts = True
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
        if self._has_parts or self._has_corners:
            group.create_dataset(PAGE_SIZES, data=np.array(self._page_sizes, np.int32))
        if self._has_corners:
            group.create_dataset(CORNERS, data=np.array(self._corners, np.int32))

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
