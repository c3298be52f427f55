"""What a network of real noise remembers of its pictures, and noise that is weaker than a thousandth of white."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from graphs import compute, random_variables
from material import smooth_picture

import dataset_tool_h5
import selfsupervised_denoising
from dnnlib.denoising import Denoiser
from dnnlib.denoising.adapting.pages import read_pages, source_of
from dnnlib.denoising.adapting.start import learned_configuration
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference.noise_level import learned_level
from dnnlib.denoising.inference.trained_scale import trained_source
from dnnlib.denoising.network.architecture import NOISE_VARIABLE, initial_variables, shapes_of
from dnnlib.denoising.network.network_file import load_configured, to_network
from dnnlib.denoising.network.noise_parameter import positive
from dnnlib.denoising.network.posterior import posterior
from dnnlib.denoising.noise.learned_parameter import SMALLEST, SMALLEST_REAL, parameter_from_raw, raw_from_parameter
from dnnlib.denoising.pictures.decided_scale import decide
from dnnlib.denoising.pictures.scale import Scale, Source, Stated
from dnnlib.denoising.training.resume import noise_floor_of, with_floor
from dnnlib.denoising.training.state import TrainingState
from dnnlib.denoising.training.warm_start import take_over
from dnnlib.errors import UserError
from dnnlib.tflib.layout import Layout
from dnnlib.tflib.network import save_network

NAME = "real_gauss-blindspot-sigma_global-mono"
SOURCE = Source("uint16", Scale(256.0, 4095.0))
RNG = np.random.default_rng(6)


def call(arguments: str, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["selfsupervised_denoising.py", *shlex.split(arguments)])
    selfsupervised_denoising.main()


def raw_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint16 [H,W], 12 bits with a black of 256."""
    clean = smooth_picture(height, width, seed)[:, :, 0] / 255
    noisy = clean + 0.05 * np.random.default_rng(seed).standard_normal([height, width])
    return np.rint(256 + 3839 * noisy).clip(0, 4095).astype(np.uint16)


def network_file(path: Path, source: Source | None = SOURCE, configuration: Configuration | None = None) -> Path:
    configuration = configuration or Configuration.from_name(NAME)
    settings = source and source.as_settings()
    save_network(to_network(configuration, random_variables(shapes_of(configuration), 2), settings), path)
    return path


# --- which scale counts


@pytest.mark.parametrize(
    ("told", "dtype", "stated", "expected", "origin"),
    [
        (Scale(), np.uint16, None, Scale(256.0, 4095.0), "network"),
        (Scale(0.0, 9000.0), np.uint16, None, Scale(0.0, 9000.0), "told"),
        (Scale(100.0), np.uint16, None, Scale(100.0, 4095.0), "network"),
        (Scale(), np.uint8, None, Scale(0.0, 255.0), "type"),
        (Scale(), np.uint16, Stated(4095.0, "tag"), Scale(256.0, 4095.0), "network"),
        (Scale(), np.float32, Stated(3.0, "tag"), Scale(0.0, 3.0), "tag"),
    ],
)  # fmt: skip
def test_what_counts(told, dtype, stated, expected, origin):
    top = {np.uint8: 255, np.uint16: 4095, np.float32: 3}[dtype]
    pixels = (top * RNG.random([50, 50, 1])).astype(dtype)
    found = decide([pixels], told, stated, SOURCE)
    assert (found.scale, found.origin) == (expected, origin)


def test_a_tag_that_says_otherwise_is_named():
    found = decide([RNG.integers(0, 4096, [50, 50, 1]).astype(np.uint16)], Scale(), Stated(16383.0, "its tag"), SOURCE)
    assert found.scale == SOURCE.scale and "says 16,383, but the network was trained with white 4,095" in found.warning
    assert found.note == "black 256, white 4,095 as the network was trained with"
    same = decide([np.full([5, 5, 1], 7, np.uint8)], Scale(), None, Source("uint8", Scale(0.0, 255.0)))
    assert (same.origin, same.note) == ("type", None)  # nothing that is not known anyway


# --- from the shard to the picture


