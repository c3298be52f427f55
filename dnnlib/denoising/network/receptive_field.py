"""How far the U-Nets see: which rows of the input an output row depends on. Arithmetic on whole numbers, no TensorFlow."""

import functools
from typing import NamedTuple

from dnnlib.denoising.network.architecture import POOLINGS, STRIDE, hole_shift


class Reach(NamedTuple):
    """How many pixels beyond a core's edge a network may look, multiples of the stride."""

    up: int
    down: int
    side: int


def sight(first: int, last: int, blind: bool, hole_size: int = 1) -> tuple[int, int]:
    """The first and last row of the input that the trunk's output rows first..last can depend on.

    blind: the trunk looks only upwards, and its output is shifted down by a row, or more for a larger hole. Columns are
    seen as if it did not.
    """

    def conv(rows):
        return (rows[0] - 2, rows[1]) if blind else (rows[0] - 1, rows[1] + 1)

    def pool(rows):  # a blind map is shifted down before
        return (2 * rows[0] - 1, 2 * rows[1]) if blind else (2 * rows[0], 2 * rows[1] + 1)

    shift = hole_shift(hole_size) if blind else 0
    rows = (first - shift, last - shift)
    skips = []
    for _ in range(POOLINGS):  # the decoder, from its end
        rows = conv(conv(rows))
        skips.append(rows)
        rows = (rows[0] // 2, rows[1] // 2)
    rows = conv(rows)  # the bottom
    for _ in range(POOLINGS):  # the encoder, from its end
        skip = skips.pop()
        rows = conv(pool(rows))
        rows = (min(rows[0], skip[0]), max(rows[1], skip[1]))
    return conv(rows)  # enc_conv0 comes before the first level's convolution


@functools.cache
def reach(blind: bool, hole_size: int = 1) -> Reach:
    """Of the trunk of the blind-spot network (288, 0, 128), or of the plain one (128, 128, 128)."""

    def rounded(pixels: int) -> int:
        return -(-max(pixels, 0) // STRIDE) * STRIDE

    first, last = sight(0, STRIDE - 1, blind, hole_size)
    left, right = sight(0, STRIDE - 1, blind=False)
    return Reach(rounded(-first), rounded(last - STRIDE + 1), rounded(max(-left, right - STRIDE + 1)))
