"""A noise family is one row and an entry in each table that it needs; what is in no table is an error, no other family."""

import contextlib
import importlib
import inspect
import math
import re
from pathlib import Path

import numpy as np
import pytest
from graphs import compute, random_images, random_variables
from material import smooth_picture, write_picture
from test_training import BATCH, Trainer

from config import configurations
from config.validation_sets import VALIDATION_SETS
from dnnlib.denoising import Denoiser
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.validation_set import open_validation_set
from dnnlib.denoising.evaluation.added_noise import Validation
from dnnlib.denoising.inference.noise_level import check_given
from dnnlib.denoising.network.architecture import initial_variables, shapes_of
from dnnlib.denoising.network.network_file import to_network
from dnnlib.denoising.network.posterior import LIKELIHOODS, posterior
from dnnlib.denoising.noise import estimation, families, laws
from dnnlib.denoising.noise.estimation import ESTIMATORS, FINEST, estimate_gauss, estimate_level, estimate_parameters
from dnnlib.denoising.noise.evaluation_noise import EvaluationNoise, repeatable_noise
from dnnlib.denoising.noise.families import FAMILIES, Family, NoiseStyle, Parameter, in_user_units, parse_noise_style
from dnnlib.denoising.noise.laws import CORRUPT, VARIANCES
from dnnlib.denoising.noise.training_noise import add_training_noise
from dnnlib.denoising.options import DenoisingOptions
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import create_session, initialize, tf

PROGRAM = Path(__file__).resolve().parent.parent


# ---- The tables are complete


def test_every_family_has_what_its_row_promises():
    assert set(CORRUPT) == {row.name for row in FAMILIES.values() if row.name_unit is not None}
    assert set(VARIANCES) == {row.name for row in FAMILIES.values() if row.likelihood == "gaussian"}
    assert set(LIKELIHOODS) == {row.likelihood for row in FAMILIES.values()}
    assert set(ESTIMATORS) == set(FAMILIES)


@pytest.mark.parametrize("row", [row for row in FAMILIES.values() if row.name_unit is not None], ids=lambda row: row.name)
def test_every_level_can_be_given(row):
    """On the command line and in Python; an error that says to give it names an option that there is."""
    assert row.level.name in DenoisingOptions("network", "out").given
    assert row.level.python_name in inspect.signature(Denoiser.__call__).parameters


@pytest.mark.parametrize(
    ("name", "allowed", "yes", "no"),
    [
        ("gauss", "0 or more", [0, 25, 1e9], [-1, math.inf, math.nan]),
        ("poisson", "above 0", [1e-9, 30], [0, -1, math.inf, math.nan]),
        ("impulse", "from 0 to 1", [0, 0.5, 1], [-1e-9, 1.01, math.nan]),
    ],
)
def test_what_a_user_may_give(name, allowed, yes, no):
    level = FAMILIES[name].level
    assert level.allowed == allowed
    assert [level.allows(value) for value in (*yes, *no)] == [True] * len(yes) + [False] * len(no)


@pytest.mark.parametrize("row", FAMILIES.values(), ids=lambda row: row.name)
def test_the_scales_of_a_parameter_agree(row):
    for parameter in row.parameters:
        assert parameter.user_from_known(parameter.known_from_user(0.25)) == 0.25
        assert parameter.user_from_learned(parameter.learned_from_known(0.25)) == parameter.user_from_known(0.25)


# ---- What is in no table is an error

UNLISTED = NoiseStyle("unlisted", 0.1, 0.1)
CLEAN = random_images(1, 64, 64, 3)
DISPATCHES = {
    "training noise": lambda: compute(lambda x: add_training_noise(x, UNLISTED, 1, tf.zeros([1], tf.int64)), CLEAN),
    "evaluation noise": lambda: compute(lambda x: repeatable_noise(x, UNLISTED), CLEAN.transpose(0, 3, 1, 2)),
    "level": lambda: estimate_level("unlisted", CLEAN[0], 1.0),
    "parameters": lambda: estimate_parameters("unlisted", CLEAN),
    "variances": lambda: laws.variances("unlisted", [0.5], [0.1], True),
    "posterior": lambda: compute(
        lambda y, x: posterior(y, x, "unlisted", tf.fill([1, 1, 1, 1], 0.1), True, False),
        random_images(1, 2, 2, 9), CLEAN[:, :2, :2],
    ),
}  # fmt: skip


