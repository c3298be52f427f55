"""The whole of a network as one graph for pictures of any size, for SavedModels."""

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference.kept_means import given_back
from dnnlib.denoising.network.architecture import STRIDE
from dnnlib.denoising.network.model import network_outputs, prediction_from
from dnnlib.denoising.network.noise_parameter import learned_noise_parameter
from dnnlib.tflib.runtime import tf


def serving_graph(configuration: Configuration, level: str) -> tuple[dict, dict]:
    """Builds the network in the default graph, and returns its inputs and its outputs by name.

    Inputs: `image` float32 [N,H,W,C] on the scale [0, 1], of any size; for networks of sigma_known also the noise level,
    whose name is the value of `level` (sigma, lam or alpha): float32 [N] or [1], in the units of the command line.
    Outputs: `denoised` [N,H,W,C], and where the network has them `std` [N,H,W], of what is denoised, and `prior_std`
    [N,H,W], of what the network expects without the pixel's own value. The results are those of `Denoiser`.
    """
    # The picture, padded.
    c = configuration
    image = tf.placeholder(tf.float32, [None, None, None, c.channels], name="image")
    inputs = {"image": image}
    height, width = tf.shape(image)[1], tf.shape(image)[2]
    padded = tf.gather(tf.gather(image, _reflected(height), axis=1), _reflected(width), axis=2)
    padded = tf.ensure_shape(padded, [None, None, None, c.channels])

    # The network, and the noise.
    window = tf.stack([0, 0, height, width])
    outputs = network_outputs(c, padded, window)
    parameter = tf.zeros([1, 1, 1, 1])
    if c.noise_params == "known":
        inputs[level] = tf.placeholder(tf.float32, [None], name=level)
        value = c.noise.row.level.known_from_user(inputs[level])
        parameter = tf.reshape(tf.maximum(value, c.noise.row.level.floor), [-1, 1, 1, 1])
    elif c.noise_params is not None:
        parameter = learned_noise_parameter(c, padded, window)

    # The results.
    result = prediction_from(c, outputs, image, parameter)
    denoised = tf.identity(_with_means(c, image, result.posterior_mean), name="denoised")
    if c.pipeline != "blindspot":
        return inputs, {"denoised": denoised}
    stds = {"std": result.posterior_std, "prior_std": result.prior_std}
    return inputs, {"denoised": denoised, **{name: tf.identity(std, name=name) for name, std in stds.items()}}


def _with_means(c: Configuration, noisy, denoised):
    """Gives the channels of each picture [H,W,C] the means of the noisy one, as `KeptMeans` does."""
    if not c.noise.row.keeps_mean:
        return denoised
    taken = tf.cast(noisy, tf.float64) - tf.cast(denoised, tf.float64)
    moved = tf.reduce_mean(taken, axis=[1, 2], keepdims=True)
    count = tf.cast(tf.shape(noisy)[1] * tf.shape(noisy)[2], tf.float64)
    by_chance = tf.reduce_mean(taken**2, axis=[1, 2], keepdims=True) / count
    shift = moved * given_back(tf.abs(moved), by_chance, tf.minimum, tf.maximum)
    return tf.cast(tf.cast(denoised, tf.float64) + shift, tf.float32)


def _reflected(size):
    """Returns 0..size-1 and on by reflection up to a multiple of the stride, as in `tiling`; one pixel alone is repeated."""
    last = size - 1
    return last - tf.abs(last - tf.range(-(-size // STRIDE) * STRIDE) % tf.maximum(2 * last, 1))
