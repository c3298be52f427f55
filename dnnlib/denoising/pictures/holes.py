"""Pixels that are no picture, holes: of a value that stands for none, as around a map, or NaN. Found, filled, put back.

What is shown instead of them is the picture, mirrored at the nearest pixel that has a value: its noise is as anywhere else,
as it is beyond the picture's own edges.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dnnlib.errors import UserError

_ROWS = 256  # looked at together: large pictures would need large temporary arrays
_CLOSE = 2e-6  # of the value; floats lose digits on their way through a tag's text
_MOST_RECTANGLES, _GRID = 64, 512  # cut out of a page, on a grid of at most so many cells a side
_LEAST_SHARE = 0.02  # of the largest rectangle; smaller ones tell little more


@dataclass(frozen=True)
class Holes:
    """Holds which pixels of a page have no value.

    mask: bool [H,W], true there.
    values: [n,C], what is stored there, without alpha.
    """

    mask: np.ndarray
    values: np.ndarray

    def with_value(self, pixels: np.ndarray) -> np.ndarray:
        """Returns those of [H,W,C] that have a value, as [n,1,C]."""
        return pixels[~self.mask][:, np.newaxis]

    def put_back(self, pixels: np.ndarray) -> None:
        """Writes what is stored in the holes into [H,W,C] of any type."""
        pixels[self.mask] = self.values


def holes_in(pixels: np.ndarray, nodata: float | None) -> Holes | None:
    """Finds the pixels that have no value; None: all have one.

    pixels: [H,W,C], without alpha, of any type of pictures.
    nodata: the value that stands for none; None: there is none. Of integers all channels must have it, of floats one. NaN
        and infinities are none anyway.

    Raises UserError where no pixel is left.
    """
    mask = np.zeros(pixels.shape[:2], bool)
    for top in range(0, len(pixels), _ROWS):
        mask[top : top + _ROWS] = _has_none(pixels[top : top + _ROWS], nodata)
    if not mask.any():
        return None
    if mask.all():
        raise UserError("no pixel has a value: all are nodata, NaN or infinite")
    return Holes(mask, pixels[mask])


def _has_none(pixels: np.ndarray, nodata: float | None) -> np.ndarray:
    """Tells of each pixel whether it has no value: bool [H,W]. Parameters as for `holes_in`."""
    if pixels.dtype.kind != "f":
        return np.zeros(pixels.shape[:2], bool) if nodata is None else (pixels == nodata).all(axis=2)
    missing = ~np.isfinite(pixels)
    if nodata is not None and np.isfinite(nodata):
        with np.errstate(invalid="ignore", over="ignore"):
            missing |= np.abs(pixels.astype(np.float64) - nodata) <= abs(nodata) * _CLOSE
    return missing.any(axis=2)


def filled(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns a copy of [H,W,C] in which the holes are filled from their surroundings.

    mask: bool [H,W], true where there is a hole, but not everywhere.

    Each gets the value that lies as far beyond the nearest pixel with a value; where there is none, that pixel's own.
    """
    from scipy.ndimage import distance_transform_edt  # late: few pictures need it

    nearest = distance_transform_edt(mask, return_distances=False, return_indices=True)
    result = pixels.copy()
    for top in range(0, len(mask), _ROWS):
        here = np.stack(np.nonzero(mask[top : top + _ROWS])) + [[top], [0]]
        near = nearest[:, here[0], here[1]]
        beyond = 2 * near - here
        usable = ((beyond >= 0) & (beyond < np.reshape(mask.shape, [2, 1]))).all(axis=0)
        usable[usable] = ~mask[tuple(beyond[:, usable])]
        result[tuple(here)] = pixels[tuple(np.where(usable, beyond, near))]
    return result


def rectangles_without(mask: np.ndarray | None, least: int) -> list[tuple[slice, slice]]:
    """Cuts rectangles without a hole out of a page, the largest first: rows and columns of each.

    mask: bool [H,W], true where there is a hole; None: there is none, and all of the page is what is returned.
    least: pixels that both sides must have.

    Large pages are looked at on a coarser grid, which costs some pixels at the edges of the holes.
    """
    if mask is None:
        return [(slice(None), slice(None))]
    step = max(1, -(-max(mask.shape) // _GRID))
    height, width = (size // step for size in mask.shape)
    free = ~mask[: height * step, : width * step].reshape(height, step, width, step).any(axis=(1, 3))
    found: list[tuple[slice, slice]] = []
    first = 0
    while len(found) < _MOST_RECTANGLES:
        area, top, left, bottom, right = max(_rectangles(free, -(-least // step)), default=(0, 0, 0, 0, 0))
        if area <= first * _LEAST_SHARE:
            break
        first = first or area
        free[top:bottom, left:right] = False
        found.append((slice(top * step, bottom * step), slice(left * step, right * step)))
    return found


def _rectangles(free: np.ndarray, least: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Yields (area, top, left, bottom, right) of all rectangles of free cells that cannot be made any larger to the left,
    right or top, with sides of `least` or more."""
    heights = np.zeros(free.shape[1], int)
    for bottom, row in enumerate(free, 1):
        heights = np.where(row, heights + 1, 0)
        open_bars: list[tuple[int, int]] = []  # where a height begins, rising
        for right, height in enumerate([*heights.tolist(), 0]):
            left = right
            while open_bars and open_bars[-1][1] >= height:
                left, tall = open_bars.pop()
                if tall >= least and right - left >= least:
                    yield tall * (right - left), bottom - tall, left, bottom, right
            open_bars.append((left, height))
