"""Denoiser, from Python: kinds of arrays, noise levels, what is refused."""

import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from graphs import GOLDEN, random_images, random_variables
from hypothesis import given, settings
from hypothesis import strategies as st
from material import smooth_picture
from rounding import assert_equal_but_for_rounding, spreads, tolerance

from dnnlib.denoising import Denoiser
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference.ensemble import SYMMETRIES, turned
from dnnlib.denoising.network.architecture import shapes_of
from dnnlib.denoising.network.network_file import to_network
from dnnlib.denoising.noise.learned_parameter import raw_from_parameter
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError
from dnnlib.tflib.network import save_network

pytestmark = pytest.mark.isa
RGB, MONO, N2C = "gauss25-blindspot-sigma_known", "gauss25-blindspot-sigma_known-mono", "gauss25-n2c"
PER_IMAGE, GLOBAL = "gauss5_50-blindspot-sigma_per_image", "poisson30-blindspot-sigma_global"
POISSON, IMPULSE = "poisson30-blindspot-sigma_known", "impulse50-blindspot-sigma_known"


@cache
def denoiser(name):
    c = Configuration.from_name(name)
    return Denoiser(to_network(c, variables_of(name)), c)


def variables_of(name):
    variables = random_variables(shapes_of(Configuration.from_name(name)), seed=5)
    return variables | {n: 0.1 * v for n, v in variables.items() if n.startswith("nin_c")}


def rounding_of(name, results):
    """How far rounding moves each number of what `results` gives, with the network of that name."""
    found = denoiser(name)
    return spreads(found.tiled_network._session, variables_of(name), results)


@cache
def rounding_anywhere(name, level):
    """How far rounding may move the denoised picture and the std of any random picture."""
    image = random_images(60, 60)
    outputs = 2 if denoiser(name).has_std else 1
    found = rounding_of(name, lambda: denoiser(name)(image, **dict(level), tile=0)[:outputs])
    return [tolerance(spread).max() for spread in found]


def level_of(found, image, tile=0, **given):
    """The noise level of floats [H,W,C]; given: as on the command line, if it is."""
    return found.prepare(image, given, Scale(), tile).level()


# --- types and shapes


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2", np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(20, 33), (20, 33, 1), (20, 33, 3), (20, 33, 4)], ids=str)
def test_shape_and_type_are_kept(shape, dtype):
    """And the result is that of the same picture as float32, in the type's own units."""
    dtype = np.dtype(dtype)
    white = 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)
    image = (random_images(*shape) * white).astype(dtype)
    before = image.copy()
    axes = "YXS" if shape[-1] == 4 else None
    result, std = denoiser(RGB)(image, sigma=50, axes=axes)
    np.testing.assert_array_equal(image, before)
    assert (result.dtype, result.shape) == (dtype, shape) and (std.dtype, std.shape) == (np.float32, shape[:2])
    colours = image.astype(np.float64) / white
    expected, expected_std = denoiser(RGB)(colours.astype(np.float32), sigma=50, axes=axes)
    step = {np.dtype(np.float16): 2e-3}.get(dtype, 1e-5 if dtype.kind == "f" else 0.5001)
    if dtype.kind == "u":
        expected = np.clip(expected.astype(np.float64) * white, 0, white)
    np.testing.assert_allclose(result[..., :3].astype(np.float64), expected[..., :3], rtol=0, atol=step + 1e-5 * white)
    np.testing.assert_allclose(std, expected_std * white, atol=1e-4 * white)
    assert (expected[..., :3] != image[..., :3]).mean() > 0.9
    if shape[-1] == 4:
        np.testing.assert_array_equal(result[..., 3], image[..., 3])  # alpha


def test_floats_are_not_clipped_and_integers_are():
    image = random_images(40, 40, 3) * 3 - 1
    result, _ = denoiser(RGB)(image, sigma=1)  # nearly no noise: nearly nothing changes
    assert result.min() < -0.5 and result.max() > 1.5
    result, _ = denoiser(RGB)(np.full([8, 8, 3], 4095, np.uint16), sigma=300, white=64)
    assert result.max() <= 65535


