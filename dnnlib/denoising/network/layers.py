"""The few layers that both U-Nets are made of, on maps [N,H,W,C]; `blind` ones look only upwards (paper, 3; SPEC 3.2)."""

import numpy as np

from dnnlib.denoising.network.architecture import LEAKY_SLOPE, Layer
from dnnlib.tflib.runtime import tf

# Which taps of three fall on the same one of two source pixels, where every pixel stands twice.
_EARLY, _LATE = [[1, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 1]]
_PHASES = {False: (_LATE, _EARLY), True: (_EARLY, _LATE)}  # of even and odd places; True: of taps that only look back


def variables(name: str, layer: Layer):
    """Makes kernel `<name>/W` [size, size, inputs, outputs] and bias `<name>/b` [outputs]; values are loaded afterwards."""
    shape = [layer.kernel, layer.kernel, layer.inputs, layer.outputs]
    w = tf.get_variable(f"{name}/W", shape, initializer=tf.zeros_initializer())
    b = tf.get_variable(f"{name}/b", [layer.outputs], initializer=tf.zeros_initializer())
    return w, b


def leaky_relu(x):
    """Applies the networks' nonlinearity to a map of any shape."""
    return tf.nn.leaky_relu(x, LEAKY_SLOPE)


def conv_valid(x, w):
    """Convolves [N,H,W,C] without padding, in the precision of x."""
    return tf.nn.conv2d(x, tf.cast(w, x.dtype), 1, "VALID")


def biased(x, b):
    """Adds the bias [C] to a map [N,H,W,C], in the precision of x."""
    if x.dtype == tf.float32:
        return tf.nn.bias_add(x, b)
    return _biased_in_bfloat16(x, b)


@tf.custom_gradient
def _biased_in_bfloat16(x, b):
    """Adds the bias, with a gradient in float32: TensorFlow's own, without oneDNN, sums up in bfloat16 and loses most."""
    return tf.nn.bias_add(x, tf.cast(b, x.dtype)), lambda dy: (dy, tf.reduce_sum(tf.cast(dy, b.dtype), axis=[0, 1, 2]))


def conv3x3(x, w, blind: bool):
    """Convolves to the same size [N,H,W,C] with 3x3 pixels: rows r-1..r+1, or r-2..r when blind; zeros beyond the border."""
    rows = [2, 0] if blind else [1, 1]
    return conv_valid(tf.pad(x, [[0, 0], rows, [1, 1], [0, 0]]), w)


def upsampled_conv3x3(x, w, blind: bool):
    """Computes `conv3x3(nearest-neighbour upsampling of x by 2, w)` at the lower resolution: 4 products instead of 9.

    Upsampling repeats pixels, so each of the four output phases (even/odd row x even/odd column) sees a 2x2
    neighbourhood, under sums of the kernel's taps. From x [N,H,W,C] to [N,2H,2W,out], exact but for rounding.
    """
    # The kernels, by phases of columns and of rows: [2,2,2,2,C,out].
    taps = np.einsum("pri,qcj->qprcij", _PHASES[blind], _PHASES[False]).reshape(16, 9)
    outputs = w.shape[3]
    kernels = tf.matmul(tf.constant(taps, w.dtype), tf.reshape(w, [9, -1]))
    kernels = tf.reshape(kernels, [2, 2, 2, 2, -1, outputs])
    if blind:  # both row phases look at source rows i-1 and i, so one convolution serves them
        kernels = tf.reshape(tf.transpose(kernels, [0, 2, 3, 4, 1, 5]), [2, 2, 2, -1, 2 * outputs])

    # Convolutions, one or two for each phase of the columns.
    phases = []
    for side, kernel in zip(([1, 0], [0, 1]), tf.unstack(kernels), strict=True):  # even columns see j-1 and j, odd j and j+1
        if blind:
            phases.append(conv_valid(tf.pad(x, [[0, 0], [1, 0], side, [0, 0]]), kernel))
        else:
            upper, lower = tf.unstack(kernel)
            upper = conv_valid(tf.pad(x, [[0, 0], [1, 0], side, [0, 0]]), upper)
            lower = conv_valid(tf.pad(x, [[0, 0], [0, 1], side, [0, 0]]), lower)
            phases.append(tf.concat([upper, lower], axis=-1))
    return _interleave(phases, outputs)


def _interleave(phases, channels):
    """Puts two maps [N,H,W,2*C] (even, odd columns; row phases on the channel axis) together to [N,2H,2W,C]."""
    n, h, w = tf.unstack(tf.shape(phases[0])[:3])
    phases = [tf.reshape(p, [n, h, w, 2, channels]) for p in phases]
    x = tf.transpose(tf.stack(phases, axis=4), [0, 1, 3, 2, 4, 5])
    return tf.reshape(x, [n, 2 * h, 2 * w, channels])


def shift_down(x, rows: int = 1):
    """Moves a map [N,H,W,C] down: zero rows enter at the top, as many fall off at the bottom."""
    height = tf.shape(x)[1] if x.shape[1] is None else x.shape[1]
    kept = tf.slice(x, [0, 0, 0, 0], [-1, height - rows, -1, -1])  # not x[:, :-rows]: its gradient runs on one core
    return tf.pad(kept, [[0, 0], [rows, 0], [0, 0], [0, 0]])


def pool(x, blind: bool):
    """Takes maxima of 2x2; a blind map is shifted down first, or the window would show a pixel the row below it."""
    if blind:
        x = tf.pad(x, [[0, 0], [1, 0], [0, 0], [0, 0]])  # the last row is left over
    return tf.nn.max_pool2d(x, 2, 2, "VALID")


def rotate(x, quarter_turns: int):
    """Rotates [N,H,W,C] as numpy.rot90(k=quarter_turns) rotates the picture."""
    k = quarter_turns % 4
    if k == 1:
        return tf.transpose(tf.reverse(x, [2]), [0, 2, 1, 3])
    if k == 2:
        return tf.reverse(x, [1, 2])
    if k == 3:
        return tf.transpose(tf.reverse(x, [1]), [0, 2, 1, 3])
    return x
