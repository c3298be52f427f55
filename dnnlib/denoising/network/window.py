"""Windows: parts of a map, for networks that compute no more than is asked for. int32 [4]: top, left, bottom, right.

A U-Net needs the surroundings of a window mostly at its coarse levels. Near the end, where nearly all the work is, a frame
of two or four pixels a level is enough.
"""

from dnnlib.denoising.network.architecture import POOLINGS, STRIDE
from dnnlib.denoising.network.receptive_field import Reach
from dnnlib.tflib.runtime import tf


def cut(x, window):
    """That part of a map [N,H,W,C]."""
    top, left, bottom, right = tf.unstack(window)
    return x[:, top:bottom, left:right]


def turned(window, quarter_turns: int, x):
    """Where the window of x [N,H,W,C] is in `rotate(x, quarter_turns)`."""
    height, width = tf.unstack(tf.shape(x)[1:3])
    for _ in range(quarter_turns % 4):
        top, left, bottom, right = tf.unstack(window)
        window = tf.stack([width - right, top, width - left, bottom])
        height, width = width, height
    return window


def grown(window, frame: tuple[int, int, int, int], multiple: int, x):
    """The window with a frame (pixels at the top, left, bottom, right), its edges moved outwards to multiples of `multiple`,
    but not beyond the map x [N,H,W,C], whose sides are such multiples."""
    top, left, bottom, right = frame
    first = tf.maximum(window[:2] - [top, left], 0) // multiple * multiple
    last = tf.minimum(-(-(window[2:] + [bottom, right]) // multiple) * multiple, tf.shape(x)[1:3])
    return tf.concat([first, last], axis=0)


def seen(window, reach: Reach, x):
    """The part of a network's input x [N,H,W,C] that the window of its output depends on, poolings in step."""
    return grown(window, (reach.up, reach.side, reach.down, reach.side), STRIDE, x)


def decoder_windows(window, skips, blind: bool) -> list:
    """What each level of the decoder has to compute for a window of its output, from the finest, level 1, on.

    skips: the maps [N,H,W,C] that the levels are given from the encoder, in the same order. A level is two 3x3 convolutions.
    """
    windows = []
    for skip in skips[:POOLINGS]:
        # Zeros beyond the edge of a part stand for pixels that are not zero, so the frame's own results are wrong.
        window = grown(window, (4, 2, 0, 2) if blind else (2, 2, 2, 2), 2, skip)
        windows.append(window)
        window = window // 2
    return windows


def relative(window, outer):
    """The window, counted from the corner of another one."""
    return window - tf.tile(outer[:2], [2])
