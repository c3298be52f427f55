"""The noise parameters that a network learns: one for all pictures, or of each as a network of its own estimates them."""

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.architecture import ESTIMATOR_SCOPE, NOISE_VARIABLE
from dnnlib.denoising.network.unet import plain_unet
from dnnlib.denoising.noise.learned_parameter import SMALLEST, START_OFFSET
from dnnlib.tflib.runtime import tf


def learned_noise_parameter(c: Configuration, noisy, window=None, dtype=tf.float32):
    """Builds the learned noise parameters, positive (SPEC 3.3): [1,1,1,P] for 'global', [N,1,1,P] for 'per_image'.

    They are in the units of the noise model: sigma (of 1), 1/lambda, alpha (of 1), or a and b.

    c: says which, of its noise_params and noise.
    noisy: [N,H,W,C].
    window: the part of `noisy` to average the estimates over, None: all.
    dtype: see `plain_unet`.
    """
    if c.noise_params == "global":
        raw = tf.get_variable(NOISE_VARIABLE, [1, 1, 1, c.noise.parameter_count], initializer=tf.zeros_initializer())
    elif c.noise_params == "per_image":
        with tf.variable_scope(ESTIMATOR_SCOPE):
            estimates = plain_unet(noisy, c.noise.parameter_count, window, dtype)
        raw = tf.reduce_mean(estimates, axis=[1, 2], keepdims=True)
    else:
        raise ValueError(f"{c.name} learns no noise parameter")
    return positive(raw, c.noise.learns_root, c.noise_floor)


def positive(raw, learns_root: bool = False, floor: float = SMALLEST):
    """Converts the raw value, of the variable or the estimator, to the noise parameter: `parameter_from_raw` as a graph."""
    value = tf.nn.softplus(raw - START_OFFSET) + floor
    return value * value if learns_root else value
