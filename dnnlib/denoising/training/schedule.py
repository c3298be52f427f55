"""What changes along the training schedule, as numbers: learning rate and annealed exponent (SPEC 6.1, 6.2)."""

import math
from collections.abc import Callable

RAMP_UP, RAMP_DOWN = 0.1, 0.3  # shares of the schedule


def cosine_ramps(n: int, num_iter: int) -> float:
    """Returns the factor on the base rate at image n of num_iter: a cosine up over the first 10 %, a squared cosine down
    over the last 30 %."""
    factor = 1.0
    if n <= RAMP_UP * num_iter:
        factor *= 0.5 - 0.5 * math.cos(math.pi * n / (RAMP_UP * num_iter))
    if n >= (1.0 - RAMP_DOWN) * num_iter:
        factor *= (0.5 + 0.5 * math.cos(math.pi * (n - (1.0 - RAMP_DOWN) * num_iter) / (RAMP_DOWN * num_iter))) ** 2
    return factor


def learning_rate(n: int, num_iter: int, base: float, shape: Callable[[int, int], float] = cosine_ramps) -> float:
    """Returns the learning rate of the step at image n.

    n, num_iter: the step's first image, and the length of the schedule in images.
    base: the rate between the ramps.
    shape: from n and num_iter to the factor on it.
    """
    return base * shape(n, num_iter)


def loss_exponent(n: int, num_iter: int) -> float:
    """Returns the exponent of the loss under impulse noise: from the mean (2) towards the mode (0.5)."""
    return max(0.5, 2.0 - 2.0 * n / num_iter)
