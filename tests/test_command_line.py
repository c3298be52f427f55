"""`selfsupervised_denoising.py` as a user meets it: what is refused, in which words, and that it leaves nothing behind."""

import json
import os
import pickle
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from material import fresh_network, random_images, write_bare_shard, write_network, write_picture

import selfsupervised_denoising
from config.configurations import CONFIGURATIONS
from dnnlib.errors import UserError
from dnnlib.files import file_sha256
from dnnlib.tflib.network import save_network

SCRIPT = Path(selfsupervised_denoising.__file__)
NAME = "gauss25-blindspot-sigma_known"
NETWORK = f"network-final-{NAME}.pickle"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with right and wrong inputs, which the command lines below name by relative paths."""
    folder = tmp_path_factory.mktemp("place")
    write_picture(folder / "sets" / "kodak" / "kodim01.png", 40, 60)
    write_picture(folder / "own" / "a.png", 40, 40)
    write_picture(folder / "broken" / "a.png", 200, 200)
    picture = (folder / "broken" / "a.png").read_bytes()
    (folder / "broken" / "a.png").write_bytes(picture[: len(picture) // 2])
    (folder / "empty").mkdir()
    (folder / "text").write_text("a text")
    make_shards(folder)
    make_networks(folder)
    return folder


def make_shards(folder: Path) -> None:
    whole = write_bare_shard(folder / "shard.h5", random_images([(256, 300)] * 2)).read_bytes()
    (folder / "truncated.h5").write_bytes(whole[: len(whole) // 2])
    write_bare_shard(folder / "none.h5", [])
    write_bare_shard(folder / "small.h5", random_images([(64, 64)]))
    write_bare_shard(folder / "mismatch.h5", random_images([(256, 256)]), [(3, 256, 257)])


def make_networks(folder: Path) -> None:
    whole = write_network(folder / NETWORK, NAME).read_bytes()
    (folder / "network-00007-gauss25-n2c.pickle").write_bytes(whole[: len(whole) // 2])
    (folder / "network-00008-gauss25-n2c.pickle").write_bytes(pickle.dumps(Marker()))
    (folder / "network-00009-gauss25-n2c.pickle").write_bytes(pickle.dumps({"state": [1, 2]}))
    nameless = fresh_network(NAME)
    nameless.static_kwargs.clear()
    save_network(nameless, folder / "network.pickle")
    save_network(nameless, folder / "network-final-gauss26-n2x.pickle")
    infinite = np.zeros(48, np.float32)
    infinite[5] = np.inf
    changes = [{"nin_b/W": None}, {"nin_c/b": np.zeros(8, np.float32)}, {"enc_conv0/b": infinite}]
    for number, change in enumerate(changes):
        broken = fresh_network(NAME)
        broken.variables = {name: value for name, value in (broken.variables | change).items() if value is not None}
        save_network(broken, folder / f"network-{number}-{NAME}.pickle")


class Marker:
    """Unpickling it the ordinary way would make a file."""

    def __reduce__(self):
        return (exec, ("open('executed', 'w').close()",))


PLAIN_TRAIN = f"--train {NAME} --train-h5 shard.h5 --dataset-dir sets"
TRAIN = f"{PLAIN_TRAIN} --train-resolution 32 --num-iter 4"  # short, should a process of it not be refused
EVAL = f"--eval {NETWORK} --dataset-dir sets"

# The arguments, and what the one line must hold.
WRONG_USE = [
    ("", "--train", "--eval", "--help"),
    ("--dataset-dir sets", "--train", "--eval"),
    (f"{TRAIN} --eval {NETWORK}", "--train", "--eval"),
    (f"--train {NAME} --dataset-dir sets", "--train-h5 is missing"),
    (f"--train {NAME} --train-h5 shard.h5", "--dataset-dir is missing"),
    (f"--eval {NETWORK}", "--dataset-dir is missing"),
    (f"--train {NAME} --train-h5 shard.h5 --dataset-dir nowhere", "--dataset-dir nowhere: no such folder"),
    (f"--eval {NETWORK} --dataset-dir text", "--dataset-dir text: no such folder"),
    (f"--eval {NETWORK} --dataset-dir empty", "--validation-set kodak", "empty/kodak", "download_kodak.py"),
    (f"{EVAL} --validation-set bsd300", "--validation-set bsd300", "sets/BSDS300/images/test", "BSDS300-images.tgz"),
    (f"{TRAIN} --validation-set set14", "--validation-set set14", "sets/Set14", "SR_testing_datasets.zip"),
    (f"{TRAIN} --validation-set kodka", "--validation-set kodka: is none of kodak, bsd300, set14"),
    (f"{EVAL} --validation-set empty", "--validation-set empty: no picture in empty"),
    (f"{TRAIN} --validation-set broken", "broken/a.png"),
    (f"{EVAL} --validation-set broken", "broken/a.png"),
    # Configurations
    ("--train gauss25-blindspot-sigma_knwon", "gauss25-blindspot-sigma_knwon", f"did you mean {NAME} "),
    ("--train gauss12-n2c", "--train gauss12-n2c", "did you mean gauss25-n2c"),
    ("--train zzz", "--train zzz", "--help"),
    (f"--train {NETWORK}", f"--train {NETWORK}"),
    # Options
    (f"{TRAIN} --num-iters 5", "--num-iters", "did you mean --num-iter?"),
    (f"{TRAIN} --train_h5 shard.h5", "did you mean --train-h5?"),
    (f"--tra {NAME}", "--tra", "did you mean --train?"),  # no abbreviations
    (f"{TRAIN} --valid own", "unrecognized arguments: --valid own"),
    (f"{TRAIN} --dry", "unrecognized arguments: --dry"),
    (f"{TRAIN} shard.h5", "unrecognized arguments: shard.h5"),
    ("--train", "--train", "expected one argument"),
    # Numbers
    (f"{TRAIN} --num-iter 0", "--num-iter 0"),
    (f"{TRAIN} --num-iter=-4", "--num-iter -4"),
    (f"{TRAIN} --num-iter 1e6", "--num-iter", "1e6"),
    (f"{TRAIN} --num-iter {10**30}", "--num-iter"),
    (f"{TRAIN} --minibatch-size 0", "--minibatch-size 0"),
    (f"{TRAIN} --minibatch-size four", "--minibatch-size", "four"),
    (f"{TRAIN} --learning-rate 0", "--learning-rate 0"),
    (f"{TRAIN} --learning-rate nan", "--learning-rate nan"),
    (f"{TRAIN} --learning-rate inf", "--learning-rate inf"),
    (f"{TRAIN} --train-resolution 100", "--train-resolution 100", "multiple of 32"),
    (f"{TRAIN} --train-resolution 0", "--train-resolution 0"),
    (f"{TRAIN} --print-interval 0", "--print-interval 0"),
    (f"{TRAIN} --eval-interval 0", "--eval-interval 0"),
    (f"{TRAIN} --snapshot-every=-1", "--snapshot-every -1"),
    (f"{TRAIN} --seed=-1", "--seed -1"),
    (f"{TRAIN} --noise-init half", "--noise-init half", "zero", "estimate"),
    (f"{TRAIN} --state-minutes 0", "--state-minutes 0"),
    (f"{TRAIN} --state-interval 0", "--state-interval 0"),
    (f"{TRAIN} --max-skips 0", "--max-skips 0"),
    (f"{TRAIN} --resume", "--resume", "no run of"),
    (f"{TRAIN} --resume nowhere", "--resume nowhere", "no such run directory"),
    # What does not go together
    (f"{TRAIN} --noise-init estimate", "--noise-init estimate", NAME),
    ("--train poisson30-blindspot-sigma_global --noise-init estimate", "--noise-init estimate"),
    ("--train gauss5_50-blindspot-sigma_per_image --noise-init estimate", "--noise-init estimate"),
    (f"{TRAIN} --train gauss25-blindspot-sigma_global --noise-init estimate --train-resolution 32", "--train-resolution"),
    (f"{TRAIN} --noise-init guess", "--noise-init guess"),
    (f"{TRAIN} --init=", "--init is empty"),
    (f"{TRAIN} --init nowhere.pickle", "--init nowhere.pickle", "no such file"),
    (f"{TRAIN} --init network.pickle --dry-run", "--init network.pickle", "configuration"),
    (f"{TRAIN} --train gauss25-n2c --init {NETWORK}", f"--init {NETWORK}: is a network of {NAME}", "gauss25-n2c", "without"),
    # Where results go
    (f"{TRAIN} --result-dir text", "--result-dir text", "a file is in the way"),
    (f"{EVAL} --result-dir text", "--result-dir text", "a file is in the way"),
    (f"{TRAIN} --result-dir text/results", "--result-dir text/results"),
    (f"{TRAIN} --result-dir {'x' * 300}", "--result-dir", "too long"),
    (f"{TRAIN} --dry-run --result-dir=", "--result-dir"),
    (f"{EVAL} --dry-run --result-dir=", "--result-dir"),
    # Shards
    (f"{TRAIN} --train-h5 nowhere.h5", "--train-h5 nowhere.h5", "no such file"),
    (f"{TRAIN} --train-h5 own", "--train-h5 own"),
    (f"{TRAIN} --train-h5 text", "--train-h5 text", "HDF5"),
    (f"{TRAIN} --train-h5 truncated.h5", "--train-h5 truncated.h5", "truncated"),
    (f"{TRAIN} --train-h5 none.h5", "--train-h5 none.h5", "holds no image"),
    (f"{PLAIN_TRAIN} --train-h5 small.h5", "--train-h5 small.h5", "--train-resolution"),
    (f"{TRAIN} --train-h5 mismatch.h5", "--train-h5 mismatch.h5", "image 0"),
    (f"{TRAIN} --train-resolution 288", "--train-h5 shard.h5", "smaller than the crop of 288"),
    # Networks
    (f"{EVAL} --eval nowhere.pickle", "nowhere.pickle", "no such file"),
    (f"{EVAL} --eval own", "own", "folder"),
    (f"{EVAL} --eval text", "text"),
    (f"{EVAL} --eval shard.h5", "shard.h5", "HDF5"),
    (f"{EVAL} --eval network.pickle", "network.pickle", "neither the file nor its name says the configuration"),
    (f"{EVAL} --eval network-final-gauss26-n2x.pickle", "'gauss26-n2x' is no configuration"),
    (f"{EVAL} --eval network-00007-gauss25-n2c.pickle", "network-00007-gauss25-n2c.pickle", "cut short"),
    (f"{EVAL} --eval network-00008-gauss25-n2c.pickle", "network-00008-gauss25-n2c.pickle", "exec"),
    (f"{EVAL} --eval network-00009-gauss25-n2c.pickle", "network-00009-gauss25-n2c.pickle", "no network"),
    (f"{EVAL} --eval network-0-{NAME}.pickle", f"network-0-{NAME}.pickle", "lacks the variable 'nin_b/W'"),
    (f"{EVAL} --eval network-1-{NAME}.pickle", "'nin_c/b' has shape 8 where 9 is expected"),
    (f"{EVAL} --eval network-2-{NAME}.pickle", "'enc_conv0/b' has non-finite values"),
]


def content(folder: Path) -> set:
    return {(path, path.stat().st_mtime_ns if path.is_file() else None) for path in folder.rglob("*")}


@pytest.fixture
def run(place, monkeypatch):
    """Calls the program's `main` in `place` with the arguments given; none of them gets as far as to a run."""
    monkeypatch.chdir(place)
    monkeypatch.setattr("dnnlib.denoising.commands.create_run_dir", lambda *_: pytest.fail("a run has begun"))

    def call(arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *shlex.split(arguments)])
        selfsupervised_denoising.main()

    return call


