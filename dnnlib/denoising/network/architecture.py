"""What the networks consist of: layer names, kernel shapes and initial values. No TensorFlow here.

The plain U-Net is SPEC'd by the paper's appendix, the blind-spot one by its section 3. The names are the file format.
"""

import zlib
from collections.abc import Mapping

import numpy as np

from dnnlib.denoising.configuration import Configuration

ENCODER_CHANNELS = 48
DECODER_CHANNELS = 96
POOLINGS = 5
STRIDE = 2**POOLINGS  # heights and widths are multiples of it
LEAKY_SLOPE = 0.1
ESTIMATOR_SCOPE = "param_estimation_net"
NOISE_VARIABLE = "noise_data"

Shapes = dict[str, tuple[int, ...]]


def unet_layers(inputs: int, outputs: int, blind_spot: bool) -> dict[str, tuple[int, int, int]]:
    """Layers of one U-Net in the order of their use: name -> (kernel size, input channels, output channels)."""
    e, d = ENCODER_CHANNELS, DECODER_CHANNELS
    layers = {"enc_conv0": (3, inputs, e)}
    for i in range(1, POOLINGS + 2):
        layers[f"enc_conv{i}"] = (3, e, e)
    for i in range(POOLINGS, 0, -1):
        below = e if i == POOLINGS else d
        skip = inputs if i == 1 else e
        layers[f"dec_conv{i}a"] = (3, below + skip, d)
        layers[f"dec_conv{i}b"] = (3, d, d)
    merged = 4 * d if blind_spot else d  # the four rotations meet here
    layers["nin_a"] = (1, merged, merged)
    layers["nin_b"] = (1, merged, d)
    layers["nin_c"] = (1, d, outputs)
    return layers


def output_channels(pipeline: str, channels: int, diagonal: bool) -> int:
    """Channels of `nin_c`: the colours, and for `blindspot` the entries of the factor A after them (paper section 3.1)."""
    if pipeline != "blindspot":
        return channels
    return channels + (channels if diagonal else channels * (channels + 1) // 2)


def hole_shift(hole_size: int) -> int:
    """Rows by which each branch is shifted for a blind spot of hole_size x hole_size pixels (AT-BSN, CVPR 2024): 1 for 1.

    A branch sees nothing below so many rows above the pixel, so four of them leave out a square of side 2 * shift - 1.
    """
    return (hole_size + 1) // 2


def variable_shapes(
    *, pipeline: str, channels: int, diagonal: bool = False, noise_params: str | None = None, parameters: int = 1
) -> Shapes:
    """All trainable variables of a configuration, in file order: name -> shape.

    pipeline: 'n2c', 'n2n', 'blindspot_mean' or 'blindspot'; noise_params: 'known', 'global', 'per_image' or None.
    parameters: of the noise, that are learned.
    """
    blind_spot = pipeline.startswith("blindspot")
    shapes = _shapes_of(unet_layers(channels, output_channels(pipeline, channels, diagonal), blind_spot))
    if noise_params == "global":
        shapes[NOISE_VARIABLE] = (1, 1, 1, parameters)
    if noise_params == "per_image":
        shapes |= _shapes_of(unet_layers(channels, parameters, blind_spot=False), f"{ESTIMATOR_SCOPE}/")
    return shapes


def shapes_of(c: Configuration) -> Shapes:
    """All trainable variables of a configuration, in file order: name -> shape."""
    return variable_shapes(
        pipeline=c.pipeline, channels=c.channels, diagonal=c.diagonal, noise_params=c.noise_params,
        parameters=c.noise.parameter_count,
    )


def initial_variables(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """Fresh float32 weights: He-normal kernels, zero biases, and zeros where the noise estimate must start near zero.

    Each variable has a random stream of its own, so one that is added or renamed leaves the others as they are.
    """
    zero = {NOISE_VARIABLE, f"{ESTIMATOR_SCOPE}/nin_c/W"}
    values = {}
    for name, shape in shapes.items():
        if name.endswith("/b") or name in zero:
            values[name] = np.zeros(shape, np.float32)
        else:
            gain = 1.0 if name.endswith("nin_c/W") else np.sqrt(2.0)  # the last layer is linear
            std = gain / np.sqrt(np.prod(shape[:-1]))
            random = np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(name.encode())]))
            values[name] = (std * random.standard_normal(shape)).astype(np.float32)
    return values


def _shapes_of(layers: Mapping[str, tuple[int, int, int]], prefix: str = "") -> Shapes:
    shapes: Shapes = {}
    for name, (size, inputs, outputs) in layers.items():
        shapes[f"{prefix}{name}/W"] = (size, size, inputs, outputs)
        shapes[f"{prefix}{name}/b"] = (outputs,)
    return shapes
