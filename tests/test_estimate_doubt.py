"""An estimate of the noise level that cannot be trusted says so."""

import dataclasses

import numpy as np
import pytest
from graphs import GOLDEN
from material import smooth_picture, write_network
from PIL import Image
from programs import run_here

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference.noise_level import learned_level, shared_noise_doubt, told_level
from dnnlib.denoising.noise.estimate_doubt import doubt_about
from dnnlib.denoising.noise.estimation import estimate_level
from dnnlib.denoising.noise.families import FAMILIES
from dnnlib.denoising.noise.learned_parameter import raw_from_parameter
from dnnlib.denoising.pictures.scale import Scale

RNG = np.random.default_rng(3)
CLEAN = smooth_picture(256, 320) / 255 * 0.8 + 0.1
NAME = "gauss25-blindspot-sigma_known"


def in_8_bits(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(255 * values), 0, 255).astype(np.uint8)


def noise(sigma: float, shape=CLEAN.shape) -> np.ndarray:
    return sigma / 255 * RNG.standard_normal(shape)


DARK = in_8_bits(noise(25))  # a background at zero: half of its noise is clipped away
FEW = RNG.poisson(0.3, CLEAN.shape).clip(0, 1).astype(np.uint8)  # counts of 0 and 1
COARSE = (in_8_bits(CLEAN + noise(1)) // 16 * 16).astype(np.uint8)
BRIGHT = in_8_bits(1 + noise(25))
SKY = in_8_bits(np.where(np.arange(256)[:, None, None] < 128, 3.0, CLEAN) + noise(25))  # the lower half can be trusted


@pytest.mark.parametrize(("family", "pixels", "share"), [
    ("gauss", DARK, 50), ("gauss", DARK / 255 - 7, 50), ("gauss", FEW, 100), ("gauss", BRIGHT, 50),
    ("gauss", 3 * FEW.astype(np.uint16) + 9, 100), ("poisson", BRIGHT, 50), ("poissongauss", BRIGHT, 50),
])  # fmt: skip
def test_says_that_noise_was_clipped(family, pixels, share):
    said = doubt_about(family, pixels, 1e9)
    found, rest = said.split("% of the values are the ")
    # 245,760 values, each clipped with the probability 1/2: 0.1 % is one standard deviation.
    assert int(found) == pytest.approx(share, abs=1) and rest.startswith("least" if family == "gauss" else "greatest")


def test_says_that_noise_lies_between_two_values():
    std = 255 * estimate_level("gauss", COARSE, 255)
    assert doubt_about("gauss", COARSE, std) == "the values are 16 apart, and the noise lies between them"
    assert doubt_about("gauss", COARSE, 8) == doubt_about("poisson", COARSE, 0) == ""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("pixels", "std"), [
    (in_8_bits(CLEAN + noise(25)), 25), (CLEAN + noise(25), 0.1), (in_8_bits(CLEAN + noise(0.5)), 0.5),
    (in_8_bits(CLEAN + noise(50)), 50), (SKY, 25),
], ids=["8 bits", "floats", "weak", "strong", "white sky"])  # fmt: skip
def test_else_says_nothing(family, pixels, std):
    assert doubt_about(family, pixels, std) == ""
    assert doubt_about(family, pixels[-64:, -64:, :1], std) == ""


def test_few_photons_and_impulses_are_at_the_ends_by_themselves():
    assert doubt_about("poisson", RNG.poisson(0.5, CLEAN.shape), 0) == ""
    assert doubt_about("impulse", np.where(RNG.random(CLEAN.shape) < 0.5, DARK, 255), 0) == ""


@pytest.mark.parametrize("sigma", [5, 25, 50])
def test_photographs(sigma):
    for path in sorted((GOLDEN / "kodak").glob("*.png")):
        picture = np.asarray(Image.open(path)) / 255
        assert doubt_about("gauss", in_8_bits(picture + noise(sigma, picture.shape)), sigma) == ""


