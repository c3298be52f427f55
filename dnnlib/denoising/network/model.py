"""A configuration as a graph: from a noisy batch to the denoised one and its loss. Training and evaluation build it here."""

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.architecture import output_channels
from dnnlib.denoising.network.posterior import Posterior, posterior
from dnnlib.denoising.network.unet import blind_spot_unet, noise_parameter, plain_unet
from dnnlib.denoising.network.window import cut
from dnnlib.tflib.runtime import tf


def build_model(
    configuration: Configuration, noisy, parameter, target=None, exponent=0.5, window=None, dtype=tf.float32
) -> Posterior:
    """The network and what is computed from its outputs.

    noisy [N,H,W,C] float32; parameter [N,1,1,1]: the true noise parameter, used where the configuration knows it.
    target [N,H,W,C]: what `n2c` and `n2n` are trained towards (without it their loss is None); exponent: of the
    annealed loss for impulse noise (SPEC 6.2). window, dtype: see `plain_unet`; with a window there is no target, and the
    results are those of the whole, cut; but a parameter of real noise is averaged over the window. Call it under
    `tf.variable_scope(..., reuse=True)` for a second copy.
    """
    c = configuration
    outputs = network_outputs(c, noisy, window, dtype)
    if c.noise_params in ("global", "per_image"):
        # The published figures go with estimates over the padded square (SPEC 7); elsewhere only what is wanted counts.
        part = window if c.noise.real else None
        parameter = noise_parameter(noisy, c.noise_params, c.noise.parameter_count, c.noise.learns_root, dtype, part)
    if window is not None:
        noisy = cut(noisy, window)
    return interpret(c, outputs, noisy, parameter, target, exponent)


def network_outputs(c: Configuration, noisy, window=None, dtype=tf.float32):
    """What the configuration's network puts out, before it is interpreted: [N,H,W,K]. window, dtype: see `plain_unet`."""
    count = output_channels(c.pipeline, c.channels, c.diagonal)
    if c.blind_spot:
        return blind_spot_unet(noisy, count, c.hole_size, window, dtype)
    return plain_unet(noisy, count, window, dtype)


def interpret(c: Configuration, outputs, noisy, parameter, target=None, exponent=0.5) -> Posterior:
    """What is computed from the network's outputs [N,H,W,K] on noisy [N,H,W,C]; pixel by pixel.

    parameter [N,1,1,P] or [1,1,1,P]: of the noise, in the units of `posterior`. The others as in `build_model`.
    """
    if c.pipeline == "blindspot":
        return posterior(outputs, noisy, c.noise.family, parameter, c.noise_params != "known", c.diagonal)
    if c.pipeline == "blindspot_mean":
        target = noisy
    loss = None if target is None else _simple_loss(outputs - target, c, exponent)
    nothing = tf.zeros_like(outputs[..., 0])  # these networks give no estimate of their error
    return Posterior(outputs, outputs, loss, nothing, nothing, nothing, parameter)


def _simple_loss(difference, c: Configuration, exponent):
    """[N,H,W,C] -> the same. Squared errors are biased under noise that moves the mean, but for clean targets (SPEC 6.2)."""
    if not c.noise.row.keeps_mean and c.pipeline != "n2c":
        return (tf.abs(difference) + 1e-8) ** exponent
    return difference * difference
