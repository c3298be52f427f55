"""A learned noise parameter is positive, and near zero at first: softplus(t - SHIFT) + LEAST of what is learned, t.

SPEC 3.3. `networks.positive` is the same as a graph. squared: whether the root of the parameter is what t stands for.
"""

import math

import numpy as np

SHIFT = 4.0
LEAST = 1e-3


def parameter_from_raw(raw: np.ndarray, squared: bool = False) -> np.ndarray:
    """The noise parameter that each t of an array stands for, float64."""
    value = np.logaddexp(0.0, np.asarray(raw, np.float64) - SHIFT) + LEAST
    return value * value if squared else value


def raw_from_parameter(parameter: float, squared: bool = False) -> float:
    """The inverse, for a noise parameter of 0 or more; of what no t stands for, the t of nearly the least."""
    value = math.sqrt(parameter) if squared else parameter
    return math.log(math.expm1(max(value - LEAST, 1e-6))) + SHIFT
