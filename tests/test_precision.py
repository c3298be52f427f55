"""bfloat16: where it is used, how exact it is, and what `--precision auto` stands for, in a new run and a resumed one."""

import json
import os
import signal

import numpy as np
import pytest
from graphs import compute, prepared, random_images
from material import random_images as random_pictures
from material import write_bare_shard, write_picture
from programs import Program, run_here
from rounding import BFLOAT16_UNIT, DRAWS, TIMES, nearby

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference.denoiser import Denoiser
from dnnlib.denoising.network.architecture import initial_variables, shapes_of, variable_shapes
from dnnlib.denoising.network.network_file import to_network
from dnnlib.denoising.network.unet import blind_spot_unet, plain_unet
from dnnlib.denoising.options import TrainingOptions
from dnnlib.errors import UserError
from dnnlib.tflib import precision
from dnnlib.tflib.runtime import initialize, tf

# TensorFlow goes by the CPU's own flags when it asks oneDNN for bfloat16, and takes no no for an answer.
NEEDS_BFLOAT16 = pytest.mark.skipif(
    os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in ("SSE41", "AVX", "AVX2"), reason="oneDNN is kept from bfloat16"
)


@pytest.mark.isa
@NEEDS_BFLOAT16
@pytest.mark.parametrize("unet", [plain_unet, blind_spot_unet])
def test_results_are_nearly_those_of_float32(unet):
    shapes = variable_shapes(pipeline="blindspot_mean" if unet is blind_spot_unet else "n2c", channels=3)
    variables, x = initial_variables(shapes, 3), random_images(1, 64, 64, 3)
    ours = compute(lambda x: unet(x, 3, dtype=tf.bfloat16), x, variables=variables)
    expected = compute(lambda x: unet(x, 3), x, variables=variables)
    assert ours.dtype == np.float32
    error = np.sqrt(np.mean((ours - expected) ** 2)) / expected.std()
    assert 1e-4 < error < 0.02  # one rounding is off by 2^-9 at most, 0.1 % on average
    assert len(np.unique(ours)) > 10_000  # of 12,288: colours are not rounded to 256 steps a factor of two


@pytest.mark.isa
@NEEDS_BFLOAT16
@pytest.mark.parametrize("unet", [plain_unet, blind_spot_unet])
def test_gradients_are_nearly_those_of_float32(unet):
    """Of every variable. They are float32 in any case, so that nothing is lost when they are added up.

    bfloat16 rounds what goes into a product to 8 bits, and its sums are float32's. So the gradients may be as far off as
    float32's are with kernels that are off by a rounding to 8 bits each: mostly because other pixels become the largest of
    their pooling windows. Sums in bfloat16 would be seen: of 4096 numbers hardly anything is left.
    """
    shapes = variable_shapes(pipeline="blindspot_mean" if unet is blind_spot_unet else "n2c", channels=3)
    variables, x = initial_variables(shapes, 3), random_images(1, 64, 64, 3)
    weighting = random_images(1, 64, 64, 3, seed=1) - 0.3

    def gradients(dtype, *values):
        def build(x):
            loss = tf.reduce_sum(unet(x, 3, dtype=dtype) * weighting)
            return tf.gradients(loss, tf.trainable_variables())

        with prepared(build, x) as (session, run):
            for value in values:
                initialize(session, value)
                yield run()

    (found,) = gradients(tf.bfloat16, variables)
    expected, *drawn = gradients(
        tf.float32, variables, *(nearby(variables, seed, BFLOAT16_UNIT, terms=False) for seed in range(DRAWS))
    )
    for i, name in enumerate(variables):
        assert found[i].dtype == np.float32
        allowed = TIMES * max(np.linalg.norm(other[i] - expected[i]) for other in drawn)
        assert allowed < np.linalg.norm(expected[i]) / 2, name
        assert np.linalg.norm(found[i] - expected[i]) <= allowed + BFLOAT16_UNIT * np.linalg.norm(expected[i]), name


def test_which_is_fastest(monkeypatch):
    for cpu, gpu in ((True, False), (False, True)):
        monkeypatch.setattr(precision, "cpu_has_bf16", lambda has=cpu: has)
        monkeypatch.setattr(precision, "gpu_has_bf16", lambda has=gpu: has)
        assert precision.fastest_precision(on_gpu=False) == ("bf16" if cpu else "float32")
        assert precision.fastest_precision(on_gpu=True) == ("bf16" if gpu else "float32")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [([(9, 0)], True), ([(8, 0), (8, 9)], True), ([(9, 0), (7, 5)], False), ([None], False), ([], False)],
)
def test_which_gpus_multiply_bfloat16(monkeypatch, capabilities, expected):
    """One GPU that does not is enough: all of them take their part of each step."""
    details = {f"gpu{i}": {} if found is None else {"compute_capability": found} for i, found in enumerate(capabilities)}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(details))
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)
    assert precision.gpu_has_bf16() is expected


