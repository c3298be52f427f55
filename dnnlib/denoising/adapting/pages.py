"""The pictures that a network adapts to: all their pages as they are stored, and random crops of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from dnnlib.denoising.adapting.held_out import SMALLEST_SIDE, Parts, split
from dnnlib.denoising.inference.tiling import Region
from dnnlib.denoising.pictures.decided_scale import decided
from dnnlib.denoising.pictures.files import read_filled
from dnnlib.denoising.pictures.holes import rectangles_without
from dnnlib.denoising.pictures.scale import COLOURS, Scale, Source, kind_of, largest_of
from dnnlib.errors import UserError


@dataclass(frozen=True)
class Page:
    """Holds a page: pixels [H,W,C] of any type, without alpha, the values of black and white, and what is held out."""

    pixels: np.ndarray
    scale: Scale
    parts: Parts

    def read(self, region: Region) -> np.ndarray:
        """Returns a region as the network is to see it: float32 [height, width, C], black being 0 and white 1."""
        return self.scale.to_float(self.pixels[region.top : region.bottom, region.left : region.right])

    @property
    def limits(self) -> np.ndarray:
        """Returns what becomes of the values at which the noise may have been clipped, bit for bit as in what is read."""
        largest = largest_of(self.pixels.dtype)
        values = [self.scale.black, self.scale.white] if largest is None else [0.0, self.scale.white, largest]
        return self.scale.to_float(np.array(values))


def read_pages(
    paths: Sequence[str], told: Scale, axes: str | None = None, nodata: float | None = None,
    trained: Mapping[int, Source | None] = MappingProxyType({}), option: str = "--adapt",
    remedy: str = "denoise without --adapt",
) -> list[Page]:  # fmt: skip
    """Reads all pages of all pictures, and decides what is held out of them.

    Where pixels have no value, a page is each rectangle without such that is large enough.

    paths: of the files. One that cannot be denoised is left out here: who denoises it will say why.
    told, axes, nodata: black and white, the axes, and the value that stands for none, as the user told them.
    trained: what the networks for 1 and 3 colours were trained on, see `decided`.
    option, remedy: for messages: what they are read for, and what to do where they cannot be learned from.

    Raises UserError where no file can be read, where a page is too small, and where some are grey and others RGB.
    """
    found: list[tuple[np.ndarray, Scale]] = []
    first_of: dict[int, str] = {}  # number of colours -> the first file of that kind
    failure = None
    for path in paths:
        try:
            pages = _pages_of(path, told, nodata, trained, axes)
        except UserError as error:
            failure = failure or error
            continue
        for pixels, _ in pages:
            height, width, colours = pixels.shape
            if min(height, width) < SMALLEST_SIDE:
                raise UserError(
                    f"{option}: {path} is {width} x {height}, and pictures to learn from must have {SMALLEST_SIDE} pixels "
                    f"or more a side; {remedy}"
                )
            first_of.setdefault(colours, path)
        if len(first_of) > 1:
            kinds = " and ".join(f"{name} is {COLOURS[colours]}" for colours, name in first_of.items())
            raise UserError(f"{option}: {kinds}, and a network learns one kind at a time: denoise them one after the other")
        found += pages
    if not found:
        raise failure or UserError(
            f"{option}: no rectangle of {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels or more is without nodata; {remedy}"
        )
    parts = split([pixels.shape[:2] for pixels, _ in found])
    return [Page(pixels, scale, part) for (pixels, scale), part in zip(found, parts, strict=True)]


def source_of(pages: Sequence[Page]) -> Source | None:
    """Returns the type, and black and white, that all pages have in common; None where they have not."""
    sources = {Source(kind_of(page.pixels.dtype), page.scale) for page in pages}
    return sources.pop() if len(sources) == 1 else None


def _pages_of(
    path: str, told: Scale, nodata: float | None, trained: Mapping[int, Source | None], axes: str | None
) -> list[tuple[np.ndarray, Scale]]:
    """Reads the pages of a file, each [H,W,C] with its scale. Raises UserError where it cannot be denoised.

    Of pages with pixels that have no value it is the rectangles without.
    """
    try:
        picture = read_filled(path, nodata, axes=axes)
        try:
            scales = [page.scale for page in decided(picture, told, trained.get(picture.colours))]
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        pages = [page[:, :, : picture.colours] for page in picture.pages]
        if not all(page.size for page in pages):
            raise UserError(f"{path}: the picture has no pixels")
        found: list[tuple[np.ndarray, Scale]] = []
        for pixels, scale, holes in zip(pages, scales, picture.holes or [None] * len(pages), strict=True):
            found += [(pixels[part], scale) for part in rectangles_without(holes and holes.mask, SMALLEST_SIDE)]
        return found
    except MemoryError as error:
        raise UserError(f"{path}: does not fit in memory") from error


class PageCrops:
    """Draws squares of what is not held out: crop number m, float32 [side,side,C], is a function of (seed, m) alone."""

    def __init__(self, pages: Sequence[Page], side: int, seed: int):
        """Prepares for drawing. side: in pixels; all that is trained on is at least as large."""
        self._pages = [page for page in pages if page.parts.training]
        areas = np.array([page.parts.training.height * page.parts.training.width for page in self._pages], np.float64)
        self._shares = areas / areas.sum()  # so all pixels count alike, whichever picture they are in
        self._side, self._seed = side, seed

    @property
    def limits(self) -> np.ndarray:
        """Returns the values at which the noise may have been clipped."""
        return np.unique(np.concatenate([page.limits for page in self._pages]))

    def __getitem__(self, number: int) -> np.ndarray:
        """Returns a crop by its number, from 0."""
        page, region = self.place(number)
        return self._pages[page].read(region)

    def place(self, number: int) -> tuple[int, Region]:
        """Returns where a crop is from: the page, counted among those that are trained on, and the square in it."""
        random = np.random.Generator(np.random.Philox(key=[self._seed, 0], counter=[0, 0, 0, number]))
        page = int(random.choice(len(self._pages), p=self._shares))
        part = self._pages[page].parts.training
        top = int(random.integers(part.top, part.bottom - self._side, endpoint=True))
        left = int(random.integers(part.left, part.right - self._side, endpoint=True))
        return page, Region(top, left, top + self._side, left + self._side)
