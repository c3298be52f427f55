"""A configuration as a graph: from a noisy batch to the denoised one and its loss. Training and evaluation build it here."""

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.architecture import output_channels
from dnnlib.denoising.network.noise_parameter import learned_noise_parameter
from dnnlib.denoising.network.posterior import Prediction, posterior
from dnnlib.denoising.network.unet import blind_spot_unet, plain_unet
from dnnlib.denoising.network.window import crop
from dnnlib.tflib.runtime import tf


def build_model(
    configuration: Configuration, noisy, parameter, target=None, exponent=0.5, window=None, dtype=tf.float32
) -> Prediction:
    """Builds the network and what is computed from its outputs.

    configuration: which network, and which loss.
    noisy: [N,H,W,C] float32.
    parameter: [N,1,1,1], the true noise parameter, used where the configuration knows it.
    target: [N,H,W,C], what `n2c` and `n2n` are trained towards; without it their loss is None.
    exponent: of the annealed loss for impulse noise (SPEC 6.2).
    window, dtype: see `plain_unet`; with a window there is no target, and the results are those of the whole, cropped; but
        a parameter of real noise is averaged over the window.

    Call it under `tf.variable_scope(..., reuse=True)` for a second copy.
    """
    c = configuration
    outputs = network_outputs(c, noisy, window, dtype)
    if c.noise_params in ("global", "per_image"):
        # The published figures go with estimates over the padded square (SPEC 7); elsewhere only what is wanted counts.
        parameter = learned_noise_parameter(c, noisy, window if c.noise.real else None, dtype)
    if window is not None:
        noisy = crop(noisy, window)
    return prediction_from(c, outputs, noisy, parameter, target, exponent)


def network_outputs(c: Configuration, noisy, window=None, dtype=tf.float32):
    """Builds the configuration's network alone, up to what it puts out for each pixel: [N,H,W,K].

    c: which network.
    noisy: [N,H,W,C].
    window, dtype: see `plain_unet`.
    """
    count = output_channels(c.pipeline, c.channels, c.diagonal)
    if c.blind_spot:
        return blind_spot_unet(noisy, count, c.hole_size, window, dtype)
    return plain_unet(noisy, count, window, dtype)


def prediction_from(c: Configuration, outputs, noisy, parameter, target=None, exponent=0.5) -> Prediction:
    """Computes, pixel by pixel, what the network's outputs say of the clean picture, and the loss.

    c: what the outputs stand for.
    outputs: [N,H,W,K].
    noisy: [N,H,W,C].
    parameter: [N,1,1,P] or [1,1,1,P], of the noise, in the units of `posterior`.
    target, exponent: as in `build_model`.
    """
    if c.pipeline == "blindspot":
        return posterior(outputs, noisy, c.noise.family, parameter, c.noise_params != "known", c.diagonal, c.noise_floor)
    if c.pipeline == "blindspot_mean":
        target = noisy
    loss = None if target is None else _simple_loss(outputs - target, c, exponent)
    unknown = tf.zeros_like(outputs[..., 0])  # these networks give no estimate of their error
    return Prediction(
        mean=outputs, posterior_mean=outputs, loss=loss, net_std=unknown, noise_std=unknown, nll=unknown,
        parameter=parameter, prior_std=unknown, posterior_std=unknown,
    )  # fmt: skip


def _simple_loss(difference, c: Configuration, exponent):
    """Returns the loss of differences [N,H,W,C], entry by entry.

    It is their square, unless the targets are noisy and the noise moves the mean: squares would be biased then (SPEC 6.2).
    """
    if not c.noise.row.keeps_mean and c.pipeline != "n2c":
        return (tf.abs(difference) + 1e-8) ** exponent
    return difference * difference
