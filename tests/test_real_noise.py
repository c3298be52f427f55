"""Learning from noisy pictures through the command lines: shard, training, resuming, devices, evaluation, denoising."""

import csv
import itertools
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from graphs import compute
from material import random_images, write_bare_shard, write_network, write_picture
from programs import Program, run, run_here
from test_resume import scalars

import selfsupervised_denoising
from dnnlib.denoising.data.noisy_shard import HELD_OUT, NoisyShard
from dnnlib.denoising.evaluation.whiteness import Whiteness
from dnnlib.denoising.inference.noise_level import learned_level
from dnnlib.denoising.network.network_file import load_configured
from dnnlib.denoising.network.posterior import posterior
from dnnlib.denoising.noise.estimation import estimate_parameters
from dnnlib.denoising.pictures import png
from dnnlib.errors import UserError

SCRIPT = "selfsupervised_denoising.py"
NAME = "real_poissongauss-blindspot-sigma_global-mono"
BLACK, WHITE, A, B = 20000, 50000, 0.01, 0.002
NUMBER = r" *(-?\d+\.\d{4})"
TRAINING = (
    f"--train {NAME} --train-h5 shard.h5 --train-resolution 64 --num-iter 24 --minibatch-size 2 --print-interval 8 "
    "--eval-interval 12 --noise-init estimate --hole-size 3 --reference-dir clean --seed 3 --num-gpus 0"
)


def noisy(clean, rng):
    return A * rng.poisson(clean / A) + np.sqrt(B) * rng.standard_normal(clean.shape)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Ten grey pictures, clean ones of the same names, a shard of the noisy ones, and a few things that are wrong."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(5)
    (folder / "noisy").mkdir()
    for i in range(10):
        clean = write_picture(folder / "clean" / f"{i}.png", 70 + i, 64, i, grey=True)[..., None]
        stored = np.rint(BLACK + (WHITE - BLACK) * noisy(clean / 255, rng)).astype(np.uint16)
        (folder / "noisy" / f"{i}.png").write_bytes(png.encode16(stored))
    tool = f"--noisy --input-dir noisy --min-size 64 --holdout 0.2 --black {BLACK} --white {WHITE}"
    done = run(folder, "dataset_tool_h5.py", f"{tool} --out shard.h5")
    assert (done.status, done.stderr) == (0, "") and "grey, uint16, black 20000, white 50000" in done.stdout
    shutil.copy(folder / "shard.h5", folder / "all.h5")
    with h5py.File(folder / "all.h5", "r+") as file:
        del file["held_out"]
    write_bare_shard(folder / "clean.h5", random_images([(64, 64)]))
    write_picture(folder / "sets" / "kodak" / "a.png", 40, 40)
    write_network(folder / "published.pickle", "gauss25-blindspot-sigma_known")
    return folder


@pytest.fixture(scope="module")
def runs(place):
    """The same training twice: in one go, and stopped by abort.txt half-way, of which "stopped" is a copy, and resumed."""
    stopped = Program(place, SCRIPT, f"{TRAINING} --result-dir resumed")
    stopped.wait_for("^ *0: ")
    (run_dir(place / "resumed") / "abort.txt").touch()
    stopped.ended()
    assert stopped.status == 0 and "Stopped early" in stopped.stdout, stopped.stdout + stopped.stderr
    shutil.copytree(place / "resumed", place / "stopped")
    with ThreadPoolExecutor(2) as pool:
        more = [f"{TRAINING} --result-dir one", f"{TRAINING} --result-dir resumed --resume"]
        return list(pool.map(lambda arguments: succeeded(place, arguments), more))


def succeeded(place, arguments):
    done = run(place, SCRIPT, arguments)
    assert (done.status, done.stderr) == (0, ""), done.stdout + done.stderr
    return done


def run_dir(results: Path) -> Path:
    (found,) = (path for path in results.iterdir() if path.name not in ("_eval", "index.html"))
    return found


def network_of(place, results):
    return run_dir(place / results) / f"network-final-{NAME}.pickle"


def statistics(folder: Path) -> list[dict]:
    records = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name != "time"} for record in records]


