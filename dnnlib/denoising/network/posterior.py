"""The Bayesian head: the likelihood that `blindspot` networks train on, and the posterior mean they put out.

The network says where a clean colour may lie given its surroundings, N(mu, Sigma_x); the noise model says how a
noisy colour y came from it; their product gives the posterior (paper section 3.1 and 4, SPEC section 5). Everything
is computed in float64. Per pixel values are lists of C maps [N,H,W], one a channel, so that the 3x3 algebra is
plain arithmetic on maps.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from dnnlib.denoising.network import symmetric3 as s3
from dnnlib.denoising.noise.families import family_of
from dnnlib.denoising.noise.laws import variances
from dnnlib.denoising.noise.learned_parameter import SMALLEST
from dnnlib.tflib.runtime import tf

EPSILON = 1e-6  # keeps inverses defined; this and the next two are part of the published results
_SMALLEST_DETERMINANT = 1e-9  # of covariances under impulse noise
_PUSH = 0.1  # weight of the std of learned noise in the loss, so that it does not collapse to zero
_FULL_PUSH = 1.0  # of white: a std above is pushed no further, or one above 30 would grow for ever
_LEAST_VARIANCE = 1e-30  # of noise, where the posterior's std is divided by it


class Prediction(NamedTuple):
    """Holds results for a batch, float32.

    mean: [N,H,W,C], what the network makes of the surroundings of a pixel.
    posterior_mean: [N,H,W,C], that of the posterior, in which the noisy pixel counts too.
    loss: [N,H,W] or, of networks without a posterior, [N,H,W,C].
    net_std, noise_std: [N,H,W] or broadcastable, standard deviations of the clean pixel, given its surroundings alone (the
        prior's), and of its noise.
    nll: [N,H,W], the negative logarithm of the density N(mu_y, Sigma_y) of the noisy colour, in nats for each of its C
        values.
    parameter: [N,1,1,P] or [1,1,1,P], of the noise.
    prior_std, posterior_std: [N,H,W], of the clean pixel given its surroundings alone, and given its noisy value, too: that
        of the posterior mean. They cost nothing where they are not fetched. Of colours they are root mean squares over the
        channels, so that of the channels' errors as many lie within them as should; net_std is a geometric mean over the
        axes of the covariance, as published, which is less.
    """

    mean: tf.Tensor
    posterior_mean: tf.Tensor
    loss: tf.Tensor
    net_std: tf.Tensor
    noise_std: tf.Tensor
    nll: tf.Tensor | None = None
    parameter: tf.Tensor | None = None
    prior_std: tf.Tensor | None = None
    posterior_std: tf.Tensor | None = None


class _Pixels(NamedTuple):
    """Holds noisy pixels and what the network says of the clean ones, all as float64 maps [N,H,W].

    y: the C noisy values.
    mu: the C means of the clean ones.
    a: the K entries of A.
    diagonal: whether A holds the C roots of Sigma_x's diagonal.
    """

    y: list
    mu: list
    a: list
    diagonal: bool

    def prior_covariance(self) -> s3.Symmetric3:
        """Returns Sigma_x of RGB pixels."""
        return s3.diagonal([v * v for v in self.a]) if self.diagonal else s3.gram(self.a)

    def factor(self) -> list:
        """Returns the six entries of the upper-triangular A of RGB pixels."""
        if not self.diagonal:
            return self.a
        zero = tf.zeros_like(self.a[0])
        return [self.a[0], zero, zero, self.a[1], zero, self.a[2]]


class _Noise(NamedTuple):
    """Holds a noise family with its parameters.

    family: a name of `families.FAMILIES`.
    parameters: float64 [N,1,1] or [1,1,1] each, which broadcast over a map.
    learned: whether they are learned ones, or known ones.
    epsilon: what keeps inverses defined.
    """

    family: str
    parameters: list
    learned: bool
    epsilon: float = EPSILON


class _Judgement(NamedTuple):
    """Holds what a likelihood says of each pixel: as `Prediction`, but in float64, and the posterior mean as C maps."""

    posterior_mean: list
    loss: tf.Tensor
    net_std: tf.Tensor
    noise_std: tf.Tensor
    nll: tf.Tensor
    prior_std: tf.Tensor
    posterior_std: tf.Tensor


def posterior(
    outputs, noisy, family: str, parameter, learned: bool, diagonal: bool, floor: float = SMALLEST
) -> Prediction:
    """Computes likelihood and posterior of one batch. Raises ValueError for a family without an entry in the tables.

    outputs: float32 [N,H,W,C+K], the network's mean, then its K entries of A.
    noisy: float32 [N,H,W,C], not clipped.
    family: a name of `families.FAMILIES`.
    parameter: [N,1,1,P] or [1,1,1,P], the family's P parameters: known ones, or learned ones if `learned`.
    learned: whether the parameter is trained with the network.
    diagonal: whether A holds only C entries, the roots of Sigma_x's diagonal.
    floor: of the std of a learned noise; where it is below the published one, EPSILON is its square.
    """
    channels = noisy.shape[-1]
    maps = _channel_maps(outputs)
    pixels = _Pixels(_channel_maps(noisy), maps[:channels], maps[channels:], diagonal)
    noise = _Noise(family, tf.unstack(tf.cast(parameter, tf.float64), axis=3), learned, min(EPSILON, floor**2))
    likelihood = family_of(family).likelihood
    if likelihood not in LIKELIHOODS:
        raise ValueError(f"noise of the family {family!r} has no likelihood {likelihood!r} in posterior.LIKELIHOODS")
    judged = LIKELIHOODS[likelihood](pixels, noise)
    return Prediction(
        mean=outputs[..., :channels],
        posterior_mean=tf.cast(tf.stack(judged.posterior_mean, axis=-1), tf.float32),
        loss=tf.cast(judged.loss, tf.float32),
        net_std=tf.cast(judged.net_std, tf.float32),
        noise_std=tf.cast(judged.noise_std, tf.float32),
        nll=tf.cast(judged.nll, tf.float32),
        parameter=parameter,
        prior_std=tf.cast(judged.prior_std, tf.float32),
        posterior_std=tf.cast(judged.posterior_std, tf.float32),
    )


def _gaussian(pixels: _Pixels, noise: _Noise) -> _Judgement:
    """Judges pixels under noise taken for Gaussian, with the variances of its law at the network's mean (SPEC 5.2)."""
    variance_maps = variances(noise.family, pixels.mu, noise.parameters, noise.learned)
    judge = _gaussian_mono if len(pixels.y) == 1 else _gaussian_rgb
    return judge(pixels, variance_maps, noise)


def _gaussian_rgb(pixels: _Pixels, variance_maps: list, noise: _Noise) -> _Judgement:
    """Judges pixels of three channels."""
    # Likelihood of the noisy colour.
    sigma_x = pixels.prior_covariance()
    sigma_y = s3.add_diagonal(sigma_x, variance_maps)
    difference = [p - m for p, m in zip(pixels.y, pixels.mu, strict=True)]
    det_y = tf.maximum(s3.det(sigma_y), 0.0)
    loss = 0.5 * s3.quadratic_form(s3.inverse(sigma_y), difference) + 0.5 * tf.log(det_y)
    nll = loss / 3.0 + 0.5 * math.log(2.0 * math.pi)
    if noise.learned:
        loss -= _push(variance_maps) / 3.0

    # Posterior mean: both Gaussians weighted by their precisions.
    inverse_x = s3.inverse(s3.add_diagonal(sigma_x, [noise.epsilon] * 3))
    inverse_n = [1.0 / (v + noise.epsilon) for v in variance_maps]
    from_x = s3.times_vector(inverse_x, pixels.mu)
    evidence = [x + b * p for x, b, p in zip(from_x, inverse_n, pixels.y, strict=True)]
    precision = s3.add_diagonal(inverse_x, [v + noise.epsilon for v in inverse_n])
    posterior_mean = s3.times_vector(s3.inverse(precision), evidence)

    # Standard deviations, geometric means over the colours.
    net_std = tf.maximum(s3.det(sigma_x), 0.0) ** (1.0 / 6.0)
    noise_std = (variance_maps[0] * variance_maps[1] * variance_maps[2]) ** (1.0 / 6.0)
    # And root mean squares (SPEC 5.5). By Bayes' rule for Gaussians (paper, section 3) the posterior's covariance is
    # (Sigma_x^-1 + Sigma_n^-1)^-1; none of the epsilons is needed that keep the posterior mean defined.
    inverse_n = [1.0 / tf.maximum(v, _LEAST_VARIANCE) for v in variance_maps]
    stds = _root_mean(s3.trace(sigma_x)), _root_mean(tf.add_n(s3.narrowed_diagonal(pixels.factor(), inverse_n)))
    return _Judgement(posterior_mean, loss, net_std, noise_std, nll, *stds)


def _push(variance_maps: list):
    """Returns what a learned noise takes off the loss, a map: the more, the larger its std, summed over the channels."""
    return _PUSH * tf.add_n([tf.minimum(tf.sqrt(v), _FULL_PUSH) for v in variance_maps])


def _root_mean(trace):
    """Returns the root mean square over three channels, of the trace of their covariance."""
    return tf.sqrt(trace / 3.0)


def _gaussian_mono(pixels: _Pixels, variance_maps: list, noise: _Noise) -> _Judgement:
    """Judges pixels of one channel; the published loss has no factor 0.5 here."""
    (y,), (mu,), (a,), (variance,) = pixels.y, pixels.mu, pixels.a, variance_maps
    sigma_x = a * a
    sigma_y = sigma_x + variance
    loss = (y - mu) ** 2 / sigma_y + tf.log(sigma_y)
    nll = 0.5 * loss + 0.5 * math.log(2.0 * math.pi)
    if noise.learned:
        loss -= _push([variance])
    posterior_mean = (y * sigma_x + mu * variance) / sigma_y
    net_std = tf.abs(a)
    posterior_std = net_std / tf.sqrt(1.0 + sigma_x / tf.maximum(variance, _LEAST_VARIANCE))  # (1/sigma_x + 1/variance)^-1/2
    return _Judgement([posterior_mean], loss, net_std, tf.sqrt(variance), nll, net_std, posterior_std)


def _impulse(pixels: _Pixels, noise: _Noise) -> _Judgement:
    """Judges colours that are replaced, with probability alpha, by one that is uniform in the cube (SPEC 5.3)."""
    if len(pixels.y) == 1:
        raise ValueError("impulse noise is defined for colour pictures only")
    y, mu, (alpha,) = pixels.y, pixels.mu, noise.parameters
    keep = 1.0 - alpha
    sigma_x = s3.add_diagonal(pixels.prior_covariance(), [EPSILON] * 3)
    det_x = s3.det(sigma_x)

    # Posterior mean of the mixture: g is the density of the noisy colour, were it kept.
    difference = [p - m for p, m in zip(y, mu, strict=True)]
    exponent = -0.5 * s3.quadratic_form(s3.inverse(sigma_x), difference)
    g = tf.exp(exponent) / tf.sqrt((2.0 * math.pi) ** 3 * tf.maximum(det_x, _SMALLEST_DETERMINANT))
    posterior_mean = [(alpha * m + keep * g * p) / (alpha + keep * g) for m, p in zip(mu, y, strict=True)]

    # Training: one Gaussian with the mixture's first two moments.
    mu_y = [alpha / 2.0 + keep * m for m in mu]

    def moment(i: int, j: int, s):
        """Returns the covariance of channels i and j; s: that of the clean colour."""
        uniform = 1.0 / 3.0 if i == j else 1.0 / 4.0  # E[u_i u_j] of the unit cube
        return alpha * uniform + keep * (s + mu[i] * mu[j]) - mu_y[i] * mu_y[j]

    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    sigma_y = s3.Symmetric3(*[moment(i, j, s) for (i, j), s in zip(pairs, sigma_x, strict=True)])
    residual = [p - m for p, m in zip(y, mu_y, strict=True)]
    log_det = tf.log(tf.maximum(s3.det(sigma_y), _SMALLEST_DETERMINANT))
    loss = s3.quadratic_form(s3.inverse(sigma_y), residual) + log_det
    nll = loss / 6.0 + 0.5 * math.log(2.0 * math.pi)

    # Standard deviations.
    net_std = tf.maximum(det_x, 0.0) ** (1.0 / 6.0)
    noise_std = alpha * (100.0 / 255.0)  # shown times 255: as a percentage
    prior_trace = s3.trace(sigma_x)
    stds = _root_mean(prior_trace), _root_mean(_impulse_trace(prior_trace, alpha, keep * g, difference))
    return _Judgement(posterior_mean, loss, net_std, noise_std, nll, *stds)


def _impulse_trace(prior_trace, replaced, kept, difference: list):
    """Returns the trace of the covariance of the posterior under impulse noise, a map (SPEC 5.5).

    The posterior is a mixture. With probability w = alpha / (alpha + (1 - alpha) g) the colour y that is seen replaced
    another, of which it tells nothing: that is N(mu, Sigma_x), the prior. Else it is y itself. The law of total covariance
    gives Sigma = w Sigma_x + w (1 - w) d d^T, d = y - mu: the mean of the parts' covariances, and the covariance of their
    means. It can exceed the prior's, where both parts are likely and far apart.

    prior_trace: of Sigma_x.
    replaced, kept: alpha and (1 - alpha) g, the weights of the parts.
    difference: d, three maps.
    """
    share, rest = replaced / (replaced + kept), kept / (replaced + kept)
    return share * (prior_trace + rest * tf.add_n([d * d for d in difference]))


# `_Pixels`, `_Noise` -> `_Judgement`, by the `likelihood` of the families' rows.
LIKELIHOODS: dict[str, Callable[[_Pixels, _Noise], _Judgement]] = {"gaussian": _gaussian, "impulse": _impulse}


def _channel_maps(x) -> list:
    """Splits [N,H,W,C] into C float64 maps [N,H,W]. One transpose: unstacking the last axis would be C strided copies."""
    return tf.unstack(tf.cast(tf.transpose(x, [3, 0, 1, 2]), tf.float64), num=x.shape[-1])
