"""The estimates of the noise level of one picture."""

import numpy as np
import pytest
from graphs import GOLDEN
from material import smooth_picture
from PIL import Image

from dnnlib.denoising.noise.estimation import COARSER, estimate_level, estimate_parameters, is_correlated
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError

CLEAN = smooth_picture(256, 320) / 255 * 0.8 + 0.1
RNG = np.random.default_rng(3)
BEGINNING = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def own_numbers():
    """Each test has the same random numbers, whichever others there are before it."""
    RNG.bit_generator.state = BEGINNING


def noisy(family: str, level: float, clean: np.ndarray = CLEAN) -> np.ndarray:
    if family == "gauss":
        return clean + level * RNG.standard_normal(clean.shape)
    if family == "poisson":
        return RNG.poisson(level * clean) / level
    return np.where(RNG.random([*clean.shape[:2], 1]) < level, RNG.random(clean.shape), clean)


def stored(pictures: np.ndarray, white: int) -> np.ndarray:
    return np.clip(np.rint(pictures * white), 0, white).astype(np.uint8 if white < 256 else np.uint16)


CASES = [("gauss", s / 255) for s in (10, 25, 50)] + [("poisson", n) for n in (15, 30, 100)]


@pytest.mark.parametrize("white", [1, 255, 4095])
@pytest.mark.parametrize(("family", "level"), CASES)
def test_found_in_any_type(family, level, white):
    pixels = noisy(family, level)
    assert estimate_level(family, pixels if white == 1 else stored(pixels, white), white) == pytest.approx(level, rel=0.12)


@pytest.mark.parametrize("alpha", [0.0, 0.05, 0.3, 0.7, 0.95, 1.0])
def test_alpha(alpha):
    assert estimate_level("impulse", stored(noisy("impulse", alpha), 255), 255) == pytest.approx(alpha, abs=0.06)


@pytest.mark.parametrize(("family", "level"), CASES)
def test_grey(family, level):
    assert estimate_level(family, noisy(family, level)[:, :, :1], 1) == pytest.approx(level, rel=0.12)


@pytest.mark.parametrize(("family", "level"), [("gauss", 25 / 255), ("poisson", 30)])
def test_what_is_clipped_to_white_is_left_out(family, level):
    """A white sky over half of the picture has no noise."""
    clean = CLEAN.copy()
    clean[:128] = 3.0
    assert estimate_level(family, stored(noisy(family, level, clean), 255), 255) == pytest.approx(level, rel=0.1)


def test_texture_in_a_part_hardly_counts():
    clean = CLEAN.copy()
    clean[:, :160] += 0.2 * RNG.integers(0, 2, clean[:, :160].shape)
    assert estimate_level("gauss", noisy("gauss", 0.1, clean), 1) == pytest.approx(0.1, rel=0.1)
    assert estimate_level("poisson", noisy("poisson", 30, clean), 1) == pytest.approx(30, rel=0.15)


def test_photographs():
    """The small ones that the tests carry are nearly all texture: only the order is right."""
    for path in sorted((GOLDEN / "kodak").glob("*.png"))[:2]:
        clean = np.asarray(Image.open(path)) / 255
        assert 0.8 < estimate_level("gauss", noisy("gauss", 0.1, clean), 1) / 0.1 < 1.6


@pytest.mark.parametrize(("family", "option"), [("gauss", "--sigma"), ("poisson", "--lambda"), ("impulse", "--alpha")])
def test_too_small(family, option):
    estimate_level(family, CLEAN[:64, :64], 1)
    for pixels in (CLEAN[:63], CLEAN[:, :63]):
        with pytest.raises(UserError, match=f"below 64 pixels.*{option}"):
            estimate_level(family, pixels, 1)


@pytest.mark.parametrize("family", ["gauss", "poisson", "impulse"])
def test_flat_pictures(family):
    for value in (0, 7, 255):
        pixels = np.full([70, 70, 3], value, np.uint8)
        if family == "poisson":
            with pytest.raises(UserError, match="cannot be estimated.*--lambda"):
                estimate_level(family, pixels, 255)
        else:
            assert estimate_level(family, pixels, 255) == 0