@pytest.mark.parametrize("listed", [False, True], ids=["in no table", "a row and no more"])
@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_an_unlisted_family_is_no_other(monkeypatch, dispatch, listed):
    if listed:
        monkeypatch.setitem(FAMILIES, "unlisted", Family("unlisted", (Parameter("t"),), name_unit=1.0, real=True))
    with pytest.raises(ValueError, match="noise of the family 'unlisted' has no (row|law|estimator) in "):
        DISPATCHES[dispatch]()


@pytest.mark.parametrize("question", ["learns_root", "parameter_count", "row"])
def test_nothing_is_known_of_an_unlisted_family(question):
    with pytest.raises(ValueError, match="'unlisted' has no row in families.FAMILIES"):
        getattr(UNLISTED._replace(low=None), question)


def test_units_and_names_of_an_unlisted_family():
    with pytest.raises(ValueError, match="'unlisted' has no row"):
        in_user_units("unlisted", [0.1])
    for name in ("unlisted25", "real_unlisted"):
        with pytest.raises(ValueError, match="is no noise style"):
            parse_noise_style(name)


def test_a_likelihood_that_does_not_exist(monkeypatch):
    monkeypatch.setitem(FAMILIES, "gauss", Family("gauss", (Parameter("sigma"),), 1.0, True, likelihood="none"))
    with pytest.raises(ValueError, match="'gauss' has no likelihood 'none' in posterior.LIKELIHOODS"):
        compute(lambda y, x: posterior(y, x, "gauss", tf.fill([1, 1, 1, 1], 0.1), True, False), CLEAN, CLEAN)


def test_a_law_of_too_many_draws(monkeypatch):
    """They would be the numbers of the image's second instance."""
    for draws, fits in ((3, True), (4, False)):
        monkeypatch.setitem(CORRUPT, "gauss", lambda x, _, source, n=draws: x + sum(source.normal(x) for _ in range(n)))
        with contextlib.nullcontext() if fits else pytest.raises(ValueError, match="draws at most 3 times"):
            compute(lambda x: add_training_noise(x, parse_noise_style("gauss25"), 1, tf.zeros([1], tf.int64)), CLEAN)


# ---- A new family, as docs/extending.md adds it: uniform between -w and w

WIDTH = 25 / 255


def uniform_law(x, width, draws):
    return x + width * (2.0 * draws.uniform(x) - 1.0)


def uniform_variances(means, parameters, learned):
    (width,) = parameters
    return [width * width / 3.0] * len(means)


def estimate_uniform(pixels, white, black=0.0, limits=None, sight=FINEST):
    (sigma,) = estimate_gauss(pixels, white, black, limits, sight)
    return (math.sqrt(3) * sigma,)


UNIFORM = Family("uniform", (Parameter("width", scale=255.0),), name_unit=255.0, real=True)
ENTRIES = [
    (families, "FAMILIES", UNIFORM), (laws, "CORRUPT", uniform_law), (laws, "VARIANCES", uniform_variances),
    (estimation, "ESTIMATORS", estimate_uniform),
]  # fmt: skip
LINES = """
  uniform25     blindspot  known   no  3  2_000_000  0  -
  uniform25     n2n        -       no  1  2_000_000  0  -
  real_uniform  blindspot  global  no  3  2_000_000  0  -
"""


@pytest.fixture
def uniform(monkeypatch) -> list[Configuration]:
    """The configurations of LINES, with the family in the tables."""
    for module, table, entry in ENTRIES:
        monkeypatch.setitem(getattr(module, table), "uniform", entry)
    rows = configurations._parse(LINES)
    return [Configuration(*(row[key] for key in configurations.COLUMNS[:5])) for row in rows]


def section(title: str) -> str:
    """The text of a section of docs/extending.md."""
    text = (PROGRAM / "docs" / "extending.md").read_text("utf-8")
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_list_of_places_is_true():
    """Those of the numbered list, with their tables, are those that the new family was entered into."""
    steps = re.split(r"\n\d\. ", section("A noise family").split("\nAn entry that is missing")[0])[1:]
    named = {re.match(r"`(.+?)`", step)[1]: step for step in steps}
    touched = [(Path(module.__file__).relative_to(PROGRAM).as_posix(), table) for module, table, _ in ENTRIES]
    touched.append(("config/configurations.py", "_REAL_TABLE"))
    assert set(named) == {path for path, _ in touched}
    for path, table in touched:
        assert f"`{table}`" in named[path]


