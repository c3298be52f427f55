"""The networks: a plain U-Net, and its blind-spot form (paper section 3 and appendix; SPEC 3.1, 3.2).

They can be asked for a window of their output alone; `UnetWindows` and `ShiftDown` see to that.
"""

from dnnlib.denoising.hole import Hole, HoleSize, Shifts
from dnnlib.denoising.network.architecture import POOLINGS, Layers, unet_layers
from dnnlib.denoising.network.layers import (
    biased,
    conv3x3,
    conv_valid,
    leaky_relu,
    pool,
    rotate,
    shift_down,
    upsampled_conv3x3,
    variables,
)
from dnnlib.denoising.network.window import ShiftDown, UnetWindows, rotate_window
from dnnlib.tflib.runtime import tf


def plain_unet(x, outputs: int, window=None, dtype=tf.float32):
    """Builds the U-Net that sees everything (SPEC 3.1), and returns its output [N,H,W,outputs].

    x: [N,H,W,C], H and W multiples of 32.
    outputs: how many channels it puts out.
    window: int32 [4], top, left, bottom, right: the part of the output that is wanted; None: all of it.
    dtype: what all but the last two layers compute in, tf.float32 or tf.bfloat16; x and the output are float32.
    """
    layers = unet_layers(x.shape[-1], outputs, blind_spot=False)
    features = trunk(tf.cast(x, dtype), layers, blind=False, window=window)
    return head(features, layers)


def blind_spot_unet(x, outputs: int, hole_size: HoleSize = 1, window=None, dtype=tf.float32):
    """Builds the U-Net whose output at a pixel does not depend on that pixel of x, and may on any other (SPEC 3.2).

    Four rotated copies of x go through one network that only looks upwards; shifted down by one row and turned back,
    they look up, right, down and left of the pixel. Returns [N,H,W,outputs].

    x, outputs, dtype: as in `plain_unet`.
    hole_size: see `Hole`; the output does not depend on the pixels of the hole around its own either.
    window: as in `plain_unet`. Without one the four copies go through together, which wants a square: H = W.
    """
    layers = unet_layers(x.shape[-1], outputs, blind_spot=True)
    x = tf.cast(x, dtype)

    # Four rotations, one branch each.
    if window is None:
        rotated = tf.concat([rotate(x, k) for k in range(4)], axis=0)
        branches = _opened(trunk(rotated, layers, blind=True), Hole.of(hole_size).shifts)
    else:
        branches = _branches_in_turn(x, layers, hole_size, window)

    # Rotated back, they meet.
    features = tf.concat([rotate(branch, -k) for k, branch in enumerate(branches)], axis=-1)
    return head(features, layers)


def _opened(features, shifts: Shifts) -> list:
    """Shifts the trunk's outputs for the four rotations [4*N,H,W,96], so that the blind spot opens; and splits them."""
    if shifts.rows == shifts.columns:
        return tf.split(shift_down(features, shifts.rows), 4, axis=0)  # in one go
    return [shift_down(x, shifts.of_branch(k)) for k, x in enumerate(tf.split(features, 4, axis=0))]


def _branches_in_turn(x, layers: Layers, hole_size: HoleSize, window) -> list:
    """Builds the four branches for a window, each of which needs another part of x; in turn, for the memory's sake.

    x, hole_size, window: as in `blind_spot_unet`.
    layers: of `unet_layers`.
    """
    branches = []
    for k in range(4):
        with tf.control_dependencies(branches), tf.variable_scope(tf.get_variable_scope(), reuse=bool(branches) or None):
            shift = Hole.of(hole_size).shifts.of_branch(k)
            branches.append(blind_branch(rotate(x, k), layers, shift, rotate_window(window, k, x)))
    return branches


def blind_branch(x, layers: Layers, shift: int, window):
    """Builds one branch of the blind-spot network: what lies above each pixel, as features [N,H,W,96].

    x: [N,H,W,C], H and W multiples of 32.
    layers: of `unet_layers`.
    shift: in rows, see `Hole.shifts`.
    window: as in `plain_unet`.
    """
    opening = ShiftDown(shift, window)  # this opens the blind spot
    return opening.shift(trunk(x, layers, blind=True, window=opening.window_before))


def trunk(x, layers: Layers, blind: bool, window=None):
    """Builds encoder and decoder, `enc_conv0` to `dec_conv1b`, and returns features [N,H,W,96], or the window of them.

    x: [N,H,W,C], H and W multiples of 32.
    layers: of `unet_layers`.
    blind: whether they look only upwards.
    window: as in `plain_unet`.
    """

    def conv(x, name):
        w, b = variables(name, layers[name])
        return leaky_relu(biased(conv3x3(x, w, blind), b))

    def upsample_concat_conv(x, skip, name):
        w, b = variables(name, layers[name])
        for_x, for_skip = tf.split(w, [x.shape[-1], w.shape[2] - x.shape[-1]], axis=2)
        y = upsampled_conv3x3(x, for_x, blind) + conv3x3(skip, for_skip, blind)
        return leaky_relu(biased(y, b))

    windows = UnetWindows(window, x, blind)
    x = windows.crop_input(x)

    # Encoder. What enters a level is kept for the decoder.
    skips = {1: x}
    x = conv(x, "enc_conv0")
    for level in range(1, POOLINGS + 1):
        x = pool(conv(x, f"enc_conv{level}"), blind)
        skips[level + 1] = x

    # Bottleneck.
    x = conv(x, f"enc_conv{POOLINGS + 1}")

    # Decoder.
    for level in range(POOLINGS, 0, -1):
        x, skip = windows.crop_for_decoder(level, x, skips[level])
        x = upsample_concat_conv(x, skip, f"dec_conv{level}a")
        x = conv(x, f"dec_conv{level}b")
    return windows.crop_output(x)


def head(x, layers: Layers):
    """Builds the 1x1 layers at the end, of which the last one is linear: from [N,H,W,C] to float32 [N,H,W,outputs].

    All but the first compute in float32 whatever x is: colours rounded to bfloat16 would be off by up to 0.5 of 255.
    """

    def conv(x, name):
        w, b = variables(name, layers[name])
        return biased(conv_valid(x, w), b)

    x = tf.cast(leaky_relu(conv(x, "nin_a")), tf.float32)
    x = leaky_relu(conv(x, "nin_b"))
    return conv(x, "nin_c")
