"""Windows: parts of a map, for networks that compute no more than is asked for. int32 [4]: top, left, bottom, right.

A U-Net needs the surroundings of a window mostly at its coarse levels. Near the end, where nearly all the work is, a frame
of two or four pixels a level is enough. Where the window is None, the whole map is asked for, and everything here leaves
the maps as they are.
"""

from typing import NamedTuple

from dnnlib.denoising.network.architecture import POOLINGS, STRIDE
from dnnlib.denoising.network.receptive_field import receptive_field
from dnnlib.tflib.runtime import tf


class Margins(NamedTuple):
    """Says by how many pixels a window is expanded on each side."""

    top: int
    left: int
    bottom: int
    right: int


def crop(x, window):
    """Returns the window of a map [N,H,W,C]."""
    top, left, bottom, right = tf.unstack(window)
    return x[:, top:bottom, left:right]


def rotate_window(window, quarter_turns: int, x):
    """Returns where the window of x [N,H,W,C] is in `rotate(x, quarter_turns)`."""
    height, width = tf.unstack(tf.shape(x)[1:3])
    for _ in range(quarter_turns % 4):
        top, left, bottom, right = tf.unstack(window)
        window = tf.stack([width - right, top, width - left, bottom])
        height, width = width, height
    return window


def expand_window(window, margins: Margins, multiple: int, size):
    """Returns the window with margins, its edges moved outwards to multiples, but not beyond the map.

    window: int32 [4].
    margins: in pixels.
    multiple: of so many pixels; the map's sides are such multiples.
    size: int32 [2], height and width of the map.
    """
    first = tf.maximum(window[:2] - [margins.top, margins.left], 0) // multiple * multiple
    last = tf.minimum(-(-(window[2:] + [margins.bottom, margins.right]) // multiple) * multiple, size)
    return tf.concat([first, last], axis=0)


def window_within(window, outer):
    """Returns the window as counted from the corner of another one."""
    return window - tf.tile(outer[:2], [2])


class UnetWindows:
    """Crops the maps of a U-Net to what a window of its output needs of them; without a window they stay whole.

    Level 1 is that of the full resolution; each level further down has half of it.
    """

    def __init__(self, window, x, blind: bool):
        """Plans what each map must have.

        window: the part of the output that is wanted, or None.
        x: the input [N,H,W,C].
        blind: whether the layers look only upwards.
        """
        self._asked_for = window
        if window is None:
            return
        # The input.
        field = receptive_field(blind)
        margins = Margins(field.up, field.side, field.down, field.side)
        self._input = expand_window(window, margins, STRIDE, tf.shape(x)[1:3])  # in steps of what all poolings divide by
        # The levels. One of the decoder is two 3x3 convolutions. Zeros beyond the edge of a part stand for pixels that are
        # not zero, so the margins' own results are wrong.
        margins = Margins(4, 2, 0, 2) if blind else Margins(2, 2, 2, 2)
        self._asked_for = window = window_within(window, self._input)
        size = self._input[2:] - self._input[:2]
        self._levels = {}
        for level in range(1, POOLINGS + 1):
            self._levels[level] = expand_window(window, margins, 2, size)
            window, size = self._levels[level] // 2, size // 2

    def crop_input(self, x):
        """Crops the network's input to what the window depends on."""
        return x if self._asked_for is None else crop(x, self._input)

    def crop_for_decoder(self, level: int, below, skip):
        """Crops what a level of the decoder is given: the map from the level below, which is to be upsampled, and the skip.

        level: from POOLINGS, where the map from below is whole, to 1.
        below, skip: [N,H,W,C], skip of twice the resolution.
        """
        if self._asked_for is None:
            return below, skip
        window = self._levels[level]
        in_below = window // 2 if level == POOLINGS else window_within(window // 2, self._levels[level + 1])
        return crop(below, in_below), crop(skip, window)

    def crop_output(self, x):
        """Crops what level 1 of the decoder gives to the window."""
        return x if self._asked_for is None else crop(x, window_within(self._asked_for, self._levels[1]))


class ShiftDown:
    """Shifts a map down by some rows, so that of the map before the shift no more is computed than a window needs."""

    def __init__(self, rows: int, window):
        """Plans a shift by `rows`, 1 or more, for a window of the shifted map."""
        self._rows, self._window = rows, window
        # A row at least, though it may not be seen.
        self.window_before = tf.maximum(window - [rows, 0, rows, 0], [0, 0, 1, 0])

    def shift(self, x):
        """Shifts the `window_before` of a map [N,H,W,C], and returns the window of the result."""
        zero_rows = self._rows - self._window[0] + self.window_before[0]
        shifted = tf.pad(x, [[0, 0], [zero_rows, 0], [0, 0], [0, 0]])
        return shifted[:, : self._window[2] - self._window[0]]  # copies nothing, but for windows within `rows` of the top
