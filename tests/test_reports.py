"""report.html and index.html: what they show, that all of it is escaped, and that no page ends a training."""

import base64
import hashlib
import html.parser
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from material import smooth_picture, write_bare_shard, write_picture
from programs import run_here

from dnnlib.denoising.judging.calibration import Class
from dnnlib.denoising.pictures.images import to_float
from dnnlib.denoising.reports import charts, run_page
from dnnlib.denoising.reports.commands import commands_of
from dnnlib.denoising.reports.gallery import STD, Gallery
from dnnlib.denoising.reports.index import index_folder, write_index
from dnnlib.denoising.reports.page import page
from dnnlib.denoising.reports.run_facts import FAILED, FINISHED, RUNNING, STOPPED, RunFacts, read_run
from dnnlib.denoising.reports.run_page import RunPage, Validated, report
from dnnlib.errors import UserError
from dnnlib.files import write_text
from dnnlib.submission.run_context import RunContext

NAME = "gauss25-blindspot-sigma_global-mono"
SMALL = "--train-h5 shard.h5 --validation-set own --train-resolution 32 --minibatch-size 1 --num-gpus 0"
HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\udcff.png"


class Elements(html.parser.HTMLParser):
    """All elements of a page, with their attributes, and its text."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


def gallery(labels: list[str], psnrs: list[float | None], side: int = 16) -> Gallery:
    found = Gallery(labels)
    for i, psnr in enumerate(psnrs):
        picture = smooth_picture(side, side + i, i)
        found.add(i, {"a_nsy": picture, "b_out2": picture, "c_cln": picture, STD: picture[..., :1]}, psnr)
    return found


def write_run(folder: Path, options: dict, ended: str | None = "finished", stats: list[dict] = ()) -> Path:
    """Writes what a run leaves. ended: None for one that still runs."""
    folder.mkdir(parents=True)
    with RunContext(folder, "test", options) as run:
        run.write_options(device="a card")
        for line in stats:
            run.append_stats(line)
    dropped = ("ended",) if ended else ("ended", "stopped")
    lines = [line for line in (folder / "run.txt").read_text().splitlines() if not line.startswith(dropped)]
    write_text(folder / "run.txt", "\n".join(lines + ([f"ended: {ended}"] if ended else [])) + "\n")
    return folder


TRAINING = {"train": "gauss25-n2c", "num_iter": 2_000_000, "validation_set": "kodak"}
STATS = [
    {"n": 0, "time": 1.0, "loss": 2.0, "train_psnr_pme": 20.0, "valid_psnr_pme": 21.0, "learning_rate": 0.0},
    {"n": 1000, "time": 1800.0, "loss": 1.0, "train_psnr_pme": 25.0, "learning_rate": 3e-4},
    {"n": 2000, "time": 1799.0, "loss": None, "train_psnr_pme": 26.0, "valid_psnr_pme": 27.126, "learning_rate": 3e-4},
]  # fmt: skip


# --- what is shown


def test_the_worst_pictures_are_kept_and_the_last():
    labels = list("abcdef")
    found = gallery(labels, [30.0, 28.0, 31.0, 29.0, 27.5, 33.0])
    found.add(6, {"c_cln": smooth_picture(8, 8)}, 1.0)  # of a second pass
    assert [(shown.number, shown.label, shown.psnr) for shown in found.shown()] == [
        (5, "e", 27.5), (2, "b", 28.0), (4, "d", 29.0), (6, "f", 33.0)
    ]  # fmt: skip
    assert found.worst() == [4, 1, 3]
    assert [shown.number for shown in gallery(labels, [30.0, 28.0]).shown()] == [2, 1]
    assert [shown.number for shown in gallery(labels, [None] * 6).shown()] == [1, 2, 3, 6]
    perfect = gallery(labels[:1], [float("inf")]).shown()[0]
    assert perfect.psnr is None and list(perfect.slides) == ["noisy", "denoised", "clean"]


def test_of_a_large_picture_the_middle_is_shown(monkeypatch):
    monkeypatch.setattr("dnnlib.denoising.reports.gallery._LARGEST_SIDE", 10)
    encoded = []
    monkeypatch.setattr("dnnlib.denoising.reports.gallery._uri", lambda pixels: encoded.append(pixels) or "data:")
    (shown,) = gallery(["a"], [30.0]).shown()
    assert (shown.height, shown.width) == (10, 10)
    np.testing.assert_array_equal(encoded[0], smooth_picture(16, 16)[3:13, 3:13])


def test_the_report_of_a_training(tmp_path):
    facts = read_run(write_run(tmp_path / "00007-a run", TRAINING, stats=STATS))
    labels, psnr = ["a.png", "b.png", "c.png"], np.array([27.0, 28.0, np.inf])
    curve, within = [Class(0.01, 0.02, 0.5), Class(0.02, 0.03, 0.5)], {1: 0.6, 2: 0.9, 3: 0.98}
    validated = Validated(labels, gallery(labels, list(psnr)), psnr, psnr - 8, curve, image=2000, within=within)
    text = report(facts, validated)
    shown = Elements(text)
    words = " ".join(" ".join(shown.texts).split())
    for expected in ("Training of gauss25-n2c", "2,000 of 2,000,000", "27.13 dB", "1.00 hours", "finished", "a card",
                     "after 2000 images", "num_iter", "a.png, 27.00 dB", "60.0, 90.0, 98.0 %",
                     "All of them, the one that came out worst first.", "from noisy over denoised to clean"):  # fmt: skip
        assert expected in words, expected
    charts_shown = [picture["alt"] for picture in shown.of("img") if picture["src"].startswith("data:image/svg")]
    assert [alt.partition(".")[0] for alt in charts_shown] == [
        "Loss", "PSNR", "Learning rate", "Speed", "PSNR of each picture", "Is the predicted std right?"
    ]
    slides = [picture.get("data-name") for picture in shown.of("img") if picture["src"].startswith("data:image/jpeg")]
    assert slides == ["noisy", "denoised", "clean", None] * 3
    assert len(shown.of("input")) == 3 and all(picture["alt"] for picture in shown.of("img"))


def test_a_report_before_anything_happened(tmp_path):
    words = " ".join(Elements(report(read_run(write_run(tmp_path / "r", TRAINING, ended=None)), None)).texts)
    assert "running" in words and "Curves" not in words


def svg_of(chart: charts.Chart) -> str:
    return base64.b64decode(chart.uri.partition(",")[2]).decode()


def test_charts_say_what_their_lines_are():
    points = {"validation": [(0, 20.0), (500_000, 25.0)], "training crops": [(n, 20.0) for n in range(50_000)]}
    drawn = svg_of(charts.lines("PSNR", "", points, "dB"))
    assert all(word in drawn for word in ("validation", "training crops", "images", "dB", "stroke-dasharray", "500k"))
    assert len(drawn) < 200_000  # and not a point for each line of a long training
    assert charts.lines("PSNR", "", {"a": []}) is None and charts.calibration([]) is None
    dots = svg_of(charts.dots("PSNR", "", [30.0, 28.0, np.inf, 29.0], [1], None))
    assert dots.count(">2<") == 1  # the number of the one that is marked


# --- escaping


def test_everything_is_escaped(tmp_path):
    options = {**TRAINING, "train": HOSTILE, "validation_set": HOSTILE, HOSTILE: HOSTILE, "eval": HOSTILE}
    folder = tmp_path / ("00001-" + HOSTILE.replace("/", "").replace("\x1b", "").replace("\udcff", ""))
    write_run(folder, options, ended=f"failed: {HOSTILE}", stats=STATS)
    settings = json.loads((folder / "training_options.json").read_text())
    settings |= {"command_line": ["python", HOSTILE], "device": HOSTILE, "packages": {HOSTILE: HOSTILE}}
    (folder / "training_options.json").write_text(json.dumps(settings))
    (folder / f"network-{'x' * 3}.pickle").touch()
    psnr = np.array([30.0])
    rows = [(HOSTILE, HOSTILE, HOSTILE)]
    validated = Validated([HOSTILE], gallery([HOSTILE], [30.0]), psnr, psnr, figures=rows, comparison=[HOSTILE])
    write_index(tmp_path)
    for text in (report(read_run(folder), validated), (tmp_path / "index.html").read_text()):
        shown = Elements(text)
        assert len(shown.of("script")) == 1 and "<script>alert" not in text and "\x1b" not in text
        assert {name for tag, attributes in shown.found for name in attributes if name.startswith("on")} == set()
        assert "<script>alert(1)</script>" in "".join(shown.texts)  # seen as it is


def test_a_page_runs_its_own_script_alone_and_loads_nothing(tmp_path):
    text = page("index.html", title="a", folder="b", rows=[])
    policy = Elements(text).of("meta")[-1]["content"]
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)[1]
    style = re.search(r"<style>(.*)</style>", text, re.DOTALL)[1]
    for kind, content in (("script", script), ("style", style)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    text = report(read_run(write_run(tmp_path / "r", TRAINING, stats=STATS)), None)
    assert not re.search(r"https?://", text.replace("data:", ""))


# --- commands


def words_of(facts: RunFacts) -> dict[str, str]:
    return dict(commands_of(facts))


def test_the_commands_of_a_training(tmp_path):
    folder = tmp_path / "a b"
    folder.mkdir()
    for name in ("network-00001000-gauss25-n2c.pickle", "network-final-gauss25-n2c.pickle"):
        (folder / name).touch()
    given = ["python", "x.py", "--train", "gauss25-n2c", "--resume", "auto", "--seed=3", "--validation-set", "my set"]
    settings = {"command_line": given, "options": {**TRAINING, "dataset_dir": "sets"}}
    found = words_of(RunFacts(folder, settings, entries=[{"ended": "interrupted"}]))
    again = "python x.py --train gauss25-n2c --seed=3 --validation-set 'my set'"
    network = f"'{folder}/network-final-gauss25-n2c.pickle'"
    assert found == {
        "The same again": again,
        "Go on, if it was cut off": f"{again} --resume '{folder}'",
        "Denoise with it": f"python selfsupervised_denoising.py --denoise photo.png --out denoised --network {network}",
        "Evaluate it": f"python selfsupervised_denoising.py --eval {network} --validation-set kodak --dataset-dir sets",
    }
    for more in (["--resume"], ["--resume", "--seed", "3"], ["--resume=x"]):
        settings = {"command_line": ["python", *more], "options": TRAINING}
        rest = " --seed 3" if "--seed" in more else ""
        assert words_of(RunFacts(tmp_path, settings, entries=[{"ended": "finished"}])) == {"The same again": f"python{rest}"}


# --- states


@pytest.mark.parametrize(
    ("ended", "state"),
    [
        ("finished", FINISHED), ("finished, early because of abort.txt", FINISHED), ("interrupted", STOPPED),
        ("error: the disk is full", FAILED), ("failed: ValueError: x", FAILED), (None, RUNNING),
    ],
)  # fmt: skip
def test_how_a_run_ended(tmp_path, ended, state):
    facts = read_run(write_run(tmp_path / "r", TRAINING, ended, STATS))
    assert facts.state == state and facts.images == 2000 and facts.hours == 1.0 and facts.last("loss") == 1.0


def test_a_run_whose_process_is_gone_has_stopped(tmp_path):
    folder = write_run(tmp_path / "r", TRAINING, ended=None)
    text = (folder / "run.txt").read_text()
    (folder / "run.txt").write_text(re.sub(r"pid: *\d+", f"pid: {2**31 - 1}", text))
    assert read_run(folder).state == STOPPED
    (folder / "run.txt").write_text(re.sub(r"host: .*", "host: another", text))
    assert read_run(folder).state == RUNNING  # on another machine, and its files are new
    for path in folder.iterdir():
        os.utime(path, (0, 0))
    assert read_run(folder).state == STOPPED


@pytest.mark.parametrize(
    "text", ["", "\x00\xff", "[" * 10_000, "[]\n1\nnull", '{"n": [1], "time": "x", "loss": 1e999, "valid_psnr_pme": true}']
)
def test_broken_runs_are_shown_as_far_as_they_can_be_read(tmp_path, text):
    folder = tmp_path / "00000-x"
    folder.mkdir()
    for name in ("run.txt", "stats.jsonl", "training_options.json"):
        (folder / name).write_text(text, "latin-1")
    assert report(read_run(folder), None) and read_run(folder).stats == []
    (folder / "stats.jsonl").unlink()
    (folder / "stats.jsonl").symlink_to("/dev/zero")
    write_index(tmp_path)
    assert "00000" in (tmp_path / "index.html").read_text()


# --- all runs


def test_the_page_over_all_runs(tmp_path):
    write_run(tmp_path / "00000-a", TRAINING, stats=STATS)
    write_run(tmp_path / "00001-b%\"", TRAINING, ended="interrupted")
    (tmp_path / "00001-b%\"" / "report.html").touch()
    evaluation = {"eval": "x", "configuration": "gauss25-n2c", "validation_set": "/sets/my"}
    write_run(tmp_path / "_eval" / "00000-c", evaluation, stats=[{"images": 24, "valid_psnr_pme": 31.0}])
    (tmp_path / "notes").mkdir()
    for run in ("00000-a", "_eval/00000-c"):
        assert index_folder(tmp_path / run) == tmp_path
    write_index(tmp_path)
    shown = Elements((tmp_path / "index.html").read_text())
    assert [link["href"] for link in shown.of("a")] == ["_eval/00000-c", "00001-b%25%22/report.html", "00000-a"]
    words = " ".join(" ".join(shown.texts).split())
    assert re.search(r"00000 evaluation gauss25-n2c my 24 31.00 \d\.\d\d finished", words)
    assert "00001 training gauss25-n2c kodak stopped" in words
    assert "00000 training gauss25-n2c kodak 2000 27.13 1.00 finished" in words


def test_a_page_of_somebody_else_stays(tmp_path, capsys):
    folder = write_run(tmp_path / "00000-a", TRAINING)
    (tmp_path / "index.html").write_text("mine")
    RunPage(folder).write()
    assert (tmp_path / "index.html").read_text() == "mine" and (folder / "report.html").exists()
    assert "index.html is not of this program, and stays as it is" in capsys.readouterr().out


# --- writing


def test_what_cannot_be_written_is_said_once(tmp_path, monkeypatch, capsys):
    folder = write_run(tmp_path / "00000-a", TRAINING)
    shown = RunPage(folder)

    def full(path, text):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run_page, "write_text", full)
        shown.write()
        shown.write()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{folder / 'report.html'} cannot be written, and the work goes on without: ")
    shown.write()
    assert (folder / "report.html").exists() and not list(folder.glob("*.tmp")) and not list(folder.glob(".*"))


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_package_is_said(tmp_path, monkeypatch, capsys, package):
    folder = write_run(tmp_path / "00000-a", TRAINING, stats=STATS)
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    run_page.page.__globals__["_environment"].cache_clear()
    RunPage(folder).write()
    assert "(pip install -r requirements.txt)" in capsys.readouterr().out and not (folder / "report.html").exists()


def test_what_an_earlier_process_showed_stays_until_there_is_more(tmp_path):
    folder = write_run(tmp_path / "00000-a", TRAINING)
    (folder / "report.html").write_text("pictures")
    shown = RunPage(folder)
    shown.write()
    assert (folder / "report.html").read_text() == "pictures"
    shown.validated = Validated([], Gallery([]))
    shown.write()
    assert "Training of" in (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which a training has ended, and what the page looked like whenever it was written."""
    place = tmp_path_factory.mktemp("trained")
    write_bare_shard(place / "shard.h5", [smooth_picture(32, 40, seed).transpose(2, 0, 1) for seed in range(2)])
    for i in range(2):
        write_picture(place / "own" / f"{i}.png", 32, 40, seed=i)
    written = []
    with pytest.MonkeyPatch.context() as patch:
        write = RunPage.write

        def noted(page):
            write(page)
            written.append((page._run_dir / "report.html").read_text())

        patch.setattr(RunPage, "write", noted)
        run_here(place, f"--train {NAME} --num-iter 4 --eval-interval 2 --print-interval 1 {SMALL}")
    return place, written


