"""The Bayesian head: the likelihood that `blindspot` networks train on, and the posterior mean they put out.

The network says where a clean colour may lie given its surroundings, N(mu, Sigma_x); the noise model says how a
noisy colour y came from it; their product gives the posterior (paper section 3.1 and 4, SPEC section 5). Everything
is computed in float64. Per pixel values are lists of C maps [N,H,W], one a channel, so that the 3x3 algebra is
plain arithmetic on maps.
"""

import math
from typing import NamedTuple

from dnnlib.denoising.network import symmetric3 as s3
from dnnlib.tflib.runtime import tf

EPSILON = 1e-6  # keeps inverses defined; part of the published results


class Prediction(NamedTuple):
    """Holds results for a batch, float32: mean, posterior_mean [N,H,W,C]; loss, net_std, noise_std [N,H,W] or broadcastable.

    nll [N,H,W]: the negative logarithm of the density N(mu_y, Sigma_y) of the noisy colour, in nats for each of its C
    values; parameter: of the noise, [N,1,1,P] or [1,1,1,P].
    """

    mean: tf.Tensor
    posterior_mean: tf.Tensor
    loss: tf.Tensor
    net_std: tf.Tensor
    noise_std: tf.Tensor
    nll: tf.Tensor | None = None
    parameter: tf.Tensor | None = None


def posterior(outputs, noisy, family: str, parameter, learned: bool, diagonal: bool) -> Prediction:
    """Computes likelihood and posterior of one batch.

    outputs [N,H,W,C+K]: the network's mean, then its K entries of A. noisy [N,H,W,C], not clipped.
    family: 'gauss', 'poisson', 'impulse' or 'poissongauss'; parameter [N,1,1,P] or [1,1,1,P]: sigma (of 1), lambda and
    alpha (of 1) when known; when learned sigma, 1/lambda and alpha; a and b of `_noise_variances`, always.
    diagonal: A holds C entries, the roots of Sigma_x's diagonal.
    """
    channels = noisy.shape[-1]
    y = _channel_maps(noisy)
    maps = _channel_maps(outputs)
    mu, a = maps[:channels], maps[channels:]
    t = tf.unstack(tf.cast(parameter, tf.float64), axis=3)  # P of [N,1,1], which broadcast over a map
    if channels == 1:
        if family == "impulse":
            raise ValueError("impulse noise is defined for colour pictures only")
        result = _mono(y, mu, a[0], _noise_variances(family, mu, t, learned), learned)
    else:
        sigma_x = s3.diagonal([v * v for v in a]) if diagonal else s3.gram(a)
        if family == "impulse":
            result = _impulse(y, mu, sigma_x, *t)
        else:
            result = _gauss_or_poisson(y, mu, sigma_x, _noise_variances(family, mu, t, learned), learned)
    pme, *maps = result
    maps = [tf.cast(x, tf.float32) for x in (tf.stack(pme, axis=-1), *maps)]
    return Prediction(outputs[..., :channels], *maps)._replace(parameter=parameter)


def _noise_variances(family: str, mu, t: list, learned: bool) -> list:
    """The diagonal of Sigma_n, C maps (SPEC 5.1). Poisson's variance is mu / lambda, approximated at the network's mean.

    'poissongauss': photons (or electrons) counted with a gain a, and noise of the electronics with variance b added:
    y = a k + n with k ~ Poisson(x / a) and n ~ N(0, b). As k has mean and variance x / a, E[y] = x and
    Var[y] = a^2 (x / a) + b = a x + b (Foi, Trimeche, Katkovnik, Egiazarian: Practical Poissonian-Gaussian noise modeling
    and fitting for single-image raw-data, 2008). As for Poisson noise y is taken for Gaussian, with the variance at
    x = mu, and mu for 1e-3 at least: a max(mu, 1e-3) + b. With b = 0 it is Poisson noise of lambda = 1 / a, with a = 0
    Gaussian noise of sigma^2 = b.
    """
    if family == "poissongauss":
        a, b = t
        return [a * tf.maximum(m, 1e-3) + b for m in mu]
    (t,) = t
    if family == "gauss":
        s = t if learned else tf.maximum(t, 1e-3)
        return [s * s] * len(mu)
    return [tf.maximum(m, 1e-3) * t if learned else tf.maximum(m, 1e-3) / t for m in mu]


