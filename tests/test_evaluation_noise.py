"""The noise of the evaluation: bit for bit what the 2019 program drew, whose arrays are in tests/data/golden."""

import numpy as np
import pytest
from graphs import GOLDEN, fresh_graph

from dnnlib.denoising.noise.evaluation_noise import EvaluationNoise, repeatable_noise
from dnnlib.denoising.noise.families import NoiseStyle, parse_noise_style
from dnnlib.tflib.runtime import create_session, tf

STYLES = ("gauss25", "gauss5_50", "poisson30", "poisson5_50", "impulse50", "impulse0_100")
GOLDEN_NOISE = np.load(GOLDEN / "noise_styles.npz")


def corrupt_all(style, clean):
    noise = EvaluationNoise(parse_noise_style(style), clean[0].shape[1])
    try:
        return [noise.corrupt(x[0].transpose(1, 2, 0)) for x in clean]
    finally:
        noise.close()


@pytest.mark.parametrize("style", [s for s in STYLES if s != "poisson30"])
def test_is_that_of_2019(style):
    clean = [GOLDEN_NOISE[f"clean_{i}"] for i in range(4)]
    for i, (noisy, parameter) in enumerate(corrupt_all(style, clean)):
        np.testing.assert_array_equal(noisy.transpose(2, 0, 1)[None], GOLDEN_NOISE[f"{style}_noisy_{i}"])
        assert parameter == GOLDEN_NOISE[f"{style}_coeff_{i}"].item()


def test_poisson30_draws_the_counts_of_2019():
    """noise_styles.npz was made with static shapes; there the division by 30 became a product, which the last bit tells.

    (An evaluation of 2019 did divide: test_golden.py compares those noisy pictures bit by bit.)
    """
    clean = [GOLDEN_NOISE[f"clean_{i}"] for i in range(4)]
    for i, (noisy, parameter) in enumerate(corrupt_all("poisson30", clean)):
        counts = np.round(GOLDEN_NOISE[f"poisson30_noisy_{i}"] * 30)
        np.testing.assert_array_equal(noisy.transpose(2, 0, 1)[None], counts / np.float32(30), strict=True)
        assert parameter == 30


@pytest.mark.parametrize("style", STYLES)
def test_in_a_graph_of_static_shapes_with_a_second_corruption(style):
    """As noise_styles.npz was made: poisson30 to the bit, too; and op seeds run on from one corruption to the next."""
    noise = parse_noise_style(style)
    draws = (noise.low != noise.high) + (2 if noise.family == "impulse" else 1)
    with fresh_graph():
        tf.set_random_seed(0)
        x = tf.placeholder(tf.float32, [1, 3, 96, 96])
        first, _ = repeatable_noise(x, noise)
        second, _ = repeatable_noise(x, noise, first_seed=1 + draws)
        with create_session() as session:
            noisy = [session.run(first, {x: GOLDEN_NOISE[f"clean_{i}"]}) for i in range(4)]
        with create_session() as session:
            both = session.run([first, second], {x: GOLDEN_NOISE["clean_0"]})
    for i in range(4):
        np.testing.assert_array_equal(noisy[i], GOLDEN_NOISE[f"{style}_noisy_{i}"])
    np.testing.assert_array_equal(both[0], noisy[0])
    np.testing.assert_array_equal(both[1], GOLDEN_NOISE[f"{style}_second_noisify_0"])


def test_a_draw_that_equals_alpha_keeps_the_pixel():
    """A matter of one pixel in 8 million, unless alpha is chosen after the draw."""
    with fresh_graph():
        tf.set_random_seed(0)
        draw = tf.random.uniform([1, 1, 4, 4], seed=1)
        with create_session() as session:
            draws = session.run(draw)[0, 0]
    alpha = float(draws[1, 2])
    noise = EvaluationNoise(NoiseStyle("impulse", alpha, alpha), 3)
    noisy, _ = noise.corrupt(np.full([4, 4, 3], 2, np.float32))
    noise.close()
    np.testing.assert_array_equal((noisy == 2).all(axis=-1), draws >= alpha)


def test_starts_over_with_a_new_object_and_runs_on_within_one():
    clean = [GOLDEN_NOISE["clean_0"]] * 2
    once, again = (corrupt_all("gauss25", clean) for _ in range(2))
    for (a, _), (b, _) in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(once[0][0], once[1][0])


def test_mono():
    """The stream is flat: a picture of one channel sees the first third of what one of three would."""
    clean = GOLDEN_NOISE["clean_0"]
    ((mono, _),) = corrupt_all("gauss25", [clean[:, :1]])
    np.testing.assert_array_equal(mono[:, :, 0], GOLDEN_NOISE["gauss25_noisy_0"][0, 0])
