"""tools/make_card.py: a network's card, of what its runs have recorded; what does not belong together is refused."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from cards import faults, make_card, recorded_psnr, sections
from material import write_network

from config import networks
from dnnlib.errors import UserError
from dnnlib.files import file_sha256
from dnnlib.submission.run_context import RunContext

NAME = "gauss25-blindspot-sigma_known"
PICTURES = {"kodak": 24, "bsd300": 100, make_card.CHECK: 3}
PASSES = {"kodak": 10, "bsd300": 3, make_card.CHECK: 1}
MEANS = {"kodak": 31.127, "bsd300": 29.5, make_card.CHECK: 27.12346}


def psnrs(count: int, mean: float) -> np.ndarray:
    """Of `count` pictures, with that mean, symmetric, of a standard deviation of 2."""
    values = np.linspace(-1, 1, count)
    return mean + 2 * values / values.std(ddof=1)


def write_training(folder: Path) -> Path:
    """Writes what a training leaves of which the card is made; returns the network file."""
    folder.mkdir()
    with RunContext(folder, f"train {NAME}", {"train": NAME, "train_h5": "/home/me/photos.h5"}) as run:
        run.write_options(device="AMD EPYC", replicas=1, precision="bf16")
        for n in (0, 10_000, 20_000):
            run.append_stats({"n": n, "time": 2400.0})
    path = folder / "training_options.json"
    command = ["/bin/python3", "/home/selfsupervised_denoising.py", "--train-h5=/home/me/a.h5", "--dataset-dir", "/d/sets"]
    settings = json.loads(path.read_text()) | {"command_line": command, "git_commit": "a1" * 20}
    path.write_text(json.dumps(settings))
    return write_network(folder / f"network-final-{NAME}.pickle", NAME)


def write_evaluation(folder: Path, where: str, digest: str, **changed) -> None:
    """Writes what an evaluation leaves: each picture has the same PSNR in all passes, but for what cancels out."""
    folder.mkdir()
    name = make_card.CHECK if where.endswith(make_card.CHECK) else where
    options = {"eval": "x", "network_sha256": digest, "validation_set": where, "precision": "float32", **changed}
    of_each, passes = psnrs(PICTURES[name], MEANS[name]), PASSES[name]
    offsets = np.linspace(-0.5, 0.5, passes) if passes > 1 else [0.0]
    rows = [
        [i, f"{i % len(of_each)}.png", 20.0, 25.0, of_each[i % len(of_each)] + offsets[i // len(of_each)]]
        for i in range(passes * len(of_each))
    ]
    with RunContext(folder, "eval x", options) as run:
        run.write_options(device="AMD EPYC")
        run.write_table("pictures.csv", ["index", "picture", "psnr_noisy", "psnr_mu", "psnr_pme"], rows)
        run.append_stats({"images": len(rows), "valid_psnr_pme": MEANS[name]})


@pytest.fixture
def runs(tmp_path):
    """The arguments that make a card of good runs."""
    digest = file_sha256(write_training(tmp_path / "train"))
    for number, where in enumerate((f"/somewhere/{make_card.CHECK}", "bsd300", "kodak")):
        write_evaluation(tmp_path / f"eval{number}", where, digest)
    evaluations = [str(tmp_path / f"eval{number}") for number in range(3)]
    folders = f"--train-run={tmp_path / 'train'}", f"--out={tmp_path / 'out'}"
    return [*folders, "--terms=Mine, CC0.", "--eval-runs", *evaluations]


def test_a_card_and_its_row(runs, tmp_path, capsys):
    make_card.main([*runs, "--default=rgb"])
    *_, printed = capsys.readouterr().out.splitlines()
    header, *_ = networks._TABLE.strip().splitlines()
    rows = networks._parse(f"{header}\n{printed}")
    assert list(rows) == [NAME] and rows[NAME]["default"] == "rgb" and rows[NAME]["kodak"] == 31.13
    assert [printed.index(cell) for cell in printed.split()] == [header.index(cell) for cell in header.split()]
    out = tmp_path / "out"
    assert (out / f"{NAME}.pickle").read_bytes() == (tmp_path / "train" / f"network-final-{NAME}.pickle").read_bytes()
    assert faults(NAME, rows[NAME], out) == []


def test_what_the_card_says(runs, tmp_path):
    (tmp_path / "terms.md").write_text("400 pictures of mine.\n")
    make_card.main([*runs[:2], f"--terms={tmp_path / 'terms.md'}", *runs[3:], "--name=mine"])
    card = (tmp_path / "out" / "mine.md").read_text()
    found = sections(card)
    assert found["Training pictures"] == "400 pictures of mine."
    for row in (
        "| images | 20,000 |", "| hours | 2.0 |", f"| commit | `{'a1' * 20}` |",
        "| command | `python selfsupervised_denoising.py --train-h5=a.h5 --dataset-dir sets` |",
    ):  # fmt: skip
        assert row in found["Training"].splitlines()
    assert "AMD EPYC" in found["Training"] and "/home" not in card and str(tmp_path) not in card
    assert "sigma 25 (of 255)" in found["What it is for"] and "--network mine" in found["What it is for"]
    assert recorded_psnr(card) == 27.1235 and f"--eval=mine --validation-set={make_card.CHECK}" in card
    assert re.search(r"^\| BSD300 \| 100 \| 20.00 \| 29.50 \|", found["Quality"], re.MULTILINE) and "SSIM" not in card


def test_a_network_that_started_from_another_has_both_trainings_on_its_card(runs, tmp_path):
    start = write_training(tmp_path / "first").rename(tmp_path / "first" / f"network-00012000-{NAME}.pickle")
    last = tmp_path / "train" / "training_options.json"
    settings = json.loads(last.read_text())
    settings["options"]["init"] = f"/elsewhere/{start.name}"
    last.write_text(json.dumps(settings))
    with pytest.raises(UserError, match="--earlier-runs for a training's"):
        make_card.main(runs)
    (tmp_path / "unrelated").mkdir()
    write_training(tmp_path / "unrelated" / "x")
    with pytest.raises(UserError, match="did not start"):
        make_card.main([*runs, "--earlier-runs", str(tmp_path / "unrelated" / "x")])
    make_card.main([*runs, "--earlier-runs", str(tmp_path / "first"), "--default=rgb"])
    card = (tmp_path / "out" / f"{NAME}.md").read_text()
    assert "| images | 12,000 | 20,000 |" in sections(card)["Training"]
    row = {"sha256": file_sha256(tmp_path / "out" / f"{NAME}.pickle"), "default": "rgb", "kodak": 31.13}
    assert faults(NAME, row, tmp_path / "out") == []


def test_a_network_that_started_from_one_with_a_card_has_its_trainings_first(runs, tmp_path):
    earlier = tmp_path / "earlier"
    make_card.main([*runs, f"--out={earlier}"])
    last = tmp_path / "train" / "training_options.json"
    settings = json.loads(last.read_text())
    settings["options"]["init"] = NAME
    settings["git_commit"] = "b2" * 20
    last.write_text(json.dumps(settings))
    with pytest.raises(UserError, match="--started-from"):
        make_card.main(runs)
    with pytest.raises(UserError, match="no card"):
        make_card.main([*runs, f"--started-from={write_card_without_trainings(tmp_path)}"])
    for _ in range(2):  # the second time its own card is read before it is written anew
        make_card.main([*runs, f"--started-from={earlier / NAME}.md", f"--out={earlier}"])
    training = sections((earlier / f"{NAME}.md").read_text())["Training"].splitlines()
    a, b = f"`{'a1' * 20}`", f"`{'b2' * 20}`"
    assert training[0] == "|  | first | then, from that network | then, from that network |"
    assert f"| commit | {a} | {b} | {b} |" in training and "| images | 20,000 | 20,000 | 20,000 |" in training


def write_card_without_trainings(folder: Path) -> Path:
    path = folder / f"{NAME}.md"
    path.write_text("# A card\n\n| images | 3 |\n")
    return path


@pytest.mark.parametrize("key", ["kodak", "bsd300"])
def test_intervals_are_over_pictures_not_over_passes(tmp_path, key):
    """Half a 95 % interval of a mean is 1.96 standard errors; of symmetric values the bootstrap's is as wide to some %."""
    write_evaluation(tmp_path / "one", key, "")
    means = make_card.picture_means(tmp_path / "one" / "pictures.csv")
    count = PICTURES[key]
    np.testing.assert_allclose(means["psnr_pme"], psnrs(count, MEANS[key]), rtol=1e-12)
    low, high = make_card.interval(means["psnr_pme"])
    assert low < MEANS[key] < high
    assert (high - low) / 2 == pytest.approx(1.96 * 2 / math.sqrt(count), rel=0.1)
    assert make_card.interval(means["psnr_pme"]) == (low, high)


