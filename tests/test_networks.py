"""The networks against a plain way of computing them, and their variables."""

import csv
import functools

import numpy as np
import plain_networks as plain
import pytest
from graphs import GOLDEN, compute, prepared, random_images, random_variables
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding import assert_equal_but_for_rounding, assert_no_rounding, spreads, tolerance

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network import layers
from dnnlib.denoising.network.architecture import initial_variables, shapes_of, unet_layers, variable_shapes
from dnnlib.denoising.network.model import build_model
from dnnlib.denoising.network.noise_parameter import learned_noise_parameter
from dnnlib.denoising.network.unet import blind_spot_unet, plain_unet
from dnnlib.tflib.runtime import create_session, initialize, tf

pytestmark = pytest.mark.isa
BLIND = pytest.mark.parametrize("blind", [False, True], ids=["plain", "blind"])
FRESH_SIGMA = np.log1p(np.exp(-4.0)) + 1e-3


def whole_numbers(*shape, seed):
    """Small integers as float32: their products and sums are exact, so results can be compared bit by bit."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float32)


def unet_variables(blind, channels, outputs, seed=0):
    pipeline = "blindspot_mean" if blind else "n2c"
    variables = random_variables(variable_shapes(pipeline=pipeline, channels=channels), seed)
    last = random_variables({"nin_c/W": (1, 1, 96, outputs), "nin_c/b": (outputs,)}, seed + 1)
    return variables | last


def in_float64(variables):
    return {name: value.astype(np.float64) for name, value in variables.items()}


# --- layers


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.booleans(), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_convolutions(height, width, inputs, outputs, blind, seed):
    x = whole_numbers(2, height, width, inputs, seed=seed)
    w = whole_numbers(3, 3, inputs, outputs, seed=seed + 1)
    ours = compute(lambda x, w: (layers.conv3x3(x, w, blind), layers.upsampled_conv3x3(x, w, blind)), x, w, static=seed % 2)
    np.testing.assert_array_equal(ours[0], plain.convolution(x, w, blind))
    np.testing.assert_array_equal(ours[1], plain.convolution(plain.upsampled(x), w, blind))


@BLIND
@pytest.mark.parametrize("static", [False, True])
def test_pool_and_shift(blind, static):
    x = whole_numbers(2, 4, 6, 3, seed=1)
    pooled, shifted = compute(lambda x: (layers.pool(x, blind), layers.shift_down(x)), x, static=static)
    np.testing.assert_array_equal(pooled, plain.pooled(x, blind))
    np.testing.assert_array_equal(shifted, plain.shifted_down(x))


@pytest.mark.parametrize("k", range(-4, 5))
def test_rotate(k):
    x = whole_numbers(2, 3, 5, 2, seed=k + 4)
    np.testing.assert_array_equal(compute(lambda x: layers.rotate(x, k), x), np.rot90(x, k, axes=(1, 2)))


# --- whole networks


@pytest.mark.parametrize("channels", [1, 3], ids=["mono", "RGB"])
@pytest.mark.parametrize(
    ("blind", "shape"),
    [(False, (2, 32, 32)), (False, (1, 64, 64)), (False, (1, 32, 64)), (True, (2, 32, 32)), (True, (1, 64, 64))],
)
def test_unet_equals_the_plain_way(blind, shape, channels):
    outputs = 4 * channels - 1
    variables = unet_variables(blind, channels, outputs, seed=channels)
    x = random_images(*shape, channels, seed=1)
    network, reference = (blind_spot_unet, plain.blind_spot_unet) if blind else (plain_unet, plain.plain_unet)
    with prepared(lambda x: network(x, outputs), x, static=shape[0] == 2) as (session, run):
        (spread,) = spreads(session, variables, lambda: [run()])
        ours = run()
    expected = reference(x.astype(np.float64), in_float64(variables))
    assert ours.dtype == np.float32 and ours.shape == expected.shape
    assert_equal_but_for_rounding(ours, expected, spread)
    assert tolerance(spread).max() < 1e-3 * np.abs(expected).max()


@BLIND
def test_a_tap_too_few_is_no_rounding(blind):
    """What the test above allows is far less than what one tap of one layer's kernels makes."""
    variables, x = unet_variables(blind, 3, 3), random_images(1, 32, 32, 3)
    wrong = variables | {"dec_conv1b/W": variables["dec_conv1b/W"].copy()}
    wrong["dec_conv1b/W"][0, 0] = 0
    with prepared(lambda x: (blind_spot_unet if blind else plain_unet)(x, 3), x) as (session, run):
        (spread,) = spreads(session, variables, lambda: [run()])
        right = run()
        initialize(session, wrong)
        assert_no_rounding(run(), right, spread)