def test_white():
    image = (random_images(30, 30, 3) * 4095).astype(np.uint16)
    result, std = denoiser(RGB)(image, sigma=25, white=4095)
    expected, expected_std = denoiser(RGB)((image / 4095).astype(np.float32), sigma=25)
    np.testing.assert_allclose(result, np.clip(expected * 4095, 0, 65535), atol=0.6)
    np.testing.assert_allclose(std, expected_std * 4095, atol=1e-4 * 4095)


def test_a_white_that_may_be_wrong():
    """Only a warning of integers, which may be of a dark picture; floats far beyond are refused."""
    image = (random_images(30, 30, 3) * 4095).astype(np.uint16)
    with pytest.warns(UserWarning, match="of 65,535: if these are 12 bits give --white 4095"):
        denoiser(RGB)(image, sigma=25)
    with pytest.raises(UserError, match="white cannot be 1, as it is of floats"):
        denoiser(RGB)(image.astype(np.float32), sigma=25)


def test_grey_with_an_rgb_network_is_the_mean_of_three_equal_channels():
    image = random_images(40, 50)
    result, std = denoiser(RGB)(image, sigma=25)
    three, three_std = denoiser(RGB)(np.stack([image] * 3, axis=2), sigma=25)
    np.testing.assert_allclose(result, three.mean(axis=2), atol=1e-6)
    np.testing.assert_array_equal(std, three_std)
    assert np.abs(three[..., 0] - three[..., 1]).max() > 1e-3  # they do differ before


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([MONO, N2C]), st.integers(0, 64))
@settings(max_examples=8, deadline=None)
def test_any_size_and_tile(height, width, name, tile):
    image = random_images(height, width, seed=height)
    level = {"sigma": 25} if name == MONO else {}
    whole, std = denoiser(name)(image, tile=0, **level)
    tiled, tiled_std = denoiser(name)(image, tile=tile, **level)
    assert np.isfinite(whole).all() and whole.shape == image.shape
    by_rounding = rounding_anywhere(name, tuple(level.items()))
    assert max(by_rounding) < 1e-3
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=by_rounding[0])
    if name == N2C:
        assert std is None and tiled_std is None
    else:
        np.testing.assert_allclose(tiled_std, std, rtol=0, atol=by_rounding[1])


def test_an_image_that_is_a_view():
    image = random_images(60, 64, 3)[::2, ::-1]
    np.testing.assert_array_equal(denoiser(RGB)(image, 25)[0], denoiser(RGB)(image.copy(), 25)[0])


# --- the stds, and the strength


def test_the_std_of_the_result_follows_the_noise_and_the_prior_does_not():
    image = random_images(32, 40)
    prior = denoiser(MONO)(image, sigma=1, prior_std=True)[1]
    np.testing.assert_array_equal(denoiser(MONO)(image, sigma=100, prior_std=True)[1], prior)
    for sigma in (1, 100):
        result, std = denoiser(MONO)(image, sigma=sigma)
        np.testing.assert_allclose(std, 1 / np.sqrt(1 / prior.astype(np.float64) ** 2 + (255 / sigma) ** 2), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2", np.float16, np.float32, ">f8"])
def test_strength(dtype):
    """0: the image, bit for bit; 1: as without; between: a part of the way, of which only the end is rounded."""
    dtype = np.dtype(dtype)
    top = 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)
    image = (np.random.default_rng(1).random([32, 36, 2]) * top).astype(dtype)[..., :1]  # float64: of more than 24 bits
    image[0, :2] = [[-0.0], [0.0]]
    options = {"sigma": 60, "white": top / 2, "black": top / 8}
    whole, std = denoiser(MONO)(image, **options)
    none = denoiser(MONO)(image, **options, strength=0)[0]
    assert none.dtype == dtype and none.tobytes() == image.tobytes()
    assert denoiser(MONO)(image, **options, strength=1)[0].tobytes() == whole.tobytes()
    parts = ((image.astype(np.float64) - top / 8) / (3 * top / 8)).astype(np.float32)
    exact = top / 8 + 3 * top / 8 * denoiser(MONO)(parts, sigma=60)[0].astype(np.float64)  # neither rounded nor clipped
    for strength in (1e-9, 0.3, 0.75):
        result, other_std = denoiser(MONO)(image, **options, strength=strength)
        assert result.dtype == dtype
        np.testing.assert_array_equal(other_std, std)
        expected = image + strength * (exact - image)
        step = np.spacing(np.abs(expected).astype(dtype)).astype(float) if dtype.kind == "f" else 0.5001
        if dtype.kind == "u":
            expected = np.clip(expected, 0, top)
        error = np.abs(result.astype(np.float64) - expected)
        assert (error <= step + strength * 1e-4 * top).all()
    assert np.abs(exact - image).max() > 0.05 * top


