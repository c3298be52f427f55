"""How a picture is cut into tiles so that the results are those of the whole: arithmetic on rows and columns, no TensorFlow.

A network sees only so far. A tile's core is denoised exactly if the network is given the core and all that its outputs
can see of the rest. All edges lie on multiples of the stride, so that the poolings fall on the same pixels.
"""

import functools
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.architecture import POOLINGS, STRIDE, hole_shift
from dnnlib.denoising.picture_scale import float_from


class Region(NamedTuple):
    """A rectangle of pixels; bottom and right are the first ones outside."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def within(self, outer: "Region") -> tuple[slice, slice]:
        """Its rows and columns counted from the corner of `outer`."""
        rows = slice(self.top - outer.top, self.bottom - outer.top)
        return rows, slice(self.left - outer.left, self.right - outer.left)


class Reach(NamedTuple):
    """How many pixels beyond a core's edge a network may look, multiples of the stride."""

    up: int
    down: int
    side: int


def sight(first: int, last: int, blind: bool, hole_size: int = 1) -> tuple[int, int]:
    """The first and last row of the input that the trunk's output rows first..last can depend on.

    blind: the trunk looks only upwards, and its output is shifted down by a row, or more for a larger hole. Columns are
    seen as if it did not.
    """

    def conv(rows):
        return (rows[0] - 2, rows[1]) if blind else (rows[0] - 1, rows[1] + 1)

    def pool(rows):  # a blind map is shifted down before
        return (2 * rows[0] - 1, 2 * rows[1]) if blind else (2 * rows[0], 2 * rows[1] + 1)

    shift = hole_shift(hole_size) if blind else 0
    rows = (first - shift, last - shift)
    skips = []
    for _ in range(POOLINGS):  # the decoder, from its end
        rows = conv(conv(rows))
        skips.append(rows)
        rows = (rows[0] // 2, rows[1] // 2)
    rows = conv(rows)  # the bottom
    for _ in range(POOLINGS):  # the encoder, from its end
        skip = skips.pop()
        rows = conv(pool(rows))
        rows = (min(rows[0], skip[0]), max(rows[1], skip[1]))
    return conv(rows)  # enc_conv0 comes before the first level's convolution


@functools.cache
def reach(blind: bool, hole_size: int = 1) -> Reach:
    """Of the trunk of the blind-spot network (288, 0, 128), or of the plain one (128, 128, 128)."""

    def rounded(pixels: int) -> int:
        return -(-max(pixels, 0) // STRIDE) * STRIDE

    first, last = sight(0, STRIDE - 1, blind, hole_size)
    left, right = sight(0, STRIDE - 1, blind=False)
    return Reach(rounded(-first), rounded(last - STRIDE + 1), rounded(max(-left, right - STRIDE + 1)))


def cores(height: int, width: int, side: int) -> list[Region]:
    """Tiles of side x side, less at the bottom and right, that cover height x width; side 0: one tile."""
    step = side or max(height, width)
    return [
        Region(top, left, min(top + step, height), min(left + step, width))
        for top in range(0, height, step)
        for left in range(0, width, step)
    ]


def surroundings(core: Region, reach: Reach, quarter_turns: int, height: int, width: int) -> Region:
    """The part of a picture of height x width that the core's outputs depend on.

    quarter_turns: of the picture before it goes through the network; up is then right, down and left of the core.
    """
    unturned = (reach.up, reach.side, reach.down, reach.side)
    top, right, bottom, left = (unturned[(i - quarter_turns) % 4] for i in range(4))
    return Region(
        max(core.top - top, 0), max(core.left - left, 0), min(core.bottom + bottom, height), min(core.right + right, width)
    )


class PaddedPicture:
    """A picture as the network is to see it, region by region: float32 on the scale [0, 1], of sides that are multiples of
    the stride, by reflection at the bottom and right. Nothing is copied but the regions that are asked for."""

    def __init__(self, pixels: np.ndarray, white: float, channels: int, black: float = 0.0):
        """pixels [H,W,C] of any real type; black, white: what becomes 0 and 1; channels: C, or more: one is repeated."""
        self._pixels, self._channels = pixels, channels
        self._levels = black, white
        self._rows, self._columns = (_reflected(size) for size in pixels.shape[:2])
        self.height, self.width = len(self._rows), len(self._columns)

    def read(self, region: Region) -> np.ndarray:
        """float32 [height, width, channels]."""
        rows, columns = self._rows[region.top : region.bottom], self._columns[region.left : region.right]
        part = float_from(self._pixels[rows[:, np.newaxis], columns], *self._levels)
        return np.broadcast_to(part, (*part.shape[:2], self._channels))


def _reflected(size: int) -> np.ndarray:
    """0..size-1 and on by reflection up to a multiple of the stride; one pixel alone is repeated."""
    return np.pad(np.arange(size), (0, -size % STRIDE), mode="reflect")