@pytest.mark.parametrize("hole", [None, 1, 7], ids=["plain", "blind", "hole7"])
@given(st.data())
@settings(max_examples=6, deadline=None)
def test_a_window_shows_what_the_whole_does(hole, data):
    """Windows of all sizes at all places, among them corners and single pixels, in pictures larger than the network sees."""
    top, left = data.draw(st.integers(0, 415)), data.draw(st.integers(0, 415))
    bottom, right = data.draw(st.integers(top + 1, 416)), data.draw(st.integers(left + 1, 416))
    check_window(hole, top, left, bottom, right)


@pytest.mark.parametrize("hole", [1, 7])
@pytest.mark.parametrize("window", [(0, 0, 1, 1), (3, 0, 5, 416), (0, 2, 416, 4), (413, 411, 416, 416), (2, 2, 9, 9)])
def test_a_window_at_the_edge_where_a_branch_sees_nothing(hole, window):
    check_window(hole, *window)


def check_window(hole, top, left, bottom, right):
    window = np.int32([top, left, bottom, right])
    part, whole, by_rounding = whole_and_windowed(hole)
    np.testing.assert_allclose(part(window), whole[:, top:bottom, left:right], rtol=0, atol=by_rounding)


@functools.cache
def whole_and_windowed(hole):
    """A function from a window to the network's output there, the output [1,416,416,3] without one, and how far these may
    differ by rounding. No hole: plain."""
    unet = functools.partial(blind_spot_unet, hole_size=hole) if hole else plain_unet
    with tf.Graph().as_default() as graph:
        x, window = tf.constant(random_images(1, 416, 416, 3, seed=5)), tf.placeholder(tf.int32, [4])
        whole = unet(x, 3)
        with tf.variable_scope("", reuse=True):
            part = unet(x, 3, window=window)
    session = create_session(graph)
    variables = unet_variables(bool(hole), 3, 3, seed=2)
    (spread,) = spreads(session, variables, lambda: [session.run(part, {window: [160, 160, 192, 224]})])
    by_rounding = tolerance(spread).max()
    whole = session.run(whole)
    assert by_rounding < 1e-3 * whole.std()
    return lambda w: session.run(part, {window: w}), whole, by_rounding


# --- the noise parameter


@pytest.mark.parametrize("kind", ["global", "per_image"])
def test_noise_parameter_starts_near_zero(kind):
    c = Configuration.from_name(f"gauss25-blindspot-sigma_{kind}")
    shapes = shapes_of(c)
    x = random_images(2, 32, 32, 3)
    t = compute(lambda x: learned_noise_parameter(c, x), x, variables=initial_variables(shapes, seed=1))
    assert t.shape == ((1, 1, 1, 1) if kind == "global" else (2, 1, 1, 1))
    np.testing.assert_allclose(t, FRESH_SIGMA, rtol=1e-6)


def test_noise_parameter_of_a_trained_network():
    c = Configuration.from_name("gauss25-blindspot-sigma_per_image")
    variables = random_variables(shapes_of(c))
    x = random_images(2, 32, 32, 3) * np.float32([[[[1.0]]], [[[0.3]]]])
    scope = "param_estimation_net/"
    estimator = {name.removeprefix(scope): v for name, v in in_float64(variables).items() if name.startswith(scope)}
    raw = plain.plain_unet(x.astype(np.float64), estimator).mean(axis=(1, 2, 3))
    t = compute(lambda x: learned_noise_parameter(c, x), x, variables=variables).ravel()
    assert abs(t[0] - t[1]) > 1e-3  # one per image
    np.testing.assert_allclose(t, np.log1p(np.exp(raw - 4)) + 1e-3, rtol=1e-5)

    c = Configuration.from_name("gauss25-blindspot-sigma_global")
    t = compute(lambda x: learned_noise_parameter(c, x), x, variables={"noise_data": np.full([1, 1, 1, 1], 2.5, np.float32)})
    np.testing.assert_allclose(t, np.log1p(np.exp(-1.5)) + 1e-3, rtol=1e-6)