def test_turns_and_flips_are_eight_views():
    image = np.arange(6).reshape(2, 3)
    views = [turned(image, number) for number in range(SYMMETRIES)]
    assert len({(view.shape, view.tobytes()) for view in views}) == 8
    assert all(np.shares_memory(view, image) for view in views)


@pytest.mark.parametrize(("name", "channels"), [(MONO, 1), (RGB, 3), (N2C, 1)])
def test_an_ensemble_is_the_mean_over_turns_and_flips(name, channels):
    image, found = random_images(40, 70, channels), denoiser(name)
    result, std = found(image, sigma=60 if name != N2C else None, ensemble=True)
    each = [found(turned(image, number), sigma=60 if name != N2C else None) for number in range(SYMMETRIES)]
    back = {0: 0, 1: 3, 2: 2, 3: 1}  # a mirrored turn undoes itself
    expected = np.mean([turned(x, back.get(i, i)) for i, (x, _) in enumerate(each)], axis=0, dtype=np.float64)
    size = max(np.abs(x).max() for x, _ in each)
    np.testing.assert_allclose(result, expected, rtol=0, atol=10 * np.finfo(np.float32).eps * size)  # 8 sums, a quotient
    assert np.abs(result - each[0][0]).max() > 1e-3 * size
    if std is not None:
        squares = np.mean([turned(x.astype(np.float64) ** 2, back.get(i, i)) for i, (_, x) in enumerate(each)], axis=0)
        np.testing.assert_allclose(std, np.sqrt(squares), rtol=10 * np.finfo(np.float32).eps)


@pytest.mark.parametrize(("name", "times"), [(RGB, 8), (PER_IMAGE, 9)])
def test_the_steps_of_an_ensemble_are_counted(name, times):
    pixels, calls = random_images(64, 96, 3), []
    prepared = denoiser(name).prepare(pixels, {}, Scale(), 64, ensemble=True)
    prepared.run(np.empty_like(pixels), done=lambda: calls.append(1))
    assert prepared.steps == len(calls) == times * 2


def test_no_noise_leaves_the_picture_as_it_is():
    image = np.random.default_rng(1).random([32, 36, 3])  # float64, of more bits than the network sees
    assert denoiser(RGB)(image, sigma=0)[0].tobytes() == image.tobytes()
    assert denoiser(RGB)(image, sigma=1)[0].tobytes() != image.tobytes()


def test_strength_of_colours_and_alpha_in_tiles():
    image = (random_images(40, 70, 4) * 255).astype(np.uint8)
    whole = denoiser(RGB)(image, sigma=60, tile=32, axes="YXS")[0].astype(float)
    result = denoiser(RGB)(image, sigma=60, tile=32, strength=0.5, axes="YXS")[0]
    inside = (whole > 0) & (whole < 255)
    assert inside[..., :3].mean() > 0.3 and (whole != image).mean() > 0.3
    np.testing.assert_allclose(result[inside], ((image + whole) / 2)[inside], atol=0.75 + 1e-9)  # rounded once, and twice
    np.testing.assert_array_equal(result[..., 3], image[..., 3])


# --- noise levels


def test_the_level_counts():
    image = random_images(40, 40, 3)
    weak, strong = (np.abs(denoiser(RGB)(image, sigma)[0] - image).mean() for sigma in (1, 100))
    assert weak < strong / 2
    bright, dim = (np.abs(denoiser(POISSON)(image, lam=lam)[0] - image).mean() for lam in (1e5, 10))
    assert bright < dim / 2
    few, many = (np.abs(denoiser(IMPULSE)(image, alpha=alpha)[0] - image).mean() for alpha in (0, 1))
    assert few < many


