"""The benchmark of the verdict on correlated noise: its noise is what it says, and its halves have nothing in common."""

import importlib.util
import io

import numpy as np
import pytest
from material import smooth_picture, write_picture
from PIL import Image
from programs import FOLDER

from dnnlib.denoising.noise.correlation import LAGS


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("whiteness_benchmark", FOLDER / "benchmarks" / "whiteness.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_demosaicing_keeps_what_the_sensor_saw_and_is_bilinear(benchmark):
    """Of planes it makes the planes again, but at the edge, where it mirrors."""
    y, x = np.mgrid[:16, :12]
    planes = np.stack([x + 2.0 * y, 3.0 * x - y, 5.0 + y], axis=-1)
    np.testing.assert_allclose(benchmark.bilinear_rggb(planes)[1:-1, 1:-1], planes[1:-1, 1:-1])
    noise = np.random.default_rng(1).standard_normal((16, 12, 3))
    found = benchmark.bilinear_rggb(noise)
    for (top, left), channel in {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 2}.items():
        np.testing.assert_array_equal(found[top::2, left::2, channel], noise[top::2, left::2, channel])
    assert found[4, 4, 2] == pytest.approx(noise[3:6:2, 3:6:2, 2].mean())
    assert found[4, 4, 1] == pytest.approx((noise[3, 4, 1] + noise[5, 4, 1] + noise[4, 3, 1] + noise[4, 5, 1]) / 4)


def test_all_noise_is_of_its_level(benchmark):
    """Of 3 * 256 * 256 values, which a blur by (1, 4, 6, 4, 1) makes as good as a tenth of them: 1 %."""
    clean = np.full((256, 256, 3), 0.5)
    for name, noise in benchmark.NOISES.items():
        found = noise(clean, 25, np.random.default_rng(1)) - clean
        truth = {"white Poisson": np.sqrt(0.5 / 25)}.get(name, 25 / 255)
        if name != "demosaiced":  # means of several have less
            assert np.std(found) == pytest.approx(truth, rel=0.03), name
        assert np.std(noise(clean, 25, np.random.default_rng(2)) - clean - found) > 0.5 * np.std(found), name


def test_halves_have_nothing_in_common(benchmark):
    for cases in (benchmark.HALVES, benchmark.MANY):
        learned, held_out = (cases[half] for half in ("learned", "held out"))
        assert not {case.pictures for case in learned} & {case.pictures for case in held_out}
        assert not {case.seed for case in learned} & {case.seed for case in held_out}
    learned, held_out = (benchmark.MANY[half] for half in ("learned", "held out"))
    assert not {(case.noise, case.level) for case in learned} & {(case.noise, case.level) for case in held_out}


def test_files_of_a_case(benchmark, tmp_path):
    case, jpeg = benchmark.Case("white Gaussian", 10, 0, 1), benchmark.Case("JPEG of quality 90", 10, 0, 1)
    picture = smooth_picture(256, 256) / 255
    assert np.load(io.BytesIO(benchmark.corrupted(case, picture, 0))).shape == (256, 256, 3)
    assert Image.open(io.BytesIO(benchmark.corrupted(jpeg, picture, 0))).format == "JPEG"
    for i in range(2):
        write_picture(tmp_path / f"{i}.png", 300, 280, i)
    with pytest.raises(benchmark.UserError, match="holds 2 pictures, too few for 1 sets"):
        list(benchmark.clean_pictures(type("Args", (), {"clean": tmp_path}), 0))


def test_what_is_counted_as_right(benchmark):
    noise = dict.fromkeys(benchmark.WITNESSES, 0.0)
    residual = dict.fromkeys(benchmark.NAMES, 0.0)
    row = {"half": "held out", "noise": "demosaiced", "level": 10, "hole": 1, "shared": True, "haar_ratio": 2.7}
    row |= {**noise, "noise_h1": 0.6, "noise_v1": 0.6, **residual}
    lines = benchmark.summary([row, {**row, "noise": "white Gaussian", "shared": False, "haar_ratio": 1.0}]).splitlines()
    assert lines[-4:] == [
        "held out: Haar coefficients right 2 of 2",
        "held out: the noisy pictures right 1 of 2",
        "held out: the residual right 1 of 2",
        "held out: one of the last two right 1 of 2",
    ]
    assert len(benchmark.WITNESSES) == 2 * len(LAGS)
