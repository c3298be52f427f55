"""Fresh noise for training (paper section 4).

x and the noisy values are float32, [0, 1] for clean pixels; noisy values are never clipped (estimating the noise would
fail). Parameters: sigma / 255, lambda (the count that white maps to), alpha / 100.
"""

from dnnlib.denoising.noise.families import NoiseStyle
from dnnlib.tflib.runtime import tf


def add_training_noise(clean, style: NoiseStyle, run_seed: int, image_numbers, draw: int = 0):
    """Fresh noise for a batch whose images are numbered: -> noisy [N,H,W,C], parameter [N,1,1,1].

    Every value is a function of (run_seed, image number, draw) alone, whatever the batch, device or history.
    clean [N,H,W,C] with N known; image_numbers int64 [N]; draw: 0 for the input, 1 for a second instance.
    """
    images = tf.unstack(clean, axis=0)
    numbers = tf.unstack(image_numbers, num=len(images))
    noisy, parameters = [], []
    for x, number in zip(images, numbers, strict=True):
        seeds = [tf.stack([tf.constant(run_seed, tf.int64), number * 8 + draw * 4 + i]) for i in range(3)]
        parameter = _draw_parameter(style, seeds[0])
        noisy.append(_corrupt(x, style.family, parameter, seeds[1], seeds[2]))
        parameters.append(parameter)
    return tf.stack(noisy), tf.reshape(tf.stack(parameters), [-1, 1, 1, 1])


def _draw_parameter(style: NoiseStyle, seed):
    if style.low == style.high:
        return tf.constant(style.low, tf.float32)
    return tf.random.stateless_uniform([], seed, style.low, style.high, alg="philox")


def _corrupt(x, family: str, parameter, seed, second_seed):
    """One image [H,W,C]."""
    if family == "gauss":
        return x + parameter * tf.random.stateless_normal(tf.shape(x), seed, alg="philox")
    if family == "poisson":
        return tf.random.stateless_poisson(tf.shape(x), seed, x * parameter, tf.float32) / parameter
    keep = tf.random.stateless_uniform(tf.shape(x[..., :1]), seed, alg="philox") >= parameter
    colours = tf.random.stateless_uniform(tf.shape(x), second_seed, alg="philox")
    return tf.where(tf.broadcast_to(keep, tf.shape(x)), x, colours)
