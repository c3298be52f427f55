"""How much of their noise neighbours share, told from noisy pictures alone, and the blind spot that this needs."""

import numpy as np
import pytest
from material import smooth_picture

from dnnlib.denoising.data.noisy_pictures import NoisyPictures
from dnnlib.denoising.evaluation import needed_hole as needed_hole_module
from dnnlib.denoising.evaluation.needed_hole import advice_from_pictures, hole_advice, needed_hole
from dnnlib.denoising.noise.correlation import LAGS, SHARED, NoiseCorrelation, noise_correlation
from dnnlib.denoising.pictures.scale import Scale

RNG = np.random.default_rng(5)
CLEAN = np.stack([smooth_picture(256, 320, seed) for seed in range(4)]) / 255 * 0.8 + 0.1
# In a patch of 32 x 32 RGB pixels there are 26 * 26 * 3 = 2,028 double differences of the far pixels. Each is correlated by
# 1/2 with four others and by 1/4 with four more, so that their mean square is good to sqrt(2 * (1 + 4/4 + 4/16) / 2028) =
# 4.7 % with white noise, and to about 10 % with that of KERNELS. In the tenth where it is smallest it is 1.75 std too low on
# average, which takes at most 1.75 * (1 - r) of that off r: 0.08 of white noise, 0.1 at r = 0.4, 0.06 at r = 0.67. A median
# of 32 patches adds a few hundredths.
TOLERANCE = 0.12
KERNELS = {"light": [1, 4, 1], "blurred": [1, 2, 1], "strong": [1, 4, 6, 4, 1], "in pairs": [1, 1]}


def noise(kernel=(1,), axes=(1, 2), shape=CLEAN.shape) -> np.ndarray:
    """Noise of std 1 that was blurred by a kernel along axes."""
    found = RNG.standard_normal(shape)
    for axis in axes:
        found = sum(tap / np.linalg.norm(kernel) * np.roll(found, i, axis) for i, tap in enumerate(kernel))
    return found


def correlations(kernel) -> list[float]:
    """Those of noise that was blurred by a kernel, at LAGS."""
    taps = np.array([*kernel, *[0] * max(LAGS)], float)
    return [float(taps[lag:] @ taps[: len(taps) - lag] / (taps @ taps)) for lag in LAGS]


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_correlations_of_known_noise(kernel, sigma):
    found = noise_correlation(CLEAN + sigma * noise(kernel))
    np.testing.assert_allclose(found, [correlations(kernel)] * 2, atol=TOLERANCE)
    assert needed_hole(found) != 1


def test_correlation_of_rows_alone():
    images = CLEAN + 0.05 * noise([1, 2, 1], axes=(2,))
    np.testing.assert_allclose(noise_correlation(images), [correlations([1, 2, 1]), [0] * 4], atol=TOLERANCE)
    assert needed_hole(noise_correlation(images)) == "3x1"
    assert needed_hole(noise_correlation(images.transpose(0, 2, 1, 3))) == "1x3"


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.3])
def test_white_noise_is_not_correlated(sigma):
    for images in (CLEAN + sigma * noise(), CLEAN + sigma * np.sqrt(CLEAN) * noise()):
        np.testing.assert_allclose(noise_correlation(images), 0, atol=TOLERANCE)
        assert needed_hole(noise_correlation(images)) == 1


def test_integers_and_grey():
    """Differences are negative, and squares large. Of a grey patch, with a third of the values, it is sqrt(3) times as far
    off."""
    stored = np.rint(10000 + 20000 * (CLEAN + 0.1 * noise([1, 2, 1]))).astype(np.uint16)
    np.testing.assert_allclose(noise_correlation(stored), [correlations([1, 2, 1])] * 2, atol=TOLERANCE)
    grey = CLEAN[..., :1] + 0.1 * noise()[..., :1]
    np.testing.assert_allclose(noise_correlation(grey), 0, atol=np.sqrt(3) * TOLERANCE)


def test_edges_along_rows_and_columns_are_no_noise():
    """Stripes differ more between far columns than between near ones, and so do edges of anything built."""
    stripes = np.sin(np.arange(320) / 3)[:, None] + np.cos(np.arange(256) / 3)[:, None, None]
    np.testing.assert_allclose(noise_correlation(stripes + 0.05 * noise()), 0, atol=TOLERANCE)


def test_texture_does_not_count_where_there_is_flatter_ground():
    """Blurred like shared noise, and ten times as strong, in all but a fifth of each picture."""
    texture = 0.5 * noise([1, 2, 1])
    texture[:, :, :64] = 0
    np.testing.assert_allclose(noise_correlation(CLEAN + texture + 0.05 * noise()), 0, atol=TOLERANCE)