def test_an_estimate_is_used_where_none_is_given():
    image = (0.5 + 25 / 255 * np.random.default_rng(1).standard_normal([128, 128, 3])).astype(np.float32)
    level = level_of(denoiser(RGB), image)
    sigma = level.values["sigma"]
    assert sigma == pytest.approx(25, rel=0.05) and str(level) == f"sigma {sigma:.4g} (estimated)"
    np.testing.assert_array_equal(denoiser(RGB)(image)[0], denoiser(RGB)(image, sigma=sigma)[0])


def test_learned_levels():
    image = random_images(64, 40, 3)
    raw = float(random_variables(shapes_of(Configuration.from_name(GLOBAL)), seed=5)["noise_data"].item())
    level = level_of(denoiser(GLOBAL), image)
    assert list(level.values) == ["lambda"] and level.origin == "learned"
    assert level.values["lambda"] == pytest.approx(1 / (np.log1p(np.exp(raw - 4)) + 1e-3))
    one, other = (level_of(denoiser(PER_IMAGE), image * scale) for scale in (1, 0.2))
    assert abs(one.values["sigma"] - other.values["sigma"]) > 0.1  # the picture's own
    assert str(level_of(denoiser(N2C), image)) == "no noise level needed"


def test_the_per_image_level_is_one_number_tiled_or_not():
    image = random_images(300, 40, 3)

    def results(side):
        return level_of(denoiser(PER_IMAGE), image, side).parameter, *denoiser(PER_IMAGE)(image, tile=side)

    by_rounding = rounding_of(PER_IMAGE, lambda: results(0))
    for whole, tiled, spread in zip(results(0), results(64), by_rounding, strict=True):
        assert_equal_but_for_rounding(tiled, whole, spread)


@pytest.mark.parametrize(("name", "steps"), [(PER_IMAGE, 12), (N2C, 6)])
def test_a_prepared_picture_knows_its_steps(name, steps):
    """3 x 2 tiles, which a network that finds the level by itself goes through twice, but not three times."""
    image, done = random_images(70, 64, 3), []
    prepared = denoiser(name).prepare(image, {}, Scale(), 32)
    assert (prepared.side, prepared.steps, prepared.scale) == (32, steps, Scale(0.0, 1.0))
    result = np.empty_like(image)
    level = prepared.run(result, done=lambda: done.append(1))
    assert len(done) == steps and prepared.level() is level
    np.testing.assert_array_equal(result, denoiser(name)(image, tile=32)[0])


# --- what is refused


IMAGE = np.full([64, 64, 3], 0.5, np.float32)
NAN, INFINITE = np.full_like(IMAGE, np.nan), np.full(IMAGE.shape, np.inf)


@pytest.mark.parametrize(
    ("name", "image", "options", "words"),
    [
        (RGB, NAN, {}, "no pixel has a value"), (RGB, INFINITE, {}, "no pixel has a value"),
        (RGB, IMAGE[:0], {}, "no pixels"), (RGB, IMAGE[:, :0], {}, "no pixels"),
        (RGB, IMAGE[..., :2], {}, r"shape \[64, 64, 2\]"), (RGB, np.zeros([9, 9, 5]), {}, r"shape \[9, 9, 5\]"),
        (RGB, IMAGE[0, 0], {}, "shape"), (RGB, IMAGE[None, None], {}, "shape"),
        (MONO, IMAGE, {}, "convert it to grey, or take an RGB network"),
        (RGB, np.zeros([9, 9], np.int32), {}, "int32"), (RGB, np.zeros([9, 9], bool), {}, "bool"),
        (RGB, IMAGE[:63], {}, "below 64 pixels.*--sigma"), (POISSON, IMAGE[:, :9], {}, "--lambda.*lam="),
        (POISSON, IMAGE * 0, {}, "cannot be estimated"),
        (RGB, IMAGE, {"lam": 3}, "takes --sigma"), (POISSON, IMAGE, {"sigma": 25}, "takes --lambda"),
        (GLOBAL, IMAGE, {"sigma": 30}, "takes --lambda"), (N2C, IMAGE, {"sigma": 25}, "needs no noise level"),
        (RGB, IMAGE, {"sigma": -1}, "--sigma -1"), (RGB, IMAGE, {"sigma": np.nan}, "--sigma nan"),
        (POISSON, IMAGE, {"lam": 0}, "--lambda 0"), (IMPULSE, IMAGE, {"alpha": 1.5}, "--alpha 1.5: .* from 0 to 1"),
        (RGB, IMAGE, {"sigma": 25, "strength": 1.01}, "--strength 1.01: must be from 0 to 1"),
        (RGB, IMAGE, {"sigma": 25, "strength": np.nan}, "--strength nan"), (N2C, IMAGE, {"strength": -1}, "--strength -1"),
        (RGB, IMAGE, {"sigma": 25, "white": 0}, "--white 0"), (RGB, IMAGE, {"sigma": 25, "tile": -1}, "--tile -1"),
    ],
)  # fmt: skip
def test_refused(name, image, options, words):
    with pytest.raises(UserError, match=words):
        denoiser(name)(image, **options)


