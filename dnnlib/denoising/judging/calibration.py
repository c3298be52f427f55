"""Whether the predicted std is right: how many true values lie within it, and how large the errors are where it is small.

Each value of each channel counts as one. The std is that of the posterior, the same for the channels of a pixel.
"""

import math
from typing import NamedTuple

import numpy as np

STDS = (1, 2, 3)
WITHIN = {k: f"within_{k}" for k in STDS}  # names of the measures
EXPECTED = {k: math.erf(k / math.sqrt(2)) for k in STDS}  # shares within k std, were the errors Gaussian: 0.683, ...
# Bounds of the classes of the std, in parts of white: from a quarter of a grey level to 64, three to each doubling. What is
# outside belongs to the first or the last.
_BOUNDS = np.geomspace(0.25 / 255, 64 / 255, 25)
FEWEST = 1000  # values in a class that is shown: the error of fewer is mere chance


def shares_within(error: np.ndarray, std: np.ndarray) -> dict[str, float]:
    """Returns the share of the values whose error is at most 1, 2 and 3 std, by the names of WITHIN.

    error: [H,W,C], result minus truth.
    std: [H,W], in the same unit.
    """
    size = np.abs(error)
    return {name: float(np.mean(size <= k * std[..., np.newaxis])) for k, name in WITHIN.items()}


class Class(NamedTuple):
    """Holds a point of the reliability curve: values of about the same predicted std, on the scale [0, 1]."""

    std: float  # root mean square of the predicted one
    error: float  # root mean square
    share: float  # of all values


class Reliability:
    """Collects, picture by picture, what the errors are where the predicted std is so and so large.

    A std is calibrated where both are equal (Levi, Gispan, Giladi, Fetaya: Evaluating and Calibrating Uncertainty Prediction
    in Regression Tasks, 2019).
    """

    def __init__(self):
        """Begins with no values."""
        self._count, self._variance, self._error = (np.zeros(len(_BOUNDS) - 1) for _ in range(3))

    def add(self, error: np.ndarray, std: np.ndarray) -> None:
        """Takes a picture. Parameters as for `shares_within`."""
        classes = np.clip(np.searchsorted(_BOUNDS, std.ravel(), side="right") - 1, 0, len(self._count) - 1)
        channels, size = error.shape[-1], len(self._count)
        squares = np.sum(error.astype(np.float64) ** 2, axis=-1).ravel()
        self._count += channels * np.bincount(classes, minlength=size)
        self._variance += channels * np.bincount(classes, std.ravel().astype(np.float64) ** 2, minlength=size)
        self._error += np.bincount(classes, squares, minlength=size)

    def curve(self) -> list[Class]:
        """Returns the points, from the smallest std to the largest; classes of fewer than FEWEST values are left out."""
        total = self._count.sum()
        return [
            Class(math.sqrt(variance / count), math.sqrt(error / count), float(count / total))
            for count, variance, error in zip(self._count, self._variance, self._error, strict=True)
            if count >= FEWEST
        ]