def _gauss_or_poisson(y, mu, sigma_x, variances, learned: bool):
    """RGB, SPEC 5.2."""
    sigma_y = s3.add_diagonal(sigma_x, variances)
    difference = [p - m for p, m in zip(y, mu, strict=True)]
    det_y = tf.maximum(s3.det(sigma_y), 0.0)
    loss = 0.5 * s3.quadratic_form(s3.inverse(sigma_y), difference) + 0.5 * tf.log(det_y)
    nll = loss / 3.0 + 0.5 * math.log(2.0 * math.pi)
    if learned:  # keeps the noise estimate from collapsing to zero
        loss -= 0.1 * tf.add_n([tf.sqrt(v) for v in variances]) / 3.0

    inverse_x = s3.inverse(s3.add_diagonal(sigma_x, [EPSILON] * 3))
    inverse_n = [1.0 / (v + EPSILON) for v in variances]
    evidence = [a + b * p for a, b, p in zip(s3.times_vector(inverse_x, mu), inverse_n, y, strict=True)]
    precision = s3.add_diagonal(inverse_x, [v + EPSILON for v in inverse_n])
    pme = s3.times_vector(s3.inverse(precision), evidence)

    net_std = tf.maximum(s3.det(sigma_x), 0.0) ** (1.0 / 6.0)
    noise_std = (variances[0] * variances[1] * variances[2]) ** (1.0 / 6.0)
    return pme, loss, net_std, noise_std, nll


def _mono(y, mu, a, variances, learned: bool):
    """One channel, SPEC 5.2; the published loss has no factor 0.5 here."""
    (y,), (mu,), (variance,) = y, mu, variances
    sigma_x = a * a
    sigma_y = sigma_x + variance
    loss = (y - mu) ** 2 / sigma_y + tf.log(sigma_y)
    nll = 0.5 * loss + 0.5 * math.log(2.0 * math.pi)
    if learned:
        loss -= 0.1 * tf.sqrt(variance)
    pme = (y * sigma_x + mu * variance) / sigma_y
    return [pme], loss, tf.abs(a), tf.sqrt(variance), nll


def _impulse(y, mu, sigma_x, alpha):
    """RGB, SPEC 5.3: a colour is kept, or replaced by one that is uniform in the cube, with probability alpha."""
    keep = 1.0 - alpha
    sigma_x = s3.add_diagonal(sigma_x, [EPSILON] * 3)
    det_x = s3.det(sigma_x)
    difference = [p - m for p, m in zip(y, mu, strict=True)]
    exponent = -0.5 * s3.quadratic_form(s3.inverse(sigma_x), difference)
    g = tf.exp(exponent) / tf.sqrt((2.0 * math.pi) ** 3 * tf.maximum(det_x, 1e-9))
    pme = [(alpha * m + keep * g * p) / (alpha + keep * g) for m, p in zip(mu, y, strict=True)]

    # Training: one Gaussian with the mixture's first two moments.
    mu_y = [alpha / 2.0 + keep * m for m in mu]

    def moment(i: int, j: int, s):
        uniform = 1.0 / 3.0 if i == j else 1.0 / 4.0  # E[u_i u_j] of the unit cube
        return alpha * uniform + keep * (s + mu[i] * mu[j]) - mu_y[i] * mu_y[j]

    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    sigma_y = s3.Symmetric3(*[moment(i, j, s) for (i, j), s in zip(pairs, sigma_x, strict=True)])
    residual = [p - m for p, m in zip(y, mu_y, strict=True)]
    loss = s3.quadratic_form(s3.inverse(sigma_y), residual) + tf.log(tf.maximum(s3.det(sigma_y), 1e-9))

    nll = loss / 6.0 + 0.5 * math.log(2.0 * math.pi)
    net_std = tf.maximum(det_x, 0.0) ** (1.0 / 6.0)
    return pme, loss, net_std, alpha * (100.0 / 255.0), nll  # shown times 255: as a percentage


def _channel_maps(x) -> list:
    """[N,H,W,C] -> C float64 maps [N,H,W]. One transpose: unstacking the last axis would be C strided copies."""
    return tf.unstack(tf.cast(tf.transpose(x, [3, 0, 1, 2]), tf.float64), num=x.shape[-1])