def test_ssim_is_shown_where_it_was_measured(tmp_path):
    with RunContext(tmp_path, "eval", {}) as run:
        rows = [[i, f"{i}.png", 20.0, 25.0 + i, 30.0 + i, 0.8 + i / 100] for i in range(9)]
        run.write_table("pictures.csv", ["index", "picture", "psnr_noisy", "psnr_mu", "psnr_pme", "ssim_pme"], rows)
    run = make_card.Run(tmp_path, {"options": {"precision": "bf16"}}, [])
    table = make_card.quality_table({"Kodak": run})
    assert "by `--eval --precision bf16`" in table
    head, _, row, *_ = table.splitlines()
    assert head == "|  | pictures | noisy, dB | PSNR, dB | 95 % interval | SSIM | 95 % interval |"
    assert row.startswith("| Kodak | 9 | 20.00 | 34.00 | ") and "| 0.8400 | 0.8" in row


def test_what_is_refused(runs, tmp_path):
    digest = file_sha256(tmp_path / "train" / f"network-final-{NAME}.pickle")
    *most, last = runs
    write_evaluation(tmp_path / "other", "kodak", "f00d")
    write_evaluation(tmp_path / "bf16", f"/somewhere/{make_card.CHECK}", digest, precision="bf16")
    (tmp_path / "unfinished").mkdir()
    wrong = {
        "none is on kodak; evaluate the network with --validation-set kodak": most,
        "other: is not of the network file of --train-run": [*most, str(tmp_path / "other")],
        "bf16: is not in float32": [*most, str(tmp_path / "bf16")],
        "unfinished: is no directory of a run that has ended": [*most, str(tmp_path / "unfinished")],
        "is of an evaluation; name the training's": [f"--train-run={last}", *runs[1:]],
    }
    for message, arguments in wrong.items():
        with pytest.raises(UserError, match=message):
            make_card.main(arguments)
    (tmp_path / "train" / f"network-final-{NAME}.pickle").unlink()
    with pytest.raises(UserError, match=f"there is no network-final-{NAME}.pickle in it"):
        make_card.main(runs)
    assert not (tmp_path / "out").exists()
