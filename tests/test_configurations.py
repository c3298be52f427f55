"""The 46 configurations, what their names mean, and what a network file says of its own."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from material import fresh_network

from config.configurations import COLUMNS, CONFIGURATIONS, REAL_CONFIGURATIONS, _parse
from dnnlib.denoising.configuration import PIPELINES, Configuration
from dnnlib.denoising.network.architecture import initial_variables, shapes_of
from dnnlib.denoising.network.network_file import load_configured, to_network
from dnnlib.denoising.noise.families import parse_noise_style
from dnnlib.errors import UserError
from dnnlib.tflib.network import Network, save_network

with open(Path(__file__).parent / "data" / "configs.csv", newline="") as file:
    PUBLISHED = list(csv.DictReader(file))
NAMES = [row["name"] for row in PUBLISHED]


def configuration_of(row: dict) -> Configuration:
    return Configuration(*(row[key] for key in ("noise_style", "pipeline", "noise_params", "diagonal", "channels")))


# ---- The table


def test_the_table_is_the_published_one():
    assert len(PUBLISHED) == len(set(NAMES)) == 46
    expected = [
        {
            "noise_style": row["noise_style"],
            "pipeline": row["pipeline"],
            "noise_params": row["noise_params"] or None,
            "diagonal": row["diagonal_covariance"] == "1",
            "channels": int(row["num_channels"]),
            "images": int(row["num_iter"]),
            "snapshot": int(row["snapshot_every"]),
            "published": row["published_id"],
        }
        for row in PUBLISHED
    ]
    assert expected == CONFIGURATIONS
    assert {tuple(row) for row in CONFIGURATIONS} == {COLUMNS}
    assert [configuration_of(row).name for row in CONFIGURATIONS] == NAMES


def test_the_table_of_real_noise():
    """Each family, learned for all pictures or each, RGB and mono; beside the published ones and not among them."""
    names = [configuration_of(row).name for row in REAL_CONFIGURATIONS]
    assert names == [
        f"real_{family}-blindspot-sigma_{params}{mono}"
        for mono in ("", "-mono") for family in ("gauss", "poisson", "poissongauss", "curve")
        for params in ("global", "per_image") if (family, params) != ("curve", "per_image")
    ]  # fmt: skip
    assert not set(names) & set(NAMES)
    for name in names:
        configuration = Configuration.from_name(name)
        assert configuration.name == name and configuration.noise.real
        shapes = shapes_of(configuration)
        count = {"poissongauss": 2, "curve": 16}.get(configuration.noise.family, 1)
        if configuration.noise_params == "global":
            assert shapes["noise_data"] == (1, 1, 1, count)
        else:
            assert shapes["param_estimation_net/nin_c/W"] == (1, 1, 96, count)


def test_a_malformed_table_is_noticed():
    assert len(_parse("# comment\n\n  gauss25  n2c  -  no  3  2_000  0  00011\n")) == 1
    with pytest.raises(ValueError, match="shorter|longer"):
        _parse("gauss25  n2c  -  no  3  2_000  0")
    with pytest.raises(ValueError, match="invalid literal"):
        _parse("gauss25  n2c  -  no  three  2_000  0  00011")


# ---- Names


@pytest.mark.parametrize("row", CONFIGURATIONS, ids=NAMES)
def test_a_published_name_is_read_back(row):
    configuration = configuration_of(row)
    assert Configuration.from_name(configuration.name) == configuration
    assert configuration.pipeline in PIPELINES
    assert configuration.blind_spot == ("blindspot" in configuration.name)
    assert configuration.noise == parse_noise_style(row["noise_style"])


STYLES = st.sampled_from(["gauss", "poisson"]).flatmap(
    lambda family: st.tuples(st.integers(1, 300), st.integers(0, 300)).map(
        lambda n: f"{family}{n[0]}" + (f"_{n[0] + n[1]}" if n[1] else "")
    )
)


@given(STYLES, st.sampled_from(PIPELINES), st.sampled_from(["known", "global", "per_image"]), st.booleans(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_name_is_read_back(style, pipeline, noise_params, diagonal, mono):
    """Also of what was never published, e.g. another strength of noise."""
    blindspot = pipeline == "blindspot"
    configuration = Configuration(
        style, pipeline, noise_params if blindspot else None, diagonal and blindspot, 1 if mono else 3
    )
    assert Configuration.from_name(configuration.name) == configuration


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("gauss25", ("gauss", 25 / 255, 25 / 255)),
        ("gauss5_50", ("gauss", 5 / 255, 50 / 255)),
        ("poisson30", ("poisson", 30, 30)),
        ("poisson5_50", ("poisson", 5, 50)),
        ("impulse50", ("impulse", 0.5, 0.5)),
        ("impulse0_100", ("impulse", 0.0, 1.0)),
        ("gauss2.5", ("gauss", 2.5 / 255, 2.5 / 255)),
    ],
)
def test_noise_styles(style, expected):
    assert tuple(parse_noise_style(style)) == expected


NO_CONFIGURATION = [
    "", "gauss25", "gauss-n2c", "n2c", "gauss25-", "-n2c", "gauss25_n2c", "gauss25-n2x", "gauss25-n2c-", "gauss25-n2c-rgb",
    "GAUSS25-n2c", " gauss25-n2c", "gauss25-n2c ", "gauss25-n2c\n", "gauss25--n2c", "uniform25-n2c", "gauss1e2-n2c",
    "gauss-5-n2c", "gauss5_-n2c", "gauss_5-n2c", "gauss5_50_60-n2c", "gauss25.-n2c", "gauss２５-n2c",
    "gauss25-blindspot", "gauss25-blindspot_diag", "gauss25-blindspot-mono", "gauss25-blindspot-sigma_",
    "gauss25-blindspot-sigma_none", "gauss25-blindspot-known", "gauss25-blindspot-sigma_known_diag",
    "gauss25-blindspot-mono-sigma_known", "gauss25-blindspot-sigma_known-mono-mono",
    "gauss25-n2c-sigma_known", "gauss25-n2c_diag", "gauss25-blindspot_mean-sigma_known", "gauss25-blindspot_mean_diag",
    "real_gauss-n2n", "real_poissongauss-blindspot_mean", "real_gauss-blindspot_mean",
    "real_impulse-blindspot-sigma_global", "real_gauss-blindspot-sigma_known",
    "real_gauss25-blindspot-sigma_global", "poissongauss-blindspot-sigma_global",
    "gauss25-n2c.pickle", "network-final-gauss25-n2c",
]  # fmt: skip
CANNOT_BE = [
    "gauss50_5-n2c",  # from more to less
    "impulse150-n2c", "impulse0_101-n2c",  # more than every pixel
    "poisson0-n2c", "poisson0_5-n2c",  # no photon at all
    f"gauss{'9' * 400}-n2c",  # infinite
    "impulse50-blindspot-sigma_known-mono",  # SPEC 5.3: not defined
]  # fmt: skip


@pytest.mark.parametrize("name", [*NO_CONFIGURATION, *CANNOT_BE], ids=lambda name: repr(name)[:40])
def test_no_configuration(name):
    with pytest.raises(ValueError, match=r"no configuration|no noise style|not defined"):
        Configuration.from_name(name)


# ---- Network files

KINDS = [
    "gauss25-n2c", "impulse0_100-n2n", "poisson30-blindspot_mean", "gauss25-blindspot-sigma_known",
    "gauss5_50-blindspot-sigma_per_image", "gauss25-blindspot_diag-sigma_global", "poisson30-n2c-mono",
    "poisson30-blindspot-sigma_global-mono", "gauss12.5-blindspot-sigma_known",
    "real_gauss-blindspot-sigma_global", "real_poissongauss-blindspot-sigma_per_image-mono",
    "real_curve-blindspot-sigma_global",
]  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_ours_may_have_any_name(tmp_path, name):
    network = fresh_network(name, seed=3)
    for file_name in ("x", "network-final-poisson5_50-n2c.pickle", f"network-00000040-{name}.pickle"):
        save_network(network, tmp_path / file_name)
        found, configuration = load_configured(tmp_path / file_name)
        assert configuration.name == name
        assert list(found.variables) == list(network.variables)
        for key, value in network.variables.items():
            np.testing.assert_array_equal(found.variables[key], value)


def without_name(name: str, **settings) -> Network:
    """As the 2019 program wrote it: the settings do not say the noise's strength."""
    network = fresh_network(name)
    del network.static_kwargs["configuration"]
    network.static_kwargs |= settings
    return network


