"""Whether one result is better than another, by the pictures' differences: the same noise was drawn for both.

What makes a picture hard is the same for both, and drops out. So far smaller differences can be told than the intervals of
the two means would let one think.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.judging.intervals import LEVEL, RESAMPLES, SEED, interval_of_mean


class Difference(NamedTuple):
    """Holds the mean over pictures of one result minus another, its interval, and how easily chance makes such a one."""

    mean: float
    low: float
    high: float
    p: float  # two-sided
    p_of_all: float  # where several comparisons are made at a time: so that chance makes a false one in 5 % of the cases
    pictures: int

    @property
    def holds(self) -> bool:
        """Tells whether there is a difference, beyond doubt of 5 %: by the test, and by the interval."""
        return self.p_of_all < 1 - LEVEL and (self.low > 0 or self.high < 0)


def difference(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """Compares two results by one value a picture; pictures of which one is not known or infinite do not count."""
    found = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    both = np.isfinite(ours) & np.isfinite(theirs)
    found = found[both]
    interval, p = interval_of_mean(found), p_value(found)
    return Difference(*interval, p, p, len(found))


def p_value(differences: np.ndarray) -> float:
    """Returns how often the mean would be as far from zero, were the sign of each difference a coin's toss; NaN of none.

    A permutation test of pairs (Fisher, The Design of Experiments, 1935, section 21): exact for up to 13 pictures, else by
    random signs, the same each time. Of n pictures it is never below 2 / 2^n.
    """
    if not len(differences):
        return math.nan
    if len(differences) == 1 or not differences.any():
        return 1.0
    from scipy.stats import permutation_test  # late: it takes a while to import

    def mean(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
        """Returns the mean difference of pairs."""
        return np.mean(one - other, axis=axis)

    pairs = differences / 2, -differences / 2  # to exchange the two of a pair turns the sign
    found = permutation_test(
        pairs, mean, permutation_type="samples", vectorized=True, n_resamples=RESAMPLES,
        random_state=np.random.default_rng(SEED),
    )  # fmt: skip
    return float(found.pvalue)


def of_all(differences: Sequence[Difference]) -> list[Difference]:
    """Returns the differences with p-values for all of them together (Holm, A Simple Sequentially Rejective Multiple Test
    Procedure, 1979); where there is one, nothing changes."""
    order = sorted(range(len(differences)), key=lambda i: (math.isnan(differences[i].p), differences[i].p))
    known = [i for i in order if not math.isnan(differences[i].p)]
    found, least = list(differences), 0.0
    for rank, i in enumerate(known):
        least = min(1.0, max(least, (len(known) - rank) * differences[i].p))
        found[i] = differences[i]._replace(p_of_all=least)
    return found


def as_json(differences: Mapping[str, Difference]) -> dict:
    """Returns differences for evaluation.json, by the names of measures."""
    return {name: {**found._asdict(), "holds": found.holds} for name, found in differences.items()}
