"""Tiles: what a network can see, and that a picture in tiles comes out as in one piece."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from graphs import compute, fresh_graph, random_images, random_variables
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding import assert_equal_but_for_rounding, assert_no_rounding, spreads, tolerance

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference.tiled_network import TiledNetwork, fitting_tile
from dnnlib.denoising.inference.tiling import PaddedPicture, Region, surroundings, tiles
from dnnlib.denoising.network.architecture import output_channels, shapes_of, unet_layers, variable_shapes
from dnnlib.denoising.network.layers import shift_down
from dnnlib.denoising.network.model import prediction_from
from dnnlib.denoising.network.receptive_field import ReceptiveField, Rows, receptive_field, receptive_rows
from dnnlib.denoising.network.unet import blind_spot_unet, plain_unet, trunk
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.tflib.runtime import create_session, initialize, tf

pytestmark = pytest.mark.isa
MULTIPLES = st.integers(1, 12).map(lambda n: 32 * n)
RGB, GLOBAL, MONO, N2C, PER_IMAGE, IMPULSE = NAMES = [
    "gauss25-blindspot-sigma_known", "poisson30-blindspot-sigma_global", "gauss25-blindspot-sigma_known-mono", "gauss25-n2c",
    "gauss5_50-blindspot-sigma_per_image-mono", "impulse50-blindspot_mean",
]  # fmt: skip


# --- what a network can see


def extent_of_gradient(blind, axis, height, width, core, shift=1):
    """First and last row (axis 0) or column (axis 1) of the input on which the trunk's features in `core` depend."""
    layers = unet_layers(1, 1, blind)
    variables = random_variables(variable_shapes(pipeline="blindspot_mean" if blind else "n2c", channels=1))
    rows, columns = core

    def gradient(x):
        features = trunk(x, layers, blind)
        features = shift_down(features, shift) if blind else features
        weights = random_images(1, rows.stop - rows.start, columns.stop - columns.start, features.shape[-1])
        return tf.gradients(features[:, rows, columns] * weights, x)[0]

    with fresh_graph(), create_session() as session:
        x = tf.placeholder(tf.float32, [1, height, width, 1])
        fetch = gradient(x)
        initialize(session, {n: v for n, v in variables.items() if not n.startswith("nin")})
        seen = session.run(fetch, {x: random_images(1, height, width, 1)})[0, :, :, 0] != 0
    indices = np.flatnonzero(seen.any(axis=1 - axis))
    return indices[0], indices[-1]


def test_receptive_field():
    """The deepest maps are of 32 rows each: what holes of up to 7 move by is within them."""
    assert {receptive_field(blind=True, shift=shift) for shift in (2, 3, 4)} == {ReceptiveField(up=288, down=0, side=128)}
    assert receptive_field(blind=True, shift=5).up == 320
    assert receptive_field(blind=True) == ReceptiveField(up=288, down=0, side=128)
    assert receptive_field(blind=False) == ReceptiveField(up=128, down=128, side=128)


@pytest.mark.parametrize("shift", [1, 2, 5])
def test_the_blind_trunk_sees_what_it_is_said_to_see(shift):
    """No row more, and nearly all of them, upwards and downwards."""
    first, last = extent_of_gradient(True, 0, 416, 32, (slice(352, 384), slice(0, 32)), shift)
    lowest, highest = receptive_rows(Rows(352, 383), blind=True, shift=shift)
    assert lowest <= first <= lowest + 4
    assert last == highest == 383 - shift  # never its own row


@pytest.mark.parametrize("blind", [False, True], ids=["plain", "blind"])
def test_sideways(blind):
    first, last = extent_of_gradient(blind, 1, 32, 320, (slice(0, 32), slice(160, 192)))
    lowest, highest = receptive_rows(Rows(160, 191), blind=False)
    assert lowest <= first <= lowest + 4 and highest - 4 <= last <= highest


# --- rectangles


@given(MULTIPLES, MULTIPLES, st.integers(0, 8).map(lambda n: 32 * n))
def test_tiles_cover_each_pixel_once(height, width, side):
    covered = np.zeros([height, width], int)
    for core in tiles(height, width, side):
        assert not side or max(core.height, core.width) <= side
        assert min(core.height, core.width) > 0 and not any(edge % 32 for edge in core)
        covered[core.top : core.bottom, core.left : core.right] += 1
    assert (covered == 1).all()
    assert side or len(tiles(height, width, side)) == 1


