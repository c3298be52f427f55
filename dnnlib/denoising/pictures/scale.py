"""Which values of a picture stand for black and white, and what they are between them. For all types that pictures have."""

import math

import numpy as np

from dnnlib.errors import UserError

COLOURS = {1: "grey", 3: "RGB"}  # by number of channels


def largest_of(dtype: np.dtype) -> int | None:
    """The largest value of an integer type, None for floats. Raises UserError for what pictures are not made of."""
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return None
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return np.iinfo(dtype).max
    raise UserError(f"pictures of {dtype} are not supported: convert it to uint8, uint16 or float32")


def white_of(dtype: np.dtype, white: float | None = None) -> float:
    """The value of white: as given, or else the largest of an integer type and 1 for floats."""
    return white if white is not None else float(largest_of(dtype) or 1.0)


def float_from(stored: np.ndarray, black: float, white: float) -> np.ndarray:
    """float32 of the same shape: black becomes 0 and white 1; what is outside stays outside."""
    return (stored.astype(np.float32) - np.float32(black)) * np.float32(1 / (white - black))


def check_white(white: float | None, black: float = 0.0) -> None:
    """Raises UserError where values are given that cannot stand for white and black."""
    if not math.isfinite(black):
        raise UserError(f"--black {black:g}: must be a number")
    if white is not None and not black < white < math.inf:
        raise UserError(f"--white {white:g}: must be a number above {f'--black {black:g}' if black else 0}")
