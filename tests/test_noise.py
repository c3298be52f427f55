"""The noise of training against its law, and that it follows from its numbers alone.

All seeds are fixed, so nothing here is left to chance.
"""

import numpy as np
import pytest
from graphs import compute, fresh_graph, random_images
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dnnlib.denoising.noise.families import NoiseStyle, parse_noise_style
from dnnlib.denoising.noise.training_noise import add_training_noise
from dnnlib.tflib.runtime import create_session, tf

STYLES = ("gauss25", "gauss5_50", "poisson30", "poisson5_50", "impulse50", "impulse0_100")
P_LEAST = 1e-3  # of any test of a law: what a right sampler falls below once in 1,000 choices of the seed


# --- names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gauss25", ("gauss", 25 / 255, 25 / 255)),
        ("gauss5_50", ("gauss", 5 / 255, 50 / 255)),
        ("gauss12.5", ("gauss", 12.5 / 255, 12.5 / 255)),
        ("poisson30", ("poisson", 30, 30)),
        ("poisson5_50", ("poisson", 5, 50)),
        ("impulse50", ("impulse", 0.5, 0.5)),
        ("impulse0_100", ("impulse", 0, 1)),
    ],
)
def test_names(name, expected):
    assert parse_noise_style(name) == NoiseStyle(*expected)


@pytest.mark.parametrize(
    "name",
    ["", "gauss", "25", "gauss25_", "gauss_25", "gauss-5", "gauss25 ", "gauss25\n", "Gauss25", "laplace25", "gauss5_10_20"],
)
def test_bad_names(name):
    with pytest.raises(ValueError, match="is no noise style"):
        parse_noise_style(name)


@given(st.sampled_from(["gauss", "poisson", "impulse"]), st.integers(0, 100), st.integers(0, 100))
def test_ranges_keep_their_order(family, low, high):
    low, high = sorted((low, high))
    low = max(low, 1)  # a lambda of 0 is none
    high = max(low, high)
    style = parse_noise_style(f"{family}{low}_{high}")
    unit = {"gauss": 255, "poisson": 1, "impulse": 100}[family]
    assert style == (family, pytest.approx(low / unit), pytest.approx(high / unit))


# --- the law


def corrupt(clean, style, numbers, seed=1, draw=0):
    """-> noisy [N,H,W,C], parameter [N]."""
    numbers = np.array(numbers, np.int64)
    style = parse_noise_style(style) if isinstance(style, str) else style
    noisy, parameter = compute(lambda x, n: add_training_noise(x, style, seed, n, draw), clean, numbers)
    assert noisy.dtype == np.float32 and noisy.shape == clean.shape and parameter.shape == (len(clean), 1, 1, 1)
    return noisy, parameter.ravel()


def flat(value, *shape):
    return np.full(shape, value, np.float32)


def test_gauss():
    clean = random_images(2, 64, 64, 3)
    noisy, sigma = corrupt(clean, "gauss25", [0, 1])
    np.testing.assert_allclose(sigma, 25 / 255, rtol=1e-7)
    n = (noisy - clean) / sigma[0]
    assert stats.kstest(n.ravel(), "norm").pvalue > P_LEAST
    assert noisy.min() < -0.05 and noisy.max() > 1.05  # not clipped
    maps = n.transpose(0, 3, 1, 2).reshape(6, -1)  # of each picture and channel: independent of each other
    maps = np.concatenate([maps, np.roll(n, 1, axis=1).transpose(0, 3, 1, 2).reshape(6, -1)])  # and of the neighbour's
    assert np.abs(np.corrcoef(maps) - np.eye(12)).max() < 4.5 / 64


def test_gauss_of_a_range_scales_by_each_pictures_sigma():
    clean = random_images(4, 48, 48, 3)
    noisy, sigma = corrupt(clean, "gauss5_50", range(4))
    assert len(set(sigma)) == 4
    n = (noisy - clean) / sigma[:, None, None, None]
    for i in range(4):
        assert stats.kstest(n[i].ravel(), "norm").pvalue > P_LEAST


