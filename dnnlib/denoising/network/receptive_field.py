"""How far the U-Nets see: which rows of the input an output row depends on. Arithmetic on whole numbers, no TensorFlow."""

import functools
from typing import NamedTuple

from dnnlib.denoising.network.architecture import POOLINGS, STRIDE


class ReceptiveField(NamedTuple):
    """Says how many pixels beyond an output's edges the network may look, multiples of the stride."""

    up: int
    down: int
    side: int


class Rows(NamedTuple):
    """A range of rows of a map, both ends among them."""

    first: int
    last: int


@functools.cache
def receptive_field(blind: bool, shift: int = 1) -> ReceptiveField:
    """Returns how far the trunk sees: of the blind-spot network (288, 0, 128), of the plain one (128, 128, 128).

    blind, shift: as for `receptive_rows`.
    """

    def rounded_up(pixels: int) -> int:
        return -(-max(pixels, 0) // STRIDE) * STRIDE

    output = Rows(0, STRIDE - 1)
    rows = receptive_rows(output, blind, shift)
    columns = receptive_rows(output, blind=False)  # columns are seen as rows are where the network looks both ways
    left, right = output.first - columns.first, columns.last - output.last
    return ReceptiveField(
        rounded_up(output.first - rows.first), rounded_up(rows.last - output.last), rounded_up(max(left, right))
    )


def receptive_rows(output: Rows, blind: bool, shift: int = 1) -> Rows:
    """Returns the rows of the input that some output rows of the trunk can depend on.

    output: the output rows.
    blind: whether the trunk looks only upwards, and its output is shifted down.
    shift: by so many rows, see `Hole.shifts`.
    """
    shift = shift if blind else 0
    rows = Rows(output.first - shift, output.last - shift)
    skips = {}
    for level in range(1, POOLINGS + 1):  # the decoder, from its end
        skips[level] = rows = _before_conv(_before_conv(rows, blind), blind)
        rows = Rows(rows.first // 2, rows.last // 2)
    rows = _before_conv(rows, blind)  # the bottleneck
    for level in range(POOLINGS, 0, -1):  # the encoder, from its end
        rows = _before_conv(_before_pool(rows, blind), blind)
        rows = Rows(min(rows.first, skips[level].first), max(rows.last, skips[level].last))
    return _before_conv(rows, blind)  # enc_conv0 comes before the first level's convolution


def _before_conv(rows: Rows, blind: bool) -> Rows:
    """Returns the rows that a 3x3 convolution looks at."""
    return Rows(rows.first - 2, rows.last) if blind else Rows(rows.first - 1, rows.last + 1)


def _before_pool(rows: Rows, blind: bool) -> Rows:
    """Returns the rows before a pooling, before which a blind map is shifted down."""
    return Rows(2 * rows.first - 1, 2 * rows.last) if blind else Rows(2 * rows.first, 2 * rows.last + 1)