@pytest.mark.parametrize(
    ("flags", "expected"), [("fpu avx512_bf16 sse", True), ("amx_bf16", True), ("avx512_bf16_2 avx", False), (None, False)]
)
def test_flags_of_the_cpu(tmp_path, monkeypatch, flags, expected):
    path = tmp_path / "cpuinfo"
    if flags:
        path.write_text(f"processor : 0\nflags\t\t: {flags}\nbugs : none\n")
    monkeypatch.setattr(precision, "Path", lambda _: path)
    assert precision.cpu_has_bf16() is expected


def test_a_wrong_precision():
    with pytest.raises(UserError, match="--precision half: must be auto, float32 or bf16"):
        TrainingOptions(precision="half").check()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("precision")
    write_bare_shard(place / "shard.h5", random_pictures([(40, 50)]))
    write_picture(place / "own" / "a.png", 32, 30)
    return place


SCRIPT = "selfsupervised_denoising.py"
TRAIN = (
    "--train gauss25-n2c --train-h5 shard.h5 --validation-set own --train-resolution 32 --num-iter 160 --print-interval 4 "
    "--eval-interval 160"
)


def test_a_run_keeps_its_precision(place):
    """Begun in bf16, stopped, and resumed with the choice left to the program, it stays in bf16; float32 is refused."""
    begun = Program(place, SCRIPT, f"{TRAIN} --precision bf16")
    begun.wait_for(" *4:")
    begun.process.send_signal(signal.SIGTERM)
    assert begun.ended().status == 143, begun.stderr
    (folder,) = (place / "results").glob("0*")

    with pytest.raises(UserError, match="--precision was bf16 and is float32"):
        run_here(place, f"{TRAIN} --resume --precision float32")

    resumed = run_here(place, f"{TRAIN} --resume")
    assert "\nPrecision: bf16\n" in resumed.stdout
    hint = "This CPU has no instructions for bfloat16"
    assert (hint in resumed.stdout) != precision.cpu_has_bf16()
    assert json.loads((folder / "training_options.json").read_text())["precision"] == "bf16"


def test_evaluation_is_in_float32_unless_asked(place):
    (network,) = place.glob("results/0*/network-final-*")
    results = {}
    for option in ("", "--precision float32", "--precision auto", "--precision bf16"):
        done = run_here(place, f"--eval {network} --validation-set own {option}")
        results[option] = float(done.stdout.split("valid_psnr_mu=")[1].split(",")[0])
    assert results[""] == results["--precision float32"] == results["--precision auto"]
    assert 0 < abs(results["--precision bf16"] - results[""]) < 0.2


def test_denoising_is_in_float32_unless_asked(place):
    """Beside a network of added noise, the one of the training's hole, by which the half size is denoised, is asked, too."""
    np.save(place / "noisy.npy", np.random.default_rng(1).random((64, 70, 3), np.float32))
    found = {}
    for option in ("", "float32", "auto", "bf16"):
        given = f"--precision {option}" if option else ""
        run_here(place, f"--denoise noisy.npy --out out{option} --white 1 --sigma 25 --hole-size 3 {given}")
        found[option] = np.load(place / f"out{option}" / "noisy.npy")
    np.testing.assert_array_equal(found[""], found["float32"])
    np.testing.assert_array_equal(found[""], found["auto"])
    error = np.sqrt(np.mean((found["bf16"] - found[""]) ** 2)) / found[""].std()
    assert 1e-4 < error < 0.05  # the picture goes through two networks, one after the other


@pytest.mark.isa
@NEEDS_BFLOAT16
@pytest.mark.parametrize("name", ["gauss25-n2c", "gauss5_50-blindspot-sigma_per_image"])
def test_a_denoiser_is_nearly_as_exact(name):
    """Branch by branch and in tiles; std and result."""
    c = Configuration.from_name(name)
    network = to_network(c, initial_variables(shapes_of(c), 3))
    image = np.random.default_rng(2).random((70, 100, 3), np.float32)
    with Denoiser(network, c) as exact, Denoiser(network, c, precision.BF16) as fast:
        expected, found = ([x for x in of(image, tile=64) if x is not None] for of in (exact, fast))
    for ours, other in zip(found, expected, strict=True):
        error = np.sqrt(np.mean((ours - other) ** 2) / np.mean(other**2))
        assert 1e-4 < error < 0.05 and len(np.unique(ours)) > ours.size / 2


def test_a_denoiser_computes_in_what_it_is_told():
    c = Configuration.from_name("gauss25-n2c")
    network = to_network(c, initial_variables(shapes_of(c), 3))
    with pytest.raises(UserError, match="--precision half: must be one of auto, float32, bf16"):
        Denoiser(network, c, "half")
    for wanted, dtype in ((precision.AUTO, tf.float32), (precision.FLOAT32, tf.float32), (precision.BF16, tf.bfloat16)):
        with Denoiser(network, c, wanted) as found:
            assert found.tiled_network._dtype == dtype


@pytest.mark.parametrize("has", [True, False])
def test_denoising_says_where_bf16_is_slow(place, monkeypatch, has):
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: has)
    done = run_here(place, "--denoise own/a.png --out said --sigma 25 --precision bf16")
    assert ("has no instructions for bfloat16: --precision float32 is faster" in done.stdout) != has
