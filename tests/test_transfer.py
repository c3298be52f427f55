"""The photon transfer of pictures: the points, which family fits them, and what a run's page shows of them."""

import numpy as np
import pytest
from material import smooth_picture

from dnnlib.denoising.noise.families import FAMILIES, as_shown, parse_noise_style
from dnnlib.denoising.noise.transfer import Points, fitting_model, model_of, transfer_points
from dnnlib.denoising.reports import charts
from dnnlib.denoising.training.noise_curve import NoiseCurve
from dnnlib.tflib.runtime import create_session, tf

COUNT = 64


def clean_crops() -> np.ndarray:
    """Crops [N,64,64,3] of different brightness, in a part of which there is texture of the size of a pixel."""
    clean = np.stack([smooth_picture(64, 64, seed) / 255 * 0.4 + 0.6 * seed / COUNT for seed in range(COUNT)])
    clean[:, :32, :32] += 0.3 * np.random.default_rng(2).integers(0, 2, [COUNT, 32, 32, 3]) - 0.15
    return clean


CLEAN = clean_crops()


def noisy(variance) -> np.ndarray:
    return (CLEAN + np.sqrt(variance(CLEAN)) * np.random.default_rng(1).standard_normal(CLEAN.shape)).astype(np.float32)


# ---- The points


def test_the_points_are_of_flat_patches():
    """Three of four patches are flat, and of each brightness three of ten are taken. The mean square of 768 coefficients of
    variance v has a std of v sqrt(2 / 768) = 5 % of v; within a patch the brightness may differ by 0.4."""
    points = transfer_points(noisy(lambda x: 0.002 + 0 * x))
    assert 0.25 * 4 * COUNT <= len(points.means) <= 0.4 * 4 * COUNT
    assert np.ptp(points.means) > 0.5
    assert np.abs(points.variances / 0.002 - 1).max() < 6 * np.sqrt(2 / 768)


def test_points_of_clipped_patches_count():
    """A normal number that is clipped at its mean has a std of sqrt((1 - 1 / pi) / 2) = 0.58 of its own."""
    random = np.random.default_rng(4)
    pixels = np.maximum(0.1 * random.standard_normal([16, 64, 64, 1]), 0.0)
    points = transfer_points(pixels)
    assert len(points.means) == int(0.3 * 64)
    assert np.median(points.variances) == pytest.approx(0.01 * (1 - 1 / np.pi) / 2, rel=0.1)


# ---- Which family fits


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (lambda x: 1e-3 + 0 * x, "gauss"),
        (lambda x: 0.02 * np.maximum(x, 0) + 4e-4, "poissongauss"),
        (lambda x: 0.02 * np.maximum(x, 0), "poissongauss"),
        (lambda x: 0.01 * np.exp(-3 * x), "curve"),
        (lambda x: 1e-3 + 0.02 * np.exp(-(((x - 0.5) / 0.15) ** 2)), "curve"),
    ],
)
def test_the_family_is_found(law, expected):
    name, reason = fitting_model(noisy(law))
    assert name == expected, reason
    assert "% by gauss" in reason and "% by poissongauss" in reason and "clipped" not in reason


def points_at(stds, means=None) -> Points:
    """Of six patches each at brightnesses in the middle of the classes."""
    means = (np.arange(len(stds)) + 0.5) / 16 if means is None else means
    return Points(np.repeat(means, 6), np.repeat(np.square(stds), 6))


@pytest.mark.parametrize(("spread", "expected"), [(0.09, "gauss"), (0.11, "curve")])
def test_the_limit_is_a_tenth(spread, expected):
    """Stds of 1 - d and 1 + d by turns. s misses them by the root mean square of s r - 1, with r = 1 / (1 +- d), which is
    least where s = (sum of r) / (sum of r^2), and there d / sqrt(1 + d^2): 0.090 and 0.109. No line helps."""
    stds = 0.1 * (1 + spread * np.where(np.arange(16) % 2, -1, 1))
    name, reason = model_of(points_at(stds))
    assert name == expected and f"missed by {100 * spread:.0f} % by gauss" in reason


def test_brightnesses_of_too_few_patches_do_not_count():
    points = points_at([0.1] * 8)
    few = Points(np.append(points.means, [0.9] * 4), np.append(points.variances, [1.0] * 4))
    assert model_of(few) == model_of(points)
    assert model_of(few)[0] == "gauss" and "of 8 brightnesses" in model_of(few)[1]


