"""A user's picture in memory, with all that must survive denoising."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from dnnlib.denoising.pictures import formats
from dnnlib.denoising.pictures.holes import Holes, filled, holes_in
from dnnlib.denoising.pictures.scale import Scale, Stated
from dnnlib.errors import UserError, one_line, printable
from dnnlib.files import atomic_write, remove_abandoned

_MOST_NAMED = 6  # of what is left out, in a line


class Header(NamedTuple):
    """Holds what a file says of its picture before it is decoded.

    width, height: in pixels.
    mode: kind of the pixels, Pillow's name for it (RGB, L, ...) or one in the same manner.
    pages: how many pictures there are, the size and mode being those of the first.
    channels: how many of them are the channels of the first picture, where each channel is a page.
    """

    width: int
    height: int
    mode: str
    pages: int = 1
    channels: int = 1


@dataclass
class Picture:
    """A picture, or all pages of a file, as they were stored.

    kind: the format, a name of the table of formats.
    pages: [H,W,C] each, in the file's own type, of which the first `colours` channels are to be denoised; the rest is alpha.
    colours: 1 or 3.
    kept: what the format's writer needs to write a file like the one that was read.
    notes: what the user should know of the conversion.
    unwritable: why no file like the one that was read can be written; None where it can.
    stated: for each page what the file's tags state of black and white, None: nothing; empty: nothing of any page.
    first: numbers of the pages that are the channels of one picture, the first; others follow in the same manner.
    nodata: for each page the value that stands for none, as the tags state it; likewise.
    holes: for each page the pixels without a value, None: there are none; empty: nobody looked yet, or none of any page.
    """

    kind: str
    pages: list[np.ndarray]
    colours: int
    kept: Any = field(default=None, repr=False)
    notes: list[str] = field(default_factory=list)
    unwritable: str | None = None
    stated: list[Stated | None] = field(default_factory=list)
    first: tuple[int, ...] = (0,)
    nodata: list[float | None] = field(default_factory=list)
    holes: list[Holes | None] = field(default_factory=list)

    @property
    def format(self) -> formats.Format:
        """Returns the row of the table of formats."""
        return formats.named(self.kind)

    def without_holes(self, told: float | None = None) -> "Picture":
        """Returns the picture with its pixels without a value filled from their surroundings, and a note of them.

        told: the value that stands for none, as the user told it; None: the one that the tags state.

        `write` puts back what is stored there. Raises UserError where a page has nothing but holes.
        """
        nodata = self.nodata if told is None and self.nodata else [told] * len(self.pages)
        colours = [page[:, :, : self.colours] for page in self.pages]
        holes = [holes_in(pixels, value) for pixels, value in zip(colours, nodata, strict=True)]
        if not any(holes):
            return self
        pages = list(self.pages)
        for i, found in enumerate(holes):
            if found is not None:
                pages[i] = pages[i].copy()
                pages[i][:, :, : self.colours] = filled(colours[i], found.mask)
        note = f"{self._share(holes)} of its pixels have no value ({_names(holes, nodata, told)}) and stay as they are"
        return replace(self, pages=pages, holes=holes, notes=[*self.notes, note])

    def check_whole(self, number: int) -> None:
        """Raises UserError where a page has pixels without a value, for those who cannot take such a page."""
        nodata = self.nodata[number] if self.nodata else None
        if (found := holes_in(self.pages[number][:, :, : self.colours], nodata)) is not None:
            what = _names([found], [nodata], None)
            raise UserError(f"it has pixels without a value ({what}): crop them away, or leave the picture out")

    def as_floats(self, scales: Sequence[Scale]) -> "Picture":
        """Returns the picture with pages of float32 in its own units, so that results are not rounded; itself, if it has no
        integers. Its format must hold floats.

        scales: black and white of the pages.
        """
        if all(page.dtype.kind == "f" for page in self.pages):
            return self
        pages = [page if page.dtype.kind == "f" else page.astype(np.float32) for page in self.pages]
        kept = formats.function(self.format.as_floats)(self, scales)
        return replace(self, pages=pages, kept=kept, notes=[*self.notes, "written as float32"])

    def values(self, number: int) -> np.ndarray:
        """Returns the pixels of a page that have a value, without alpha: [H,W,C], or, where some have none, [n,1,C]."""
        pixels = self.pages[number][:, :, : self.colours]
        holes = self.holes[number] if self.holes else None
        return pixels if holes is None else holes.with_value(pixels)

    def _share(self, holes: list[Holes | None]) -> str:
        """Returns the share of all pixels that are holes, in words."""
        count = sum(len(found.values) for found in holes if found is not None)
        share = count / sum(page.shape[0] * page.shape[1] for page in self.pages)
        return f"{100 * share:.1f} %" if share >= 0.0005 else f"{count}"

    def write(self, path: str | os.PathLike, pages: list[np.ndarray]) -> None:
        """Writes pages of the same shapes and type to a file like the one that was read, atomically.

        Pixels that have no value are written as they were stored. Raises UserError, naming the file.
        """
        for i, holes in enumerate(self.holes):
            if holes is not None:
                pages = [page.copy() if j == i else page for j, page in enumerate(pages)]
                holes.put_back(pages[i][:, :, : self.colours])
        write = formats.function(self.format.writer)
        try:
            remove_abandoned(path)
            with atomic_write(path) as file:
                write(self, pages, file)
        except (OSError, UserError) as error:
            raise UserError(f"cannot write {path}: {getattr(error, 'strerror', None) or one_line(error)}") from error


def _names(holes: list[Holes | None], nodata: list[float | None], told: float | None) -> str:
    """Returns what stands for no value in a picture, in words. Parameters as in `Picture.without_holes`."""
    origin = "GDAL_NODATA" if told is None else "--nodata"
    names: dict[str, None] = {}
    for found, value in zip(holes, nodata, strict=True):
        if found is not None:
            finite = np.isfinite(found.values)
            names |= {f"{origin} {value:g}": None} if value is not None and finite.all(axis=1).any() else {}
            names |= {} if finite.all() else {"NaN or infinite": None}
    return ", ".join(names)


def colours_of(channels: int) -> int:
    """Returns how many of the channels of a picture are no alpha: 1 of grey, 3 of RGB."""
    return 1 if channels <= 2 else 3


def left_out(what: str, names: list[str]) -> str:
    """Returns a note of what a result is without. what: what they are, in the plural; names: of some of a file."""
    rest = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"its {what} {printable(', '.join(names[:_MOST_NAMED]))}{rest} are left out"


def mode_of(channels: int, dtype: np.dtype) -> str:
    """Returns a name for a kind of pixels in the manner of Pillow's modes: RGB, LA, RGB uint16."""
    name = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}.get(channels, f"{channels} channels")
    return name if dtype == np.uint8 else f"{name} {dtype.name}"