def test_what_is_known_or_needs_no_noise_parameter_learns_none():
    for name in ("gauss25-blindspot-sigma_known", "gauss25-n2c"):
        with tf.Graph().as_default(), pytest.raises(ValueError, match="learns no noise parameter"):
            learned_noise_parameter(Configuration.from_name(name), tf.zeros([1, 32, 32, 3]))


# --- variables


def expected_variables():
    table = {}
    with open(GOLDEN / "variables.csv") as file:
        for row in csv.DictReader(file):
            table.setdefault(row["configuration"], {})[row["variable"]] = tuple(map(int, row["shape"].split("x")))
    return table


TOTALS = {  # of golden/README.md
    "gauss25-blindspot-sigma_known": 1_269_129,
    "gauss25-blindspot-sigma_global": 1_269_130,
    "gauss5_50-blindspot-sigma_per_image": 2_371_306,
    "gauss25-blindspot_diag-sigma_known": 1_268_838,
    "gauss25-blindspot-sigma_known-mono": 1_265_858,
    "gauss25-blindspot_mean": 1_268_547,
    "gauss25-n2c": 1_102_371,
}


@pytest.mark.parametrize("name", TOTALS)
def test_variables_are_those_of_2019(name):
    shapes = shapes_of(Configuration.from_name(name))
    assert list(shapes.items()) == list(expected_variables()[name].items())
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == TOTALS[name]


@pytest.mark.parametrize("name", TOTALS)
def test_the_graph_makes_those_variables(name):
    c = Configuration.from_name(name)

    def names_and_shapes(x):
        build_model(c, x, tf.ones([1, 1, 1, 1]))
        made.update({v.op.name: tuple(v.shape) for v in tf.trainable_variables()})
        return tf.constant(0)

    made = {}
    compute(names_and_shapes, random_images(1, 32, 32, c.channels), variables=random_variables(shapes_of(c)))
    assert made == shapes_of(c)


def test_diagonal_mono_has_as_many_outputs_as_full_mono():
    both = [unet_layers(1, 2, True), variable_shapes(pipeline="blindspot", channels=1, diagonal=True)]
    assert both[0]["nin_c"].outputs == both[1]["nin_c/W"][3] == 2


SHAPES = variable_shapes(pipeline="blindspot", channels=3, noise_params="per_image") | {"noise_data": (1, 1, 1, 1)}


def test_initial_values():
    values = initial_variables(SHAPES, seed=3)
    assert list(values) == list(SHAPES)
    zeros = {name for name in SHAPES if name.endswith("/b")} | {"noise_data", "param_estimation_net/nin_c/W"}
    for name, value in values.items():
        assert value.shape == SHAPES[name] and value.dtype == np.float32
        if name in zeros:
            assert not value.any()
            continue
        gain = 1 if name == "nin_c/W" else np.sqrt(2)
        z = value.ravel().astype(np.float64) * np.sqrt(np.prod(SHAPES[name][:-1])) / gain
        n = len(z)
        assert abs(z.mean()) < 4.5 / np.sqrt(n), name
        assert abs(z.std() - 1) < 4.5 / np.sqrt(2 * n), name
        assert abs(np.mean(z**4) - 3) < 4.5 * np.sqrt(96 / n), name  # normal, and not, say, uniform or truncated
    numbers = [value.ravel()[0] for name, value in values.items() if name not in zeros]
    assert len(set(numbers)) == len(numbers)  # each with a stream of its own


def test_initial_values_follow_from_the_seed():
    first, same, other = (functools.partial(initial_variables, SHAPES)(seed=s) for s in (1, 1, 2))
    for name in SHAPES:
        np.testing.assert_array_equal(first[name], same[name])
        assert not first[name].any() or not np.array_equal(first[name], other[name])
    fewer = initial_variables({name: SHAPES[name] for name in list(SHAPES)[::-3]}, seed=1)
    for name, value in fewer.items():
        np.testing.assert_array_equal(value, first[name])
