"""How a picture is cut into tiles so that the results are those of the whole: arithmetic on rows and columns, no TensorFlow.

A network sees only so far. A tile's core is denoised exactly if the network is given the core and all that its outputs
can see of the rest. All edges lie on multiples of the stride, so that the poolings fall on the same pixels.
"""

from typing import NamedTuple

import numpy as np

from dnnlib.denoising.network.architecture import STRIDE
from dnnlib.denoising.network.receptive_field import ReceptiveField
from dnnlib.denoising.pictures.scale import Scale


class Region(NamedTuple):
    """A rectangle of pixels; bottom and right are the first ones outside."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Returns the number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Returns the number of columns."""
        return self.right - self.left

    def within(self, outer: "Region") -> tuple[slice, slice]:
        """Returns the rows and columns counted from the corner of `outer`."""
        rows = slice(self.top - outer.top, self.bottom - outer.top)
        return rows, slice(self.left - outer.left, self.right - outer.left)


def tiles(height: int, width: int, side: int) -> list[Region]:
    """Cuts height x width into tiles of side x side, less at the bottom and right; side 0: one tile."""
    step = side or max(height, width)
    return [
        Region(top, left, min(top + step, height), min(left + step, width))
        for top in range(0, height, step)
        for left in range(0, width, step)
    ]


def surroundings(core: Region, field: ReceptiveField, quarter_turns: int, height: int, width: int) -> Region:
    """Returns the part of a picture that the outputs in a tile, the core, depend on.

    core: the tile.
    field: how far the network sees, in pixels.
    quarter_turns: of the picture before it goes through the network, up being then right, down and left of the core.
    height, width: of the picture, in pixels.
    """
    unturned = (field.up, field.side, field.down, field.side)
    top, right, bottom, left = (unturned[(i - quarter_turns) % 4] for i in range(4))
    return Region(
        max(core.top - top, 0), max(core.left - left, 0), min(core.bottom + bottom, height), min(core.right + right, width)
    )


class PaddedPicture:
    """A picture as the network is to see it, region by region: float32 on the scale [0, 1], padded by reflection.

    Its sides are multiples of the stride; the padding is at the bottom and right. Nothing is copied but the regions that
    are asked for.
    """

    def __init__(self, pixels: np.ndarray, scale: Scale, channels: int):
        """Takes a picture as it is stored.

        pixels: [H,W,C], of any real type.
        scale: the values that become 0 and 1.
        channels: how many are wanted: C, or more, for which one is repeated.
        """
        self._pixels, self._scale, self._channels = pixels, scale, channels
        self._rows, self._columns = (_reflected(size) for size in pixels.shape[:2])
        self.height, self.width = len(self._rows), len(self._columns)

    def read(self, region: Region) -> np.ndarray:
        """Reads a region: float32 [height, width, channels]."""
        rows, columns = self._rows[region.top : region.bottom], self._columns[region.left : region.right]
        part = self._scale.to_float(self._pixels[rows[:, np.newaxis], columns])
        return np.broadcast_to(part, (*part.shape[:2], self._channels))


def _reflected(size: int) -> np.ndarray:
    """Returns 0..size-1 and on by reflection up to a multiple of the stride; one pixel alone is repeated."""
    return np.pad(np.arange(size), (0, -size % STRIDE), mode="reflect")
