"""The demos: what is said of their time, and the pictures they show. (That they run: `make test-slow`.)"""

import subprocess
import time

import numpy as np
import pytest
from material import smooth_picture
from programs import FOLDER

from config.networks import NETWORKS
from dnnlib import demo, demo_training
from dnnlib.denoising.network.shipped import default_networks
from dnnlib.denoising.pictures.images import read_image


@pytest.mark.parametrize("seconds", [0.001, 0.1, 0.4, 1.0, 30.0])
def test_the_length_of_the_training_is_what_the_machine_can_afford(seconds):
    images, total = demo_training.affordable(seconds)
    assert total == images * seconds and demo_training.FEWEST <= images <= demo_training.MOST
    if demo_training.FEWEST < images < demo_training.MOST:
        assert abs(total - 60 * demo_training.MINUTES) <= 50 * seconds  # it is rounded to hundreds


def test_a_training_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_training, "RESULTS", tmp_path)
    for name in ("00000-old", "00001-new"):
        (tmp_path / name).mkdir()
    with demo_training.ended_after(60):
        pass
    with demo_training.ended_after(0.01):
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("*/*")) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*")] == ["00001-new/abort.txt"]


def test_details_lie_in_the_pictures():
    height, width = demo.DETAIL
    for name, (top, left) in demo.DETAILS.items():
        shape = read_image(demo.SAMPLES / name).shape
        assert 0 <= top <= shape[0] - height and 0 <= left <= shape[1] - width


def test_pictures_stand_in_rows():
    wide, narrow = smooth_picture(10, 30), smooth_picture(6, 20)
    found, b = demo.grid([[wide, wide], [narrow, narrow]]), demo.BORDER
    assert found.shape == (10 + 6 + 4 * b, 2 * (30 + 2 * b), 3)
    np.testing.assert_array_equal(found[b : b + 10, b : b + 30], wide)
    np.testing.assert_array_equal(found[10 + 3 * b : 16 + 3 * b, 30 + 3 * b : 50 + 3 * b], narrow)
    assert (found[:b] == 255).all() and (found[10 + 2 * b :, b + 20 : 30 + 3 * b] == 255).all()


@pytest.mark.slow
@pytest.mark.skipif(not default_networks(NETWORKS), reason="no network is shipped as a default yet")
def test_the_demo_runs(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(demo, "RESULTS", tmp_path)
    demo.main()
    printed = capfd.readouterr().out
    assert printed.count("dB denoised") == len(demo.DETAILS) and "demo-train" in printed
    assert read_image(tmp_path / "comparison.png").shape[2] == 3


@pytest.mark.slow
def test_the_training_demo_runs():
    done = subprocess.run(["make", "demo-train"], cwd=FOLDER, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0 and "dB denoised" in done.stdout, done.stderr