def test_a_training_writes_it_at_each_validation_and_at_the_end(trained):
    place, written = trained
    words = [" ".join(" ".join(Elements(text).texts).split()) for text in written]
    assert len(words) == 5  # at the start, after 0, 2, and 4 images, at the end
    assert [re.findall(r"validation after (\d+) images", text) for text in words] == [[], ["0"], ["2"], ["4"], ["4"]]
    assert [re.search(r"state (\w+)", text)[1] for text in words] == [RUNNING] * 4 + [FINISHED]
    assert f"network-final-{NAME}.pickle" in words[-1] and "Is the predicted std right?" in words[-1]
    assert "finished" in (place / "results" / "index.html").read_text()


def test_pictures_are_those_of_the_validation(trained):
    """A JPEG of quality 88 of a smooth picture is within some grey levels of it; of another picture it is far off."""
    from io import BytesIO

    from PIL import Image

    place, written = trained
    (slide,) = [x for x in Elements(written[-1]).of("img") if x["alt"] == "clean: 0.png"]
    with Image.open(BytesIO(base64.b64decode(slide["src"].partition(",")[2]))) as found:
        clean = to_float(smooth_picture(32, 40, 0)).mean(axis=2)
        assert np.abs(np.asarray(found) / 255 - clean).mean() < 0.02