@pytest.mark.parametrize(("name", "level", "said"), [
    ("gauss25-blindspot-sigma_known", 25, None), ("gauss25-blindspot-sigma_known", 29, None),
    ("gauss25-blindspot-sigma_known", 31, "sigma 25"), ("gauss25-blindspot-sigma_known", 20, "sigma 25"),
    ("gauss5_50-blindspot-sigma_known", 5, None), ("gauss5_50-blindspot-sigma_known", 50, None),
    ("gauss5_50-blindspot-sigma_known", 75, "sigma 5 to 50"), ("gauss5_50-blindspot-sigma_known", 0, "sigma 5 to 50"),
    ("poisson5_50-blindspot-sigma_known", 10, None), ("poisson5_50-blindspot-sigma_known", 100, "lambda 5 to 50"),
    ("impulse0_100-blindspot-sigma_known", 0.5, None), ("impulse50-blindspot-sigma_known", 0.1, "alpha 0.5"),
])  # fmt: skip
def test_a_level_that_the_network_was_not_trained_on(name, level, said):
    """Whether it was told the level, or has found it."""
    known = Configuration.from_name(name)
    row = known.noise.row
    levels = [told_level(known, {row.level.name: level}, CLEAN, Scale(0.0, 1.0))]
    if level and row.name != "impulse":
        (learned,) = row.parameters
        per_image = Configuration.from_name(name.replace("known", "per_image"))
        value = learned.learned_from_known(learned.known_from_user(level))
        levels.append(learned_level(per_image, np.array(raw_from_parameter(value, per_image.noise.learns_root))))
    for found in levels:
        assert [doubt.split(": ")[0] for doubt in found.doubts] == ([f"the network was trained on {said}"] if said else [])


def test_with_a_larger_hole_a_level_has_no_range():
    known = dataclasses.replace(Configuration.from_name("gauss5_50-blindspot-sigma_known"), hole_size=3)
    assert told_level(known, {"sigma": 2}, CLEAN, Scale(0.0, 1.0)).doubts == ()


def shared(sigma: float, shape=CLEAN.shape) -> np.ndarray:
    """Noise of which each pixel has its share of its 3 x 3 neighbours', (1, 2, 1) in both directions."""
    return blurred(noise(1, shape)) * sigma


def blurred(values: np.ndarray) -> np.ndarray:
    for axis in (0, 1):
        values = (np.roll(values, 1, axis) + 2 * values + np.roll(values, -1, axis)) / np.sqrt(6)
    return values


@pytest.mark.parametrize("sigma", [2, 5, 15])
@pytest.mark.parametrize("name", ["gauss5_50-blindspot-sigma_per_image", NAME])
def test_noise_that_neighbours_share(name, sigma):
    """It is seen on a smooth picture, and the level is told with a larger hole; white noise, and texture alone, is not."""
    configuration, scale = Configuration.from_name(name), Scale(0.0, 255.0)
    pixels = in_8_bits(CLEAN + shared(sigma))
    (said,) = shared_noise_doubt(configuration, pixels, scale)
    assert said.startswith("neighbours seem to share the noise") and "--hole-size 3" in said
    wider = dataclasses.replace(configuration, hole_size=3)
    assert not shared_noise_doubt(wider, pixels, scale)
    # Of 80 patches, each good to some 6 %, the median; of rounding 1/12 is in the square.
    found = told_level(wider, {}, pixels, scale).values["sigma"]
    assert found == pytest.approx(np.hypot(sigma, 0.29) * visible_share(), rel=0.1)
    texture = np.sin(np.arange(320) / 3) * np.linspace(0, 1, 256)[:, None]  # here more, there less
    for other in (CLEAN + noise(sigma), CLEAN + 0.1 * texture[:, :, None]):
        assert not shared_noise_doubt(configuration, in_8_bits(other), scale)
    assert not shared_noise_doubt(Configuration.from_name("real_gauss-blindspot-sigma_global"), pixels, scale)
    assert not shared_noise_doubt(configuration, pixels[:63], scale)


def visible_share() -> float:
    """The std of the diagonal coefficients of 2 x 2 sums that such noise of std 1 has, each pixel's share added up."""
    kernel = np.array([1, 2, 1]) / np.sqrt(6)
    response = np.convolve(kernel, np.array([1, 1, -1, -1]) / 2)
    return float(np.sum(response**2))


def test_real_noise_has_no_range():
    real = Configuration.from_name("real_gauss-blindspot-sigma_global")
    assert learned_level(real, np.array([3.0])).doubts == ()


def test_the_line_of_a_file_says_it_and_what_to_give(tmp_path):
    write_network(tmp_path / "network.pickle", NAME)
    Image.fromarray(DARK[:64, :64]).save(tmp_path / "dark.png")
    estimated, given = (
        run_here(tmp_path, f"--denoise dark.png --network network.pickle --out {out}").stdout
        for out in ("estimated", "given --sigma 25")
    )
    assert "the estimate may be far off: " in estimated and "; give --sigma, the network was trained" in estimated
    assert "may be" not in given and "trained" not in given