def test_a_large_picture_is_sampled():
    pixels = np.broadcast_to(noisy("gauss", 0.1, np.full([64, 64, 1], 0.5))[None, :, None], (100, 64, 100, 64, 1))
    # All patches are the same one: of 1,024 coefficients the median of absolute values is good to 1 / sqrt(2 * 0.37 * 1024).
    assert estimate_level("gauss", pixels.reshape(6400, 6400, 1), 1) == pytest.approx(0.1, rel=4 * 0.036)


def crops(variance, count: int = 64) -> np.ndarray:
    """Noisy crops [N,64,64,3] of different brightness, and a quarter of them full of texture."""
    clean = np.stack([smooth_picture(64, 64, seed) / 255 * 0.6 + 0.4 * seed / count for seed in range(count)])
    clean[::4] += 0.2 * RNG.integers(0, 2, clean[::4].shape)
    return (clean + np.sqrt(variance(clean)) * RNG.standard_normal(clean.shape)).astype(np.float32)


@pytest.mark.parametrize(("a", "b"), [(0.01, 4e-3), (0.002, 4e-4), (1e-3, 1e-4), (1e-4, 1e-4)])
def test_a_and_b(a, b):
    """Of as many crops as a training starts from: b, of which there is the less to see, to a quarter."""
    found_a, found_b = estimate_parameters("poissongauss", crops(lambda x: a * x + b))
    assert found_a == pytest.approx(a, rel=0.15, abs=0.2 * b)
    assert found_b == pytest.approx(b, rel=0.25)


def test_one_kind_of_noise_alone():
    a, b = estimate_parameters("poissongauss", crops(lambda x: 0.01 * x))
    assert a == pytest.approx(0.01, rel=0.1) and 0 <= b < 4e-4
    a, b = estimate_parameters("poissongauss", crops(lambda x: 0.01 + 0 * x))
    assert b == pytest.approx(0.01, rel=0.1) and 0 <= a < 1e-3
    assert estimate_parameters("poissongauss", np.full([2, 64, 64, 1], 0.5, np.float32)) == [0, 0]


def stds(knots) -> np.ndarray:
    return np.sqrt(np.array(knots))


def test_a_curve():
    """Of a line, of one that falls to a quarter, and of one that bends. All of the brightest patches are textured."""
    x, seen = np.linspace(0, 1, 16), slice(1, 12)
    for law in (lambda x: 0.01 * x + 4e-3, lambda x: 0.01 - 0.0075 * x, lambda x: 0.004 + 0.02 * np.minimum(x, 0.5)):
        found = estimate_parameters("curve", crops(law, 256))
        assert stds(found)[seen] == pytest.approx(stds(law(x))[seen], rel=0.1)


def test_a_curve_of_nothing_and_of_one_brightness():
    """What was not seen is no less than a tenth of what was; without noise there is none anywhere."""
    assert estimate_parameters("curve", np.full([2, 64, 64, 1], 0.5, np.float32)) == [0] * 16
    random = np.random.default_rng(3)
    clean = np.full([64, 64, 64, 1], 0.7) + 0.1 * np.linspace(-1, 1, 64)[:, None, None, None]
    found = estimate_parameters("curve", clean + np.sqrt(0.01 * (0.9 - clean)) * random.standard_normal(clean.shape))
    at_seen = 0.01 * (0.9 - np.array([9, 12]) / 15)
    assert np.array(found)[[9, 12]] == pytest.approx(at_seen, rel=0.2)
    assert min(found) >= 0.1 * 0.8 * at_seen[1] and found[0] > at_seen[0]  # a line falls to nothing at 0.9


def test_the_start_of_the_others():
    assert estimate_parameters("poisson", crops(lambda x: x / 30)) == pytest.approx([1 / 30], rel=0.1)
    assert estimate_parameters("gauss", crops(lambda x: 0.01 + 0 * x)) == pytest.approx([0.1], rel=0.1)
    assert estimate_parameters("poisson", np.full([2, 64, 64, 1], 0.5, np.float32)) == [1e-6]


