"""The whole of a network as one graph for pictures of any size, for SavedModels."""

from dnnlib.denoising.architecture import ESTIMATOR_SCOPE, STRIDE, hole_shift, output_channels, unet_layers
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.layers import rotate, shift_down
from dnnlib.denoising.model import interpret
from dnnlib.denoising.networks import head, noise_parameter, plain_unet, positive, trunk
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
    outputs = _network(c, padded)
    parameter = tf.zeros([1, 1, 1, 1])
    if c.noise_params == "known":
        inputs[level] = tf.placeholder(tf.float32, [None], name=level)
        value = {"sigma": inputs[level] / 255.0, "alpha": tf.maximum(inputs[level], 1e-6)}.get(level, inputs[level])
        parameter = tf.reshape(value, [-1, 1, 1, 1])  # an alpha of zero would be 0 / 0 for some colours
    elif c.noise_params == "global":
        parameter = noise_parameter(image, "global", c.noise.parameters, c.noise.squared)
    elif c.noise_params == "per_image":
        with tf.variable_scope(ESTIMATOR_SCOPE):
            raw = plain_unet(padded, c.noise.parameters)[:, :height, :width]
        parameter = positive(tf.reduce_mean(raw, axis=[1, 2], keepdims=True), c.noise.squared)
    result = interpret(c, outputs, padded, parameter)
    denoised = tf.identity(result.posterior_mean[:, :height, :width], name="denoised")
    if c.pipeline != "blindspot":
        return inputs, {"denoised": denoised}
    return inputs, {"denoised": denoised, "std": tf.identity(result.net_std[:, :height, :width], name="std")}


def _network(c: Configuration, x):
    """The network's outputs [N,H,W,K] on x [N,H,W,C], which need not be square: upright and sideways branches go apart."""
    layers = unet_layers(c.channels, output_channels(c.pipeline, c.channels, c.diagonal), c.blind_spot)
    if not c.blind_spot:
        return head(trunk(x, layers, blind=False), layers)
    seen = {}
    for turns in ((0, 2), (1, 3)):
        with tf.variable_scope(tf.get_variable_scope(), reuse=bool(seen)):
            features = trunk(tf.concat([rotate(x, k) for k in turns], axis=0), layers, blind=True)
            pair = shift_down(features, hole_shift(c.hole_size))
        seen |= {k: rotate(f, -k) for k, f in zip(turns, tf.split(pair, 2, axis=0), strict=True)}
    return head(tf.concat([seen[k] for k in range(4)], axis=-1), layers)


def _reflected(size):
    """Indices 0..size-1 and on by reflection up to a multiple of the stride; one pixel alone is repeated."""
    last = size - 1
    return last - tf.abs(last - tf.range(-(-size // STRIDE) * STRIDE) % tf.maximum(2 * last, 1))
