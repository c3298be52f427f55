"""What changes along the training schedule, as numbers: learning rate and annealed exponent (SPEC 6.1, 6.2)."""

import math

from dnnlib.denoising.options import TrainingOptions

RAMP_UP, RAMP_DOWN = 0.1, 0.3  # shares of the schedule
WARM_UP = 0.05  # likewise, where the rate decays linearly


def cosine_ramps(n: int, num_iter: int) -> float:
    """Returns the factor on the base rate at image n of num_iter: a cosine up over the first 10 %, a squared cosine down
    over the last 30 %."""
    factor = 1.0
    if n <= RAMP_UP * num_iter:
        factor *= 0.5 - 0.5 * math.cos(math.pi * n / (RAMP_UP * num_iter))
    if n >= (1.0 - RAMP_DOWN) * num_iter:
        factor *= (0.5 + 0.5 * math.cos(math.pi * (n - (1.0 - RAMP_DOWN) * num_iter) / (RAMP_DOWN * num_iter))) ** 2
    return factor


def linear_decay(n: int, num_iter: int) -> float:
    """Returns the factor on the base rate at image n of num_iter: up over the first 5 %, times a line down to 0."""
    return min(1.0, (n + 1) / (WARM_UP * num_iter)) * max(0.0, 1.0 - n / num_iter)


RATE_SHAPES = {"ramps": cosine_ramps, "linear": linear_decay}


def learning_rate(n: int, options: TrainingOptions) -> float:
    """Returns the learning rate of the step at image n. options: of them num_iter, learning_rate and rate_shape."""
    return options.learning_rate * RATE_SHAPES[options.rate_shape](n, options.num_iter)


def crop_side(number: int, options: TrainingOptions) -> int:
    """Returns the side of crop `number` in pixels: larger ones in the steps of the last END_SHARE of the images."""
    n = number - number % options.minibatch_size
    late = n >= (1.0 - options.end_share) * options.num_iter
    return options.largest_crop if late else options.train_resolution


def loss_exponent(n: int, num_iter: int) -> float:
    """Returns the exponent of the loss under impulse noise: from the mean (2) towards the mode (0.5)."""
    return max(0.5, 2.0 - 2.0 * n / num_iter)