@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_2019_says_it_by_its_name(tmp_path, name):
    network = without_name(name)
    path = tmp_path / f"network-00013-{name}.pickle"
    save_network(network, path)
    assert load_configured(path)[1].name == name
    network.static_kwargs.clear()  # as older versions of the program may have
    save_network(network, path)
    assert load_configured(path)[1].name == name


def test_the_settings_of_2019():
    """SPEC section 10."""
    blindspot, simple = "blindspot_pipeline", "simple_pipeline"
    colour, mono = ([None, channels, None, None] for channels in (3, 1))
    expected = {
        "gauss25-blindspot-sigma_known": (
            blindspot,
            {"input_shape": colour, "noise_style": "gauss", "noise_params": "known", "diagonal_covariance": False},
        ),
        "poisson5_50-blindspot_diag-sigma_per_image-mono": (
            blindspot,
            {"input_shape": mono, "noise_style": "poisson", "noise_params": "per_image", "diagonal_covariance": True},
        ),
        "impulse50-blindspot_mean": (
            simple,
            {"input_shape": colour, "noise_style": "impulse", "blindspot": True, "noisy_targets": True},
        ),
        "gauss25-n2n": (
            simple,
            {"input_shape": colour, "noise_style": "gauss", "blindspot": False, "noisy_targets": True},
        ),
        "gauss25-n2c": (
            simple,
            {"input_shape": colour, "noise_style": "gauss", "blindspot": False, "noisy_targets": False},
        ),
    }
    for name, (function, network_settings) in expected.items():
        network = to_network(Configuration.from_name(name), {})
        assert (network.build_func_name, network.name) == (function, "net")
        assert network.static_kwargs == {"configuration": name, **network_settings}