# --- loading


def test_a_network_file_and_two_denoisers_at_once():
    image = random_images(32, 40, 3)
    with Denoiser.load(GOLDEN / "network-final-gauss25-blindspot-sigma_global.pickle") as one:
        alone = one(image)[0]
        with Denoiser.load(str(GOLDEN / "network-final-poisson30-blindspot-sigma_known.pickle")) as other:
            other(image, lam=30)
            np.testing.assert_array_equal(one(image)[0], alone)
    with pytest.raises(UserError, match="no such file"):
        Denoiser.load("nowhere.pickle")


def test_importing_the_package_is_light():
    script = "import sys, dnnlib.denoising; print([m for m in ('numpy', 'tensorflow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    with pytest.raises(ImportError):
        from dnnlib.denoising import Denoisre  # noqa: F401


# --- black, holes, and noise that was learned


def test_black():
    image = (random_images(40, 40, 3) * 3000 + 500).astype(np.uint16)
    result, std = denoiser(RGB)(image, sigma=25, white=3500, black=500)
    expected, expected_std = denoiser(RGB)(((image - 500.0) / 3000).astype(np.float32), sigma=25)
    np.testing.assert_allclose(result, np.clip(expected * 3000 + 500, 0, 65535), atol=0.6)
    np.testing.assert_allclose(std, expected_std * 3000, atol=0.3)
    with pytest.raises(UserError, match="--white 400: must be a number above --black 500"):
        denoiser(RGB)(image, sigma=25, white=400, black=500)
    with pytest.raises(UserError, match="--black 255: must be below white, which is 255 for uint8"):
        denoiser(RGB)(image.astype(np.uint8), sigma=25, black=255)


def test_another_hole_at_inference(tmp_path):
    c = replace(Configuration.from_name("real_gauss-blindspot-sigma_global-mono"), hole_size=5)
    save_network(to_network(c, random_variables(shapes_of(c), seed=5)), tmp_path / "a.pickle")
    image = random_images(64, 64)

    @cache
    def denoised(hole_size):
        with Denoiser.load(tmp_path / "a.pickle", hole_size) as found:
            return found(image)[0]

    np.testing.assert_array_equal(denoised(None), denoised(5))
    assert np.abs(denoised(5) - denoised(3)).max() > 1e-3 and np.abs(denoised(3) - denoised(1)).max() > 1e-3
    assert np.abs(denoised(5) - denoised(7)).max() > 1e-3
    with pytest.raises(UserError, match="--hole-size 4: must be one of"):
        denoised(4)


