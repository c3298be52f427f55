"""The pages of noisy pictures as a shard stores them, and what the tool was told of them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.data.shard_writer import MIN_SIDE, check_counts, check_sides
from dnnlib.denoising.pictures.auto_white import AUTO_WHITE
from dnnlib.denoising.pictures.axes import check_axes
from dnnlib.denoising.pictures.decided_scale import Decided, decided
from dnnlib.denoising.pictures.files import read_filled
from dnnlib.denoising.pictures.holes import rectangles_without
from dnnlib.denoising.pictures.scale import COLOURS, Scale, kind_of
from dnnlib.errors import UserError

# Floats are stored as 16 bits, from -1 to 2 times white: noise must not be clipped, and a step of 1/21845 hides none.
FLOAT_BLACK, FLOAT_WHITE = 21845, 43690
STORED_FLOATS = Scale(float(FLOAT_BLACK), float(FLOAT_WHITE))
SIGNED_ZERO = 32768  # where int16 has its 0 as uint16, which hold it as it is
LARGEST_PIECE = 1024  # pixels; a crop costs the reading of its whole piece


@dataclass(frozen=True)
class NoisyOptions:
    """Holds the options of the tool. Raises UserError for what cannot be.

    min_size, max_size: of width and height, in pixels.
    holdout: share of the pictures to validate on, or, of a single file, of each picture.
    black, white: the values that stand for 0 and 1; white None: the type's largest; AUTO_WHITE: it is measured.
    max_files: how many are used, None: all.
    workers: threads that decode, None: one a core.
    axes: of arrays and TIFF files, a letter each; None: as the file says, or as is usual.
    nodata: the value that stands for none; None: as the file says.
    """

    min_size: int = MIN_SIDE
    max_size: int = 2**31 - 1
    holdout: float = 0.05
    black: float = 0.0
    white: float | str | None = None
    max_files: int | None = None
    workers: int | None = None
    axes: str | None = None
    nodata: float | None = None

    def __post_init__(self):
        check_counts(self.max_files, self.workers)
        check_sides(self.min_size, self.max_size)
        self.scale.check()
        check_axes(self.axes)
        if not 0 < self.holdout < 1:
            raise UserError(f"--holdout {self.holdout:g}: must be a share of the pictures, above 0 and below 1, e.g. 0.05")

    @property
    def scale(self) -> Scale:
        """Returns the values of black and white in the files."""
        return Scale(self.black, None if self.white == AUTO_WHITE else self.white)


class Page(NamedTuple):
    """A picture of a file.

    path: of the file.
    name: the same, from the input folder on.
    page: the picture's number in the file, from 0.
    pixels: [C,H,W], as they are stored in the shard.
    dtype: of the file.
    found: black and white in the file.
    place: (top, left, height, width), where the pixels are in the page, and its size, if some of it have no value; pixels is
        then the largest rectangle that is without such.
    others: further such rectangles, to train on only.
    """

    path: str
    name: str
    page: int
    pixels: np.ndarray
    dtype: np.dtype
    found: Decided
    place: tuple[int, int, int, int] | None = None
    others: tuple[np.ndarray, ...] = ()

    @property
    def kind(self) -> tuple[str, str]:
        """Returns what must be the same of all pages: 'grey' or 'RGB', and the type as `Source` names it."""
        return COLOURS[self.pixels.shape[0]], kind_of(self.dtype)


def read_pages(path: str, root: str, o: NoisyOptions) -> list[Page] | UserError:
    """Reads the pages of a file; returns what is wrong with it where that cannot be."""
    try:
        picture = read_filled(path, o.nodata, axes=o.axes)
    except UserError as error:
        return error
    name, pages = Path(os.path.relpath(path, root or None)).as_posix(), []
    try:
        if o.white is None and any(page.dtype.kind == "f" for page in picture.pages) and not any(picture.stated):
            raise UserError("holds floats: give --white (and --black), the values that stand for 1 (and 0)")
        for number, (page, found) in enumerate(zip(picture.pages, decided(picture, o.scale), strict=True)):
            height, width = page.shape[:2]
            if min(height, width) < o.min_size or max(height, width) > o.max_size:
                limit = f"--min-size {o.min_size}" if min(height, width) < o.min_size else f"--max-size {o.max_size}"
                raise UserError(f"{width} x {height} pixels, outside {limit}")
            pixels = _stored(page[:, :, : picture.colours], found.scale).transpose(2, 0, 1)
            whole = Page(path, name, number, np.ascontiguousarray(pixels), page.dtype, found)
            holes = picture.holes[number] if picture.holes else None
            pages.append(whole if holes is None else _without(whole, holes.mask, o.min_size))
    except UserError as error:
        return UserError(f"{path}: {error}")
    return pages


def _without(page: Page, holes: np.ndarray, least: int) -> Page:
    """Returns what is left of a page: the largest rectangle without a hole, and the others.

    holes: bool [H,W].
    least: pixels that both sides of them must have.

    Raises UserError where there is none.
    """
    parts = rectangles_without(holes, least)
    if not parts:
        raise UserError(f"no rectangle of {least} x {least} pixels (--min-size) or more is without nodata")
    first, *others = (np.ascontiguousarray(page.pixels[:, rows, columns]) for rows, columns in parts)
    rows, columns = parts[0]
    return page._replace(pixels=first, place=(rows.start, columns.start, *holes.shape), others=tuple(others))


def _stored(pixels: np.ndarray, scale: Scale) -> np.ndarray:
    """Returns pixels as the shard has them: integers as they are, int16 as uint16 from SIGNED_ZERO on, floats as uint16 on
    the scale STORED_FLOATS."""
    if pixels.dtype.kind == "i":
        return (pixels.astype(np.int32) + SIGNED_ZERO).astype(np.uint16)
    if pixels.dtype.kind != "f":
        return pixels.astype(pixels.dtype.newbyteorder("="))
    parts = (pixels.astype(np.float64) - scale.black) / (scale.white - scale.black)  # float64, unlike `Scale.to_float`
    return STORED_FLOATS.to_stored(parts, np.dtype(np.uint16))


def stored_scale(dtype: np.dtype, scale: Scale) -> Scale:
    """Returns the values that stand for black and white in a shard of pictures of a type, which had `scale`."""
    if dtype.kind == "f":
        return STORED_FLOATS
    zero = SIGNED_ZERO if dtype.kind == "i" else 0
    return Scale(scale.black + zero, scale.white + zero)


def pieces(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Cuts [C,H,W] evenly into as few parts as are no larger than LARGEST_PIECE, and yields them."""
    for rows in np.array_split(np.arange(pixels.shape[1]), -(-pixels.shape[1] // LARGEST_PIECE)):
        for columns in np.array_split(np.arange(pixels.shape[2]), -(-pixels.shape[2] // LARGEST_PIECE)):
            yield pixels[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
