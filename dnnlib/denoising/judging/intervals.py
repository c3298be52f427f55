"""The mean over pictures, and how sure it is: a bootstrap over pictures, whose repetitions are averaged first.

Repetitions of one picture with other noise are nearly the same figure again: to count them as further pictures would make
any interval look far too narrow. What varies is the picture, and the next one is of somebody else.
"""

import math
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
RESAMPLES = 9_999
SEED = 0
METHOD = "bootstrap over pictures, bias-corrected and accelerated (BCa); repetitions of a picture are averaged first"


class Interval(NamedTuple):
    """Holds a mean over pictures and the bounds of its interval, NaN where there is none: of one picture, of infinities."""

    mean: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Tells whether there are bounds."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def by_picture(values: np.ndarray, pictures: int) -> np.ndarray:
    """Averages repetitions.

    values: [repetitions * pictures], pass after pass.

    Returns one value a picture, NaN where it is unknown in a repetition.
    """
    return np.asarray(values, np.float64).reshape(-1, pictures).mean(axis=0)


def interval_of_mean(values: np.ndarray) -> Interval:
    """Returns the mean of one value a picture with its 95 % interval, the same each time; unknown ones (NaN) do not count.

    Efron, Tibshirani: An Introduction to the Bootstrap (1993), chapter 14, by scipy.stats.bootstrap.
    """
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if not values.size:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(values.mean())
    if values.size < 2 or not np.isfinite(values).all():
        return Interval(mean, math.nan, math.nan)
    if (values == values[0]).all():  # nothing to resample
        return Interval(mean, mean, mean)
    from scipy.stats import bootstrap  # late: it takes a while to import

    random = np.random.default_rng(SEED)
    found = bootstrap((values,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, random_state=random)
    return Interval(mean, float(found.confidence_interval.low), float(found.confidence_interval.high))