def test_a_brightness_of_many_patches_counts_for_more():
    """Stds of 1 and 1.4, 39 to 1: the constant 1 misses them by 0.4 / 1.4 / sqrt(40) = 0.05."""
    stds = np.array([1.0] * 39 * 6 + [1.4] * 6)
    means = np.array([0.5] * 39 * 6 + [0.1] * 6)
    assert model_of(Points(means, 0.01 * stds**2))[0] == "gauss"
    half = Points(np.repeat([0.1, 0.5], 120), 0.01 * np.repeat([1.4, 1.0], 120) ** 2)
    assert model_of(half)[0] == "curve"  # no constant misses both by less than 1 / 7


def test_clipping_is_told():
    pixels = np.clip(noisy(lambda x: 0.01 + 0 * x), 0, 1)
    name, reason = fitting_model(pixels, (0.0, 1.0))
    share = np.mean((pixels == 0) | (pixels == 1))
    assert reason.endswith(f"; {share:.1%} of the values are clipped") and share > 0.01
    assert fitting_model(pixels) == (name, reason.split(";")[0])


def test_where_nothing_can_be_told():
    assert model_of(points_at([0.0] * 8)) == ("gauss", "they have no noise where they are flat")
    few = Points(np.linspace(0, 1, 16), np.full(16, 0.01))
    assert model_of(few) == ("poissongauss", "they have too few flat patches to tell")
    assert fitting_model(CLEAN[:1, :32, :32].astype(np.float32)) == model_of(few)


def test_every_family_that_may_be_named_can_be_learned():
    assert all(FAMILIES[name].real for name in ("gauss", "poissongauss", "curve"))


# ---- What is shown


def test_a_curve_is_shown_in_three_figures():
    knots = {f"v{k:02d}": (0.01 * (k + 1)) ** 2 for k in range(16)}
    shown = as_shown({"loss": 1.0, **knots, "valid_nll": -2.0})
    stds = {"std_black": 2.55, "std_middle": 255 * np.sqrt((0.08**2 + 0.09**2) / 2), "std_white": 40.8}
    assert shown == pytest.approx({"loss": 1.0, **stds, "valid_nll": -2.0})
    assert list(shown) == ["loss", "std_black", "std_middle", "std_white", "valid_nll"]
    assert as_shown({"a": 1.0, "b": 2.0}) == {"a": 1.0, "b": 2.0}


LEARNED = {
    "gauss": ({"sigma": 25.5}, lambda x: 0.01 + 0 * x),
    "poisson": ({"lambda": 50.0}, lambda x: np.maximum(x, 1e-3) / 50),
    "poissongauss": ({"a": 0.01, "b": 0.002}, lambda x: 0.01 * np.maximum(x, 1e-3) + 0.002),
    "curve": ({f"v{k:02d}": 0.001 + 0.01 * (k % 2) for k in range(16)},
              lambda x: 0.001 + 0.01 * np.abs((15 * x + 1) % 2 - 1)),
}  # fmt: skip


@pytest.mark.parametrize("family", LEARNED)
def test_the_curve_of_a_page_is_the_law(family):
    values, law = LEARNED[family]
    points = Points(np.array([0.2, 0.4]), np.array([0.01, 0.04]))
    with tf.Graph().as_default(), create_session() as session:
        curve = NoiseCurve(parse_noise_style(f"real_{family}"), points)
        found = curve.transfer(session, values | {"loss": 1.0})
    np.testing.assert_allclose(found.points, [(51.0, 25.5), (102.0, 51.0)])
    means, stds = np.array(found.learned).T
    assert means[0] == 0 and means[-1] == 255
    assert set(np.linspace(0, 255, 16).round(6)) <= set(means.round(6))  # no knot is missed
    np.testing.assert_allclose(stds, 255 * np.sqrt(law(means / 255)), rtol=1e-6)


def test_the_chart():
    found = charts.Transfer([(10.0, 5.0)] * 99 + [(20.0, 500.0)], [(0.0, 4.0), (255.0, 8.0)])
    assert charts.transfer(found).uri.startswith("data:image/svg+xml")
    assert charts.transfer(None) is None and charts.transfer(charts.Transfer([], [])) is None
