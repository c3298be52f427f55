"""The estimate of sigma from noisy pictures, and the variable's value that stands for it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import smooth_picture

from dnnlib.denoising.noise.estimation import estimate_sigma
from dnnlib.denoising.noise.learned_parameter import parameter_from_raw, raw_from_parameter


def noisy(sigma: float, count: int = 8, side: int = 128, channels: int = 3) -> np.ndarray:
    clean = np.stack([smooth_picture(side, side, seed)[..., :channels] for seed in range(count)]) / 255
    return (clean + sigma * np.random.default_rng(1).standard_normal(clean.shape)).astype(np.float32)


@pytest.mark.parametrize("sigma", [5, 25, 50, 100])
@pytest.mark.parametrize("channels", [1, 3])
def test_sigma_is_found_within_five_percent(sigma, channels):
    assert estimate_sigma(noisy(sigma / 255, channels=channels)) == pytest.approx(sigma / 255, rel=0.05)


def test_texture_hardly_adds_to_it():
    """Where a part of the pictures is texture, the rest tells."""
    pictures = noisy(25 / 255)
    pictures[:, :64] += np.random.default_rng(2).integers(0, 2, pictures[:, :64].shape)
    assert estimate_sigma(pictures) == pytest.approx(25 / 255, rel=0.1)


def test_no_noise():
    assert estimate_sigma(np.full((2, 64, 64, 3), 0.5, np.float32)) == 0


def test_a_picture_that_is_no_multiple_of_the_patch():
    assert estimate_sigma(noisy(0.1, side=100)) == pytest.approx(0.1, rel=0.1)


@given(st.floats(0.0011, 10.0))
def test_the_variable_stands_for_the_value(value):
    """SPEC 3.3: softplus(t - 4) + 1e-3."""
    t = raw_from_parameter(value)
    assert parameter_from_raw(t) == pytest.approx(value, rel=1e-6)
    assert parameter_from_raw(raw_from_parameter(value, True), True) == pytest.approx(value, rel=1e-6)
    assert math.log1p(math.exp(t - 4)) + 1e-3 == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 1e-4, 1e-3])
def test_what_no_variable_can_stand_for_becomes_nearly_the_least(value):
    t = raw_from_parameter(value)
    assert math.isfinite(t) and math.log1p(math.exp(t - 4)) < 1e-5
