"""Whether the residual is white: on noise of known correlation, on what a predictor leaves of it, and what is said of it."""

import numpy as np
import pytest
from material import smooth_picture
from scipy.ndimage import convolve

from dnnlib.denoising.evaluation.real_noise import RealScores
from dnnlib.denoising.evaluation.whiteness import FARTHER, LAGS, THRESHOLD, Whiteness, averaged, whiteness

RNG = np.random.default_rng(7)
SIZE = 128
BLUR = np.outer([1, 2, 1], [1, 2, 1])
ONES = np.ones((SIZE, SIZE), np.float32)
SURE = ONES / 2  # the std of a network where the noise is of ONES


def noise(kernel=None, channels=1):
    """White noise of std 1, or blurred by a kernel and brought back to that: [H,W,C]."""
    white = RNG.standard_normal((SIZE, SIZE, channels))
    if kernel is None:
        return white
    return convolve(white, kernel[:, :, None] / np.sqrt(np.sum(kernel**2.0)), mode="wrap")


def left_over(noise, radius=3, hole=1):
    """Noise minus its best linear prediction from the pixels around it that a hole of so many pixels leaves: what a perfect
    blind-spot network leaves over of a flat picture."""
    around = range(-radius, radius + 1)
    seen = [(i, j) for i in around for j in around if max(abs(i), abs(j)) > hole // 2]
    columns = np.stack([np.roll(noise[..., 0], shift, (0, 1)).ravel() for shift in seen], axis=1)
    weights = np.linalg.lstsq(columns, noise.ravel(), rcond=None)[0]
    return (noise.ravel() - columns @ weights).reshape(noise.shape)


def test_known_correlations():
    """Of (1, 2, 1): 2/3 at one pixel, 1/6 at two, none beyond; here horizontally alone."""
    found = whiteness(noise(np.array([[1, 2, 1]]), channels=3), SURE, ONES)
    np.testing.assert_allclose(found.horizontal, [2 / 3, 1 / 6, 0], atol=0.05)
    np.testing.assert_allclose(found.vertical, [0, 0, 0], atol=0.05)
    assert list(found.values()) == ["corr_h1", "corr_h2", "corr_h3", "corr_v1", "corr_v2", "corr_v3"]


def test_only_where_the_network_is_sure_and_in_units_of_what_it_expects():
    """Structure of the picture, where the network says that it does not know, and bright parts with ten times the noise."""
    residual, net_std, noise_std = noise(channels=3), 0.1 * ONES, ONES.copy()
    residual[:, :64] += 3 * np.sin(np.arange(64) / 5)[:, None]
    net_std[:, :64] = 2
    residual[96:], noise_std[96:] = 10 * residual[96:], 10
    found = whiteness(residual, net_std, noise_std)
    assert max(map(abs, found.values().values())) < 0.05
    assert whiteness(residual, SURE, noise_std).horizontal[0] > 0.5


@pytest.mark.parametrize("hole", [1, 3])
def test_white_noise_is_not_flagged(hole):
    found = whiteness(left_over(noise(), hole=hole), SURE, ONES)
    assert abs(found.largest(hole)[0]) < THRESHOLD / 2 and found.advice(hole) is None


KERNELS = [BLUR, np.ones((3, 3)), np.array([[1, 2, 1]]), np.array([[1], [2], [1]])]


@pytest.mark.parametrize("kernel", KERNELS, ids=["1-2-1", "box", "horizontal", "vertical"])
def test_blurred_noise_is_flagged_and_the_remedy_named(kernel):
    """By a predictor that sees the neighbours; with a hole of 5 they are out of sight, and what is left is no matter."""
    blurred = noise(kernel)
    found = whiteness(left_over(blurred), SURE, ONES)
    value, lag, way = found.largest(1)
    assert value < -1.3 * THRESHOLD and lag < 3 and way == ("vertically" if kernel.shape[1] == 1 else way)
    advice = found.advice(1)
    remedy = {(1, 3): "3x1", (3, 1): "1x3", (3, 3): "3"}[kernel.shape]
    assert "correlated between neighbours" in advice and advice.endswith(f"--hole-size {remedy}") and "\n" not in advice
    found = whiteness(left_over(blurred, hole=5), SURE, ONES)
    assert max(found.values().values()) > 0.5 and found.advice(5) is None


def test_what_is_said_of_what():
    nothing = (0.0, 0.0, 0.0)
    assert Whiteness((-0.3, 0.0, 0.0), (-THRESHOLD / 2 - 0.01, 0.0, 0.0)).advice(1).endswith("--hole-size 3")
    assert Whiteness((-0.3, 0.0, 0.0), nothing).advice(1).endswith("--hole-size 3x1")
    assert Whiteness((9.0, -0.3, 0.0), nothing).advice("3x1").endswith("--hole-size 5x1")
    assert Whiteness((9.0, -0.3, 0.0), (-0.3, 0.0, 0.0)).advice("3x1").endswith("--hole-size 5x3")
    assert Whiteness((9.0, 9.0, 9.0), (-0.3, 0.0, 0.0)).advice("9x1").endswith("--hole-size 9x3")
    assert Whiteness((9.0, 9.0, 9.0), nothing).advice("7x1") is None
    assert "-0.30 at 2 pixels vertically" in Whiteness(nothing, (0.0, -0.3, 0.0)).advice(1)
    assert Whiteness(nothing, (-0.9, -0.3, 0.0)).advice(3).endswith("--hole-size 3x5")
    assert Whiteness((-0.9, 0.0, 0.0), (0.9, 0.1, 0.0)).advice(3) is None  # within the hole
    assert Whiteness((-0.9,) * 3, (-0.9,) * 3).advice(7) is None  # beyond the lags that are looked at
    assert "train on" in Whiteness((0.3, 0.0, 0.0), nothing).advice(1)
    assert "train on" in Whiteness((0.3, 0.25, 0.2), (0.25, 0.2, 0.2)).advice(1)
    assert Whiteness((THRESHOLD, FARTHER, -FARTHER), (-THRESHOLD, -FARTHER, FARTHER)).advice(1) is None
    assert Whiteness(nothing, (9.0, -THRESHOLD, FARTHER)).advice(3) is None
    assert Whiteness(nothing, (9.0, 9.0, -THRESHOLD)).advice(5) is None


def test_what_a_network_left_of_blurred_noise_is_flagged():
    """As benchmarks/real_noise.py found it after 3,000 images: nothing at neighbours, but alike at three pixels."""
    found = Whiteness((0.06, -0.18, 0.19), (0.09, -0.14, 0.17))
    assert found.advice(1).startswith("The noise is correlated between neighbours (0.19 at 3 pixels horizontally; of white")
    assert Whiteness.of(found.values()) == found and not Whiteness.of({"corr_h1": 0.1}).judged


def test_what_short_trainings_left_of_white_and_of_blurred_noise():
    """Of benchmarks/whiteness.csv, from which FARTHER was learned: sigma 10, blurred by (1, 2, 1); white, sigma 7;
    a JPEG, whose brightness is white."""
    blurred = Whiteness((0.054, -0.084, 0.148), (0.046, -0.095, 0.145))
    assert "0.15 at 3 pixels" in blurred.advice(1) and blurred.advice(1).endswith("--hole-size 3")
    for white in [((-0.022, 0.022, 0.028), (-0.017, 0.023, 0.026)), ((-0.057, -0.018, -0.024), (-0.098, -0.043, -0.003))]:
        assert Whiteness(*white).advice(1) is None


def test_the_picture_left_over_is_not_called_noise():
    residual = smooth_picture(SIZE, SIZE) / 255 + 0.01 * noise(channels=3)
    assert "train on" in whiteness(residual, SURE, ONES).advice(1)


def test_small_and_flat_pictures():
    assert whiteness(np.ones((1, 1, 3)), SURE[:1, :1], ONES[:1, :1]) == Whiteness((0.0,) * 3, (0.0,) * 3)
    assert whiteness(np.zeros((20, 20, 1)), 0 * ONES[:20, :20], 0 * ONES[:20, :20]).advice(1) is None


def test_nothing_is_said_where_the_noise_does_not_dominate():
    """What the network misses of the picture is correlated as well, however white the noise; a lag beyond the hole or a
    judgement that is not there is no zero."""
    blurred = left_over(noise(BLUR))
    found = whiteness(blurred, ONES, ONES)
    assert not found.judged and found.values() == {} and found.largest(1) is None and found.advice(1) is None
    net_std = ONES.copy()
    net_std[:20] = 0.5  # here it does
    assert "--hole-size 3" in whiteness(blurred, net_std, ONES).advice(1)
    net_std[2:20] = 1  # too little to say
    assert not whiteness(blurred, net_std, ONES).judged
    judged = whiteness(blurred, SURE, ONES)
    assert averaged([found, judged]) == judged and not averaged([found]).judged
    assert RealScores(0.0, {}, found, 1, {}).means() == {"valid_nll": 0.0}


def test_with_a_hole_of_7_there_is_no_correlation_to_show():
    scores = RealScores(0.0, {}, whiteness(noise(), SURE, ONES), 7, {})
    assert "valid_corr" not in scores.means() and "corr_h1" in scores.means()


def test_averages():
    one, other = Whiteness((0.1, 0.2, 0.3), (0.0, 0.0, 0.6)), Whiteness((0.3, 0.2, 0.1), (0.2, 0.4, 0.0))
    both = averaged([one, other])
    np.testing.assert_allclose([*both.horizontal, *both.vertical], [0.2, 0.2, 0.2, 0.1, 0.2, 0.3])
    assert len(both.horizontal) == len(LAGS)