def test_poisson():
    levels = np.array([0.0, 0.05, 0.4, 1.0], np.float32)
    clean = np.repeat(levels, 16 * 64 * 3).reshape(1, 64, 64, 3)
    noisy, rate = corrupt(clean, "poisson30", [7])
    assert rate[0] == 30
    counts = noisy * 30
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-4)
    assert noisy.max() > 1.2  # not clipped
    for level in levels:
        found = np.round(counts[clean == level]).astype(int)
        if level == 0:
            assert not found.any()
            continue
        low, high = (int(q) for q in stats.poisson.ppf([0.005, 0.995], 30 * level))  # the tails in one bin each
        observed = np.bincount(np.clip(found, low, high) - low, minlength=high - low + 1)
        expected = stats.poisson.pmf(np.arange(low, high + 1), 30 * level)
        expected[0], expected[-1] = stats.poisson.cdf(low, 30 * level), stats.poisson.sf(high - 1, 30 * level)
        assert stats.chisquare(observed, expected * len(found)).pvalue > P_LEAST


def test_poisson_of_a_range_counts_in_each_pictures_unit():
    noisy, rates = corrupt(flat(0.6, 4, 64, 64, 3), "poisson5_50", range(4))
    assert len(set(rates)) == 4
    for picture, rate in zip(noisy, rates, strict=True):
        counts = picture * rate
        np.testing.assert_allclose(counts, np.round(counts), atol=1e-4)
        assert abs(counts.mean() - 0.6 * rate) < 4.5 * np.sqrt(0.6 * rate / counts.size)
        assert abs(counts.var() / (0.6 * rate) - 1) < 0.1


@pytest.mark.parametrize("percent", [10, 50])
def test_impulse(percent):
    clean = flat(-5.0, 2, 64, 64, 3)  # what no replacement can be
    noisy, alpha = corrupt(clean, f"impulse{percent}", [3, 4])
    np.testing.assert_allclose(alpha, percent / 100)
    replaced = noisy != clean
    assert (replaced.any(axis=-1) == replaced.all(axis=-1)).all()  # all channels together
    pixels = replaced[..., 0]
    for picture in pixels:
        assert stats.binomtest(int(picture.sum()), picture.size, percent / 100).pvalue > P_LEAST
    assert abs(np.corrcoef(pixels[0].ravel(), pixels[1].ravel())[0, 1]) < 4.5 / 64
    colours = noisy[pixels]
    for channel in colours.T:
        assert stats.kstest(channel, "uniform").pvalue > P_LEAST
    assert np.abs(np.corrcoef(colours.T) - np.eye(3)).max() < 4.5 / np.sqrt(len(colours))
    np.testing.assert_array_equal(noisy[~pixels], -5.0)


def test_impulse_colours_do_not_depend_on_the_choice_of_pixels():
    """Otherwise replaced colours would be dark: one stream for both is an easy mistake."""
    noisy, _ = corrupt(flat(-5.0, 1, 64, 64, 1), "impulse10", [0])
    assert stats.kstest(noisy[noisy > -5], "uniform").pvalue > P_LEAST


def many_pixels(style):
    """400 pictures of one pixel 0.5: -> noisy values, parameters, both [400]."""
    with fresh_graph():  # small, and run often: a graph of many pictures takes long to build
        numbers = tf.placeholder(tf.int64, [4])
        fetch = add_training_noise(tf.fill([4, 1, 1, 1], 0.5), parse_noise_style(style), 1, numbers)
        with create_session() as session:
            runs = [session.run(fetch, {numbers: np.arange(i, i + 4)}) for i in range(0, 400, 4)]
    return np.array(runs).transpose(1, 0, 2, 3, 4, 5).reshape(2, 400).astype(np.float64)


