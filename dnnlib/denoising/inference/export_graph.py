"""The whole of a network as one graph for pictures of any size, for SavedModels."""

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.architecture import STRIDE
from dnnlib.denoising.network.model import network_outputs, prediction_from
from dnnlib.denoising.network.noise_parameter import learned_noise_parameter
from dnnlib.tflib.runtime import tf


def serving_graph(configuration: Configuration, level: str) -> tuple[dict, dict]:
    """Builds the graph in the default one -> its inputs and outputs by name.

    In: `image` float32 [N,H,W,C] on the scale [0, 1], of any size; for networks of sigma_known also the noise level, named
    `level` (sigma, lam or alpha): float32 [N] or [1], in the units of the command line.
    Out: `denoised` [N,H,W,C], and `std` [N,H,W] where the network has one. The results are those of `Denoiser`.
    """
    c = configuration
    image = tf.placeholder(tf.float32, [None, None, None, c.channels], name="image")
    inputs = {"image": image}
    height, width = tf.shape(image)[1], tf.shape(image)[2]
    padded = tf.gather(tf.gather(image, _reflected(height), axis=1), _reflected(width), axis=2)
    padded = tf.ensure_shape(padded, [None, None, None, c.channels])
    window = tf.stack([0, 0, height, width])
    outputs = network_outputs(c, padded, window)
    parameter = tf.zeros([1, 1, 1, 1])
    if c.noise_params == "known":
        inputs[level] = tf.placeholder(tf.float32, [None], name=level)
        value = c.noise.row.level.known_from_user(inputs[level])
        parameter = tf.reshape(tf.maximum(value, c.noise.row.level.floor), [-1, 1, 1, 1])
    elif c.noise_params is not None:
        parameter = learned_noise_parameter(c, padded, window)
    result = prediction_from(c, outputs, image, parameter)
    denoised = tf.identity(result.posterior_mean, name="denoised")
    if c.pipeline != "blindspot":
        return inputs, {"denoised": denoised}
    return inputs, {"denoised": denoised, "std": tf.identity(result.net_std, name="std")}


def _reflected(size):
    """Indices 0..size-1 and on by reflection up to a multiple of the stride; one pixel alone is repeated."""
    last = size - 1
    return last - tf.abs(last - tf.range(-(-size // STRIDE) * STRIDE) % tf.maximum(2 * last, 1))
