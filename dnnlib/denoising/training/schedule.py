"""What changes along the training schedule, as numbers: learning rate, size of crops, annealed exponent (SPEC 6.1, 6.2)."""

import math

from dnnlib.denoising.options import TrainingOptions

RAMP_UP, RAMP_DOWN = 0.1, 0.3  # shares of the schedule
WARM_UP = 0.05  # likewise, where the rate decays linearly
LARGE_CROPS = 10  # the last of so many parts of the schedule has them


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
    """Returns the side in pixels of the crop of a number: larger ones in the steps of the last tenth of the images.

    number: of the image in the run, from 0; all of one step get crops of one size.
    options: of them num_iter, minibatch_size, train_resolution and end_resolution.
    """
    n = number - number % options.minibatch_size
    late = LARGE_CROPS * (options.num_iter - n) <= options.num_iter
    return options.largest_crop if late else options.train_resolution


def work_left(n: int, last: int, options: TrainingOptions) -> float:
    """Returns how many images there are to train on after the step at image n, in units of one of that step's size: larger
    crops count by their pixels.

    last: n of the last step.
    options: as for `crop_side`.
    """
    side, left = crop_side(n, options), last - n
    late = min(left, last - (options.num_iter - options.num_iter / LARGE_CROPS))
    return left + max(late, 0) * ((options.largest_crop / side) ** 2 - 1)


def loss_exponent(n: int, num_iter: int) -> float:
    """Returns the exponent of the loss under impulse noise: from the mean (2) towards the mode (0.5)."""
    return max(0.5, 2.0 - 2.0 * n / num_iter)