def test_a_line_holds_what_can_be_known(place, runs):
    """No PSNR of clean images in training; of the validation likelihood, whiteness, and, against the references, quality."""
    small = r"\d\.\d{3}e-\d\d"
    step = rf"time= *\d+\.\d\d, loss={NUMBER}, std_net={NUMBER}, std_noise={NUMBER}, a={small}, b={small}"
    quality = "".join(rf", valid_{what}_{of}={NUMBER}" for what in ("psnr", "ssim") for of in ("noisy", "mu", "pme"))
    validation = rf", valid_nll={NUMBER}, valid_corr={NUMBER}{quality}"
    lines = [line for line in runs[0].stdout.splitlines() if re.match(r" *\d+: time=", line)]
    assert [int(line.split(":")[0]) for line in lines] == [0, 8, 12, 16, 24]
    for line in lines:
        assert re.fullmatch(rf" *\d+: {step}({validation})?", line), line
        assert ("valid_nll" in line) == (int(line.split(":")[0]) % 12 == 0)
    last = statistics(run_dir(place / "one"))[-1]
    names = ["loss", "std_net", "std_noise", "a", "b", "valid_nll", "valid_corr"]
    names += [f"corr_{way}{lag}" for way in "hv" for lag in (1, 2, 3)]
    assert list(last)[1 : 1 + len(names)] == names and "train_psnr" not in last
    assert 15 < last["valid_psnr_noisy"] < 25 and 0 < last["valid_ssim_noisy"] < 1
    name = "00000-train-ilsvrc-held_out-1c-real_poissongauss-mb2-iter24-blindspot-global-res64-hole3"
    assert run_dir(place / "one").name == name
    pictures = {path.name for path in (run_dir(place / "one") / "img").iterdir()}
    assert {f"img-0000024-{tag}.jpg" for tag in ("a_nsy", "b_out", "b_out2", "b_std", "c_cln")} < pictures


def test_a_curve_is_told_in_three_figures_and_kept_in_sixteen(place):
    """Stopped and resumed, too: all that was learned is in the state, and in the network file."""
    name = NAME.replace("poissongauss", "curve")
    training = TRAINING.replace(NAME, name).replace("--num-iter 24", "--num-iter 8") + " --result-dir curve"
    stopped = Program(place, SCRIPT, training)
    stopped.wait_for("^ *0: ")
    (run_dir(place / "curve") / "abort.txt").touch()
    stopped.ended()
    said = stopped.stdout + succeeded(place, f"{training} --resume").stdout
    assert re.search(r"^The simplest noise that fits these pictures is real_[a-z]+: ", said, re.MULTILINE)
    small = "".join(rf", std_{where}={NUMBER}" for where in ("black", "middle", "white"))
    lines = [line for line in said.splitlines() if re.match(r" *\d+: time=", line)]
    assert len(lines) >= 2
    stds = rf"std_net={NUMBER}, std_noise={NUMBER}{small}"
    assert all(re.match(rf" *\d+: time= *\d+\.\d\d, loss={NUMBER}, {stds}", line) for line in lines)
    records = statistics(run_dir(place / "curve"))
    knots = [[record[f"v{k:02d}"] for k in range(16)] for record in records]
    assert len(records) == len(lines) and np.array(knots).min() > 0
    started = re.findall(r"^Estimated std_(\w+) to start from: (.+)$", said, re.MULTILINE)
    at = {"black": knots[0][0], "middle": (knots[0][7] + knots[0][8]) / 2, "white": knots[0][15]}
    assert {where: float(std) for where, std in started} == pytest.approx(
        {where: 255 * np.sqrt(value) for where, value in at.items()}, abs=0.006
    )
    assert "Noise over brightness" in (run_dir(place / "curve") / "report.html").read_text("utf-8")
    network = run_dir(place / "curve") / f"network-final-{name}.pickle"
    found, configuration = load_configured(network)
    level = learned_level(configuration, found.variables["noise_data"])
    assert level.parameter == pytest.approx(knots[-1], rel=0.1)  # a line averages over the steps since the one before
    done = succeeded(place, f"--denoise noisy/0.png --network {network} --out curve_out")
    assert str(level) in done.stdout and re.match(r"std_black \S+, std_middle \S+, std_white \S+ \(learned\)", str(level))


def test_the_residual_is_judged_once_the_ramp_up_is_over(place, runs):
    """A network of 24 images leaves the picture over, and the line after the statistics says so."""
    lines = runs[0].stdout.splitlines()
    pairs = [pair for pair in itertools.pairwise(lines) if "valid_nll" in pair[0]]
    said = [following.startswith(("The residual still holds", "The noise is correlated")) for _, following in pairs]
    judged = [Whiteness.of(line).advice(3) is not None for line in statistics(run_dir(place / "one")) if "valid_nll" in line]
    assert said == [False, *judged[1:]] and any(judged)


def test_the_start_is_an_estimate_of_the_truth(runs):
    lines = re.findall(r"^Estimated (\w) to start from: (\S+)$", runs[0].stdout, re.MULTILINE)
    found = {name: float(value) for name, value in lines}
    assert found["a"] == pytest.approx(A, rel=0.2) and found["b"] == pytest.approx(B, rel=0.3)


