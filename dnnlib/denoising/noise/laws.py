"""The laws of the noise families as graphs: how a noisy value is drawn, and how it varies about the clean one (SPEC 4, 5.1).

Two tables by the family's name. Training and evaluation draw by the same law and differ in where the random numbers come
from, which is a `Draws`.
"""

import abc
from collections.abc import Callable

from dnnlib.denoising.noise.families import entry_of
from dnnlib.tflib.runtime import tf

_DARKEST = 1e-3  # means below count as this much light: a variance of zero would make the likelihood infinite
_WEAKEST = 1e-3  # a known sigma below counts as this one


class Draws(abc.ABC):
    """Draws random numbers; each call from a stream of its own, in the order of the calls."""

    @abc.abstractmethod
    def normal(self, x):
        """Returns standard normal numbers in the shape of x."""

    @abc.abstractmethod
    def uniform(self, x):
        """Returns numbers of [0, 1) in the shape of x."""

    @abc.abstractmethod
    def uniform_per_pixel(self, x):
        """Returns a number of [0, 1) for each pixel of x: in its shape, but for one channel."""

    @abc.abstractmethod
    def poisson(self, rates):
        """Returns counts, as floats, one for each rate."""


def corrupt(x, family: str, parameter, draws: Draws):
    """Returns noisy values of pixels x (float32, [0, 1] where clean), not clipped.

    x: [H,W,C] or [N,C,H,W], whichever `draws` is for.
    family: a name of FAMILIES.
    parameter: the known one, a scalar or broadcastable.
    draws: where random numbers come from.

    Raises ValueError for a family that has no law in CORRUPT.
    """
    return entry_of(CORRUPT, family, "law in laws.CORRUPT")(x, parameter, draws)


def variances(family: str, means: list, parameters: list, learned: bool) -> list:
    """Returns the variance of the noise at pixels of such means, the diagonal of Sigma_n (SPEC 5.1).

    family: a name of FAMILIES.
    means: C maps, one a channel.
    parameters: the family's, each a scalar or a map that broadcasts.
    learned: whether they are learned ones, or known ones.

    Raises ValueError for a family that has no law in VARIANCES.
    """
    return entry_of(VARIANCES, family, "law in laws.VARIANCES")(means, parameters, learned)


def _corrupt_gauss(x, sigma, draws: Draws):
    """Adds normal numbers of a standard deviation, the same everywhere."""
    return x + sigma * draws.normal(x)


def _corrupt_poisson(x, rate, draws: Draws):
    """Counts photons, `rate` of which stand for white on average."""
    return draws.poisson(x * rate) / rate


def _corrupt_impulse(x, alpha, draws: Draws):
    """Replaces a share alpha of the pixels, in all channels, by uniform numbers."""
    keep = draws.uniform_per_pixel(x) >= alpha
    return tf.where(tf.broadcast_to(keep, tf.shape(x)), x, draws.uniform(x))


def _gauss_variances(means: list, parameters: list, learned: bool) -> list:
    """Returns sigma^2, the same at all means."""
    (sigma,) = parameters
    s = sigma if learned else tf.maximum(sigma, _WEAKEST)
    return [s * s] * len(means)


def _poisson_variances(means: list, parameters: list, learned: bool) -> list:
    """Returns mean / lambda, approximated at the network's mean; what is learned is 1 / lambda."""
    (t,) = parameters
    return [tf.maximum(m, _DARKEST) * t if learned else tf.maximum(m, _DARKEST) / t for m in means]


def _poisson_gauss_variances(means: list, parameters: list, learned: bool) -> list:
    """Returns a x + b at the network's mean x; a and b are the same whether they are known or learned.

    Photons (or electrons) are counted with a gain a, and the electronics add noise of variance b: y = a k + n with
    k ~ Poisson(x / a) and n ~ N(0, b). As k has mean and variance x / a, E[y] = x and Var[y] = a^2 (x / a) + b = a x + b
    (Foi, Trimeche, Katkovnik, Egiazarian: Practical Poissonian-Gaussian noise modeling and fitting for single-image
    raw-data, 2008). With b = 0 it is Poisson noise of lambda = 1 / a, with a = 0 Gaussian noise of sigma^2 = b.
    """
    a, b = parameters
    return [a * tf.maximum(m, _DARKEST) + b for m in means]


def _curve_variances(means: list, parameters: list, learned: bool) -> list:
    """Returns the curve through the parameters at the network's mean: linear between the knots, constant outside of [0, 1].

    Any curve of positive knots is allowed, falling ones, too. A raw sensor's variance rises, but a camera that shows x as
    f(x) makes (a x + b) f'(x)^2 of it (by the first term of f's series), which falls after a gamma, under the shoulder of a
    tone curve, and where values clip (Liu, Szeliski, Kang, Zitnick, Freeman: Automatic estimation and removal of noise from
    a single image, 2008).
    """
    steps = [after - before for before, after in zip(parameters, parameters[1:], strict=False)]

    def at(mean):
        """Adds up the steps as far as a mean has climbed them: no gather, whose gradient adds in an order of its own."""
        place = len(steps) * mean
        return parameters[0] + tf.add_n([step * tf.clip_by_value(place - k, 0.0, 1.0) for k, step in enumerate(steps)])

    return [at(mean) for mean in means]


# Pixels, known parameter, source of random numbers -> noisy pixels; of the families that are added to clean pictures.
CORRUPT: dict[str, Callable] = {"gauss": _corrupt_gauss, "poisson": _corrupt_poisson, "impulse": _corrupt_impulse}

# Means, parameters, whether they are learned -> variances; of the families whose likelihood is 'gaussian'.
VARIANCES: dict[str, Callable] = {
    "gauss": _gauss_variances,
    "poisson": _poisson_variances,
    "poissongauss": _poisson_gauss_variances,
    "curve": _curve_variances,
}
