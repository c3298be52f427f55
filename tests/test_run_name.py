"""Names of run directories and network files."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.network_file import configuration_name_in, network_file_name
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.run_name import describe_evaluation, describe_training

OPTIONS = ("num_iter", "minibatch_size", "learning_rate", "train_resolution")
KNOWN = Configuration("gauss25", "blindspot", "known")


def training(validation_set="kodak", **changes) -> str:
    """The description of a training of KNOWN with some of its fields, and of the options, changed."""
    options = {name: value for name, value in changes.items() if name in OPTIONS}
    fields = {name: value for name, value in changes.items() if name not in OPTIONS}
    return describe_training(replace(KNOWN, **fields), TrainingOptions(**options), validation_set)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "train-ilsvrc-kodak-3c-gauss25-iter2m-blindspot-known"),
        ({"diagonal": True, "noise_params": "global"}, "train-ilsvrc-kodak-3c-gauss25-iter2m-blindspotDiag-global"),
        ({"pipeline": "n2c", "noise_params": None}, "train-ilsvrc-kodak-3c-gauss25-iter2m-n2c"),
        ({"pipeline": "blindspot_mean", "noise_params": None}, "train-ilsvrc-kodak-3c-gauss25-iter2m-blindspot_mean"),
        ({"hole_size": 5}, "train-ilsvrc-kodak-3c-gauss25-iter2m-blindspot-known-hole5"),
        ({"channels": 1, "validation_set": "bsd300"}, "train-ilsvrc-bsd300-1c-gauss25-iter2m-blindspot-known"),
        ({"minibatch_size": 8}, "train-ilsvrc-kodak-3c-gauss25-mb8-iter2m-blindspot-known"),
        ({"learning_rate": 1e-4}, "train-ilsvrc-kodak-3c-gauss25-lr0.0001-iter2m-blindspot-known"),
        ({"train_resolution": 64}, "train-ilsvrc-kodak-3c-gauss25-iter2m-blindspot-known-res64"),
        (
            {"minibatch_size": 4, "learning_rate": 0.0003, "train_resolution": 256},
            "train-ilsvrc-kodak-3c-gauss25-iter2m-blindspot-known",
        ),
        (
            {"minibatch_size": 1, "learning_rate": 1e-05, "train_resolution": 128, "num_iter": 160_000},
            "train-ilsvrc-kodak-3c-gauss25-mb1-lr1e-05-iter160k-blindspot-known-res128",
        ),
    ],
)
def test_training(changes, expected):
    assert training(**changes) == expected


@pytest.mark.parametrize(
    ("num_iter", "expected"),
    [(16_000_000, "16m"), (2_500_000, "2500k"), (160_000, "160k"), (1_000, "1k"), (1_500, "1500"), (0, "0")],
)
def test_iterations(num_iter, expected):
    assert f"-iter{expected}-" in training(num_iter=num_iter)


@hypothesis_settings(deadline=None)
@given(st.integers(0, 10**9))
def test_iterations_can_be_read_back(num_iter):
    number, unit = re.search(r"-iter(\d+)([mk]?)-", training(num_iter=num_iter)).groups()
    assert int(number) * {"m": 10**6, "k": 10**3, "": 1}[unit] == num_iter


def test_evaluation():
    name = describe_evaluation(replace(KNOWN, hole_size=3), TrainingOptions(num_iter=160_000), "kodak")
    assert name == "eval-ilsvrc-kodak-3c-gauss25-iter160k-blindspot-known-hole3-EVAL_gauss25-blindspot-sigma_known"


@pytest.mark.parametrize(
    ("validation_set", "expected"),
    [
        ("/data/my pictures", "my_pictures"),
        ("sets/Würfel/", "W_rfel"),
        (Path("a/b.c-d"), "b.c-d"),
        ("..", "folder"),
        (".", "folder"),
        ("/", "folder"),
    ],
)
def test_validation_folder(validation_set, expected):
    assert training(validation_set).startswith(f"train-ilsvrc-{expected}-3c-")


@hypothesis_settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\0")))
def test_any_folder_gives_a_usable_name(validation_set):
    name = describe_evaluation(KNOWN, TrainingOptions(), validation_set)
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)
    assert len(name) < 240


def test_folder_with_a_very_long_name():
    configuration = Configuration.from_name("gauss5_50-blindspot_diag-sigma_per_image")
    name = describe_evaluation(configuration, TrainingOptions(), "x" * 255)
    assert len(f"99999-{name}") <= 255


def test_network_file_names():
    assert network_file_name(160_000, "gauss25-n2c") == "network-00160000-gauss25-n2c.pickle"
    assert network_file_name(0, "gauss25-n2c") == "network-00000000-gauss25-n2c.pickle"
    assert network_file_name(None, "gauss25-n2c-mono") == "network-final-gauss25-n2c-mono.pickle"


@hypothesis_settings(deadline=None)
@given(st.none() | st.integers(0, 10**10), st.from_regex(r"[a-z0-9_.-]+", fullmatch=True))
def test_network_file_names_are_read_back(n, configuration):
    name = network_file_name(n, configuration)
    assert configuration_name_in(name) == configuration
    assert configuration_name_in(Path("some.pickle/network-1-other.pickle", name)) == configuration


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("network-00013-gauss25-blindspot-sigma_known.pickle", "gauss25-blindspot-sigma_known"),  # as published
        ("runs/00001-x/network-final-impulse0_100-n2n.pickle", "impulse0_100-n2n"),
        ("network-gauss25-n2c.pickle", None),
        ("network-latest-gauss25-n2c.pickle", None),
        ("network-final-.pickle", None),
        ("network-final.pickle", None),
        ("network--gauss25-n2c.pickle", None),
        ("my-network-final-gauss25-n2c.pickle", None),
        ("network-final-gauss25-n2c.pickle.bak", None),
        ("network-final-gauss25-n2c.pkl", None),
        ("network-final-gauss25-n2c.pickle/", None),
        ("network-١٢-gauss25-n2c.pickle", None),
        ("", None),
    ],
)
def test_configuration_in_a_file_name(name, expected):
    assert configuration_name_in(name) == expected
