"""Evaluating a network of real noise: it sees what denoising sees, and gives advice only for what it was trained as."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from material import fresh_network, smooth_picture
from rounding import assert_equal_but_for_rounding, spreads

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.noisy_pictures import NoisyPictures
from dnnlib.denoising.evaluation import loop as evaluation_loop
from dnnlib.denoising.evaluation.real_noise import RealScores, RealValidation
from dnnlib.denoising.inference.denoiser import Denoiser
from dnnlib.denoising.inference.kept_means import KeptMeans
from dnnlib.denoising.noise.families import in_user_units
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.denoising.training.report import Report
from dnnlib.denoising.training.statistics import statistic_names
from dnnlib.submission.run_context import RunContext
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import create_session, initialize, tf

pytestmark = pytest.mark.isa
SIZES = [(40, 100), (70, 33)]


def pictures(sizes=SIZES) -> NoisyPictures:
    stored = [smooth_picture(*size, i)[:, :, :1] for i, size in enumerate(sizes)]
    return NoisyPictures([f"{i}" for i in range(len(sizes))], [0] * len(sizes), stored.__getitem__, Scale())


@pytest.mark.parametrize("name", ["real_gauss-blindspot-sigma_per_image-mono", "real_poisson-blindspot-sigma_global-mono"])
def test_the_results_are_those_of_denoising(name, monkeypatch):
    """Pictures that are no squares: padded alike, and the noise estimated from the same pixels.

    But for the means of the channels, which only --denoise gives back.
    """
    monkeypatch.setattr(KeptMeans, "finish", lambda _: None)
    network, configuration = fresh_network(name), Configuration.from_name(name)
    found, noisy = [], pictures()
    with tf.Graph().as_default():
        graph = RealValidation(configuration, Replicas())
        with create_session() as session:
            initialize(session, network.variables)
            scores = graph.validate(session, noisy, on_picture=lambda _, denoised: found.append(denoised))
    levels = []
    with Denoiser(network, configuration) as denoiser:
        for i, denoised in enumerate(found):
            image = noisy.read(i)[0]
            again = partial(denoiser, image, tile=0, prior_std=True)
            expected, std = again()
            by_rounding = spreads(denoiser.tiled_network._session, network.variables, again)
            pairs = (denoised.posterior_mean, expected), (denoised.net_std, std)
            for (ours, other), spread in zip(pairs, by_rounding, strict=True):
                assert_equal_but_for_rounding(ours, other, spread)
            levels.append(denoiser.prepare(image, {}, Scale(), 0).level().parameter)
    levels_shown = in_user_units(configuration.noise.family, np.transpose(levels))
    assert scores.pictures == {**scores.pictures, **{name: pytest.approx(v, rel=1e-5) for name, v in levels_shown.items()}}
    assert scores.parameters == pytest.approx(in_user_units(configuration.noise.family, np.mean(levels, axis=0)), rel=1e-5)


@pytest.mark.parametrize(("used", "said"), [(3, True), (1, False)])
def test_advice_is_for_a_network_as_it_was_trained(tmp_path, monkeypatch, capsys, used, said):
    """With a smaller hole than in training it sees noise that it never saw: to train with the larger one is no advice."""
    name = "real_gauss-blindspot-sigma_global-mono"
    network = fresh_network(name)
    network.static_kwargs["hole_size"] = 3
    monkeypatch.setattr(RealScores, "advice", lambda _: "ADVICE")
    configuration = replace(Configuration.from_name(name), hole_size=used)
    with RunContext(tmp_path, "test", {}) as run, tf.Graph().as_default():
        evaluation_loop.evaluate(network, configuration, pictures(SIZES[:1]), run)
    assert ("ADVICE" in capsys.readouterr().out) == said


def test_what_the_noisy_pictures_say_comes_first(tmp_path, monkeypatch, capsys):
    """They tell that neighbours share noise where the residual of a network that learned from it is white."""
    name = "real_gauss-blindspot-sigma_global-mono"
    monkeypatch.setattr(RealScores, "advice", lambda _: "ADVICE")
    random = np.random.default_rng(1).standard_normal((20, 32, 32, 1)).astype(np.float32)
    shared = random + np.roll(random, 1, axis=1) + np.roll(random, 1, axis=2) + np.roll(random, 1, axis=(1, 2))
    for i, (noise, said) in enumerate([(shared, "Neighbours share their noise"), (random, "ADVICE")]):
        names, stored = [f"{i}" for i in range(20)], 0.5 + 0.02 * noise
        noisy = NoisyPictures(names, [0] * 20, stored.__getitem__, Scale(0.0, 1.0))
        (tmp_path / f"{i}").mkdir()
        with RunContext(tmp_path / f"{i}", "test", {}) as run, tf.Graph().as_default():
            evaluation_loop.evaluate(fresh_network(name), Configuration.from_name(name), noisy, run)
        out = capsys.readouterr().out
        assert said in out and ("ADVICE" in out) == (said == "ADVICE")


def test_what_is_not_known_of_a_picture_is_left_out_of_the_average():
    """SSIM of a picture below 11 pixels, the correlations of one that cannot be judged."""
    with tf.Graph().as_default():
        graph = RealValidation(Configuration.from_name("real_gauss-blindspot-sigma_global-mono"), Replicas())
    measured = {name: np.full(2, 0.5) for name in graph.measures}
    unknown = [values for name, values in measured.items() if name.startswith(("corr", "ssim"))]
    for values in unknown:
        values[1] = np.nan
    with_references = replace(pictures(), references="clean")
    means = graph._scores(with_references, measured).means()
    assert len(means) == 14 and set(means.values()) == {0.5}
    for values in unknown:
        values[:] = np.nan
    assert list(graph._scores(with_references, measured).means()) == [
        "valid_nll", "valid_psnr_noisy", "valid_psnr_mu", "valid_psnr_pme"
    ]


def test_lambda_is_averaged_as_its_inverse(tmp_path, capsys):
    """Of 1/lambda 0.01 and 0.03 the mean is 0.02, lambda 50 and not 67: in the lines as in the evaluation."""

    class Events:
        def scalars(self, step, values):
            assert step == 0 and values["lambda"] == pytest.approx(50)

    configuration = Configuration.from_name("real_poisson-blindspot-sigma_global")
    with RunContext(tmp_path, "test", {}) as run:
        report = Report(run, Events(), configuration)
        for t in (0.01, 0.03):
            report.add(dict.fromkeys(statistic_names(configuration), 1.0) | {"lambda": t, "finite": 1.0})
        report.line(0, 0.0, None)
    assert "lambda= 50.0000" in capsys.readouterr().out


def test_no_noise_at_all_has_a_sigma():
    """What an estimate made of flat crops gives: to print it was a division by zero."""
    assert in_user_units("gauss", [0.0]) == {"sigma": 0} and in_user_units("impulse", [0.0]) == {"alpha": 0}
    assert in_user_units("poisson", [0.01]) == {"lambda": 100}