@given(MULTIPLES, MULTIPLES, MULTIPLES, st.integers(0, 3), st.booleans(), st.randoms())
def test_surroundings_turn_with_the_picture(height, width, side, turns, blind, random):
    core = random.choice(tiles(height, width, side))
    around = surroundings(core, receptive_field(blind), turns, height, width)
    assert not any(edge % 32 for edge in around)
    picture = np.zeros([height, width], int)
    picture[around.top : around.bottom, around.left : around.right] = 1
    picture[core.top : core.bottom, core.left : core.right] = 2
    turned = np.rot90(picture, turns)
    rows, columns = np.nonzero(turned == 2)
    r = receptive_field(blind)
    expected = np.zeros_like(turned)
    top, left = max(rows.min() - r.up, 0), max(columns.min() - r.side, 0)
    expected[top : rows.max() + 1 + r.down, left : columns.max() + 1 + r.side] = 1
    np.testing.assert_array_equal(turned > 0, expected)


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 3]), st.sampled_from([np.uint8, np.uint16, np.float64]))
@settings(max_examples=40)
def test_padded_picture(height, width, channels, dtype):
    white = 1.0 if dtype == np.float64 else np.iinfo(dtype).max
    pixels = (np.random.default_rng(height).random([height, width, channels]) * white).astype(dtype)
    picture = PaddedPicture(pixels, Scale(white=white), 3)
    assert (picture.height, picture.width) == (height + -height % 32, width + -width % 32)
    padding = ((0, -height % 32), (0, -width % 32), (0, 0))
    whole = np.pad(pixels, padding, mode="reflect").astype(np.float64) / white
    region = Region(picture.height // 2, picture.width // 3, picture.height, picture.width)
    part = picture.read(region)
    assert part.dtype == np.float32 and part.shape == (region.height, region.width, 3)
    np.testing.assert_allclose(part, np.broadcast_to(whole, (*whole.shape[:2], 3))[region.top :, region.left :], atol=1e-6)


# --- the network in tiles


@cache
def network(name, hole=1):
    c = Configuration.from_name(name)
    return TiledNetwork(replace(c, hole_size=hole), variables_of(name))


def variables_of(name):
    return random_variables(shapes_of(Configuration.from_name(name)), seed=3)


def denoised(name, pixels, side, hole=1):
    """Denoised [H,W,C], std and prior std [H,W] of the padded picture, and how many tiles that took."""
    channels = network(name).configuration.channels
    picture = PaddedPicture(pixels, Scale(white=1.0), channels)
    mean = np.full([picture.height, picture.width, channels], np.nan, np.float32)
    stds = np.full((2, *mean.shape[:2]), np.nan, np.float32)
    finished = []

    def put(region, m, *s):
        rows, columns = slice(region.top, region.bottom), slice(region.left, region.right)
        mean[rows, columns] = m
        for std, part in zip(stds, s, strict=True):
            std[rows, columns] = part

    network(name, hole).denoise(picture, [0.1], side, put, lambda: finished.append(1), ["posterior_std", "net_std"])
    return mean, *stds, len(finished)


def spreads_of(name, pixels, hole=1):
    """How far rounding moves what `denoised` gives, without tiles."""
    session = network(name, hole)._session
    return spreads(session, variables_of(name), lambda: denoised(name, pixels, 0, hole)[:3])


@pytest.mark.parametrize(("name", "hole"), [*((name, 1) for name in NAMES), (MONO, 5), (MONO, "9x3")])
def test_in_one_piece_it_is_the_whole_network(name, hole):
    """On a picture that is padded to a square: the network for training takes no others."""
    c, size = Configuration.from_name(name), (50, 61)
    pixels = random_images(*size, c.channels)
    padded = PaddedPicture(pixels, Scale(white=1.0), c.channels).read(Region(0, 0, 64, 64))

    def whole(x, parameter):
        options = {"hole_size": hole} if c.blind_spot else {}
        unet = blind_spot_unet if c.blind_spot else plain_unet
        result = prediction_from(c, unet(x, output_channels(c.pipeline, c.channels, c.diagonal), **options), x, parameter)
        return result.posterior_mean, result.posterior_std, result.net_std

    parameter = np.full([1, 1, 1, 1], 0.1, np.float32)
    expected = compute(whole, padded[None], parameter, variables=variables_of(name))
    for ours, other, spread in zip(denoised(name, pixels, 0, hole), expected, spreads_of(name, pixels, hole), strict=False):
        assert_equal_but_for_rounding(ours, other[0], spread)


@pytest.mark.parametrize(
    ("name", "size", "side", "hole"),
    [
        (RGB, (410, 31), 64, 1), (RGB, (33, 390), 96, 1), (MONO, (150, 130), 96, 1), (N2C, (200, 230), 64, 1),
        (GLOBAL, (30, 331), 160, 1), (PER_IMAGE, (310, 33), 128, 1), (IMPULSE, (20, 400), 96, 1),
        (MONO, (410, 31), 64, 7), (MONO, (33, 390), 96, 3), (MONO, (150, 130), 96, "9x1"),
    ],
)  # fmt: skip
def test_tiles_make_no_difference(name, size, side, hole):
    pixels = random_images(*size, network(name).configuration.channels, seed=size[0])
    whole, tiled = denoised(name, pixels, 0, hole), denoised(name, pixels, side, hole)
    assert whole[3] == 1 and tiled[3] == -(-size[0] // side) * -(-size[1] // side)
    for one, other, spread in zip(whole[:3], tiled[:3], spreads_of(name, pixels, hole), strict=True):
        assert np.isfinite(one).all()
        assert_equal_but_for_rounding(other, one, spread)


@pytest.mark.parametrize("name", [RGB, MONO, GLOBAL])
def test_a_row_too_few_is_no_rounding(name):
    """What the tests above allow is far less than what a mistake makes."""
    pixels = random_images(60, 64, network(name).configuration.channels, seed=1)
    spread = spreads_of(name, pixels)
    right, wrong = denoised(name, pixels, 0), denoised(name, np.roll(pixels, 1, axis=0), 0)
    for result in (0, 2):  # the std of the result is hardly more than that of the noise, and depends on neither
        assert_no_rounding(right[result], wrong[result], spread[result])


def test_only_what_is_asked_for_is_computed(monkeypatch):
    found, fetched = network(MONO), []
    run = found._run
    monkeypatch.setattr(found, "_run", lambda fetches, feed: fetched.append(fetches) or run(fetches, feed))
    picture, put = PaddedPicture(random_images(32, 32, 1), Scale(white=1.0), 1), []
    for maps in ((), ("posterior_std",)):
        found.denoise(picture, [0.1], 0, lambda *parts: put.append(len(parts)), lambda: None, maps)
        assert fetched[-1] == [found._result.posterior_mean, *(getattr(found._result, name) for name in maps)]
    assert put == [2, 3]


def test_the_estimators_mean_is_that_of_the_real_pixels():
    size = (330, 45)
    pixels = random_images(*size, 1, seed=1)
    picture = PaddedPicture(pixels, Scale(white=1.0), 1)

    def mean(side):
        return network(PER_IMAGE).mean_raw_parameter(picture, *size, side, lambda: None)

    whole = mean(0)
    (spread,) = spreads(network(PER_IMAGE)._session, variables_of(PER_IMAGE), lambda: [mean(0)])
    assert tolerance(spread) < 1e-4  # of some tenths
    for side in (64, 288):
        assert_equal_but_for_rounding(mean(side), whole, spread)
    scope = "param_estimation_net/"
    estimator = {name.removeprefix(scope): v for name, v in variables_of(PER_IMAGE).items() if name.startswith(scope)}
    padded = picture.read(Region(0, 0, picture.height, picture.width))
    raw = compute(lambda x: plain_unet(x, 1), padded[None], variables=estimator)[0, : size[0], : size[1]]
    assert_equal_but_for_rounding(whole, [raw.mean(dtype=np.float64)], spread)


@given(st.integers(1, 400).map(lambda n: 32 * n), st.integers(1, 400).map(lambda n: 32 * n), st.floats(1e8, 1e10))
def test_fitting_tile(height, width, budget):
    side = fitting_tile(height, width, budget)
    assert side % 32 == 0
    if side == 0:
        assert height * width * 1000 < budget  # it takes no less
    else:
        assert fitting_tile(height, width, budget * 2) == 0 or fitting_tile(height, width, budget * 2) >= side
        assert side == 32 or side * side * 1000 < budget
