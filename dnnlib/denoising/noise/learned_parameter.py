"""What a learned noise parameter is made of: softplus(t - START_OFFSET) + floor of the raw value t (SPEC 3.3).

So it is positive, and near zero where t starts, at 0. `noise_parameter.positive` is the same as a graph. learns_root:
whether t stands for the root of the parameter (`NoiseStyle.learns_root`). The floor is SMALLEST but for real noise, which
can be weaker, as of a dim camera whose white is that of 16 bits.
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

START_OFFSET = 4.0  # softplus(-4) is 0.018: a weak noise
SMALLEST = 1e-3  # published
SMALLEST_REAL = 1e-5  # less than a step of 16 bits; of networks of before there was one, SMALLEST


def parameter_from_raw(raw: "np.ndarray", learns_root: bool = False, floor: float = SMALLEST) -> "np.ndarray":
    """Returns the noise parameters that raw values of any shape stand for, float64."""
    import numpy as np  # late: command lines are read with the floors at hand

    value = np.logaddexp(0.0, np.asarray(raw, np.float64) - START_OFFSET) + floor
    return value * value if learns_root else value


def raw_from_parameter(parameter: float, learns_root: bool = False, floor: float = SMALLEST) -> float:
    """Returns the raw value that stands for a parameter of 0 or more; nearly the smallest, where none does."""
    value = math.sqrt(parameter) if learns_root else parameter
    return math.log(math.expm1(max(value - floor, 1e-6))) + START_OFFSET
