"""--eval --compare-with: other networks on the same noisy pictures, and earlier evaluations of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from material import write_network, write_picture
from programs import run_here

from dnnlib.errors import UserError

NAME = "gauss25-blindspot-sigma_global-mono"
OTHER = "gauss25-n2c-mono"
EVAL = f"--eval network-final-{NAME}.pickle --validation-set own"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with networks and pictures."""
    folder = tmp_path_factory.mktemp("place")
    for i in range(2):
        write_picture(folder / "own" / f"{i}.png", 33, 40 + i, seed=i)
        write_picture(folder / "others" / f"{i}.png", 33, 40 + i, seed=i + 5)
    for name in (NAME, OTHER, "gauss5_50-n2c-mono", "gauss25-n2c"):
        write_network(folder / f"network-final-{name}.pickle", name)
    return folder


def record_in(results: Path) -> Path:
    (found,) = (results / "_eval").glob("*/evaluation.json")
    return found


@pytest.fixture(scope="module")
def earlier(place):
    """The evaluation.json of the other network."""
    run_here(place, f"--eval network-final-{OTHER}.pickle --validation-set own --result-dir earlier")
    return record_in(place / "earlier")


def test_a_network_and_its_earlier_evaluation_come_to_the_same(place, earlier):
    """The noise of both is the same, so both differ from the first by the same, which is that of their figures."""
    done = run_here(place, f"{EVAL} --result-dir now --compare-with network-final-{OTHER}.pickle {earlier}")
    content = json.loads(record_in(place / "now").read_text())
    measured, read = content["compared_with"]
    assert measured["values"]["psnr_pme"] == read["values"]["psnr_pme"] and measured["differences"] == read["differences"]
    assert measured["sha256"] == read["sha256"] and measured["name"] == f"network-final-{OTHER}.pickle"
    assert read["name"] == f"network-final-{OTHER}.pickle [00000]"
    both = [np.array(each["values"]["psnr_pme"]) for each in (content, measured)]
    assert measured["differences"]["psnr_pme"]["mean"] == pytest.approx(np.mean(both[0] - both[1]))
    assert content["values"]["psnr_noisy"] == measured["values"]["psnr_noisy"]
    assert list(measured["differences"]) == ["psnr_pme", "ssim_pme"]  # and no likelihood, which the other has not got
    lines = done.stdout.splitlines()
    assert "Of 2 pictures no difference can be told: p is never below 0.5" in lines
    assert lines[-2] == f"RESULT {content['measures']['psnr_pme']['mean']:8.4f}"


def changed(earlier: Path, to: Path, **data) -> Path:
    """Writes an evaluation.json that says it is of other data."""
    content = json.loads(earlier.read_text())
    content["data"] |= data
    values = content["data"]["repetitions"] * [0.0] * len(content["data"]["pictures"])
    content["values"] = dict.fromkeys(content["values"], values)
    to.write_text(json.dumps(content))
    return to


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"noise": "poisson30"}, r"is of another noise \(poisson30, not gauss25\)"),
        ({"repetitions": 10}, r"is of another number of repetitions \(10, not 1\)"),
        ({"sha256": "f00d"}, r"is of another data set \(other pictures than own has now\)"),
        ({"sha256": "f00d", "validation_set": "kodak"}, r"is of another data set \(kodak, not own\)"),
        ({"channels": 3}, r"is of another number of channels \(3, not 1\)"),
    ],
)
def test_other_data_are_refused_before_anything_is_made(place, earlier, tmp_path, data, said):
    path = changed(earlier, tmp_path / "a.json", **data)
    with pytest.raises(UserError, match=rf"--compare-with {path}: {said}: name a network file instead, or leave it out"):
        run_here(place, f"{EVAL} --result-dir refused --compare-with {path}")
    assert not (place / "refused").exists()


def test_other_pictures_under_the_same_name_are_refused(place, earlier):
    with pytest.raises(UserError, match=r"is of another data set \(own, not others\)"):
        run_here(place, f"--eval network-final-{NAME}.pickle --validation-set others --compare-with {earlier}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("network-final-gauss5_50-n2c-mono.pickle", r"is a network for other noise \(gauss5_50, not gauss25\)"),
        ("network-final-gauss25-n2c.pickle", r"is a network for other channels \(3, not 1\)"),
        ("nowhere.pickle", "there is no such file"),
        ("nowhere.json", "is no evaluation.json"),
    ],
)
def test_what_cannot_be_compared(place, given, said):
    with pytest.raises(UserError, match=f"--compare-with {given}: {said}"):
        run_here(place, f"{EVAL} --compare-with {given} --dry-run")