def test_the_training_writes_it_and_denoising_uses_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for i in range(3):
        np.save(f"in/{i}.npy", raw_picture(64, 64, i))
    tool = "--noisy --input-dir in --out a.h5 --min-size 64 --black 256 --white 4095"
    dataset_tool_h5.main(shlex.split(tool))
    options = "--train-resolution 64 --num-iter 2 --minibatch-size 2 --num-gpus 0 --precision float32"
    call(f"--train {NAME} --train-h5 a.h5 {options}", monkeypatch)
    (file,) = Path("results").glob("*/network-final-*.pickle")
    network, configuration = load_configured(file)
    assert trained_source(network) == SOURCE and configuration.noise_floor == SMALLEST_REAL
    capsys.readouterr()
    call(f"--denoise in/0.npy --network {file} --out out", monkeypatch)
    assert "black 256, white 4,095 as the network was trained with" in capsys.readouterr().out
    call(f"--denoise in/0.npy --network {file} --out told --black 256 --white 4095", monkeypatch)
    assert "as the network" not in capsys.readouterr().out
    np.testing.assert_array_equal(np.load("out/0.npy"), np.load("told/0.npy"))
    call(f"--denoise in/0.npy --network {file} --out zero --black 0", monkeypatch)
    assert ", white 4,095 as the network was trained with" in (said := capsys.readouterr().out) and "black" not in said
    with Denoiser.load(file) as denoiser:
        result, _ = denoiser(np.load("in/0.npy"))
        np.testing.assert_array_equal(result, np.load("out/0.npy"))
        np.testing.assert_array_equal(denoiser(np.load("in/0.npy"), black=0)[0], np.load("zero/0.npy"))


def test_files_without_it_go_on_as_before(tmp_path, monkeypatch, capsys):
    network_file(tmp_path / "old.pickle", None)
    np.save(tmp_path / "a.npy", raw_picture(64, 64))
    call(f"--denoise {tmp_path}/a.npy --network {tmp_path}/old.pickle --out {tmp_path}/out", monkeypatch)
    assert "give --white 4095" in capsys.readouterr().out
    assert load_configured(tmp_path / "old.pickle")[1].noise_floor == SMALLEST


