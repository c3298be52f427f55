"""How far float32's rounding may carry a result: measured on the network, so that no CPU's own rounding is a yardstick.

A convolution in float32 is, whatever the order of its sums, the exact one with kernels that are off by some units of
u = 2^-24: in sums of K products by sqrt(K) u, for errors are as often up as down (Higham and Mary: A new approach to
probabilistic rounding error analysis, 2019). So results are computed again with kernels that are off by that much at
random. How far they move tells how each pixel magnifies rounding; two right results differ by a few times that.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dnnlib.tflib.runtime import initialize

UNIT = 2.0**-24  # half the distance from 1 to the next float32
BFLOAT16_UNIT = 2.0**-9
DRAWS = 3
TIMES = 4  # a difference of two results, against the largest of so few draws


def nearby(variables: Mapping[str, np.ndarray], seed: int, unit: float = UNIT, terms: bool = True) -> dict[str, np.ndarray]:
    """Returns the variables as rounding makes them act: each off by `unit` times sqrt(K); without `terms`, K is 1."""
    random = np.random.default_rng(seed)
    moved = {}
    for name, value in variables.items():
        size = unit * np.sqrt(np.prod(value.shape[:-1])) if terms else unit
        moved[name] = (value * (1 + size * random.choice([-1.0, 1.0], value.shape))).astype(np.float32)
    return moved


def spreads(session, variables: Mapping[str, np.ndarray], results: Callable[[], Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Measures how far rounding moves each number of what `results` computes: float64 arrays, in the same order.

    session: on the graph of which `results` makes use; it is given the variables, others, and at the end these again.
    """
    initialize(session, variables)
    given = [np.array(x, np.float64) for x in results()]
    found = [np.zeros_like(x) for x in given]
    for seed in range(DRAWS):
        initialize(session, nearby(variables, seed))
        found = [np.maximum(f, np.abs(x - y)) for f, x, y in zip(found, given, results(), strict=True)]
    initialize(session, variables)
    return found


def tolerance(spread: np.ndarray) -> np.ndarray:
    """Returns how far two right results may be apart, each number. Where chance made all draws small, the others count."""
    return TIMES * (spread + np.sqrt(np.mean(spread**2)))


def assert_equal_but_for_rounding(ours, other, spread: np.ndarray, name: str = "") -> None:
    """Compares two results of the same computation, of which `spreads` has given the spread."""
    np.testing.assert_equal(np.shape(ours), np.shape(other))
    difference = np.abs(np.asarray(ours, np.float64) - other)
    allowed = tolerance(spread) + 2 * UNIT * np.abs(other)  # at the end each is rounded to float32
    assert (difference <= allowed).all(), f"{name}: off by {difference.max():.3g}, rounding by {np.max(allowed):.3g}"


def assert_no_rounding(ours, other, spread: np.ndarray) -> None:
    """Compares the results of two computations of which one has a mistake: nearly everywhere more than rounding explains."""
    excess = np.abs(np.asarray(ours, np.float64) - other) / tolerance(spread)
    assert np.quantile(excess, 0.1) > 10 and np.median(excess) > 100, np.quantile(excess, [0.1, 0.5])