@pytest.mark.parametrize("title", ["A noise family", "A backbone", "An option", "A picture format"])
def test_every_place_that_is_named_exists(title):
    for path in re.findall(r"`([a-z_/0-9]+\.py)`", section(title)):
        folders = ["", "dnnlib/denoising", "dnnlib/denoising/network"]
        assert any((PROGRAM / folder / path).is_file() for folder in folders), path
    for module, names in re.findall(r"`(dnnlib/[a-z_/0-9]+)\.py`: [^`]*`([A-Z_]+)`", section(title)):
        assert hasattr(importlib.import_module(module.replace("/", ".")), names)


def test_its_names(uniform):
    for configuration in uniform:
        assert Configuration.from_name(configuration.name) == configuration
    known, _, real = uniform
    assert known.noise == ("uniform", pytest.approx(WIDTH), pytest.approx(WIDTH)) and real.noise.real
    with pytest.raises(UserError, match="--sigma 25: a network of uniform25-.* takes --width"):
        check_given(known, {"sigma": 25.0})
    with pytest.raises(UserError, match="--width -1: must be a number 0 or more"):
        check_given(known, {"width": -1.0})


def test_it_is_drawn_by_training_and_evaluation(uniform):
    style = uniform[0].noise
    noisy, parameter = compute(lambda x: add_training_noise(x, style, 1, tf.zeros([1], tf.int64)), CLEAN)
    with contextlib.closing(EvaluationNoise(style, 3)) as noise:
        evaluated, width = noise.corrupt(CLEAN[0])
    assert parameter.item() == width == pytest.approx(WIDTH)
    for difference in (noisy - CLEAN, evaluated - CLEAN[0]):
        assert np.abs(difference).max() < 1.001 * WIDTH
        assert difference.var() == pytest.approx(WIDTH**2 / 3, rel=0.03)


def test_it_is_trained(uniform):
    known, n2n, _ = uniform
    statistics = Trainer(known.name).step()
    assert statistics["finite"] == 1 and np.isfinite(statistics["loss"])
    assert statistics["std_noise"] == pytest.approx(25 / math.sqrt(3), rel=1e-5)  # what the head holds it for
    assert Trainer(n2n.name).step(pictures=np.stack([smooth_picture(32, 32, seed) for seed in range(BATCH)]))["finite"] == 1


def test_it_is_evaluated(uniform, tmp_path):
    """With weights that know nothing: only the noisy picture's PSNR is known beforehand."""
    write_picture(tmp_path / "a.png", 40, 64)
    with tf.Graph().as_default():
        graph = Validation(uniform[0], Replicas())
        with create_session() as session:
            initialize(session, initial_variables(shapes_of(uniform[0]), 1))
            scores = graph.validate(session, open_validation_set(str(tmp_path), None, VALIDATION_SETS))
    assert scores.noisy[0] == pytest.approx(10 * math.log10(255**2 / (25**2 / 3)), abs=0.2)
    assert np.isfinite(scores.posterior_mean).all()


def test_it_is_estimated_and_denoised(uniform):
    known, _, real = uniform
    random = np.random.default_rng(1)
    picture = (smooth_picture(96, 128) / 255 + WIDTH * random.uniform(-1, 1, [96, 128, 3])).astype(np.float32)
    assert estimate_level("uniform", picture, 1.0) == pytest.approx(WIDTH, rel=0.15)
    assert estimate_parameters("uniform", picture[None, :64]) == pytest.approx([WIDTH], rel=0.15)
    with Denoiser(to_network(known, random_variables(shapes_of(known))), known) as denoiser:
        level = denoiser.prepare(picture, {}, Scale(white=1.0), 0).level()
        assert level.parameter == pytest.approx([WIDTH], rel=0.15)
        assert re.fullmatch(r"width 2\d\.\d+ \(estimated\)", str(level))
        result, std = denoiser(picture)
    assert np.isfinite(result).all() and np.isfinite(std).all()
    with pytest.raises(UserError, match=r"below 64 pixels.*--width \(in Python width=\)"):
        estimate_level("uniform", picture[:63], 1.0)


def test_without_the_tables_there_is_no_such_family():
    """What the fixture adds is gone again, so the tests above owe all to it."""
    assert "uniform" not in FAMILIES and "uniform" not in CORRUPT
    with pytest.raises(ValueError, match="is no noise style"):
        Configuration.from_name("uniform25-n2c")