@pytest.mark.parametrize("case", WRONG_USE, ids=lambda case: case[0][-60:])
def test_wrong_use(place, run, capfd, case):
    before = content(place)
    with pytest.raises(UserError) as caught:
        run(case[0])
    text = str(caught.value)
    for part in case[1:]:
        assert part in text
    assert "\n" not in text
    assert capfd.readouterr() == ("", "")
    assert content(place) == before  # no run directory, nothing executed


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_result_folder_that_cannot_be_written(run, place, tmp_path):
    tmp_path.chmod(0o500)
    for arguments in (TRAIN, EVAL):
        with pytest.raises(UserError, match=f"--result-dir {tmp_path}.*ermission denied"):
            run(f"{arguments} --result-dir {tmp_path}")


# ---- As a process of its own


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory):
    """An environment in which importing TensorFlow fails."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "tensorflow").mkdir()
    (folder / "tensorflow" / "__init__.py").write_text("raise SystemExit('TensorFlow was imported')\n")
    return {**os.environ, "PYTHONPATH": str(folder)}


def run_script(place: Path, arguments: str, environment) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), *shlex.split(arguments)]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=60)


def test_the_environment_does_lack_tensorflow(place, without_tensorflow):
    command = [sys.executable, "-c", "import dnnlib.tflib.runtime"]
    done = subprocess.run(command, cwd=SCRIPT.parent, env=without_tensorflow, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "TensorFlow was imported" in done.stderr


AS_PROCESSES = [
    WRONG_USE[i]
    for i, (arguments, *_) in enumerate(WRONG_USE)
    if any(mark in arguments for mark in ("nowhere", "knwon", "--num-iters", "--num-iter 0", "text", "--train-h5 truncated"))
    or any(mark in arguments for mark in ("network-00007", "network-00008", "-0-", "-2-", "network.pickle", "broken"))
    or arguments == ""
]


def test_wrong_use_as_a_process(place, without_tensorflow):
    """Exit status 1, one line on stderr, nothing on stdout; and TensorFlow is not even imported."""
    before = content(place)
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda case: run_script(place, case[0], without_tensorflow), AS_PROCESSES))
    assert len(ended) >= 15
    for done, (arguments, *parts) in zip(ended, AS_PROCESSES, strict=True):
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert re.fullmatch(r"Error: [^\n]+\n", done.stderr), (arguments, done.stderr)
        assert all(part in done.stderr for part in parts), (arguments, done.stderr)
    assert content(place) == before


def test_help(place, without_tensorflow):
    done = run_script(place, "--help", without_tensorflow)
    assert (done.returncode, done.stderr) == (0, "")
    for option in ("--train", "--eval", "--train-h5", "--dataset-dir", "--validation-set"):
        assert re.search(rf"^  {option} [A-Z]+ ", done.stdout, re.MULTILINE), option
    lines = [line.strip() for line in done.stdout.rstrip().splitlines()]
    assert lines[-46:] == list(selfsupervised_denoising.PUBLISHED)
    assert len(set(lines[-46:])) == len(CONFIGURATIONS) == 46
    examples = re.findall(r"^  python selfsupervised_denoising\.py (.*)$", done.stdout.replace("\\\n", ""), re.MULTILINE)
    assert len(examples) == 5
    assert "sigma_global \\\n      --train-h5=camera.h5" in done.stdout
    for example in examples:  # they can be pasted
        selfsupervised_denoising.command_line().parse_args(shlex.split(example))
    assert done.stdout.index("examples") < done.stdout.rindex(NAME)


def test_help_names_every_default(place, run, capsys):
    with pytest.raises(SystemExit) as caught:
        run("--help")
    assert caught.value.code in (0, None)
    text = " ".join(capsys.readouterr().out.split())
    for option, default in [
        ("--minibatch-size", "the recipe's"), ("--recipe", "published"), ("--train-resolution", "256"), ("--seed", "1"),
        ("--print-interval", "1000"), ("--eval-interval", "10000"), ("--state-interval", "10000"),
        ("--result-dir", "results"), ("--validation-set", "kodak"),
    ]:  # fmt: skip
        assert re.search(rf"{option} [^()]*\(default: {re.escape(default)}\)", text), option


# ---- --dry-run


def dry_run(run, capsys, arguments: str) -> tuple[dict, str]:
    run(f"{arguments} --dry-run")
    options, last = capsys.readouterr().out.rstrip("\n").rsplit("\n", 1)
    return json.loads(options), last


def test_dry_run_of_a_training(place, run, capsys):
    before = content(place)
    options, last = dry_run(run, capsys, PLAIN_TRAIN)
    expected = {
        "train": NAME, "train_h5": "shard.h5", "dataset_dir": "sets", "validation_set": "kodak", "result_dir": "results",
        "num_iter": 2_000_000, "minibatch_size": 4, "learning_rate": 3e-4, "train_resolution": 256, "print_interval": 1000,
        "eval_interval": 10_000, "snapshot_every": 0, "noise_init": "zero", "seed": 1,
    }  # fmt: skip
    assert options | expected == options
    assert last == "Would run in results/<id>-train-ilsvrc-kodak-3c-gauss25-iter2m-blindspot-known"
    assert content(place) == before


def test_dry_run_shows_what_is_given(place, run, capsys):
    given = {
        "num_iter": 160_000, "minibatch_size": 8, "learning_rate": 1e-4, "train_resolution": 128, "print_interval": 10,
        "eval_interval": 20, "snapshot_every": 30, "seed": 7,
    }  # fmt: skip
    arguments = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in given.items())
    options, last = dry_run(run, capsys, f"{TRAIN} {arguments} --validation-set own --result-dir out/runs")
    assert options | given == options
    name = "train-ilsvrc-own-3c-gauss25-mb8-lr0.0001-iter160k-blindspot-known-res128"
    assert last == f"Would run in out/runs/<id>-{name}"
    assert not (place / "out").exists()


@pytest.mark.parametrize("row", CONFIGURATIONS[::5] + CONFIGURATIONS[-1:], ids=lambda row: row["published"])
def test_each_configuration_has_its_published_schedule(place, run, capsys, row):
    name = next(name for name, found in selfsupervised_denoising.PUBLISHED.items() if found is row)
    options, _ = dry_run(run, capsys, f"--train={name} --train-h5=shard.h5 --dataset-dir=sets")
    assert (options["num_iter"], options["snapshot_every"]) == (row["images"], row["snapshot"])


def test_dry_run_of_an_evaluation(place, without_tensorflow):
    before = content(place)
    done = run_script(place, f"--eval={NETWORK} --dataset-dir=sets -n", without_tensorflow)
    assert (done.returncode, done.stderr) == (0, "")
    options, last = done.stdout.rstrip("\n").rsplit("\n", 1)
    assert json.loads(options) == {
        "eval": NETWORK, "network_sha256": file_sha256(place / NETWORK), "configuration": NAME, "dataset_dir": "sets",
        "validation_set": "kodak", "result_dir": "results",
        "num_gpus": None, "cpu_devices": 1, "precision": "float32",
    }  # fmt: skip
    assert last == f"Would run in results/_eval/<id>-eval-ilsvrc-kodak-3c-gauss25-iter2m-blindspot-known-EVAL_{NAME}"
    assert content(place) == before


def test_the_published_interface_is_all_that_is_needed(place, run, capsys):
    """Command lines written for the 2019 program: five options, with `=` or without."""
    for arguments in (
        f"--train={NAME} --train-h5=shard.h5 --dataset-dir=sets",
        f"--train {NAME} --train-h5 shard.h5 --dataset-dir sets --validation-set kodak",
        f"--validation-set=kodak --dataset-dir=sets --eval={NETWORK}",
        f"--dataset-dir sets --train-h5 ignored.h5 --eval ./{NETWORK}",
    ):
        assert dry_run(run, capsys, arguments)[1].startswith("Would run in results/")
