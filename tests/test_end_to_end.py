"""The whole program through its command lines: pictures, a shard, a short training, evaluations; abort.txt and Ctrl-C.

The processes spend most of their time in starting up, so those that do not need each other run at the same time.
"""

import contextlib
import csv
import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from material import write_picture
from PIL import Image
from programs import Program, listening_to_ctrl_c, run, run_here

from dnnlib.denoising.evaluation.metrics import psnr, ssim
from dnnlib.denoising.network.network_file import load_configured
from dnnlib.denoising.pictures.images import pad_to_square, read_image, to_float
from dnnlib.files import file_sha256
from dnnlib.tflib.runtime import tf

SCRIPT = "selfsupervised_denoising.py"
NAME = "gauss25-blindspot-sigma_global"
TAGS = ("a_nsy", "b_out", "b_out2", "b_std", "c_cln")
SIZES = [(40, 60), (64, 33)]  # of the two pictures to validate on; both are padded to 64 x 64

TRAINING = (
    f"--train {NAME} --train-h5 shard.h5 --validation-set own --train-resolution 32 --num-iter 40 --minibatch-size 4 "
    "--print-interval 8 --eval-interval 20 --snapshot-every 20 --seed 3"
)
# The next two do not end by themselves.
ABORTED = (
    f"--train {NAME}-mono --train-h5 shard.h5 --validation-set own --train-resolution 64 --num-iter 1000000 "
    "--print-interval 8 --noise-init estimate --result-dir aborted"
)
INTERRUPTED = (
    "--train gauss25-n2c --train-h5 shard.h5 --validation-set own --train-resolution 32 --num-iter 1000000 "
    "--print-interval 4 --eval-interval 8 --snapshot-every 4 --result-dir interrupted"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a shard of six pictures and the validation pictures."""
    folder = tmp_path_factory.mktemp("place")
    for i in range(6):
        write_picture(folder / "pictures" / f"{i}.png", 256 + 20 * i, 300, seed=i)
    write_picture(folder / "pictures" / "small.png", 100, 300)
    for own, (height, width) in zip(("a.png", "b.PNG"), SIZES, strict=True):
        write_picture(folder / "own" / own, height, width, seed=height)
        write_picture(folder / "sets" / "kodak" / own.lower(), height, width, seed=height)
    done = run(folder, "dataset_tool_h5.py", "--input-dir pictures --out shard.h5")
    assert (done.status, done.stderr) == (0, "") and "RGB: 6 images" in done.stdout
    return folder


@pytest.fixture(scope="module")
def runs(place):
    """Four trainings at the same time: one twice, one that abort.txt ends and one that Ctrl-C ends."""
    again = [f"{TRAINING} --result-dir {folder}" for folder in ("one", "two")]
    with contextlib.ExitStack() as stack, listening_to_ctrl_c():
        programs = [Program(place, SCRIPT, arguments) for arguments in (*again, ABORTED, INTERRUPTED)]
        for program in programs:
            stack.callback(program.process.kill)  # should this fail half-way; does nothing to one that has ended
        one, two, aborted, interrupted = programs
        aborted.wait_for("^ *0: ")
        (run_dir(place / "aborted") / "abort.txt").touch()
        interrupted.wait_for("^ *12: ")
        interrupted.process.send_signal(signal.SIGINT)
        named = {"one": one, "two": two, "aborted": aborted, "interrupted": interrupted}
        return {name: program.ended() for name, program in named.items()}


@pytest.fixture(scope="module")
def evaluations(place, runs):
    """Three, two of them the same, one of these as a user does it; of a network that lost its name."""
    network = run_dir(place / "one") / f"network-final-{NAME}.pickle"
    (place / "renamed").write_bytes(network.read_bytes())
    commands = [
        "--eval renamed --validation-set own --result-dir first",
        "--eval renamed --validation-set own --result-dir second",
        "--eval renamed --dataset-dir sets --result-dir kodak",
    ]
    return [run(place, SCRIPT, commands[0]), *(run_here(place, arguments) for arguments in commands[1:])]


def run_dir(results: Path) -> Path:
    """The only run directory there."""
    (found,) = [path for path in results.iterdir() if path.name not in ("_eval", "index.html")]
    assert re.fullmatch(r"00000-(train|eval)-ilsvrc-\w+-[13]c-.*", found.name)
    return found


def names_in(folder: Path, *ignored: str) -> set[str]:
    """All of the files, but for the event file, whose name says time and host."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    events = [name for name in names if name.startswith("events.out.tfevents.")]
    return names - set(events) - set(ignored)


def picture_names(number: int, suffix: str) -> set[str]:
    return {f"img/img-{number:07d}-{tag}.{suffix}" for tag in TAGS}


def ended(folder: Path) -> str:
    return re.search(r"^ended: +(.*)$", (folder / "run.txt").read_text(), re.MULTILINE)[1]


def states(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("training-state-*.state")]


def read_table(results: Path) -> list[list[str]]:
    with open(run_dir(results / "_eval") / "pictures.csv", newline="") as file:
        return list(csv.reader(file))


BOOKS = {"log.txt", "run.txt", "options.txt", "training_options.json", "stats.jsonl", "report.html"}


# ---- Training

NUMBER = r"(?=.{8},|.{8}$) *(-?\d+\.\d{4})"
LINE = re.compile(
    rf"(?=.{{8}}:) *(\d+): time=(?=.{{6}},) *(\d+\.\d\d), loss={NUMBER}, train_psnr={NUMBER}, train_psnr_pme={NUMBER}, "
    rf"std_net={NUMBER}, std_noise={NUMBER}(?:, valid_psnr_mu={NUMBER}, valid_psnr_pme={NUMBER})?"
)
KEYS = ["n", "time", "loss", "train_psnr", "train_psnr_pme", "std_net", "std_noise", "valid_psnr_mu", "valid_psnr_pme"]


def printed_records(stdout: str) -> list[dict]:
    """The lines of SPEC 6.3 as numbers."""
    matches = [LINE.fullmatch(line) for line in stdout.splitlines()[2:-1]]
    assert all(matches), stdout
    return [{key: float(value) for key, value in zip(KEYS, match.groups(), strict=True) if value} for match in matches]


def test_a_training_prints_its_lines_and_nothing_else(place, runs):
    done = runs["one"]
    assert (done.status, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    folder = run_dir(place / "one")
    assert lines[0] == f"Training {NAME} on 6 images, in one/{folder.name}"
    assert re.fullmatch("Precision: (bf16|float32)", lines[1])  # by the machine
    assert lines[-1] == f"Network written to one/{folder.name}/network-final-{NAME}.pickle"
    assert folder.name == "00000-train-ilsvrc-own-3c-gauss25-iter40-blindspot-global-res32"
    records = printed_records(done.stdout)
    assert [record["n"] for record in records] == [0, 8, 16, 20, 24, 32, 40]
    assert [record["n"] for record in records if "valid_psnr_pme" in record] == [0, 20, 40]


def test_the_run_directory(place, runs):
    folder = run_dir(place / "one")
    expected = {"_finished.txt", f"network-00000020-{NAME}.pickle", f"network-final-{NAME}.pickle", *BOOKS}
    for n in (0, 20, 40):
        expected |= picture_names(n, "jpg")
    assert names_in(folder) == expected
    assert (folder / "log.txt").read_text() == runs["one"].stdout
    assert ended(folder) == "finished"
    left = {folder.name, "index.html"}
    assert {path.name for path in (place / "one").iterdir()} == left  # no reservation, no check left
    resolved = json.loads((folder / "training_options.json").read_text())
    assert resolved["device"]
    options = resolved["options"]
    wanted = {"train": NAME, "num_iter": 40, "minibatch_size": 4, "train_resolution": 32, "snapshot_every": 20, "seed": 3}
    assert options | wanted == options


def test_statistics_are_those_printed(place, runs):
    folder = run_dir(place / "one")
    records = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    printed = printed_records(runs["one"].stdout)
    for record, line in zip(records, printed, strict=True):
        assert set(record) == {*line, "learning_rate", "skipped"} and record["skipped"] == 0
        assert all(abs(record[key] - value) <= (0.0051 if key == "time" else 0.000051) for key, value in line.items())
    rates = {record["n"]: record["learning_rate"] for record in records}
    assert rates[0] == 0 and rates[8] == 3e-4 and 0 < rates[32] < 3e-4 and rates[40] == pytest.approx(0, abs=1e-12)

    (events,) = folder.glob("events.out.tfevents.*")
    curves, strips = {}, {}
    for event in tf.train.summary_iterator(str(events)):
        for value in event.summary.value:
            if value.HasField("image"):
                strips[event.step] = (value.tag, value.image.height, value.image.width)
                continue
            curves.setdefault(value.tag, {})[event.step] = value.simple_value
    assert set(curves) == {*KEYS[2:], "learning_rate", "skipped"}
    tag, (height, width) = "noisy, mean, posterior mean, std, clean", SIZES[1]
    assert strips == dict.fromkeys((0, 20, 40), (tag, height, 5 * width))
    for tag, curve in curves.items():
        expected = {record["n"]: record[tag] for record in records if tag in record}
        assert curve == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_exported_pictures_of_a_training(place, runs):
    """The last validation picture, cropped to its size; close to what a JPEG can keep."""
    folder = run_dir(place / "one") / "img"
    pictures = {tag: read_image(folder / f"img-0000040-{tag}.jpg") for tag in TAGS}
    assert {picture.shape[:2] for picture in pictures.values()} == {SIZES[1]}
    clean = read_image(place / "own" / "b.PNG")
    assert psnr(to_float(pictures["c_cln"]), to_float(clean)) > 33
    assert 18 < psnr(to_float(pictures["a_nsy"]), to_float(clean)) < 24  # sigma 25, softened by the JPEG
    with Image.open(folder / "img-0000040-b_std.jpg") as std:
        assert std.mode == "L"


def test_the_same_training_again_gives_the_same(place, runs):
    one, two = run_dir(place / "one"), run_dir(place / "two")
    for name in (f"network-00000020-{NAME}.pickle", f"network-final-{NAME}.pickle"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    without_time = [re.sub(r"time= *[\d.]+|one/|two/", "", runs[name].stdout) for name in ("one", "two")]
    assert without_time[0] == without_time[1]


def test_the_networks_are_of_the_training(place, runs):
    folder = run_dir(place / "one")
    middle, end = (load_configured(folder / f"network-{n}-{NAME}.pickle") for n in ("00000020", "final"))
    assert middle[1].name == end[1].name == NAME
    assert all((middle[0].variables[name] != value).any() for name, value in end[0].variables.items())


# ---- Evaluation


def test_an_evaluation_prints_its_result(place, runs, evaluations):
    for done in evaluations:
        assert (done.status, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert len(lines) == 10 and lines[0].startswith(f"Evaluating renamed ({NAME}) on ")
        assert lines[2] == "With 95 % intervals over 2 pictures:" and lines[7].startswith("  True values within 1, 2, 3 ")
        assert re.fullmatch(r"RESULT (?=.{8}$) *\d+\.\d{4}", lines[-2])
    # The training validated the same network on the same pictures with the same noise.
    last = printed_records(runs["one"].stdout)[-1]
    assert evaluations[0].stdout.splitlines()[-2] == f"RESULT {last['valid_psnr_pme']:8.4f}"
    assert f"valid_psnr_mu={last['valid_psnr_mu']:8.4f}" in evaluations[0].stdout


def test_an_evaluation_again_gives_the_same(place, evaluations):
    first, second = (run_dir(place / name / "_eval") for name in ("first", "second"))
    assert evaluations[0].stdout.splitlines()[1:-1] == evaluations[1].stdout.splitlines()[1:-1]
    pictures = names_in(first, *BOOKS, "_finished.txt", "pictures.csv", "evaluation.json")
    assert pictures == picture_names(0, "png") | picture_names(1, "png")
    for name in pictures:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_the_result_is_that_of_the_exported_pictures(place, evaluations):
    """PSNR is measured on 8 bits, which is what a PNG holds."""
    folder = run_dir(place / "first" / "_eval") / "img"
    values = {tag: [] for tag in TAGS}
    for i, name in enumerate(("a.png", "b.PNG")):
        clean = read_image(place / "own" / name)
        for tag in TAGS:
            picture = read_image(folder / f"img-{i:07d}-{tag}.png")
            assert picture.shape == clean.shape
            values[tag].append(psnr(to_float(picture), to_float(clean)))
    assert values["c_cln"] == [np.inf, np.inf]
    similar = [
        ssim(*(to_float(read_image(folder / f"img-{i:07d}-{tag}.png")) for tag in ("b_out2", "c_cln"))) for i in range(2)
    ]
    _, line, *_, result, _ = evaluations[0].stdout.splitlines()
    means = {tag: f"{np.mean(values[tag]):8.4f}" for tag in ("a_nsy", "b_out", "b_out2")}
    expected = f"noisy_psnr={means['a_nsy']}, valid_psnr_mu={means['b_out']}, valid_psnr_pme={means['b_out2']}"
    assert line == f"2 images: {expected}, valid_ssim_pme={np.mean(similar):8.4f}"
    assert result == f"RESULT {means['b_out2']}"
    index, names, *columns = zip(*read_table(place / "first"), strict=True)
    assert (index, names) == (("index", "0", "1"), ("picture", "a.png", "b.PNG"))
    table = {name: [float(cell) for cell in cells] for name, *cells in columns}
    assert list(table) == [
        "psnr_noisy", "psnr_mu", "psnr_pme", "ssim_pme", "gain", "nll", "within_1", "within_2", "within_3"
    ]  # fmt: skip
    assert table["ssim_pme"] == pytest.approx(similar, rel=1e-5)
    for column, tag in (("psnr_noisy", "a_nsy"), ("psnr_mu", "b_out"), ("psnr_pme", "b_out2")):
        assert table[column] == pytest.approx(values[tag], rel=1e-5)
    gained = [after - before for after, before in zip(values["b_out2"], values["a_nsy"], strict=True)]
    assert table["gain"] == pytest.approx(gained, rel=1e-4)
    assert all(0 < a < b < c <= 1 for a, b, c in zip(*(table[f"within_{k}"] for k in (1, 2, 3)), strict=True))


def test_the_record_of_an_evaluation(place, evaluations):
    """All that is needed to see what a figure is of, and each figure; the same again but for command and folder."""
    first, second = (json.loads((run_dir(place / n / "_eval") / "evaluation.json").read_text()) for n in ("first", "second"))
    assert first["sha256"] == file_sha256(place / "renamed") and first["configuration"] == NAME
    assert first["data"] | {"validation_set": "own", "noise": "gauss25", "channels": 3, "repetitions": 1} == first["data"]
    assert first["data"]["pictures"] == ["a.png", "b.PNG"] and first["command_line"][-1] == "first"
    assert first["packages"]["scikit-image"] and first["name"] == "renamed" and first["precision"] == "float32"
    result = evaluations[0].stdout.splitlines()[-2]
    assert result == f"RESULT {first['measures']['psnr_pme']['mean']:8.4f}"
    assert first["calibration"]["within"].keys() == {"1", "2", "3"} and first["calibration"]["curve"]
    for key in ("data", "values", "measures", "calibration"):
        assert first[key] == second[key]
    kodak = json.loads((run_dir(place / "kodak" / "_eval") / "evaluation.json").read_text())
    assert len(kodak["values"]["psnr_pme"]) == 20 and kodak["data"]["repetitions"] == 10
    assert kodak["data"]["sha256"] == first["data"]["sha256"]  # the same pixels under other names


def test_the_noise_is_that_of_the_protocol(place, evaluations):
    """SPEC 4.1: normal draws with graph seed 0 and op seed 1, NCHW over the padded square, running on."""
    folder = run_dir(place / "first" / "_eval") / "img"
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(0)
        draw = tf.random.normal([1, 3, 64, 64], seed=1)
        for i, name in enumerate(("a.png", "b.PNG")):
            clean = to_float(read_image(place / "own" / name))
            height, width = clean.shape[:2]
            noise = session.run(draw)[0].transpose(1, 2, 0) * np.float32(25 / 255)
            noisy = (pad_to_square(clean, 64) + noise)[:height, :width]
            expected = np.floor(np.clip(255 * noisy + 0.5, 0, 255))
            found = read_image(folder / f"img-{i:07d}-a_nsy.png")
            assert (found != expected).mean() < 1e-3  # a rounding may differ in the last bit


def test_a_named_set_is_repeated(place, evaluations):
    """Kodak ten times; the pictures of the first pass are exported, and the noise runs on."""
    folder = run_dir(place / "kodak" / "_eval")
    assert folder.name == f"00000-eval-ilsvrc-kodak-3c-gauss25-iter2m-blindspot-global-EVAL_{NAME}"
    assert "20 images: " in evaluations[2].stdout
    assert evaluations[2].stdout.splitlines()[-2] != evaluations[0].stdout.splitlines()[-2]
    assert picture_names(0, "png") | picture_names(1, "png") == {n for n in names_in(folder) if n.startswith("img/")}
    assert (folder / "_finished.txt").exists() and (folder / "log.txt").read_text() == evaluations[2].stdout
    (statistics,) = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    assert statistics["images"] == 20
    _, *rows = read_table(place / "kodak")
    assert [row[:2] for row in rows] == [[str(i), ("a.png", "b.png")[i % 2]] for i in range(20)]
    assert np.mean([float(row[4]) for row in rows]) == pytest.approx(statistics["valid_psnr_pme"], rel=1e-5)
    assert evaluations[2].stdout.splitlines()[-2] == f"RESULT {statistics['valid_psnr_pme']:8.4f}"


# ---- Ended early


def test_abort_txt_ends_a_training_cleanly(place, runs):
    done = runs["aborted"]
    assert (done.status, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    folder = run_dir(place / "aborted")
    n = int(re.match(r" *(\d+): ", lines[-3])[1])  # the printed line at which it was seen
    assert n % 8 == 0 and n < 1_000_000
    assert "abort.txt" in lines[-2]
    network = f"network-{n:08d}-{NAME}-mono.pickle"
    assert lines[-1] == f"Network written to aborted/{folder.name}/{network}"
    left = {"_finished.txt", "abort.txt", network, *picture_names(0, "jpg"), *BOOKS}
    assert names_in(folder) - set(states(folder)) == left
    assert len(states(folder)) == 2
    assert load_configured(folder / network)[1].channels == 1
    assert ended(folder) == "finished, early because of abort.txt"
    assert (folder / "log.txt").read_text() == done.stdout


def test_sigma_starts_from_an_estimate(runs):
    lines = runs["aborted"].stdout.splitlines()
    estimate = float(re.fullmatch(r"Estimated sigma[^:]*: (\d+\.\d\d)", lines[2])[1])
    assert estimate == pytest.approx(25, abs=1.5)
    assert float(re.search(r"std_noise= *([\d.]+)", lines[3])[1]) == pytest.approx(estimate, abs=0.05)


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent in another way there")
def test_ctrl_c_ends_a_training_at_once(place, runs):
    done = runs["interrupted"]
    assert done.status == 130
    assert re.fullmatch(r"(\nStopping after this step[^\n]*\n)?Interrupted\.\n", done.stderr), done.stderr
    folder = run_dir(place / "interrupted")
    assert "_finished.txt" not in names_in(folder)
    assert ended(folder) == "interrupted"
    assert (folder / "log.txt").read_text() == done.stdout + "Interrupted.\n"
    for line in (folder / "stats.jsonl").read_text().splitlines():
        json.loads(line)
    names = names_in(folder) - BOOKS - set(states(folder))
    assert len(states(folder)) == 2
    networks = {name for name in names if re.fullmatch(r"network-\d{8}-gauss25-n2c\.pickle", name)}
    pictures = {name for name in names if re.fullmatch(r"img/img-\d{7}-\w+\.jpg", name)}
    assert names == networks | pictures  # no temporary file
    assert len(networks) >= 2 and len(pictures) >= 10
    for name in networks:
        load_configured(folder / name)  # none is half-written
    for name in pictures:
        read_image(folder / name)