def refusal(path: Path, network: Network) -> str:
    save_network(network, path)
    with pytest.raises(UserError) as caught:
        load_configured(path)
    text = str(caught.value)
    assert str(path) in text and "\n" not in text
    return text


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("gauss25-n2c", {"noisy_targets": True}),
        ("gauss25-n2c", {"blindspot": True}),
        ("gauss25-n2c", {"noise_style": "poisson"}),
        ("gauss25-n2c", {"input_shape": [None, 1, None, None]}),
        ("gauss25-blindspot-sigma_known", {"noise_params": "global"}),
        ("gauss25-blindspot-sigma_known", {"diagonal_covariance": True}),
        ("gauss25-blindspot-sigma_known", {"noise_style": "impulse"}),
    ],
)
def test_the_name_contradicts_what_is_inside(tmp_path, name, wrong):
    path = tmp_path / f"network-final-{name}.pickle"
    ((key, value),) = wrong.items()
    assert f"is named {name}, but was written with {key}={value}" in refusal(path, without_name(name, **wrong))
    changed = fresh_network(name)
    changed.static_kwargs |= wrong
    assert f"{key}={value}" in refusal(path, changed)  # also where both are inside


@pytest.mark.parametrize("file_name", ["x", "network.pickle", "network-final.pickle", "network-gauss25-n2c.pickle"])
def test_neither_file_nor_name_says_it(tmp_path, file_name):
    path = tmp_path / file_name
    text = refusal(path, without_name("gauss25-n2c"))
    assert text.startswith(f"--eval {path}: neither the file nor its name says the configuration")


