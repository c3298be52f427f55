"""The networks: a plain U-Net, its blind-spot form, and the estimator of the noise parameter (paper sections 3 and 4)."""

from dnnlib.denoising.network.architecture import ESTIMATOR_SCOPE, NOISE_VARIABLE, POOLINGS, hole_shift, unet_layers
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
from dnnlib.denoising.network.receptive_field import reach
from dnnlib.denoising.network.window import cut, decoder_windows, relative, seen, turned
from dnnlib.denoising.noise.learned_parameter import SMALLEST, START_OFFSET
from dnnlib.tflib.runtime import tf


def plain_unet(x, outputs: int, window=None, dtype=tf.float32):
    """The U-Net that sees everything (SPEC 3.1). x [N,H,W,C], H and W multiples of 32 -> [N,H,W,outputs].

    window (int32 [4]: top, left, bottom, right): the part of the output that is wanted; None: all of it.
    dtype: what all but the last two layers compute in, tf.float32 or tf.bfloat16; x and the output are float32.
    """
    layers = unet_layers(x.shape[-1], outputs, blind_spot=False)
    return head(trunk(tf.cast(x, dtype), layers, False, window), layers)


def blind_spot_unet(x, outputs: int, hole_size: int = 1, window=None, dtype=tf.float32):
    """The U-Net whose output at a pixel does not depend on that pixel of x, and may on any other (SPEC 3.2).

    Four rotated copies of x go through one network that only looks upwards; shifted by one row and turned back,
    they look up, right, down and left of the pixel. x [N,H,W,C], H and W multiples of 32 -> [N,H,W,outputs].

    hole_size: odd; the output does not depend on the hole_size x hole_size pixels around its own either.
    window, dtype: as in `plain_unet`. Without one the four copies go through together, which wants a square: H = W.
    """
    layers = unet_layers(x.shape[-1], outputs, blind_spot=True)
    x = tf.cast(x, dtype)
    if window is None:
        branches = tf.concat([rotate(x, k) for k in range(4)], axis=0)
        branches = tf.split(blind_branch(branches, layers, hole_size), 4, axis=0)
    else:
        branches = []
        for k in range(4):  # each needs another part of x; in turn, for the memory's sake
            with tf.control_dependencies(branches), tf.variable_scope(tf.get_variable_scope(), reuse=bool(branches) or None):
                branches.append(blind_branch(rotate(x, k), layers, hole_size, turned(window, k, x)))
    return head(tf.concat([rotate(branch, -k) for k, branch in enumerate(branches)], axis=-1), layers)


def blind_branch(x, layers, hole_size: int, window=None):
    """One branch of the blind-spot network: what lies above each pixel of x [N,H,W,C], as features [N,H,W,96]."""
    shift = hole_shift(hole_size)  # this opens the blind spot
    if window is None:
        return shift_down(trunk(x, layers, True), shift)
    above = tf.maximum(window - [shift, 0, shift, 0], [0, 0, 1, 0])  # a row at least
    beyond = shift - window[0] + above[0]
    features = tf.pad(trunk(x, layers, True, above), [[0, 0], [beyond, 0], [0, 0], [0, 0]])
    return features[:, : window[2] - window[0]]  # copies nothing, but for windows within `shift` rows of the top


def noise_parameter(noisy, kind: str, parameters: int = 1, learns_root: bool = False, dtype=tf.float32, window=None):
    """The learned noise parameters, positive (SPEC 3.3): [1,1,1,P] for 'global', [N,1,1,P] for 'per_image'.

    In the units of the noise model: sigma (of 1), 1/lambda, alpha (of 1), or a and b. noisy [N,H,W,C]. parameters: P;
    learns_root: whether their roots are learned. window: the part of `noisy` to average the estimates over, None: all.
    """
    if kind == "global":
        raw = tf.get_variable(NOISE_VARIABLE, [1, 1, 1, parameters], initializer=tf.zeros_initializer())
    else:
        with tf.variable_scope(ESTIMATOR_SCOPE):
            raw = tf.reduce_mean(plain_unet(noisy, parameters, window, dtype), axis=[1, 2], keepdims=True)
    return positive(raw, learns_root)


def positive(raw, learns_root: bool = False):
    """From the raw value, of the variable or the estimator, to the noise parameter: `parameter_from_raw` as a graph."""
    value = tf.nn.softplus(raw - START_OFFSET) + SMALLEST
    return value * value if learns_root else value


def trunk(x, layers, blind: bool, window=None):
    """Encoder and decoder, `enc_conv0` to `dec_conv1b`: [N,H,W,C] -> [N,H,W,96], or the window of it."""

    def conv(x, name):
        w, b = variables(name, *layers[name])
        return leaky_relu(biased(conv3x3(x, w, blind), b))

    def upsample_concat_conv(x, skip, name):
        w, b = variables(name, *layers[name])
        for_x, for_skip = tf.split(w, [x.shape[-1], w.shape[2] - x.shape[-1]], axis=2)
        y = upsampled_conv3x3(x, for_x, blind) + conv3x3(skip, for_skip, blind)
        return leaky_relu(biased(y, b))

    if window is not None:
        needed = seen(window, reach(blind), x)
        x, window = cut(x, needed), relative(window, needed)
    skips = [x]
    x = conv(x, "enc_conv0")
    for i in range(1, POOLINGS + 1):
        x = pool(conv(x, f"enc_conv{i}"), blind)
        skips.append(x)
    skips.pop()  # the deepest map goes on, it is nobody's skip
    x = conv(x, f"enc_conv{POOLINGS + 1}")
    parts = [None] * POOLINGS if window is None else decoder_windows(window, skips, blind)
    for i in range(POOLINGS, 0, -1):
        skip, part = skips.pop(), parts[i - 1]
        if part is not None:
            inner = part // 2 if i == POOLINGS else relative(part // 2, parts[i])
            x, skip = cut(x, inner), cut(skip, part)
        x = upsample_concat_conv(x, skip, f"dec_conv{i}a")
        x = conv(x, f"dec_conv{i}b")
    return x if window is None else cut(x, relative(window, parts[0]))


def head(x, layers):
    """The 1x1 layers at the end; the last one is linear. [N,H,W,C] -> float32 [N,H,W,outputs].

    All but the first compute in float32 whatever x is: colours rounded to bfloat16 would be off by up to 0.5 of 255.
    """

    def conv(x, name):
        w, b = variables(name, *layers[name])
        return biased(conv_valid(x, w), b)

    x = tf.cast(leaky_relu(conv(x, "nin_a")), tf.float32)
    x = leaky_relu(conv(x, "nin_b"))
    return conv(x, "nin_c")
