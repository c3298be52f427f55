"""What the networks consist of: layer names, kernel shapes and initial values. No TensorFlow here.

The paper's appendix has the plain U-Net, its section 3 the blind-spot one. Network files have these names.
"""

import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.configuration import Configuration

ENCODER_CHANNELS = 48
DECODER_CHANNELS = 96
POOLINGS = 5
STRIDE = 2**POOLINGS  # heights and widths are multiples of it
LEAKY_SLOPE = 0.1
ESTIMATOR_SCOPE = "param_estimation_net"
NOISE_VARIABLE = "noise_data"
PICTURE_LAYERS = ("enc_conv0", "dec_conv1a")  # these see the picture; its channels are the last of their inputs


class Layer(NamedTuple):
    """Says what a convolution's variables are: the side of its kernel, and its input and output channels."""

    kernel: int
    inputs: int
    outputs: int


Layers = dict[str, Layer]
Shapes = dict[str, tuple[int, ...]]


def unet_layers(inputs: int, outputs: int, blind_spot: bool) -> Layers:
    """Returns the layers of one U-Net by name, in the order of their use."""
    e, d = ENCODER_CHANNELS, DECODER_CHANNELS
    # Encoder and bottleneck.
    layers = {"enc_conv0": Layer(3, inputs, e)}
    for level in range(1, POOLINGS + 2):
        layers[f"enc_conv{level}"] = Layer(3, e, e)
    # Decoder.
    for level in range(POOLINGS, 0, -1):
        below = e if level == POOLINGS else d
        skip = inputs if level == 1 else e
        layers[f"dec_conv{level}a"] = Layer(3, below + skip, d)
        layers[f"dec_conv{level}b"] = Layer(3, d, d)
    # Head.
    merged = 4 * d if blind_spot else d  # the four rotations meet here
    layers["nin_a"] = Layer(1, merged, merged)
    layers["nin_b"] = Layer(1, merged, d)
    layers["nin_c"] = Layer(1, d, outputs)
    return layers


def output_channels(pipeline: str, channels: int, diagonal: bool) -> int:
    """Returns how many channels `nin_c` has: the colours, and for `blindspot` the entries of the factor A (paper, 3.1)."""
    if pipeline != "blindspot":
        return channels
    return channels + (channels if diagonal else channels * (channels + 1) // 2)


def variable_shapes(
    *, pipeline: str, channels: int, diagonal: bool = False, noise_params: str | None = None, parameters: int = 1
) -> Shapes:
    """Returns the shapes of all trainable variables of a configuration by name, in file order.

    pipeline: 'n2c', 'n2n', 'blindspot_mean' or 'blindspot'.
    channels: of the pictures.
    diagonal: whether Sigma_x is.
    noise_params: 'known', 'global', 'per_image' or None.
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
    """Returns the shapes of all trainable variables of a configuration by name, in file order."""
    return variable_shapes(
        pipeline=c.pipeline, channels=c.channels, diagonal=c.diagonal, noise_params=c.noise_params,
        parameters=c.noise.parameter_count,
    )


def initial_variables(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """Draws fresh float32 weights: He-normal kernels, zero biases, and zeros for the noise estimate, to start near zero.

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


def _shapes_of(layers: Layers, prefix: str = "") -> Shapes:
    """Returns the shapes of kernel and bias of each layer, by name; prefix: of the names."""
    shapes: Shapes = {}
    for name, layer in layers.items():
        shapes[f"{prefix}{name}/W"] = (layer.kernel, layer.kernel, layer.inputs, layer.outputs)
        shapes[f"{prefix}{name}/b"] = (layer.outputs,)
    return shapes
