"""The blind-spot U-Net as the 2019 program's graph builds it, to compare with.

Convolutions are padded, done with SAME and cropped; a map is upsampled before it is convolved. The same variables and the
same function as ours.
"""

from dnnlib.denoising.network.architecture import POOLINGS, unet_layers
from dnnlib.denoising.network.layers import leaky_relu, rotate, variables
from dnnlib.tflib.runtime import tf


def plain_blind_spot_unet(x, outputs: int, hole_size: int = 1, window: None = None, dtype=tf.float32):
    """Builds the network, and returns its output [N,H,W,outputs] in float32.

    x: [N,H,W,C], H = W a multiple of 32.
    outputs: how many channels it puts out.
    hole_size, window, dtype: as `blind_spot_unet` has them, whose place this takes; not looked at.
    """
    # Encoder and bottleneck, on the four rotations.
    layers = unet_layers(x.shape[-1], outputs, blind_spot=True)
    x = tf.concat([rotate(x, k) for k in range(4)], axis=0)
    skips = [x]
    x = _conv(x, layers, "enc_conv0")
    for i in range(1, POOLINGS + 1):
        x = _down(_conv(x, layers, f"enc_conv{i}"))
        x = tf.nn.max_pool2d(x, 2, 2, "SAME")
        skips.append(x)
    skips.pop()
    x = _conv(x, layers, f"enc_conv{POOLINGS + 1}")
    # Decoder.
    for i in range(POOLINGS, 0, -1):
        x = tf.concat([_upsample(x), skips.pop()], axis=-1)
        x = _conv(_conv(x, layers, f"dec_conv{i}a"), layers, f"dec_conv{i}b")
    # Head, where the rotations meet.
    branches = tf.split(_down(x), 4, axis=0)
    x = tf.concat([rotate(branch, -k) for k, branch in enumerate(branches)], axis=-1)
    for name in ("nin_a", "nin_b", "nin_c"):
        w, b = variables(name, layers[name])
        x = tf.nn.bias_add(tf.nn.conv2d(x, w, 1, "SAME"), b)
        x = x if name == "nin_c" else leaky_relu(x)
    return x


def _conv(x, layers, name: str):
    """Convolves so that each row sees itself and those above it."""
    w, b = variables(name, layers[name])
    x = tf.pad(x, [[0, 0], [1, 0], [0, 0], [0, 0]])
    x = tf.nn.conv2d(x, w, 1, "SAME")[:, :-1]
    return leaky_relu(tf.nn.bias_add(x, b))


def _down(x):
    """Shifts a map down by one row."""
    return tf.pad(x, [[0, 0], [1, 0], [0, 0], [0, 0]])[:, :-1]


def _upsample(x):
    """Repeats each pixel in both directions."""
    shape = tf.shape(x)
    x = tf.tile(tf.reshape(x, [shape[0], shape[1], 1, shape[2], 1, x.shape[-1]]), [1, 1, 2, 1, 2, 1])
    return tf.reshape(x, [shape[0], 2 * shape[1], 2 * shape[2], x.shape[-1]])
