"""Noisy pictures beside what a network has made of them, and random crops of both."""

from collections.abc import Sequence

import numpy as np

from dnnlib.denoising.adapting.held_out import SMALLEST_SIDE, split
from dnnlib.denoising.adapting.pages import Page, PageCrops
from dnnlib.denoising.inference.denoise_files import DenoisedPage
from dnnlib.denoising.inference.tiling import Region
from dnnlib.denoising.pictures.holes import rectangles_without
from dnnlib.denoising.pictures.images import middle_of
from dnnlib.denoising.pictures.picture import Picture
from dnnlib.denoising.pictures.scale import Scale

_ROUNDING = 0.3  # of a step, root mean square: 1 / sqrt(12) = 0.29
_LARGEST_SIDE, _MOST_PAGES = 1024, 256  # 1.5 GiB of RGB of 8 bits, noisy and denoised
_TURNS = 1  # stream of random numbers; that of the crops is 0


class Pairs:
    """Keeps pages as they were and as they are denoised; where pixels have no value, rectangles without such.

    For the memory's sake it is the middle of large ones, and of many every second, every fourth and so on.
    """

    def __init__(self, colours: int):
        """Begins with none. colours: 1 or 3, of what is kept."""
        self._colours = colours
        self._kept = []  # of (noisy [H,W,C], denoised likewise, scale)
        self._stride, self._seen = 1, 0

    def add(self, picture: Picture, denoised: Sequence[DenoisedPage]) -> None:
        """Takes a picture and what it became. What is smaller than SMALLEST_SIDE, or of other colours, is left out."""
        if picture.colours != self._colours:
            return
        for noisy, holes, page in zip(
            picture.pages, picture.holes or [None] * len(picture.pages), denoised, strict=True
        ):
            for part in rectangles_without(holes and holes.mask, SMALLEST_SIDE):
                both = [pixels[part][:, :, : picture.colours] for pixels in (noisy, page.pixels)]
                if min(both[0].shape[:2]) >= SMALLEST_SIDE:
                    self._keep(*(middle_of(pixels, _LARGEST_SIDE).copy() for pixels in both), page.scale)

    def _keep(self, noisy: np.ndarray, denoised: np.ndarray, scale: Scale) -> None:
        """Keeps a page, if it is its turn."""
        if self._seen % self._stride == 0:
            self._kept.append((noisy, denoised, scale))
        self._seen += 1
        if len(self._kept) > _MOST_PAGES:
            self._kept, self._stride = self._kept[::2], 2 * self._stride

    def pages(self) -> tuple[list[Page], list[Page]]:
        """Returns the noisy pages and the denoised ones, in one order and with the same parts held out."""
        parts = split([noisy.shape[:2] for noisy, *_ in self._kept])
        noisy = [Page(pixels, scale, part) for (pixels, _, scale), part in zip(self._kept, parts, strict=True)]
        denoised = [Page(pixels, scale, part) for (_, pixels, scale), part in zip(self._kept, parts, strict=True)]
        return noisy, denoised

    @property
    def changed(self) -> bool:
        """Tells whether more was taken out of any page than rounding, of integers, moves the values by."""
        for noisy, denoised, _ in self._kept:
            rounding = _ROUNDING if noisy.dtype.kind in "iu" else 0.0
            if np.sqrt(np.mean((noisy.astype(np.float64) - denoised) ** 2)) > rounding:
                return True
        return False


def read_both(noisy: Page, denoised: Page, region: Region) -> np.ndarray:
    """Returns a region of a page, noisy and denoised, one behind the other: float32 [h,w,2 C], black being 0, white 1."""
    return np.concatenate([noisy.read(region), denoised.read(region)], axis=2)


class PairCrops:
    """Draws squares of what is not held out, turned and mirrored at random.

    Crop number m, of `read_both`, is a function of (seed, m) alone.
    """

    def __init__(self, noisy: Sequence[Page], denoised: Sequence[Page], side: int, seed: int):
        """Prepares for drawing. noisy, denoised: of `Pairs.pages`; side: in pixels."""
        self._crops = PageCrops(noisy, side, seed)  # says where
        self._pairs = [pair for pair in zip(noisy, denoised, strict=True) if pair[0].parts.training]
        self._seed = seed

    def __getitem__(self, number: int) -> np.ndarray:
        """Returns a crop by its number, from 0."""
        index, region = self._crops.place(number)
        random = np.random.Generator(np.random.Philox(key=[self._seed, _TURNS], counter=[0, 0, 0, number]))
        crop = np.rot90(read_both(*self._pairs[index], region), random.integers(4))
        return crop[:, ::-1] if random.integers(2) else crop
