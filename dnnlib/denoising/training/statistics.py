"""What a training step tells of its minibatch: the names of the statistics, in the order in which they are printed."""

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.noise.families import named_in_user_units, parameter_names


def statistic_names(c: Configuration) -> tuple[str, ...]:
    """Returns the names of a configuration's statistics.

    Of real noise they are those that need no clean image, and the learned parameters of the noise. (A step also tells
    whether it was `finite`, and whether a worker wants to `stop`.)
    """
    if c.noise.real:
        return ("loss", "std_net", "std_noise", *parameter_names(c.noise))
    return ("loss", "train_psnr", "train_psnr_pme", "std_net", "std_noise")


def as_reported(c: Configuration, means: dict[str, float]) -> dict[str, float]:
    """Converts averages of the statistics to what is reported.

    Noise parameters are averaged in the units of `posterior`, and reported in those of `in_user_units`.
    """
    return means | (named_in_user_units(c.noise, means) if c.noise.real else {})
