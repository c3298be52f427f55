"""Noise that neighbours share: its coarse part is taken out at half the size, where the hole is larger than was trained."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import random_variables
from hypothesis import given, settings
from hypothesis import strategies as st
from material import smooth_picture

from config.networks import NETWORKS
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference import prepared_picture as module
from dnnlib.denoising.inference.coarse_noise import doubled, halved, without_coarse_noise
from dnnlib.denoising.inference.denoiser import Denoiser
from dnnlib.denoising.network.architecture import shapes_of
from dnnlib.denoising.network.network_file import to_network
from dnnlib.denoising.network.shipped import network_path
from dnnlib.denoising.pictures.scale import Scale

PER_IMAGE = "gauss5_50-blindspot-sigma_per_image"


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.floats(-1, 2, width=32))
@settings(deadline=None)
def test_sizes_and_flat_pictures(height, width, channels, value):
    flat = np.full([height, width, channels], value, np.float32)
    half = halved(flat)
    assert half.shape == (-(-height // 2), -(-width // 2), channels) and half.dtype == np.float32
    assert half == pytest.approx(value, abs=1e-6)
    again = doubled(half)
    assert again.shape == (2 * half.shape[0], 2 * half.shape[1], channels)
    assert again == pytest.approx(value, abs=1e-5)


def test_nothing_is_shifted():
    """A ramp stays one, but near the edges, where nobody knows how it goes on."""
    y, x = np.mgrid[:64, :48]
    ramp = (0.01 * y + 0.005 * x)[:, :, np.newaxis].astype(np.float32)
    assert doubled(halved(ramp))[16:-16, 16:-16] == pytest.approx(ramp[16:-16, 16:-16], abs=1e-4)


@pytest.mark.parametrize("size", [(37, 50), (1, 5), (64, 64)])
def test_what_is_found_at_half_the_size_is_taken_away(size):
    pixels = np.random.default_rng(1).integers(0, 4096, [*size, 3], np.uint16)
    scale = Scale(100.0, 4000.0)
    np.testing.assert_array_equal(without_coarse_noise(pixels, scale, lambda half: half), scale.to_float(pixels))
    lower = without_coarse_noise(pixels, scale, lambda half: half - np.float32(0.25))
    assert lower == pytest.approx(scale.to_float(pixels) - 0.25, abs=1e-5)


def blurred_noise(shape, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    for axis in (0, 1):
        noise = sum(w * np.roll(noise, k, axis) for k, w in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True)) / np.sqrt(70)
    return noise


def test_it_helps_against_noise_that_is_shared_far(monkeypatch):
    """By a shipped network, on a smooth picture, which has nothing to lose."""
    clean = smooth_picture(96, 128) / 255
    noisy = (clean + 10 / 255 * blurred_noise(clean.shape, 3)).astype(np.float32)
    with Denoiser.load(network_path(PER_IMAGE, "", NETWORKS), hole_size=3) as denoiser:
        with_it = denoiser(noisy, sigma=10)[0]
        monkeypatch.setattr(module, "without_coarse_noise", lambda pixels, scale, _: scale.to_float(pixels))
        without = denoiser(noisy, sigma=10)[0]
    errors = [np.mean((x - clean) ** 2) for x in (noisy, without, with_it)]
    assert errors[2] < 0.95 * errors[1] and errors[1] < errors[0]


@pytest.mark.parametrize(
    ("name", "trained", "used", "strength", "expected"),
    [
        (PER_IMAGE, 1, 3, 1.0, True), (PER_IMAGE, 1, "1x3", 0.5, True), (PER_IMAGE, 3, 3, 1.0, False),
        (PER_IMAGE, 3, 1, 1.0, False), (PER_IMAGE, 1, 3, 0.0, False), ("impulse50-blindspot-sigma_known", 1, 3, 1.0, False),
        ("real_gauss-blindspot-sigma_global", 1, 3, 1.0, False),
    ],
)  # fmt: skip
def test_only_where_the_hole_is_larger_than_in_the_training(monkeypatch, name, trained, used, strength, expected):
    c = replace(Configuration.from_name(name), hole_size=trained)
    calls = []
    real = module.without_coarse_noise
    monkeypatch.setattr(module, "without_coarse_noise", lambda *given: calls.append(given) or real(*given))
    image = (smooth_picture(64, 70) / 255).astype(np.float32)
    level = {"alpha": 0.5} if "impulse" in name else {"sigma": 10}
    with Denoiser(to_network(c, random_variables(shapes_of(c), seed=5)), replace(c, hole_size=used)) as denoiser:
        result, std = denoiser(image, strength=strength, **level)
    assert bool(calls) == expected and result.shape == image.shape and std.shape == image.shape[:2]


def test_a_grey_picture_and_the_ensemble():
    """Cut into tiles it is the same but for rounding; grey, it is the mean of the network's channels, as ever."""
    image = (smooth_picture(70, 97)[:, :, 0] / 255 + 0.04 * blurred_noise((70, 97), 2)).astype(np.float32)
    with Denoiser.load(network_path(PER_IMAGE, "", NETWORKS), hole_size=3) as denoiser:
        whole, tiled = (denoiser(image, sigma=10, tile=tile)[0] for tile in (0, 32))
        together = denoiser(image, sigma=10, ensemble=True)[0]
    assert whole.shape == image.shape and whole == pytest.approx(tiled, abs=1e-4)
    assert 0 < np.abs(together - whole).mean() < 0.02
