"""Which values of a picture stand for black and white, and what they are between them. For all types that pictures have."""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from dnnlib.errors import UserError

COLOURS = {1: "grey", 3: "RGB"}  # by number of channels
PIXEL_TYPES = "uint8, uint16 or float32"  # that others are to be converted to
_PIXEL_KINDS = {("u", 1), ("u", 2), ("i", 2), ("f", 2), ("f", 4), ("f", 8)}  # with the bytes of each


@dataclass(frozen=True)
class Scale:
    """Holds the values of a picture that stand for black, 0, and white, 1, and scales pixels by them.

    White None, as where the user names none, is that of the pixels' type: `of` fills it in, before anything is scaled.
    """

    black: float = 0.0
    white: float | None = None

    def of(self, dtype: np.dtype) -> "Scale":
        """Returns the scale of pixels of a type: white, where it is not told, is an integer type's largest or 1 of floats.

        Raises UserError for what pictures are not made of.
        """
        largest = largest_of(dtype)
        return self if self.white is not None else replace(self, white=float(largest or 1.0))

    def check(self) -> None:
        """Raises UserError, naming the option, where values are told that cannot stand for white and black."""
        if not math.isfinite(self.black):
            raise UserError(f"--black {self.black:g}: must be a number")
        if self.white is not None and not self.black < self.white < math.inf:
            above = f"--black {self.black:g}" if self.black else 0
            raise UserError(f"--white {self.white:g}: must be a number above {above}")

    def to_float(self, stored: np.ndarray) -> np.ndarray:
        """Scales pixels of any type and shape to float32: black becomes 0 and white 1; what is outside stays outside."""
        return (stored.astype(np.float32) - np.float32(self.black)) * np.float32(1 / (self.white - self.black))

    def to_stored(self, parts: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Scales floats of any shape back to pixels of a type: 0 becomes black and 1 white.

        Integers are rounded and clipped to their type, floats are neither.
        """
        return as_stored(self.to_values(parts), dtype)

    def to_values(self, parts: np.ndarray) -> np.ndarray:
        """Scales floats of any shape to values of the pixels' scale, not rounded yet: 0 becomes black and 1 white."""
        return self.spread(parts) + parts.dtype.type(self.black)

    def spread(self, parts: np.ndarray) -> np.ndarray:
        """Scales floats that are differences, as a standard deviation is, to the pixels' own units."""
        return parts * parts.dtype.type(self.white - self.black)


UNTOLD = Scale()  # what the user tells who tells nothing


class Source(NamedTuple):
    """Says what pictures were before they were stored, or learned from.

    dtype: one of SOURCE_TYPES.
    scale: the values that stood for black and white.
    """

    dtype: str
    scale: Scale

    def as_settings(self) -> dict[str, str | float]:
        """Returns plain values, which `from_settings` reads."""
        return {"dtype": self.dtype, "black": float(self.scale.black), "white": float(self.scale.white)}

    @classmethod
    def from_settings(cls, values: Any) -> "Source":
        """Reads what `as_settings` made. Raises ValueError for anything else."""
        if not isinstance(values, dict) or values.get("dtype") not in SOURCE_TYPES:
            raise ValueError("they are of no type that pictures have")
        black, white = (values.get(name) for name in ("black", "white"))
        if not all(type(x) in (int, float) and math.isfinite(x) for x in (black, white)) or black >= white:
            raise ValueError("their black and white are no such numbers")
        return cls(values["dtype"], Scale(float(black), float(white)))


SOURCE_TYPES = ("uint8", "uint16", "int16", "float")  # the last of any size


def kind_of(dtype: np.dtype) -> str:
    """Names a type as `Source` does: all sizes of floats are alike."""
    return "float" if dtype.kind == "f" else dtype.name


@dataclass(frozen=True)
class Stated:
    """Holds what the tags of a file state of its values.

    white, black: the values that stand for them.
    tag: by which tag, in words.
    may_be_statistic: whether writers also use the tag for the largest value that happens to be in the picture.
    """

    white: float
    tag: str
    black: float = 0.0
    may_be_statistic: bool = False

    @property
    def is_of_bits(self) -> bool:
        """Tells whether white is the largest value of a number of bits."""
        return math.log2(self.white + 1).is_integer()

    def is_statistic(self, highest: float) -> bool:
        """Tells whether white is only the highest value in the pictures, and no bound that a number of bits sets."""
        return self.may_be_statistic and not self.is_of_bits and math.isclose(self.white, highest, rel_tol=1e-6)

    def black_of(self, lowest: float) -> float:
        """Returns black, which is 0 where what is stated is only the lowest value in the pictures."""
        return 0.0 if self.may_be_statistic and math.isclose(self.black, lowest, rel_tol=1e-6) else self.black


def as_stored(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Makes pixels of a type of values of their scale: integers are rounded and clipped to it, floats are neither."""
    if largest_of(dtype) is None:
        return values.astype(dtype)
    return np.clip(np.rint(values), np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)


def largest_of(dtype: np.dtype) -> int | None:
    """Returns the largest value of an integer type, None for floats. Raises UserError for what pictures are not made of."""
    if not is_of_pictures(dtype):
        raise UserError(f"pictures of {dtype} are not supported: convert it to {PIXEL_TYPES}")
    return None if dtype.kind == "f" else np.iinfo(dtype).max


def is_of_pictures(dtype: np.dtype | None) -> bool:
    """Tells whether pictures may be made of a type: uint8, uint16, int16, and floats of up to 64 bits."""
    return dtype is not None and (dtype.kind, dtype.itemsize) in _PIXEL_KINDS
