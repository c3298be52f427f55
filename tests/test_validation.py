"""One pass and more over a validation set: which noise, what is measured, what is exported. The network is a stand-in."""

import csv
import os

import numpy as np
import pytest
from material import write_picture
from PIL import Image

from config.validation_sets import VALIDATION_SETS
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.validation_set import open_validation_set
from dnnlib.denoising.evaluation import graph as evaluation_graph
from dnnlib.denoising.evaluation import loop as evaluation_loop
from dnnlib.denoising.evaluation.added_noise import Evaluation
from dnnlib.denoising.evaluation.graph import Denoised
from dnnlib.denoising.evaluation.metrics import psnr, ssim
from dnnlib.denoising.evaluation.real_noise import RealScores
from dnnlib.denoising.network.posterior import Prediction
from dnnlib.denoising.network.window import crop
from dnnlib.denoising.noise.evaluation_noise import EvaluationNoise
from dnnlib.denoising.pictures.images import read_image, to_float
from dnnlib.submission.run_context import RunContext
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import create_session, tf

SIZES = [(40, 60), (64, 33)]


def half(configuration, noisy, parameter, window, dtype):
    """Instead of a network: the noisy picture at half its brightness; the posterior mean and std tell the parameter.

    Of a network with a posterior the likelihood is the noisy value in the first channel, and the posterior's std 0.3.
    """
    del configuration, dtype
    noisy = crop(noisy, window)
    std = tf.ones_like(noisy[..., 0]) * parameter[..., 0] / 2
    nll, posterior_std = noisy[..., 0], tf.fill(tf.shape(std), 0.3)
    return Prediction(noisy / 2, tf.zeros_like(noisy) + parameter, None, std, std, nll, posterior_std=posterior_std)


@pytest.fixture
def validate(tmp_path, monkeypatch):
    """Runs a configuration with that stand-in over two pictures -> the set, the scores, and what was handed out."""
    monkeypatch.setattr(evaluation_graph, "build_model", half)
    for name, size in zip("ab", SIZES, strict=True):
        write_picture(tmp_path / f"{name}.png", *size, seed=size[0])

    def run(name: str, passes: int):
        validation_set = open_validation_set(str(tmp_path), None, VALIDATION_SETS)
        handed_out = []
        with tf.Graph().as_default():
            graph = Evaluation(Configuration.from_name(name), Replicas())
            with create_session() as session:
                scores = graph.validate(session, validation_set, passes, lambda *found: handed_out.append(found))
                again = graph.validate(session, validation_set, 1)
        for column, of_all in scores.pictures.items():
            assert list(again.pictures[column]) == list(of_all[:2])  # the noise starts over
        return validation_set, scores, handed_out

    return run


@pytest.mark.parametrize("name", ["gauss25-n2c", "poisson5_50-n2c", "impulse0_100-n2c", "gauss5_50-n2c-mono"])
def test_two_passes(validate, name):
    """The noise is drawn over the padded square and runs on; what is measured and handed out is cropped."""
    configuration = Configuration.from_name(name)
    validation_set, scores, handed_out = validate(name, 2)
    noise = EvaluationNoise(configuration.noise, configuration.channels)
    assert [index for index, _ in handed_out] == [0, 1, 2, 3]
    for index, found in handed_out:
        height, width = SIZES[index % 2]
        padded, *size = validation_set.read(index % 2, configuration.channels)
        assert size == [height, width]
        noisy, parameter = noise.corrupt(padded)
        noisy = noisy[:height, :width]
        np.testing.assert_array_equal(found.clean, padded[:height, :width])
        np.testing.assert_array_equal(found.noisy, noisy)
        np.testing.assert_array_equal(found.mean, noisy / 2)
        np.testing.assert_array_equal(found.posterior_mean, np.full_like(noisy, parameter))
        np.testing.assert_allclose(found.net_std, np.full((height, width), parameter / 2), rtol=1e-6)
        measured = [psnr(picture, found.clean) for picture in (found.noisy, found.mean, found.posterior_mean)]
        expected = [*measured, ssim(found.posterior_mean, found.clean), measured[2] - measured[0]]
        assert [of_all[index] for of_all in scores.pictures.values()] == expected  # and no likelihood: there is none
    noise.close()
    assert len(scores.noisy) == 4 and len(set(scores.noisy)) == 4


def test_likelihood_and_calibration_where_there_is_a_posterior(validate):
    _, scores, handed_out = validate("gauss25-blindspot-sigma_known", 1)
    for index, found in handed_out:
        assert scores.nll[index] == pytest.approx(found.noisy[..., 0].mean(dtype=np.float64), rel=1e-6)
        assert found.posterior_std.shape == found.clean.shape[:2]
        error = np.abs(25 / 255 - found.clean)
        shares = [np.mean(error <= k * np.float32(0.3)) for k in (1, 2, 3)]
        assert [scores.pictures[f"within_{k}"][index] for k in (1, 2, 3)] == shares
        assert 0 < shares[0] < shares[1] < shares[2] == 1  # the pictures are between 0.1 and 0.9: each figure is put to use


def test_the_table_of_pictures(tmp_path):
    """One line each, also where a name would break it or is no text; an empty cell for what is not known."""
    labels = ['a,"b".png', os.fsdecode(b"c\xff.png"), "d.png"]
    columns = {"nll": np.array([1.25, -2.0, 0.0]), "corr_h1": np.array([np.nan, -0.5, np.inf])}
    scores = RealScores(0.0, {}, None, 1, {}, columns)
    with RunContext(tmp_path, "test", {}) as run:
        evaluation_loop._write_table(labels, scores, run)
    with open(tmp_path / "pictures.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["index", "picture", "nll", "corr_h1"],
            ["0", 'a,"b".png', "1.25", ""], ["1", r"c\udcff.png", "-2", "-0.5"], ["2", "d.png", "0", "inf"],
        ]  # fmt: skip


@pytest.mark.parametrize(("suffix", "channels"), [("png", 3), ("png", 1), ("jpg", 3)])
def test_export(tmp_path, suffix, channels):
    """SPEC 7.1: five pictures, of which the std is shown with 10/255 as white."""
    shape = (20, 30, channels)
    std = np.linspace(0, 20 / 255, 600).reshape(20, 30)
    pictures = [np.full(shape, value, np.float32) for value in (0.2, -0.5, 0.4, 1.7)]
    Denoised(*pictures, std).export(tmp_path, 1234, suffix)
    tags = ["a_nsy", "b_out", "b_out2", "b_std", "c_cln"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"img-0001234-{tag}.{suffix}" for tag in tags]
    shown = {tag: read_image(tmp_path / f"img-0001234-{tag}.{suffix}") for tag in tags}
    for tag, value in {"c_cln": 51, "a_nsy": 0, "b_out": 102, "b_out2": 255}.items():
        assert (np.abs(shown[tag].astype(int) - value) <= (0 if suffix == "png" else 2)).all()
    if suffix == "png":
        np.testing.assert_array_equal(shown["b_std"][:, :, 0], np.floor(np.minimum(255.0, std * 255 * 25.5) + 0.5))
    with Image.open(tmp_path / f"img-0001234-b_std.{suffix}") as picture:
        assert picture.mode == "L"
    assert to_float(shown["b_out2"]).max() == 1
