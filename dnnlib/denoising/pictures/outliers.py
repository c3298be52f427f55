"""Finds values that can be no light: far beyond all others, as -9999 or 1e30 among floats from 0 to 1."""

from collections.abc import Sequence

import numpy as np

from dnnlib.denoising.pictures.scale import Scale, largest_of

_MOST = 3  # such values; where there are more they are no single ones that stand for something
_APART = 0.5  # of the range of all others: from there to the nearest of them
_BEYOND = 2.0  # times white, or 1 below black: where floats are suspected


def outliers(pages: Sequence[np.ndarray], lowest: float, highest: float, scale: Scale) -> list[float]:
    """Returns the values that are far beyond all others, at most _MOST.

    pages: [H,W,C], of one type.
    lowest, highest: of all their values.
    scale: their black and white. Of floats only values beyond it count, of integers only the largest of 16 bits and
        values below black.
    """
    found: list[float] = []
    while len(found) < _MOST:
        for end, other in ((highest, lowest), (lowest, highest)):
            near = _next(pages, end, other) if _is_suspect(end, scale, pages[0].dtype) else other
            if near != other and abs(end - near) >= _APART * abs(near - other):
                found.append(end)
                lowest, highest = sorted((near, other))
                break
        else:
            break
    return found


def named(values: Sequence[float]) -> str:
    """Says what to do about `outliers`, in words that end a sentence."""
    texts = [f"{value:.7g}" for value in values]  # exact enough to be found again
    if len(texts) == 1:
        return f"if {texts[0]} stands for pixels without a value, give --nodata={texts[0]}"
    return f"if {', '.join(texts)} stand for pixels without a value, give one as --nodata, and make the others NaN"


def _is_suspect(value: float, scale: Scale, dtype: np.dtype) -> bool:
    """Tells whether a value may be an outlier at all."""
    if dtype.kind == "i":
        return value < scale.black or value == largest_of(dtype)
    if dtype.kind != "f":
        return dtype.itemsize == 2 and value == largest_of(dtype)
    part = (value - scale.black) / (scale.white - scale.black)
    return part > _BEYOND or part < 1 - _BEYOND


def _next(pages: Sequence[np.ndarray], end: float, other: float) -> float:
    """Returns the value that is nearest to one end of all values, towards the other end."""
    if other < end:
        return max(float(np.max(page, where=page < end, initial=other)) for page in pages)
    return min(float(np.min(page, where=page > end, initial=other)) for page in pages)
