"""--eval --baselines: methods without learning, on the same noisy pictures, told their sigma."""

import json

import numpy as np
import pytest
from material import smooth_picture, write_network, write_picture
from programs import run_here

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.validation_set import open_validation_set
from dnnlib.denoising.evaluation import baselines
from dnnlib.denoising.evaluation.baselines import BASELINES, Baseline, measure_baselines
from dnnlib.denoising.evaluation.metrics import psnr
from dnnlib.denoising.evaluation.rivals import check_baselines
from dnnlib.denoising.noise.evaluation_noise import EvaluationNoise
from dnnlib.denoising.pictures.images import to_float
from dnnlib.errors import UserError

SIGMA = 25 / 255


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: baseline.name)
def test_noise_becomes_less(baseline, channels):
    """A picture of a few waves: what is removed of it is little beside half of the noise, which is 3 dB."""
    clean = to_float(smooth_picture(64, 48))[..., :channels]
    noisy = clean + SIGMA * np.random.default_rng(1).standard_normal(clean.shape, np.float32)
    denoised = baseline.denoise(noisy, SIGMA)
    assert denoised.shape == clean.shape and denoised.dtype == np.float32
    assert psnr(denoised, clean) > psnr(noisy, clean) + 3


def test_without_noise_nothing_is_done():
    clean = to_float(smooth_picture(32, 32))
    assert all(baseline.denoise(clean, 0.0) is clean for baseline in BASELINES)


def test_what_is_calibrated_is_what_foresees_hidden_pixels_best():
    """Of blurring little, much and not at all: of a flat noisy picture the most is the best, of a clean one the least."""
    from scipy.ndimage import gaussian_filter

    chosen = []

    def make(sigma, channels):
        assert (sigma, channels) == (0.1, 1)

        def blurred(pixels, width):
            chosen.append(width)
            return gaussian_filter(pixels, width)

        return blurred

    blur = Baseline("blur", make, {"width": (2.0, 20.0)})
    random = np.random.default_rng(0)
    flat = 0.5 + 0.1 * random.standard_normal((64, 64, 1), np.float32)
    blur.denoise(flat, 0.1)
    assert chosen[-1] == pytest.approx(2.0)  # in units of sigma: 20 of them
    y, _ = np.mgrid[:64, :64]
    waves = (0.5 + 0.4 * np.sin(y / 2.0)).astype(np.float32)[..., np.newaxis]
    blur.denoise(waves, 0.1)
    assert chosen[-1] == pytest.approx(0.2)


def test_each_picture_has_the_noise_of_the_protocol_and_its_own_sigma(tmp_path, monkeypatch):
    for i, size in enumerate([(20, 24), (17, 31)]):
        write_picture(tmp_path / f"{i}.png", *size, seed=i)
    seen = {}

    def keep(noisy, sigma):
        seen[noisy.shape, sigma] = noisy
        return noisy

    class Told:
        name, denoise = "told", staticmethod(keep)

    monkeypatch.setattr(baselines, "BASELINES", [Told])
    pictures = open_validation_set(str(tmp_path), None, {})
    configuration = Configuration.from_name("gauss5_50-n2c")
    (record,) = measure_baselines(pictures, configuration)
    noise = EvaluationNoise(configuration.noise, 3)
    for i in range(2):
        clean, height, width = pictures.read(i, 3)
        noisy, sigma = noise.corrupt(clean)
        np.testing.assert_array_equal(seen[(height, width, 3), sigma], noisy[:height, :width])
        assert record.values["psnr_pme"][i] == psnr(noisy[:height, :width], clean[:height, :width])
    noise.close()
    assert list(record.values["gain"]) == [0, 0] and len(seen) == 2


def test_they_are_rows_of_the_table(tmp_path):
    name = "gauss25-n2c-mono"
    write_network(tmp_path / f"network-final-{name}.pickle", name)
    for i in range(2):
        write_picture(tmp_path / "own" / f"{i}.png", 32, 40, seed=i)
    done = run_here(tmp_path, f"--eval network-final-{name}.pickle --validation-set own --baselines --num-gpus 0")
    (path,) = tmp_path.glob("results/_eval/*/evaluation.json")
    content = json.loads(path.read_text())
    assert [found["name"] for found in content["compared_with"]] == [baseline.name for baseline in BASELINES]
    for found in content["compared_with"]:
        assert found["values"]["psnr_noisy"] == content["values"]["psnr_noisy"]
        assert f"\n  {found['name']} " in done.stdout


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="need the package PyWavelets: pip install -r requirements.txt"):
        check_baselines(Configuration.from_name("gauss25-n2c"))


@pytest.mark.parametrize("name", ["poisson30-n2c", "impulse50-n2c"])
def test_other_noise_is_refused_in_a_line(tmp_path, name):
    write_network(tmp_path / f"network-final-{name}.pickle", name)
    write_picture(tmp_path / "own" / "a.png", 32, 40)
    with pytest.raises(UserError, match=f"--baselines: .*sigma of Gaussian noise, and {name} is for other noise"):
        run_here(tmp_path, f"--eval network-final-{name}.pickle --validation-set own --baselines")
    assert not (tmp_path / "results").exists()