@pytest.mark.parametrize("name", ["gauss25-n2x", "x", "impulse50-blindspot-sigma_known-mono", "poisson0-n2c"])
def test_no_such_configuration(tmp_path, name):
    network = without_name("gauss25-n2c")
    assert f"{name!r} is no configuration" in refusal(tmp_path / f"network-final-{name}.pickle", network)
    network.static_kwargs["configuration"] = name
    assert f"{name!r} is no configuration" in refusal(tmp_path / "network-final-gauss25-n2c.pickle", network)


@pytest.mark.parametrize("setting", ["configuration", "noise_style"])
def test_however_long_a_setting_is_the_message_is_short(tmp_path, setting):
    network = fresh_network("gauss25-n2c")
    network.static_kwargs[setting] = "a" * 100_000
    assert len(refusal(tmp_path / "network.pickle", network)) < 1000


@pytest.mark.parametrize("inside", [5, True, ["gauss25-n2c"], {"a": 1}], ids=str)
def test_what_is_inside_is_no_name(tmp_path, inside):
    network = without_name("gauss25-n2c", configuration=inside)
    assert "configuration" in refusal(tmp_path / "network-final-gauss25-n2c.pickle", network)


def test_the_variables_are_those_of_another_configuration(tmp_path):
    pairs = [
        ("gauss25-blindspot-sigma_known", "gauss25-blindspot-sigma_global", "lacks the variable 'noise_data'"),
        ("gauss25-blindspot-sigma_global", "gauss25-blindspot-sigma_known", "unknown variables ('noise_data')"),
        ("gauss25-n2c", "gauss25-n2c-mono", "'enc_conv0/W' has shape 3x3x3x48 where 3x3x1x48 is expected"),
        ("gauss25-n2c", "gauss25-blindspot_mean", "'nin_a/W' has shape 1x1x96x96 where 1x1x384x384 is expected"),
    ]
    for real, named, expected in pairs:
        network = dataclasses.replace(fresh_network(real), static_kwargs={})
        assert expected in refusal(tmp_path / f"network-final-{named}.pickle", network)
    broken = fresh_network("gauss25-n2c")
    broken.variables["dec_conv1a/W"][0, 0, 0, 0] = np.nan
    assert "'dec_conv1a/W' has non-finite values" in refusal(tmp_path / "x", broken)


# ---- The blind spot's size


@pytest.mark.parametrize("hole", [1, 3, 7])
def test_the_hole_is_kept_in_the_file(tmp_path, hole):
    """A hole of 1 leaves the file as it was before there were others."""
    configuration = dataclasses.replace(Configuration.from_name("real_gauss-blindspot-sigma_global"), hole_size=hole)
    network = to_network(configuration, initial_variables(shapes_of(configuration), 1))
    assert ("hole_size" in network.static_kwargs) == (hole > 1)
    save_network(network, tmp_path / "a.pickle")
    assert load_configured(tmp_path / "a.pickle")[1] == configuration
    for other in (1, 9, "9x1"):
        assert load_configured(tmp_path / "a.pickle", hole_size=other, larger=True)[1].hole_size == other
    with pytest.raises(UserError, match="--hole-size 9: only --denoise takes a larger one than"):
        load_configured(tmp_path / "a.pickle", hole_size=9)


@pytest.mark.parametrize(
    ("name", "trained", "wanted", "message"),
    [
        ("gauss25-blindspot-sigma_known", 3, 2, "--hole-size 2: must be one of 1, 3, 5, 7"),
        ("gauss25-blindspot-sigma_known", 4, None, "its hole_size is 4"),
        ("gauss25-blindspot-sigma_known", "3x2", None, "its hole_size is 3x2"),
        ("gauss25-blindspot-sigma_known", "3x9", "11x1", "--hole-size 11x1: must be one of 1, 3, 5, 7"),
        ("gauss25-n2c", 1, 3, "--hole-size 3: a network of gauss25-n2c has no blind spot"),
    ],
)
def test_holes_that_cannot_be(tmp_path, name, trained, wanted, message):
    network = fresh_network(name)
    network.static_kwargs["hole_size"] = trained
    save_network(network, tmp_path / "a.pickle")
    with pytest.raises(UserError, match=message):
        load_configured(tmp_path / "a.pickle", hole_size=wanted)