@pytest.mark.parametrize(
    ("name", "known", "level"),
    [
        (PER_IMAGE, RGB, {"sigma": 12}), ("real_gauss-blindspot-sigma_global", RGB, {"sigma": 12}),
        ("poisson5_50-blindspot-sigma_per_image", POISSON, {"lam": 20}),
    ],
)  # fmt: skip
def test_a_level_that_is_given_counts_more_than_the_learned_one(name, known, level):
    """As for a network of the same weights that is always told."""
    c, d = Configuration.from_name(name), Configuration.from_name(known)
    variables = random_variables(shapes_of(c), seed=3)
    theirs = {x: variables[x] for x in shapes_of(d)}
    image = random_images(40, 64, 3)  # too small to estimate from
    with Denoiser(to_network(c, variables), c) as learns, Denoiser(to_network(d, theirs), d) as is_told:
        expected = is_told(image, **level)
        by_rounding = spreads(is_told.tiled_network._session, theirs, lambda: is_told(image, **level))
        for ours, other, spread in zip(learns(image, **level), expected, by_rounding, strict=True):
            assert_equal_but_for_rounding(ours, other, spread)
        on_command_line = {x.replace("lam", "lambda"): value for x, value in level.items()}
        found = level_of(learns, image, **on_command_line)
        assert found.origin == "given" and found.values == pytest.approx(on_command_line)
        assert np.abs(learns(image)[0] - learns(image, **level)[0]).max() > 1e-4


def test_beyond_the_hole_of_the_training_the_level_is_estimated():
    """What was learned of it is that of single pixels' noise; but a network of real noise keeps what it has."""
    image = (smooth_picture(128, 128) / 255 + np.random.default_rng(2).normal(0, 20 / 255, [128, 128, 3])).astype(np.float32)
    for name, hole, origin in [(PER_IMAGE, 1, "learned"), (PER_IMAGE, 3, "estimated"), (PER_IMAGE, "3x1", "estimated"),
                               ("real_gauss-blindspot-sigma_per_image", 3, "learned")]:  # fmt: skip
        c = Configuration.from_name(name)
        with Denoiser(to_network(c, random_variables(shapes_of(c), seed=5)), replace(c, hole_size=hole)) as found:
            level = level_of(found, image)
            assert level.origin == origin
            assert origin == "learned" or level.values["sigma"] == pytest.approx(20, rel=0.15)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("real_gauss", {"sigma": 5.1}), ("real_poisson", {"lambda": 2500.0}), ("real_poissongauss", {"a": 4e-4, "b": 1e-4}),
        ("real_curve", {"std_black": 5.1, "std_middle": 255 * (0.5 * (0.03**2 + 0.04**2)) ** 0.5, "std_white": 2.55}),
    ],
)  # fmt: skip
def test_what_is_learned_of_real_noise(name, expected):
    """The parameters are sigma, or roots: of 1/lambda, a and b, or of variances at 16 brightnesses."""
    c = Configuration.from_name(f"{name}-blindspot-sigma_global-mono")
    roots = {"real_gauss": [0.02], "real_poisson": [0.02], "real_poissongauss": [0.02, 0.01],
             "real_curve": [0.02] + [0.03] * 7 + [0.04] * 7 + [0.01]}[name]  # fmt: skip
    raw = np.reshape([raw_from_parameter(root) for root in roots], [1, 1, 1, -1]).astype(np.float32)
    network = to_network(c, random_variables(shapes_of(c), seed=5) | {"noise_data": raw})
    with Denoiser(network, c) as found:
        level = level_of(found, random_images(64, 64, 1))
        assert level.values == pytest.approx(expected, rel=1e-5) and level.origin == "learned"
        other = {"real_gauss": "takes --sigma", "real_poisson": "takes --lambda", "real_poissongauss": "brings its own"}
        with pytest.raises(UserError, match=other.get(name, "brings its own")):
            found(random_images(64, 64), alpha=0.5)


def test_per_image_of_two_parameters_tiled_or_not():
    c = Configuration.from_name("real_poissongauss-blindspot-sigma_per_image-mono")
    image = random_images(150, 40)
    variables = random_variables(shapes_of(c), seed=5)
    with Denoiser(to_network(c, variables), c) as found:
        whole, tiled = (found(image, tile=tile) for tile in (0, 64))
        by_rounding = spreads(found.tiled_network._session, variables, lambda: found(image, tile=0))
        level = level_of(found, image[..., None])
    assert list(level.values) == ["a", "b"] and level.values["a"] != level.values["b"]
    for one, other, spread in zip(whole, tiled, by_rounding, strict=True):
        assert_equal_but_for_rounding(one, other, spread)
