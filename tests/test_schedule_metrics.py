"""Learning rate and exponent along the schedule, PSNR, and what options may be."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dnnlib.denoising.evaluation.metrics import psnr
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.training.schedule import crop_side, learning_rate, loss_exponent
from dnnlib.errors import UserError

# ---- The schedule


def rate_at(n: int, length: int, base: float, shape: str = "ramps") -> float:
    return learning_rate(n, TrainingOptions(num_iter=length, learning_rate=base, rate_shape=shape))


def rate_of_spec(n: int, length: int, base: float) -> float:
    """SPEC 6.1, with N = length."""
    if n <= 0.1 * length:
        return base * (0.5 - 0.5 * math.cos(math.pi * n / (0.1 * length)))
    if n >= 0.7 * length:
        return base * (0.5 + 0.5 * math.cos(math.pi * (n - 0.7 * length) / (0.3 * length))) ** 2
    return base


@given(st.integers(1, 20_000_000), st.floats(0, 1), st.sampled_from([3e-4, 1.0, 1e-5]))
@settings(max_examples=300, deadline=None)
def test_learning_rate(length, share, base):
    n = round(share * length)
    assert rate_at(n, length, base) == pytest.approx(rate_of_spec(n, length, base), rel=1e-9, abs=1e-15 * base)


@pytest.mark.parametrize(
    ("n", "share"),
    [
        (0, 0),
        (25_000, 0.5 - math.sqrt(0.125)),  # a quarter of the ramp up
        (50_000, 0.25 * 2),
        (100_000, 1),
        (100_001, 1),
        (400_000, 1),
        (700_000, 1),
        (775_000, (0.5 + math.sqrt(0.125)) ** 2),  # a quarter of the ramp down
        (850_000, 0.25),
        (1_000_000, 0),
    ],
)
def test_learning_rate_at_the_marks(n, share):
    assert rate_at(n, 1_000_000, 3e-4) == pytest.approx(3e-4 * share, rel=1e-7, abs=1e-16)


@given(st.integers(1, 10_000), st.sampled_from([1, 2, 4, 7]), st.sampled_from([(128, 256), (256, 128), (64, 64), (96, 0)]))
@settings(max_examples=100, deadline=None)
def test_crops_grow_in_the_last_tenth(length, minibatch_size, sides):
    """Never within a step, and only where they are to become larger."""
    options = TrainingOptions(
        num_iter=length, minibatch_size=minibatch_size, train_resolution=sides[0], end_resolution=sides[1]
    )
    for n in range(0, length, minibatch_size):
        (side,) = {crop_side(number, options) for number in range(n, n + minibatch_size)}
        assert side == (max(sides) if 10 * n >= 9 * length else sides[0])


def test_learning_rate_is_continuous_and_rises_then_falls():
    rates = [rate_at(n, 1000, 1.0) for n in range(1001)]
    assert rates[:101] == sorted(rates[:101]) and rates[700:] == sorted(rates[700:], reverse=True)
    assert set(rates[100:700]) == {1.0}
    assert max(abs(a - b) for a, b in itertools.pairwise(rates)) < 0.02


@given(st.integers(1, 50), st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_the_shortest_schedules_give_numbers(length, minibatch):
    """Every n that training can ask for: 0, B, 2B, ... up to the length."""
    for n in range(0, length // minibatch * minibatch + 1, minibatch):
        assert 0.0 <= rate_at(n, length, 2.0) <= 2.0
        assert 0.5 <= loss_exponent(n, length) <= 2.0


@given(st.integers(20, 20_000_000), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_linear_decay(length, share):
    n = round(share * length)
    up, down = min(1, (n + 1) / (0.05 * length)), 1 - n / length
    assert rate_at(n, length, 2e-3, "linear") == pytest.approx(2e-3 * up * down, rel=1e-9, abs=1e-18)


def test_loss_exponent():
    """SPEC 6.2: max(0.5, 2 - 2 n / N)."""
    assert [loss_exponent(n, 1000) for n in (0, 250, 500, 740, 750, 760, 1000)] == [2.0, 1.5, 1.0, 0.52, 0.5, 0.5, 0.5]
    assert loss_exponent(4_000_000, 16_000_000) == 1.5


# ---- PSNR

PIXELS = st.floats(-1, 2, width=32) | st.sampled_from([0.0, 1.0, 0.5 / 255, 254.5 / 255, 127.5 / 255])


def by_hand(image: np.ndarray, reference: np.ndarray) -> float:
    """SPEC 6.3, one value at a time."""
    total = 0
    for a, b in zip(image.ravel().tolist(), reference.ravel().tolist(), strict=True):
        eight_bit = [math.floor(min(max(255.0 * x + 0.5, 0.0), 255.0)) for x in (a, b)]
        total += (eight_bit[0] - eight_bit[1]) ** 2
    mean = total / image.size
    return 20.0 * math.log10(255.0) - 10.0 * math.log10(mean) if mean else math.inf


@st.composite
def pairs(draw):
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.sampled_from([1, 3])))
    return tuple(draw(hnp.arrays(np.float64, shape, elements=PIXELS)) for _ in range(2))


@given(pairs())
@settings(max_examples=150, deadline=None)
def test_psnr(pair):
    assert psnr(*pair) == pytest.approx(by_hand(*pair), rel=1e-12)
    assert psnr(*pair) == psnr(*pair[::-1])


def test_psnr_of_known_errors():
    black = np.zeros((4, 4, 3), np.float32)
    assert psnr(black, black) == math.inf
    assert psnr(black, black + 1) == 0.0
    assert psnr(black - 7, black + 8) == 0.0  # clipped first
    assert psnr(black + 1 / 255, black) == pytest.approx(20 * math.log10(255))
    assert psnr(black + 0.4 / 255, black) == math.inf  # rounded first
    assert psnr(black + 0.6 / 255, black) == pytest.approx(20 * math.log10(255))
    one = black.copy()
    one[2, 1, 0] = 10 / 255  # one value of 48: the mean is over pixels and channels
    assert psnr(one, black) == pytest.approx(10 * math.log10(255**2 * 48 / 100))


def test_psnr_in_the_graph_is_the_same():
    """Averaged over images, each with its own error."""
    from dnnlib.denoising.training.graph import _mean_psnr
    from dnnlib.tflib.runtime import create_session, tf

    random = np.random.default_rng(0)
    for channels in (1, 3):
        reference = random.uniform(0, 1, (4, 5, 6, channels)).astype(np.float32)
        scale = np.array([0.01, 0.1, 0.5, 3.0]).reshape(4, 1, 1, 1)
        images = (reference + scale * random.standard_normal(reference.shape)).astype(np.float32)
        expected = np.mean([psnr(a, b) for a, b in zip(images, reference, strict=True)])
        with tf.Graph().as_default(), create_session() as session:
            found = session.run(_mean_psnr(tf.constant(images), tf.constant(reference)))
        assert found == pytest.approx(expected, abs=1e-4)
        assert abs(psnr(images, reference) - expected) > 1  # not the error of all images together


# ---- Options


def test_the_defaults_are_the_published_settings():
    defaults = TrainingOptions()
    defaults.check()
    published = {
        "num_iter": 2_000_000, "minibatch_size": 4, "learning_rate": 3e-4, "train_resolution": 256,
        "print_interval": 1000, "eval_interval": 10_000, "snapshot_every": 0, "noise_init": "zero", "seed": 1,
    }  # fmt: skip
    found = dataclasses.asdict(defaults)
    assert {name: found[name] for name in published} == published


RIGHT = [
    {"num_iter": 1}, {"minibatch_size": 1}, {"print_interval": 1}, {"eval_interval": 1}, {"snapshot_every": 0}, {"seed": 0},
    {"seed": 2**63 - 1}, {"noise_init": "estimate"}, {"learning_rate": 1e-30},
    {"train_resolution": 32}, {"train_resolution": 96}, {"end_resolution": 0}, {"end_resolution": 32},
]


@pytest.mark.parametrize("changes", RIGHT, ids=str)
def test_options_that_may_be(changes):
    TrainingOptions(**changes).check()


WRONG = [
    *({name: 0} for name in ("num_iter", "minibatch_size", "print_interval", "eval_interval", "train_resolution")),
    *({name: -1} for name in ("num_iter", "minibatch_size", "print_interval", "eval_interval", "snapshot_every", "seed")),
    {"seed": 2**63}, {"num_iter": 10**40},
    *({"learning_rate": value} for value in (0.0, -1e-4, math.nan, math.inf, -math.inf)),
    *({"train_resolution": value} for value in (-32, 16, 31, 33, 48, 100)),
    *({"end_resolution": value} for value in (-32, 16, 31, 33, 48, 100)),
    *({"noise_init": value} for value in ("", "ZERO", "25")),
]  # fmt: skip


@pytest.mark.parametrize("changes", WRONG, ids=str)
def test_options_that_cannot_be(changes):
    with pytest.raises(UserError) as caught:
        TrainingOptions(**changes).check()
    ((name, value),) = changes.items()
    text = str(caught.value)
    assert text.startswith(f"--{name.replace('_', '-')} {value}: must be ") and "\n" not in text
