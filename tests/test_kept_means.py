"""Brightness and colours: the means of a picture's channels are those of the noisy one."""

from pathlib import Path

import numpy as np
import pytest
from material import smooth_picture

from config.networks import NETWORKS
from dnnlib.denoising.inference.denoiser import Denoiser
from dnnlib.denoising.inference.kept_means import KeptMeans
from dnnlib.denoising.network.shipped import network_path
from dnnlib.denoising.pictures.images import read_image
from dnnlib.denoising.pictures.scale import Scale, as_stored

PICTURE = Path(__file__).resolve().parent.parent / "img" / "samples" / "eval" / "chelsea.png"
SIDE, SIGMA = 400, 25
CLEAN = smooth_picture(SIDE, SIDE) / 255 * 155 + 50.0  # far from black and white
NOISE = np.random.default_rng(1).normal(0, SIGMA, CLEAN.shape)
TYPES = [
    (np.uint8, 255.0), (np.uint16, 65535.0), (np.uint16, 255.0), (np.int16, 1000.0), (np.float32, 1.0), (np.float64, 255.0),
]  # fmt: skip


def kept(dtype, white, shift, clean=CLEAN, noise=NOISE):
    """What becomes of a perfect result that is off by so much of 255, in the noisy picture's type and scale."""
    noisy = as_stored((clean + noise) * white / 255, np.dtype(dtype))
    result = np.zeros_like(noisy)
    means = KeptMeans(result, noisy, Scale(0.0, white))
    values = (clean - shift) * white / 255
    for top in range(0, len(clean), 150):
        for left in range(0, len(clean), 250):
            place = slice(top, top + 150), slice(left, left + 250)
            means.put(place, values[place])
    means.finish()
    return result, noisy, as_stored(values, np.dtype(dtype))


@pytest.mark.parametrize(("dtype", "white"), TYPES)
@pytest.mark.parametrize("shift", [(0.3, -0.2, 0.0), (0.9, 0.5, -0.6)])
def test_what_a_network_moved_is_given_back(dtype, white, shift):
    """The noise's own mean is known to 25 / 400 = 0.06 of 255; of what is left by Wiener's factor 0.9 * 0.09 at most."""
    result, noisy, before = kept(dtype, white, np.array(shift))
    off = (result.astype(np.float64) - noisy).mean(axis=(0, 1)) * 255 / white
    was = (before.astype(np.float64) - noisy).mean(axis=(0, 1)) * 255 / white
    by_chance = (SIGMA / SIDE / 0.2) ** 2
    rounding = 0.02  # far above that of a mean of 160,000 pixels
    assert (np.abs(off) <= by_chance / (1 + by_chance) * np.abs(was) + rounding).all(), (off, was)
    assert np.abs(off).max() < 0.1 + rounding


@pytest.mark.parametrize(("dtype", "white"), TYPES)
def test_more_than_networks_do_is_none_of_its_business(dtype, white):
    """As it was without, bit for bit."""
    result, _, before = kept(dtype, white, 5.0)
    assert result.tobytes() == before.tobytes()


def test_of_a_small_picture_the_noise_tells_nothing():
    """Of 16 x 16 pixels the noise's own mean is off by 1.6 of 255 a channel: what is given back is a sixtieth.

    Of the variance that says so a fortieth follows where it is found 35 % too small, four of its stds.
    """
    part = CLEAN[:16, :16], NOISE[:16, :16] - NOISE[:16, :16].mean(axis=(0, 1)) + 0.8
    result, _, before = kept(np.float32, 1.0, 0.0, *part)
    assert np.abs(result - before).max() * 255 < 0.8 / 40


@pytest.mark.parametrize("name", NETWORKS)
def test_the_shipped_networks_keep_the_means(name):
    """On a picture with headroom, to a tenth of 255 and what the noise's own mean is off by (two of its stds)."""
    path = network_path(name, "--network", NETWORKS)
    with Denoiser.load(path) as denoiser:
        clean = read_image(PICTURE, denoiser.configuration.channels) / 255
        random = np.random.default_rng(2)
        if denoiser.configuration.noise.family == "poisson":
            noisy = random.poisson(30 * clean) / 30
        else:
            noisy = clean + random.normal(0, SIGMA / 255, clean.shape)
        known = {"sigma": SIGMA} if denoiser.configuration.noise_params == "known" else {}
        result, _ = denoiser(noisy.astype(np.float32), **known)
    by_chance = (noisy - clean).std(axis=(0, 1)) / np.sqrt(noisy[..., 0].size)
    assert (np.abs((result - noisy).mean(axis=(0, 1))) < 0.1 / 255 + 2 * by_chance).all()