# ---- Noise that neighbours share

KERNELS = {"blurred": np.array([1, 2, 1]), "box": np.ones(3), "in pairs": np.ones(2)}


def shared(kernel: str, shape: tuple) -> tuple[np.ndarray, float]:
    """White noise that was convolved with a kernel along rows and columns, of std 1; and what COARSER sees of it.

    The Haar coefficients of two pixels are products with the outer product of (1, 1, -1, -1) / 2 with itself, so that their
    variance is that of the noise, convolved with it.
    """
    taps = KERNELS[kernel] / np.linalg.norm(KERNELS[kernel])
    noise = RNG.standard_normal(shape)
    for axis in (1, 2):
        noise = sum(tap * np.roll(noise, i, axis) for i, tap in enumerate(taps))
    haar = np.convolve(taps, np.array([1, 1, -1, -1]) / 2)
    return noise, float(haar @ haar)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_shared_noise_is_told_and_measured(kernel, sigma):
    """On smooth pictures, of 320 patches with 192 coefficients each: 10 % of a variance, and of their median 1 %."""
    noise, seen = shared(kernel, (4, *CLEAN.shape))
    images = CLEAN + sigma * noise
    assert is_correlated(images)
    found = estimate_parameters("gauss", images, (), COARSER)
    assert found == pytest.approx([sigma * seen], rel=0.05)
    assert 0.8 <= seen <= 1.3


def test_shared_noise_that_follows_the_light():
    noise, seen = shared("blurred", (4, *CLEAN.shape))
    a, b = estimate_parameters("poissongauss", CLEAN + np.sqrt(0.01 * CLEAN + 4e-4) * noise, (), COARSER)
    assert 0.5 * a + b == pytest.approx(seen**2 * (0.5 * 0.01 + 4e-4), rel=0.1)


@pytest.mark.parametrize("sigma", [0.005, 0.02, 0.1, 0.3])
def test_white_noise_is_not_shared(sigma):
    assert not is_correlated(crops(lambda x: sigma**2 + 0 * x))
    assert not is_correlated(crops(lambda x: sigma**2 * x))


def test_there_is_nothing_to_share_where_there_is_no_noise():
    assert not is_correlated(np.full([2, 64, 64, 1], 0.5, np.float32))


@pytest.mark.parametrize(("family", "level"), CASES)
def test_a_black_level(family, level):
    pixels = np.rint(noisy(family, level) * 3000 + 500)
    assert estimate_level(family, pixels, 3500, 500) == pytest.approx(level, rel=0.12)


@pytest.mark.parametrize("family", ["gauss", "poisson", "poissongauss", "curve"])
def test_clipped_crops_are_left_out_of_the_start(family):
    """12 bits of black 256 and white 4095: half of the crops are saturated, or lie below what can be stored."""
    clean = np.stack([smooth_picture(64, 64, seed) / 255 * 0.6 + 0.1 for seed in range(64)])
    clean[::4], clean[1::4] = 1.05, -0.08
    variance = np.maximum(clean, 0) / 100 if family == "poisson" else 0.0025 + 0 * clean
    pixels = clean + np.sqrt(variance) * RNG.standard_normal(clean.shape)
    kept = np.clip(np.rint(256 + 3839 * pixels), 0, 4095).astype(np.uint16)
    scale = Scale(256, 4095)
    limits = scale.to_float(np.array([0, 4095, 65535]))
    found = estimate_parameters(family, scale.to_float(kept), limits)
    if family == "curve":
        found = found[3:11]  # where there are patches, from 0.1 to 0.7
    elif family == "poissongauss":
        a, b = found
        found = [0.4 * a + b]  # the variance in their middle
    expected = {"gauss": [0.05], "poisson": [0.01], "poissongauss": [0.0025], "curve": [0.0025] * 8}[family]
    assert found == pytest.approx(expected, rel=0.1, abs=5e-4)