def test_resuming_makes_no_difference(place, runs):
    check_equal_to_one(place, "resumed")


@pytest.mark.slow
def test_devices_make_no_difference(place, runs):
    succeeded(place, f"{TRAINING} --result-dir two --cpu-devices 2")
    check_equal_to_one(place, "two")


def check_equal_to_one(place, other):
    """Networks bit for bit, statistics and curves each step once."""
    assert network_of(place, "one").read_bytes() == network_of(place, other).read_bytes()
    one, found = run_dir(place / "one"), run_dir(place / other)
    assert statistics(one) == statistics(found)
    assert scalars(one) == scalars(found)


def test_an_option_that_would_change_the_result_is_refused_on_resuming(place, runs, monkeypatch):
    monkeypatch.chdir(place)
    message = call(monkeypatch, f"{TRAINING} --result-dir stopped --resume".replace("--hole-size 3", "--hole-size 1"))
    assert "--hole-size was 3 and is 1" in message


def test_the_network_knows_its_noise_and_its_hole(place, runs):
    network, configuration = load_configured(network_of(place, "one"))
    assert configuration.name == NAME and configuration.hole_size == 3
    level = learned_level(configuration, network.variables["noise_data"])
    last = statistics(run_dir(place / "one"))[-1]
    assert level.values == pytest.approx({name: last[name] for name in "ab"}, rel=0.02)


def test_evaluation(place, runs):
    """Of the held-out pictures and of the folder that they came from, with references and without."""
    network = network_of(place, "one").relative_to(place)
    commands = [
        f"--eval {network} --validation-set shard.h5 --reference-dir clean --result-dir e1",
        f"--eval {network} --validation-set noisy --black {BLACK} --white {WHITE} --hole-size 1 --result-dir e2",
    ]
    with_references, without = (run_here(place, arguments) for arguments in commands)
    for done in (with_references, without):
        assert (done.status, done.stderr) == (0, ""), done.stdout + done.stderr
    last = statistics(run_dir(place / "one"))[-1]
    found = statistics(run_dir(place / "e1" / "_eval"))[-1]
    for name in ("valid_nll", "valid_corr", "corr_v3", "valid_psnr_pme", "valid_ssim_mu"):
        assert found[name] == pytest.approx(last[name], abs=1e-5), name
    assert f"RESULT {found['valid_psnr_pme']:8.4f}" in with_references.stdout.splitlines()
    held_out = len(NoisyShard(place / "shard.h5", 1, 1, HELD_OUT))
    assert len(list((run_dir(place / "e1" / "_eval") / "img").glob("*-c_cln.png"))) == held_out
    assert "RESULT" not in without.stdout and "10 images:" in without.stdout and "valid_psnr" not in without.stdout
    assert len(list((run_dir(place / "e2" / "_eval") / "img").iterdir())) == 40
    texts = [(run_dir(place / folder / "_eval") / "pictures.csv").read_text() for folder in ("e1", "e2")]
    tables = [list(csv.DictReader(text.splitlines())) for text in texts]
    assert [len(table) for table in tables] == [held_out, 10] and tables[1][3]["picture"] == "3.png"
    assert list(tables[1][0])[:5] == ["index", "picture", "nll", "a", "b"] and "psnr_pme" not in tables[1][0]
    for name in ("nll", "psnr_pme", "ssim_mu"):
        assert np.mean([float(row[name]) for row in tables[0]]) == pytest.approx(found[f"valid_{name}"], rel=1e-4)


def test_denoising_and_exporting(place, runs):
    network = network_of(place, "one").relative_to(place)
    done = run_here(place, f"--denoise noisy --network {network} --out out --black {BLACK} --white {WHITE} --hole-size 1")
    assert (done.status, done.stderr) == (0, ""), done.stdout + done.stderr
    assert len(re.findall(r"grey, uint16, a \S+, b \S+ \(learned\), ", done.stdout)) == 10
    result = png.decode16((place / "out" / "0.png").read_bytes())
    assert result.min() > BLACK - 5000 and result.max() < WHITE + 5000  # as bright as the picture that came in
    done = run_here(place, f"--export model --network {network}")
    assert done.status == 0 and "image -> denoised, std, prior_std" in done.stdout, done.stdout + done.stderr


# --- what is refused