@pytest.mark.parametrize(
    "wrong",
    [5, {}, {"dtype": "int8", "black": 0.0, "white": 1.0}, {"dtype": "uint8", "black": 5.0, "white": 5.0},
     {"dtype": "uint8", "black": float("nan"), "white": 5.0}, {"dtype": "uint8", "black": "0", "white": 5.0}],
)  # fmt: skip
def test_a_file_that_says_what_cannot_be_is_refused(tmp_path, monkeypatch, wrong):
    network = to_network(Configuration.from_name(NAME), random_variables(shapes_of(Configuration.from_name(NAME)), 2))
    network.static_kwargs["trained_on"] = wrong
    save_network(network, tmp_path / "a.pickle")
    np.save(tmp_path / "a.npy", raw_picture(64, 64))
    with pytest.raises(UserError, match="the network file says of the pictures it was trained on what cannot be"):
        call(f"--denoise {tmp_path}/a.npy --network {tmp_path}/a.pickle --out {tmp_path}/out", monkeypatch)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_network_that_adapted_remembers_it(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", raw_picture(128, 160))
    network_file(tmp_path / "real.pickle")
    place = f"--network {tmp_path}/real.pickle --out {tmp_path}/out --save-network {tmp_path}/adapted.pickle"
    call(f"--denoise {tmp_path}/a.tif --adapt 40 {place} --white 4000", monkeypatch)
    network, _ = load_configured(tmp_path / "adapted.pickle")  # random weights become better
    assert trained_source(network) == Source("uint16", Scale(0.0, 4000.0))


def test_pages_that_are_not_alike_have_no_scale_in_common(tmp_path):
    for i, dtype in enumerate((np.uint16, np.uint16, np.uint8)):
        np.save(tmp_path / f"{i}.npy", raw_picture(128, 128).astype(dtype))
    paths = [str(tmp_path / f"{i}.npy") for i in range(3)]
    assert source_of(read_pages(paths[:2], Scale(), trained={1: SOURCE})) == SOURCE
    assert source_of(read_pages(paths, Scale(), trained={1: SOURCE})) is None


# --- weak noise


def test_noise_that_is_weaker_than_a_thousandth_can_be_learned():
    for floor, reached in ((SMALLEST, 1e-3), (SMALLEST_REAL, 1.5e-4)):
        raw = raw_from_parameter(1.5e-4, False, floor)
        found = compute(lambda t, floor=floor: positive(t, False, floor), np.float32(raw))
        assert found == pytest.approx(reached, rel=5e-3)
        assert parameter_from_raw(raw, False, floor) == pytest.approx(found, rel=1e-5)
    raw = raw_from_parameter(4e-8, True, SMALLEST_REAL)
    assert parameter_from_raw(raw, True, SMALLEST_REAL) == pytest.approx(4e-8, rel=1e-6)
    dim = replace(Configuration.from_name(NAME), noise_floor=SMALLEST_REAL)
    level = learned_level(dim, np.array(raw_from_parameter(1.5e-4, False, SMALLEST_REAL)))
    assert level.values["sigma"] == pytest.approx(255 * 1.5e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_weak_noise_is_weighed_as_what_it_is(channels):
    """The posterior mean is that of SPEC 5.2 with an e that is small beside the variances, unless the floor is published."""
    std, prior = 1.5e-4, 1e-4
    outputs = np.zeros([1, 1, 1, channels + channels * (channels + 1) // 2], np.float32)
    for i in [channels] if channels == 1 else (3, 6, 8):
        outputs[..., i] = prior
    noisy = np.full([1, 1, 1, channels], std, np.float32)
    parameter = np.full([1, 1, 1, 1], std, np.float32)
    for floor in (SMALLEST, SMALLEST_REAL):
        mean = compute(
            lambda *x, e=floor: posterior(*x[:2], "gauss", x[2], True, False, e).posterior_mean, outputs, noisy, parameter
        )
        right = std * prior**2 / (prior**2 + std**2)
        if channels == 1 or floor == SMALLEST_REAL:  # EPSILON hides it from the published one
            assert mean == pytest.approx(right, rel=0.02)
        else:
            assert mean == pytest.approx(std / 2, rel=0.02)


def test_the_floor_goes_into_the_file_and_is_checked(tmp_path):
    dim = replace(Configuration.from_name(NAME), noise_floor=SMALLEST_REAL)
    assert load_configured(network_file(tmp_path / "a.pickle", None, dim))[1] == dim
    network = to_network(dim, random_variables(shapes_of(dim), 2))
    for wrong in (0.0, -1.0, 1.0, "x", None, float("nan")):
        network.static_kwargs["noise_floor"] = wrong
        save_network(network, tmp_path / "a.pickle")
        with pytest.raises(UserError, match="its noise_floor is"):
            load_configured(tmp_path / "a.pickle")


def test_a_training_that_goes_on_keeps_its_floor():
    def state(**options) -> TrainingState:
        return TrainingState(8, True, {}, {}, options, {})

    alone, workers = Layout(), Layout(workers=("a:1", "b:2"), task=0)
    dim = replace(Configuration.from_name(NAME), noise_floor=SMALLEST_REAL)
    assert noise_floor_of(None, alone) == noise_floor_of(state(**with_floor({}, dim)), workers) == SMALLEST_REAL
    assert noise_floor_of(state(), alone) == SMALLEST  # of an older version
    assert with_floor({"a": 1}, Configuration.from_name(NAME)) == {"a": 1}  # it stays as it was
    with pytest.raises(UserError, match="begun by an older version.* in one process"):
        noise_floor_of(state(), workers)
    with pytest.raises(UserError, match="has a noise_floor of x"):
        noise_floor_of(state(noise_floor="x"), alone)


def test_a_start_from_another_floor_is_the_same_noise():
    old = Configuration.from_name(NAME)
    new, fresh = replace(old, noise_floor=SMALLEST_REAL), initial_variables(shapes_of(old), 1)
    variables = {**fresh, NOISE_VARIABLE: np.full([1, 1, 1, 1], raw_from_parameter(0.02), np.float32)}
    values, _ = take_over(old, variables, new, fresh)
    assert parameter_from_raw(values[NOISE_VARIABLE], False, SMALLEST_REAL) == pytest.approx(0.02, rel=1e-5)
    values, _ = take_over(old, variables, old, fresh)
    assert values[NOISE_VARIABLE].tobytes() == variables[NOISE_VARIABLE].tobytes()
    published = Configuration.from_name("gauss25-blindspot-sigma_known-mono")
    assert learned_configuration(published, 1).noise_floor == SMALLEST_REAL
    assert learned_configuration(old, 1).noise_floor == SMALLEST
