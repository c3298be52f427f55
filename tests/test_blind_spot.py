"""No output of the blind-spot network at a pixel depends on the input at that pixel, and all its neighbours are seen."""

import numpy as np
import pytest
from graphs import compute, fresh_graph, random_images, random_variables

from dnnlib.denoising.architecture import output_channels, variable_shapes
from dnnlib.denoising.networks import blind_spot_unet
from dnnlib.tflib.runtime import create_session, initialize, tf

CHANNELS = pytest.mark.parametrize("channels", [1, 3], ids=["mono", "RGB"])
SIDE = 64
# Corners, edges, and both sides of the seams of every pooling (at multiples of 2, 4, 8, 16, 32).
PIXELS = [(0, 0), (63, 63), (0, 40), (1, 62), (31, 32), (32, 31), (16, 47), (21, 44)]


def variables_of(channels):
    return random_variables(variable_shapes(pipeline="blindspot", channels=channels))


def outputs_of(channels):
    return output_channels("blindspot", channels, diagonal=False)


def neighbours(row, column, side=SIDE):
    around = [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    return [(r, c) for r, c in around if 0 <= r < side and 0 <= c < side]


def input_gradients(weighting, channels):
    """Gradient with respect to the input [N,H,W,C] of the sum of weighting * outputs, both [N,H,W,K]."""

    def gradient(x, weighting):
        return tf.gradients(blind_spot_unet(x, weighting.shape[-1]) * weighting, x)[0]

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
    for r, c in neighbours(row, column, 32):
        assert gradient[:, r, c].all()


@CHANNELS
def test_gradient_at_seams_and_borders(channels):
    """All outputs at once, weighted at random so that nothing cancels."""
    k, n = outputs_of(channels), len(PIXELS)
    rows, columns = np.array(PIXELS).T
    weighting = np.zeros([n, SIDE, SIDE, k], np.float32)
    weighting[np.arange(n), rows, columns] = np.random.default_rng(1).standard_normal([n, k])
    gradient = input_gradients(weighting, channels)
    for i, (row, column) in enumerate(PIXELS):
        assert not gradient[i, row, column].any()
        for r, c in neighbours(row, column):
            assert gradient[i, r, c].all(), (row, column, r, c)
        assert np.mean(gradient[i] != 0) > 0.5  # most of the picture, and not only what is near


@CHANNELS
def test_changed_pixel_changes_nothing_in_its_own_place(channels):
    """Stronger than a gradient: another value anywhere in the range, and results compared bit by bit.

    One picture a run: in a batch, equal pictures might be rounded differently.
    """
    original = random_images(1, SIDE, SIDE, channels)
    k = outputs_of(channels)
    with fresh_graph(), create_session() as session:
        x = tf.placeholder(tf.float32, [1, None, None, channels])
        fetch = blind_spot_unet(x, k)
        initialize(session, variables_of(channels))
        before = session.run(fetch, {x: original})
        for row, column in PIXELS:
            changed = original.copy()
            changed[0, row, column] = [1.5, -0.7, 0.4][:channels]
            differs = (session.run(fetch, {x: changed}) != before)[0]
            assert not differs[row, column].any()
            for r, c in neighbours(row, column):
                assert differs[r, c].all(), (row, column, r, c)