def test_where_there_is_no_noise():
    flat = np.full([2, 64, 64, 1], 0.5, np.float32)
    assert noise_correlation(flat) == NoiseCorrelation((0.0,) * 4, (0.0,) * 4)
    assert needed_hole(noise_correlation(flat)) == 1
    assert noise_correlation(noise(shape=(1, 31, 400, 3))) == noise_correlation(flat)  # no whole patch


def test_patches_that_are_cut_off_at_black_are_left_out():
    images = np.where(np.arange(320)[:, None] < 160, 0.0, CLEAN + 0.05 * noise([1, 2, 1]))
    np.testing.assert_allclose(noise_correlation(images), [correlations([1, 2, 1])] * 2, atol=TOLERANCE)


ABOVE, BELOW = SHARED + 0.01, SHARED - 0.01
NOTHING = (0.0,) * 4


@pytest.mark.parametrize(
    ("horizontal", "vertical", "hole"),
    [
        (NOTHING, NOTHING, 1),
        ((BELOW,) * 4, (BELOW,) * 4, 1),
        ((ABOVE, 0, 0, 0), (ABOVE, 0, 0, 0), 3),
        ((1, ABOVE, BELOW, 0), (1, ABOVE, 0, 0), 5),
        ((1, 1, ABOVE, 0), (1, 1, ABOVE, BELOW), 7),
        ((1, 1, ABOVE, 0), (1, 1, BELOW - 0.02, 0), 5),  # the average counts
        ((1, 1, BELOW - 0.02, 0), (1, 1, ABOVE + 0.05, 0), 7),
        ((1, 1, 1, ABOVE), (1, 1, 1, ABOVE), 9),
        ((ABOVE, 0, 0, 0), NOTHING, "3x1"),
        ((1, 1, ABOVE, 0), (BELOW, 0, 0, 0), "7x1"),
        (NOTHING, (1, ABOVE, 0, 0), "1x5"),
        ((0, 0, ABOVE, 0), NOTHING, "7x1"),  # what lies between is hidden, too
        ((-1, -1, -1, -1), NOTHING, 1),  # less than nothing is shared by differences that are sharpened, not by noise
    ],
)
def test_the_hole_hides_what_shares_noise(horizontal, vertical, hole):
    assert needed_hole(NoiseCorrelation(horizontal, vertical)) == hole


def test_what_is_said_before_a_training():
    shared = NoiseCorrelation((0.5, ABOVE, 0, 0), (0.6, ABOVE, 0, 0))
    said = hole_advice(shared, 3)
    assert "correlation 0.60 at 1 pixel vertically" in said and "train with --hole-size 5," in said and "\n" not in said
    assert "--hole-size 5," in hole_advice(shared, "9x3")  # not high enough
    assert hole_advice(shared, 5) is hole_advice(shared, 7) is hole_advice(NoiseCorrelation(NOTHING, NOTHING), 1) is None
    rows = NoiseCorrelation((0.5, 0, 0, 0), NOTHING)
    assert "0.50 at 1 pixel horizontally" in hole_advice(rows, 1) and hole_advice(rows, "3x1") is None


def noisy_pictures(count: int, kernel, sides=(64,)) -> NoisyPictures:
    """Pictures of flat grey with noise, some of other sizes than others."""
    sizes = [sides[i % len(sides)] for i in range(count)]
    stored = [(0.5 + 0.05 * noise(kernel, axes=(0, 1), shape=(side, side + 9, 1))).astype(np.float32) for side in sizes]
    return NoisyPictures([f"{i}" for i in range(count)], [0] * count, stored.__getitem__, Scale(0.0, 1.0))


@pytest.mark.parametrize("sides", [(64,), (64, 31, 300, 32, 100)])
def test_what_is_said_of_noisy_pictures(sides):
    """Of any sizes, but not of few."""
    assert "--hole-size 3," in advice_from_pictures(noisy_pictures(20, [1, 2, 1], sides), 1)
    assert advice_from_pictures(noisy_pictures(20, [1, 2, 1], sides), 3) is None
    assert advice_from_pictures(noisy_pictures(20, [1], sides), 1) is None
    assert advice_from_pictures(noisy_pictures(19, [1, 2, 1], sides), 1) is None
    assert advice_from_pictures(noisy_pictures(20, [1, 2, 1], [31]), 1) is None  # none is as large as a patch


def test_the_middle_of_a_picture_is_asked():
    pixels = np.arange(300 * 100, dtype=np.float32).reshape(300, 100, 1)
    found = needed_hole_module._patches(pixels)
    assert found.shape == (8 * 3, 32, 32, 1)
    np.testing.assert_array_equal(found[0], pixels[22:54, 2:34])
    np.testing.assert_array_equal(found[4], pixels[54:86, 34:66])
