"""The networks: a plain U-Net, its blind-spot form, and the estimator of the noise parameter (paper sections 3 and 4)."""

from dnnlib.denoising.architecture import ESTIMATOR_SCOPE, NOISE_VARIABLE, POOLINGS, hole_shift, unet_layers
from dnnlib.denoising.layers import conv3x3, conv_valid, leaky_relu, pool, rotate, shift_down, upsampled_conv3x3, variables
from dnnlib.tflib.runtime import tf


def plain_unet(x, outputs: int):
    """The U-Net that sees everything (SPEC 3.1). x [N,H,W,C], H and W multiples of 32 -> [N,H,W,outputs]."""
    layers = unet_layers(x.shape[-1], outputs, blind_spot=False)
    return head(trunk(x, layers, blind=False), layers)


def blind_spot_unet(x, outputs: int, hole_size: int = 1):
    """The U-Net whose output at a pixel does not depend on that pixel of x, and may on any other (SPEC 3.2).

    Four rotated copies of x go through one network that only looks upwards; shifted by one row and turned back,
    they look up, right, down and left of the pixel. x [N,H,W,C], square when seen by a batch: H = W -> [N,H,W,outputs].
    hole_size: odd; the output does not depend on the hole_size x hole_size pixels around its own either.
    """
    layers = unet_layers(x.shape[-1], outputs, blind_spot=True)
    branches = tf.concat([rotate(x, k) for k in range(4)], axis=0)
    features = shift_down(trunk(branches, layers, blind=True), hole_shift(hole_size))  # this opens the blind spot
    branches = [rotate(f, -k) for k, f in enumerate(tf.split(features, 4, axis=0))]
    return head(tf.concat(branches, axis=-1), layers)


def noise_parameter(noisy, kind: str, parameters: int = 1, squared: bool = False):
    """The learned noise parameters, positive (SPEC 3.3): [1,1,1,P] for 'global', [N,1,1,P] for 'per_image'.

    In the units of the noise model: sigma (of 1), 1/lambda, alpha (of 1), or a and b. noisy [N,H,W,C]. parameters: P;
    squared: whether their roots are what is learned.
    """
    if kind == "global":
        raw = tf.get_variable(NOISE_VARIABLE, [1, 1, 1, parameters], initializer=tf.zeros_initializer())
    else:
        with tf.variable_scope(ESTIMATOR_SCOPE):
            raw = tf.reduce_mean(plain_unet(noisy, parameters), axis=[1, 2], keepdims=True)
    return positive(raw, squared)


def positive(raw, squared: bool = False):
    """From the raw value, of the variable or the estimator, to the noise parameter: positive, and near zero at first."""
    value = tf.nn.softplus(raw - 4.0) + 1e-3
    return value * value if squared else value


def trunk(x, layers, blind: bool):
    """Encoder and decoder, `enc_conv0` to `dec_conv1b`: [N,H,W,C] -> [N,H,W,96]."""

    def conv(x, name):
        w, b = variables(name, *layers[name])
        return leaky_relu(tf.nn.bias_add(conv3x3(x, w, blind), b))

    def upsample_concat_conv(x, skip, name):
        w, b = variables(name, *layers[name])
        split = x.shape[-1]  # in the concat the upsampled map comes first
        y = upsampled_conv3x3(x, w[:, :, :split], blind) + conv3x3(skip, w[:, :, split:], blind)
        return leaky_relu(tf.nn.bias_add(y, b))

    skips = [x]
    x = conv(x, "enc_conv0")
    for i in range(1, POOLINGS + 1):
        x = pool(conv(x, f"enc_conv{i}"), blind)
        skips.append(x)
    skips.pop()  # the deepest map goes on, it is nobody's skip
    x = conv(x, f"enc_conv{POOLINGS + 1}")
    for i in range(POOLINGS, 0, -1):
        x = upsample_concat_conv(x, skips.pop(), f"dec_conv{i}a")
        x = conv(x, f"dec_conv{i}b")
    return x


def head(x, layers):
    """The 1x1 layers at the end; the last one is linear."""
    for name in ("nin_a", "nin_b"):
        w, b = variables(name, *layers[name])
        x = leaky_relu(tf.nn.bias_add(conv_valid(x, w), b))
    w, b = variables("nin_c", *layers["nin_c"])
    return tf.nn.bias_add(conv_valid(x, w), b)
