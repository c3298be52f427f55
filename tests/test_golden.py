"""Networks that the 2019 program trained, and what it computed with them (tests/data/golden; SPEC section 12).

Two of the six network files are here; the other four are looked for in `../shared/golden`, beside the repository.
"""

import csv

import numpy as np
import pytest
from graphs import GOLDEN, fresh_graph, nchw, nhwc, prepared
from rounding import assert_equal_but_for_rounding, spreads

from config.validation_sets import VALIDATION_SETS
from dnnlib.denoising.data.validation_set import open_validation_set
from dnnlib.denoising.evaluation.added_noise import Validation
from dnnlib.denoising.network.model import build_model
from dnnlib.denoising.network.network_file import load_configured
from dnnlib.denoising.noise.evaluation_noise import EvaluationNoise
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import create_session, initialize

pytestmark = pytest.mark.isa
with open(GOLDEN / "results.csv") as file:
    RESULTS = {row["configuration"]: row for row in csv.DictReader(file)}
ELSEWHERE = GOLDEN.parents[3] / "shared" / "golden"


def load(name):
    """-> network, configuration, arrays of one golden configuration."""
    for folder in (GOLDEN, ELSEWHERE):
        path = folder / f"network-final-{name}.pickle"
        if path.exists():
            return *load_configured(path), np.load(GOLDEN / f"{name}.npz")
    pytest.skip(f"{path.name} is not part of this repository; it is looked for in ../shared/golden")


@pytest.mark.parametrize("name", RESULTS)
def test_pictures(name):
    network, configuration, golden = load(name)
    assert configuration.name == name
    noise = EvaluationNoise(configuration.noise, configuration.channels)
    for i in range(2):
        expected = {key: golden[f"img{i}_{key}"] for key in ("noisy", "noise_coeff", "mu_x", "pme_out", "net_std", "loss")}
        clean = nhwc(golden[f"img{i}_clean_padded"])
        noisy, parameter = noise.corrupt(clean[0])
        np.testing.assert_array_equal(nchw(noisy[None]), expected["noisy"])
        assert parameter == expected["noise_coeff"].item()

        def model(noisy, parameter, clean):
            return build_model(configuration, noisy, parameter, clean)

        arrays = noisy[None], np.full([1, 1, 1, 1], parameter, np.float32), clean
        with prepared(model, *arrays, static=False) as (session, run):
            initialize(session, network.variables)
            result = run()
            by_rounding = spreads(session, network.variables, lambda run=run: run()[:4])
        by_rounding = dict(zip(result._fields, by_rounding, strict=False))
        for ours, theirs in ((result.mean, expected["mu_x"]), (result.posterior_mean, expected["pme_out"])):
            difference = np.abs(nchw(ours) - theirs)
            assert difference.max() < 1e-4
            assert np.mean(difference < 1e-5) >= 0.99
        simple = configuration.pipeline == "n2c"  # no net std, and a loss of each channel
        net_std = np.zeros([1, 96, 96]) if simple else expected["net_std"]
        # Poisson: this network's Sigma_x is nearly singular, and its determinant mere rounding before the sixth root.
        assert_equal_but_for_rounding(result.net_std, net_std, by_rounding["net_std"], "net_std")
        loss = nchw(result.loss) if simple else result.loss
        assert loss.shape == expected["loss"].shape
        assert (np.abs(loss - expected["loss"]) / (1 + np.abs(expected["loss"]))).max() < 1e-4
    noise.close()


HERE = ("gauss25-blindspot-sigma_global", "poisson30-blindspot-sigma_known")


@pytest.mark.parametrize("name", [n if n in HERE else pytest.param(n, marks=pytest.mark.slow) for n in RESULTS])
def test_evaluation(name):
    """All 30 pictures that 2019's `--eval` went through, and the figures it printed."""
    network, configuration, golden = load(name)
    validation_set = open_validation_set("kodak", str(GOLDEN), VALIDATION_SETS)
    assert validation_set.side == 96 and len(validation_set.paths) == 3 and validation_set.repeats == 10
    np.testing.assert_array_equal(validation_set.read(1, 3)[0], nhwc(golden["img1_clean_padded"])[0])
    sizes = []
    with fresh_graph():
        evaluation = Validation(configuration, Replicas())
        with create_session() as session:
            initialize(session, network.variables)
            scores = evaluation.validate(session, validation_set, 10, lambda i, p: sizes.append((i, *p.mean.shape[:2])))
    assert sizes[:2] == [(i, *golden[f"img{i}_size_hw"]) for i in range(2)]
    np.testing.assert_allclose(scores.mean, golden["psnr_mu_all"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(scores.posterior_mean, golden["psnr_pme_all"], rtol=0, atol=1e-3)
    assert scores.mean.mean() == pytest.approx(float(RESULTS[name]["valid_psnr_mu"]), abs=1e-3)
    assert scores.posterior_mean.mean() == pytest.approx(float(RESULTS[name]["result_psnr_pme"]), abs=1e-3)
