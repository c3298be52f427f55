"""Which part of the pictures is learned from, and by which it is judged whether that helped. Arithmetic, no TensorFlow."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from dnnlib.denoising.inference.tiling import Region
from dnnlib.denoising.network.architecture import STRIDE

SMALLEST_SIDE = 128  # pixels, of pictures that can be adapted to: so a crop of 96 is left beside a strip
WHOLE_PAGES = 10  # of so many pages and more each tenth is held out
LARGEST_CROP = 128  # pixels a side
_STRIP = 8  # an eighth of a page is held out, where there are fewer


class Parts(NamedTuple):
    """Says what is done with a page: the part that crops come from, and the part they never come from; None: no part."""

    training: Region | None
    held_out: Region | None


def split(sizes: Sequence[tuple[int, int]]) -> list[Parts]:
    """Decides what is held out.

    sizes: height and width of each page, SMALLEST_SIDE or more.

    Of WHOLE_PAGES or more it is every tenth page. Of fewer it is a strip of each, at the end of its longer side, about an
    eighth of it.
    """
    pages = [Region(0, 0, height, width) for height, width in sizes]
    if len(pages) < WHOLE_PAGES:
        return [_without_strip(page) for page in pages]
    is_held_out = [i % WHOLE_PAGES == WHOLE_PAGES - 1 for i in range(len(pages))]
    return [Parts(None, page) if held else Parts(page, None) for page, held in zip(pages, is_held_out, strict=True)]


def crop_side(parts: Sequence[Parts]) -> int:
    """Returns the side of the crops: the largest multiple of the stride that fits into all that is trained on."""
    sides = [min(part.training.height, part.training.width) for part in parts if part.training]
    return min(LARGEST_CROP, min(sides) // STRIDE * STRIDE)


def middle(region: Region, pixels: int) -> Region:
    """Returns the middle of a region, about as square as it can be, of so many pixels at most."""
    shorter = min(region.height, region.width, math.isqrt(pixels))
    longer = min(max(region.height, region.width), pixels // shorter)
    height, width = (shorter, longer) if region.height <= region.width else (longer, shorter)
    top, left = region.top + (region.height - height) // 2, region.left + (region.width - width) // 2
    return Region(top, left, top + height, left + width)


def surrounded(region: Region, pixels: int, height: int, width: int) -> Region:
    """Returns a region with so many pixels around it, from one multiple of the stride to another.

    height, width: of the picture, multiples of the stride.
    """
    top, left = (max(first - pixels, 0) // STRIDE * STRIDE for first in region[:2])
    bottom, right = (-(-(last + pixels) // STRIDE) * STRIDE for last in region[2:])
    return Region(top, left, min(bottom, height), min(right, width))


def _without_strip(page: Region) -> Parts:
    """Cuts a strip off a page."""
    strip = max(round(max(page.height, page.width) / _STRIP / STRIDE), 1) * STRIDE
    if page.width >= page.height:
        cut = page.width - strip
        return Parts(page._replace(right=cut), page._replace(left=cut))
    cut = page.height - strip
    return Parts(page._replace(bottom=cut), page._replace(top=cut))
