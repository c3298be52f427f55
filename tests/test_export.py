"""`--export`: a SavedModel that runs without our code gives what Denoiser gives."""

import os
import shlex
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from graphs import random_images, random_variables
from material import write_network
from rounding import assert_equal_but_for_rounding, spreads

import selfsupervised_denoising
from dnnlib.denoising import Denoiser
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference.export import export
from dnnlib.denoising.network.architecture import shapes_of
from dnnlib.denoising.network.network_file import load_configured, to_network
from dnnlib.errors import UserError
from dnnlib.tflib.network import save_network

pytestmark = pytest.mark.isa
CASES = {  # network -> the levels for it
    "gauss25-blindspot-sigma_known": {"sigma": [25.0, 40.0]},
    "poisson30-blindspot-sigma_known-mono": {"lam": [30.0]},
    "poisson30-blindspot-sigma_global": {},
    "gauss5_50-blindspot-sigma_per_image-mono": {},
    "gauss25-n2c": {},
    "real_poissongauss-blindspot-sigma_global": {},
    "real_curve-blindspot-sigma_global-mono": {},
    "real_poissongauss-blindspot-sigma_per_image-mono": {},
    "real_gauss-blindspot-sigma_global": {},
}
SLOW = {  # the others have what these have, but for its place
    "poisson30-blindspot-sigma_known-mono", "poisson30-blindspot-sigma_global",
    "real_poissongauss-blindspot-sigma_per_image-mono",
}  # fmt: skip
HOLES = {"real_gauss-blindspot-sigma_global": 5}  # the others have 1
SIZES = [(70, 37), (32, 64), (1, 5)]
RUNNER = """
import sys
import numpy as np
import tensorflow as tf

for name in sys.argv[1:]:
    function = tf.saved_model.load(name).signatures["serving_default"]
    inputs = dict(np.load(name + ".npz"))
    images = {key: inputs.pop(key) for key in list(inputs) if key.startswith("image")}
    results = {}
    for key, image in images.items():
        levels = {level: tf.constant(value) for level, value in inputs.items()}
        for output, value in function(image=tf.constant(image), **levels).items():
            results[key + output] = value.numpy()
    np.savez(name + "-results.npz", **results)
assert not any(module.startswith("dnnlib") for module in sys.modules)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Runs the models that are not slow in one fresh process, in another folder than ours -> what each put out."""
    return run_models(tmp_path_factory.mktemp("models"), [name for name in CASES if name not in SLOW])


def run_models(folder, names):
    for name in names:
        levels = CASES[name]
        configuration = replace(Configuration.from_name(name), hole_size=HOLES.get(name, 1))
        variables = random_variables(shapes_of(configuration), seed=4)
        variables |= {key: 0.1 * value for key, value in variables.items() if key.startswith("nin_c")}  # not too wild
        save_network(to_network(configuration, variables), folder / f"{name}.pickle")
        export(str(folder / f"{name}.pickle"), str(folder / name))
        images = {f"image{i}": random_images(2, *size, configuration.channels) for i, size in enumerate(SIZES)}
        np.savez(folder / f"{name}.npz", **images, **{key: np.float32(value) for key, value in levels.items()})
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", RUNNER, *names]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", [name for name in CASES if name not in SLOW])
def test_a_saved_model_gives_what_denoiser_gives(results, name):
    check(results, name)


@pytest.mark.slow
def test_other_saved_models_do_so_too(tmp_path):
    run_models(tmp_path, SLOW)
    for name in SLOW:
        check(tmp_path, name)


def check(results, name):
    found = np.load(results / f"{name}-results.npz")
    variables = load_configured(results / f"{name}.pickle")[0].variables
    with Denoiser.load(results / f"{name}.pickle") as denoiser:
        assert len(found.files) == len(SIZES) * (3 if denoiser.has_std else 1)
        for i in range(len(SIZES)):
            images = np.load(results / f"{name}.npz")[f"image{i}"]
            assert found[f"image{i}denoised"].shape == images.shape
            for n, image in enumerate(images):

                def denoised(image=image, n=n):
                    level = {key: value[min(n, len(value) - 1)] for key, value in CASES[name].items()}
                    clean, std = denoiser(image, **level)
                    return [clean, std, denoiser(image, **level, prior_std=True)[1]][: 3 if denoiser.has_std else 1]

                # Random weights magnify rounding; trained ones agree to 1e-7.
                by_rounding = spreads(denoiser.tiled_network._session, variables, denoised)
                for output, expected, spread in zip(("denoised", "std", "prior_std"), denoised(), by_rounding, strict=False):
                    assert_equal_but_for_rounding(found[f"image{i}{output}"][n], expected, spread)


def test_only_the_model_is_there(results):
    for name in CASES.keys() - SLOW:
        assert {path.name for path in (results / name).iterdir()} >= {"saved_model.pb", "variables"}
    assert not [path for path in results.iterdir() if path.name.startswith(".")]


def test_by_the_command_line(tmp_path, monkeypatch, capfd):
    network = write_network(tmp_path / "network.pickle", "gauss25-n2c")
    (tmp_path / "model").mkdir()  # empty: that will do
    arguments = f"--export {tmp_path / 'model'} --network {network}"
    monkeypatch.setattr(sys, "argv", ["selfsupervised_denoising.py", *shlex.split(arguments)])
    selfsupervised_denoising.main()
    words = "signature serving_default, image -> denoised"
    assert capfd.readouterr() == (f"SavedModel of gauss25-n2c written to {tmp_path / 'model'}: {words}\n", "")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="model: is there already; name a new folder"):
        selfsupervised_denoising.main()
    assert sorted(tmp_path.rglob("*")) == before


def test_refused(tmp_path, monkeypatch):
    network = str(write_network(tmp_path / "network.pickle", "gauss25-n2c"))
    cannot = "cannot write there"
    for out, words in [("", "empty"), (network, "is there already"), (f"{network}/x", cannot), ("/proc/model", cannot)]:
        with pytest.raises(UserError, match=f"--export.*{words}"):
            export(network, out)
    with pytest.raises(UserError, match="no such file"):
        export(str(tmp_path / "none.pickle"), str(tmp_path / "model"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="cannot be written .No space left"):
        export(network, str(tmp_path / "model"))
    assert [path.name for path in tmp_path.iterdir()] == ["network.pickle"]
