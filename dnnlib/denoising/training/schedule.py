"""What changes along the training schedule, as numbers: learning rate and annealed exponent (SPEC 6.1, 6.2)."""

import math

RAMP_UP, RAMP_DOWN = 0.1, 0.3  # shares of the schedule


def learning_rate(n: int, num_iter: int, base: float) -> float:
    """Learning rate at image n of num_iter: a cosine up over the first 10 %, a squared cosine down over the last 30 %."""
    rate = base
    if n <= RAMP_UP * num_iter:
        rate *= 0.5 - 0.5 * math.cos(math.pi * n / (RAMP_UP * num_iter))
    if n >= (1.0 - RAMP_DOWN) * num_iter:
        rate *= (0.5 + 0.5 * math.cos(math.pi * (n - (1.0 - RAMP_DOWN) * num_iter) / (RAMP_DOWN * num_iter))) ** 2
    return rate


def loss_exponent(n: int, num_iter: int) -> float:
    """Exponent of the loss under impulse noise: from the mean (2) towards the mode (0.5)."""
    return max(0.5, 2.0 - 2.0 * n / num_iter)
