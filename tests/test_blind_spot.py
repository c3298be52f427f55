"""No output of the blind-spot network at a pixel depends on the input at that pixel, and all its neighbours are seen.

With a hole of n pixels it is the square of n x n around the pixel that is not seen, all of it and no more: a branch sees
nothing below (n + 1) / 2 rows above the pixel, so what no branch sees is at most (n - 1) / 2 rows and columns away. Just
outside, what lies straight over a side is seen, up to two pixels to each side: so far the convolutions of full resolution
reach. Beyond, at the corners of holes of 5 and more, it depends on where the poolings' seams are. So it is with rectangles.
"""

import numpy as np
import pytest
from graphs import compute, fresh_graph, random_images, random_variables

from dnnlib.denoising.network.architecture import output_channels, variable_shapes
from dnnlib.denoising.network.unet import blind_spot_unet
from dnnlib.tflib.runtime import create_session, initialize, tf

HOLES = pytest.mark.parametrize("hole", [1, 3, 5, 7, 9, "7x1", "3x5"])
CHANNELS = pytest.mark.parametrize("channels", [1, 3], ids=["mono", "RGB"])
SIDE = 64
# Corners, edges, and both sides of the seams of every pooling (at multiples of 2, 4, 8, 16, 32).
PIXELS = [(0, 0), (63, 63), (0, 40), (1, 62), (31, 32), (32, 31), (16, 47), (21, 44)]


def variables_of(channels):
    return random_variables(variable_shapes(pipeline="blindspot", channels=channels))


def outputs_of(channels):
    return output_channels("blindspot", channels, diagonal=False)


def rectangle(row, column, hole, frame, side):
    """The hole around a pixel, and a frame of some pixels around the hole, as far as they are in the picture."""
    width, height = map(int, hole.split("x")) if isinstance(hole, str) else (hole, hole)
    rows, columns = (range(-(n // 2) - frame, n // 2 + frame + 1) for n in (height, width))
    return {(row + i, column + j) for i in rows for j in columns if 0 <= row + i < side and 0 <= column + j < side}


def not_seen(row, column, hole=1, side=SIDE):
    """Rows and columns of the hole."""
    return tuple(zip(*rectangle(row, column, hole, 0, side), strict=True))


def neighbours(row, column, hole=1, side=SIDE):
    """The pixels just outside that are seen wherever the seams are."""
    inside = rectangle(row, column, hole, 0, side)
    rows, columns = ({place[axis] for place in inside} for axis in (0, 1))
    around = rectangle(row, column, hole, 1, side) - inside
    return {
        (r, c) for r, c in around if (r not in rows and abs(c - column) <= 2) or (c not in columns and abs(r - row) <= 2)
    }


def input_gradients(weighting, channels, hole=1):
    """Gradient with respect to the input [N,H,W,C] of the sum of weighting * outputs, both [N,H,W,K]."""

    def gradient(x, weighting):
        return tf.gradients(blind_spot_unet(x, weighting.shape[-1], hole) * weighting, x)[0]

    n, side = weighting.shape[:2]
    x = random_images(1, side, side, channels).repeat(n, axis=0)
    return compute(gradient, x, weighting, variables=variables_of(channels))


@CHANNELS
def test_gradient_of_every_output(channels):
    """One output at a time, at one pixel: the batch's k-th picture is for output k."""
    k, row, column = outputs_of(channels), 15, 16
    weighting = np.zeros([k, 32, 32, k], np.float32)
    weighting[np.arange(k), row, column, np.arange(k)] = 1
    gradient = input_gradients(weighting, channels)
    assert not gradient[:, row, column].any()
    for r, c in neighbours(row, column, side=32):
        assert gradient[:, r, c].all()


@pytest.mark.parametrize(
    ("channels", "hole"),
    [
        (3, 1), (1, 7), (1, "9x3"),
        *(pytest.param(1, hole, marks=pytest.mark.slow) for hole in (1, 3, 5)),
        *(pytest.param(3, hole, marks=pytest.mark.slow) for hole in (3, 5, 7, 9, "1x5")),
    ],
)
def test_gradient_at_seams_and_borders(channels, hole):
    """All outputs at once, weighted at random so that nothing cancels."""
    k, n = outputs_of(channels), len(PIXELS)
    rows, columns = np.array(PIXELS).T
    weighting = np.zeros([n, SIDE, SIDE, k], np.float32)
    weighting[np.arange(n), rows, columns] = np.random.default_rng(1).standard_normal([n, k])
    gradient = input_gradients(weighting, channels, hole)
    for i, (row, column) in enumerate(PIXELS):
        assert not gradient[i][not_seen(row, column, hole)].any()
        for r, c in neighbours(row, column, hole):
            assert gradient[i, r, c].all(), (row, column, r, c)
        assert np.mean(gradient[i] != 0) > 0.5  # most of the picture, and not only what is near


@HOLES
@CHANNELS
def test_changed_pixel_changes_nothing_in_its_own_place(channels, hole):
    """Stronger than a gradient: another value anywhere in the range, and results compared bit by bit.

    One picture a run: in a batch, equal pictures might be rounded differently.
    """
    original = random_images(1, SIDE, SIDE, channels)
    k = outputs_of(channels)
    with fresh_graph(), create_session() as session:
        x = tf.placeholder(tf.float32, [1, None, None, channels])
        fetch = blind_spot_unet(x, k, hole)
        initialize(session, variables_of(channels))
        before = session.run(fetch, {x: original})
        for row, column in PIXELS:
            changed = original.copy()
            changed[0, row, column] = [1.5, -0.7, 0.4][:channels]
            differs = (session.run(fetch, {x: changed}) != before)[0]
            assert not differs[not_seen(row, column, hole)].any()
            for r, c in neighbours(row, column, hole):
                assert differs[r, c].all(), (row, column, r, c)