def test_a_report_that_cannot_be_written_ends_no_training(tmp_path, trained, monkeypatch, capsys):
    """All books are kept but for the page, of which a disk has no room, say."""
    write = run_page.write_text
    monkeypatch.setattr(run_page, "write_text", lambda path, text: write(path.parent / "missing" / path.name, text))
    for name in ("shard.h5", "own"):
        (tmp_path / name).symlink_to(trained[0] / name)
    done = run_here(tmp_path, f"--train gauss25-n2c-mono --num-iter 2 {SMALL}")
    assert done.stdout.count("cannot be written, and the work goes on") == 1 and "Network written to" in done.stdout


def test_the_report_of_a_run_that_failed_says_so(tmp_path, trained, monkeypatch):
    def fail(*_):
        raise UserError("the <disk> is full")

    monkeypatch.setattr("dnnlib.denoising.training.output.save_network", fail)
    for name in ("shard.h5", "own"):
        (tmp_path / name).symlink_to(trained[0] / name)
    with pytest.raises(UserError, match="is full"):
        run_here(tmp_path, f"--train gauss25-n2c-mono --num-iter 1 {SMALL}")
    (path,) = tmp_path.glob("results/0*/report.html")
    assert "Ended: error: the &lt;disk&gt; is full" in path.read_text()