MONO, RGB = "real_gauss-blindspot-sigma_global-mono", "real_gauss-blindspot-sigma_global"
SHORT = "--train-resolution 32 --num-iter 4"
WRONG_USE = [
    (f"--train {RGB} --train-h5 shard.h5 {SHORT}", "--train-h5 shard.h5: its pictures are grey", "take the one with -mono"),
    (f"--train {MONO} --train-h5 clean.h5 {SHORT}", "clean.h5: holds clean pictures"),
    (f"--train gauss25-n2c --train-h5 shard.h5 --dataset-dir sets {SHORT}", "shard.h5: holds noisy pictures"),
    (f"--train {MONO} --train-h5 all.h5 {SHORT}", "all.h5: has no held-out pictures", "--holdout 0.05"),
    (f"--train {MONO} --train-h5 shard.h5 {SHORT} --validation-set noisy", "--validation-set is not for real_gauss"),
    (f"--train {MONO} --train-h5 shard.h5 {SHORT} --reference-dir sets", "--reference-dir sets: has no "),
    (f"--train {MONO} --train-h5 shard.h5 {SHORT} --reference-dir nowhere", "--reference-dir nowhere: no such folder"),
    (f"--train {MONO} --train-h5 shard.h5 {SHORT} --hole-size 2", "--hole-size 2: must be one of 1, 3, 5, 7"),
    (f"--train gauss25-n2c --train-h5 clean.h5 --dataset-dir sets {SHORT} --hole-size 3", "--hole-size 3", "no blind spot"),
    ("--train gauss25-n2c --train-h5 clean.h5 --dataset-dir sets --reference-dir clean", "--reference-dir is for real_"),
    ("--train real_gaus-blindspot-sigma_global", "did you mean real_gauss-blindspot-sigma_global"),
    (f"--train {MONO} --train-h5 shard.h5 {SHORT} --white 9", "--white: the shard shard.h5 knows its own"),
    ("--eval real.pickle", "none is added: name noisy pictures with --validation-set"),
    ("--eval real.pickle --dataset-dir sets --validation-set kodak", "none is added"),
    ("--eval real.pickle --validation-set noisy --white 9 --black 9", "--white 9: must be a number above --black 9"),
    ("--eval real.pickle --validation-set shard.h5 --black 0", "--black: the shard shard.h5 knows its own"),
    ("--eval real.pickle --validation-set shard.h5 --white 9", "--white: the shard shard.h5 knows its own"),
    ("--eval real.pickle --validation-set clean.h5", "--validation-set clean.h5: holds clean pictures"),
    ("--eval real.pickle --validation-set noisy --hole-size 4", "--hole-size 4: must be one of 1, 3, 5, 7"),
    ("--eval published.pickle --dataset-dir sets --reference-dir clean", "--reference-dir is for networks of real_"),
    (f"{TRAINING} --white auto", "--white auto: is for --denoise, --eval and shards; give the value"),
    ("--eval published.pickle --dataset-dir sets --black 9 --white 9", "--white 9: must be a number above"),
    ("--denoise noisy --network real.pickle --out o --lambda 25", "--lambda 25", "takes --sigma"),
    ("--denoise noisy --network real.pickle --out o --reference-dir clean", "--reference-dir is for --train and --eval"),
]


def call(monkeypatch, arguments: str) -> str:
    """The one line of a command line that is wrong."""
    monkeypatch.setattr("sys.argv", [SCRIPT, *arguments.split()])
    with pytest.raises(UserError) as caught:
        selfsupervised_denoising.main()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("case", WRONG_USE, ids=lambda case: case[0][:70])
def test_wrong_use(place, monkeypatch, case):
    monkeypatch.chdir(place)
    write_network(place / "real.pickle", MONO)
    monkeypatch.setattr("dnnlib.denoising.commands.create_run_dir", lambda *_: pytest.fail("a run has begun"))
    arguments, *expected = case
    message = call(monkeypatch, arguments)
    for part in expected:
        assert part in message, message


def test_the_truth_is_the_likeliest_noise_level():
    """What training goes towards: among noise levels, the one of the data has the least negative log-likelihood, flat
    pictures and a network that knows their brightness supposed."""
    rng = np.random.default_rng(8)
    clean = np.linspace(0.1, 0.9, 64 * 64, dtype=np.float32).reshape(1, 64, 64, 1)
    y = noisy(clean, rng).astype(np.float32)
    outputs = np.concatenate([clean, np.full_like(clean, 1e-3)], axis=3)

    def nll(a, b):
        parameter = np.reshape(np.float32([a, b]), [1, 1, 1, 2])
        return compute(lambda *x: posterior(*x[:2], "poissongauss", x[2], True, False).nll, outputs, y, parameter).mean()

    best = nll(A, B)
    assert all(nll(A * f, B * g) > best for f, g in [(1.5, 1), (0.67, 1), (1, 1.5), (1, 0.67), (2, 0.5)])
    assert estimate_parameters("poissongauss", y)[0] == pytest.approx(A, rel=0.6)