@pytest.mark.parametrize(
    ("style", "low", "high"), [("gauss5_50", 5 / 255, 50 / 255), ("poisson5_50", 5, 50), ("impulse0_100", 0, 1)]
)
def test_parameters_are_uniform_and_noise_does_not_follow_them(style, low, high):
    noisy, parameters = many_pixels(style)
    assert low <= parameters.min() and parameters.max() < high
    assert stats.kstest((parameters - low) / (high - low), "uniform").pvalue > P_LEAST
    assert abs(np.corrcoef(parameters[1:], parameters[:-1])[0, 1]) < 4.5 / 20

    if style.startswith("impulse"):
        noise = ((noisy != 0.5) - parameters) / np.sqrt(parameters * (1 - parameters))
    else:
        noise = (noisy - 0.5) / (parameters if style.startswith("gauss") else np.sqrt(0.5 / parameters))
        assert abs(stats.spearmanr(np.abs(noise), parameters).statistic) < 4.5 / 20
    assert abs(noise.mean()) < 4.5 / 20
    assert abs(stats.spearmanr(noise, parameters).statistic) < 4.5 / 20


# --- what it is a function of


@pytest.mark.parametrize("style", STYLES)
def test_depends_on_seed_number_and_draw_alone(style):
    clean = random_images(3, 8, 8, 3)
    noisy, parameter = corrupt(clean, style, [5, 1_000_003, 7])

    alone, its_parameter = corrupt(clean[1:2], style, [1_000_003])
    np.testing.assert_array_equal(alone[0], noisy[1])
    assert its_parameter[0] == parameter[1]
    turned, turned_parameter = corrupt(clean[[2, 0]], style, [7, 5])
    np.testing.assert_array_equal(turned, noisy[[2, 0]])
    np.testing.assert_array_equal(turned_parameter, parameter[[2, 0]])

    for other in ({"seed": 2}, {"draw": 1}, {"numbers": [6, 1_000_004, 8]}):
        arguments = {"numbers": [5, 1_000_003, 7], **other}
        changed, changed_parameter = corrupt(clean, style, **arguments)
        for a, b in zip(noisy, changed, strict=True):
            assert not np.array_equal(a, b)
        if "_" in style:
            assert (parameter != changed_parameter).all()


def test_streams_do_not_meet():
    """Neighbouring numbers, draws and uses never share a seed: noise would repeat, or follow its own parameter."""
    clean = flat(0.0, 6, 16, 16, 3)
    runs = [corrupt(clean, "gauss25", range(6), draw=draw)[0] for draw in (0, 1)]
    runs.append(corrupt(clean, NoiseStyle("gauss", 1.0, 2.0), range(6))[0])
    pictures = np.concatenate(runs).reshape(18, -1)
    correlations = np.corrcoef(pictures) - np.eye(18)
    again = np.corrcoef(pictures[:6], pictures[12:])[:6, 6:].diagonal()
    np.testing.assert_allclose(again, 1, rtol=1e-6)  # the same normals, scaled
    correlations[np.arange(6), np.arange(12, 18)] = correlations[np.arange(12, 18), np.arange(6)] = 0
    assert np.abs(correlations).max() < 4.5 / np.sqrt(768)


@pytest.mark.parametrize("style", STYLES)
def test_second_instance_is_independent(style):
    """The target of `n2n`: a parameter and noise of its own."""
    clean = flat(0.5, 2, 64, 64, 3)
    (first, parameters), (second, others) = (corrupt(clean, style, [11, 12], draw=draw) for draw in (0, 1))
    assert ("_" not in style) == (parameters == others).all()
    for a, b in zip(first, second, strict=True):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4.5 / 64  # of pixels: impulses hit all channels


def test_second_instances_impulses_do_not_follow_the_firsts_colours():
    first, second = (corrupt(flat(-5.0, 1, 64, 64, 1), "impulse50", [0], draw=draw)[0].ravel() for draw in (0, 1))
    replaced = first > -5
    assert abs(np.corrcoef(first[replaced], second[replaced] > -5)[0, 1]) < 4.5 / np.sqrt(replaced.sum())
