"""Finding the state to go on from, and putting the run's growing files back to it."""

import copy
import functools
import operator
import os

import numpy as np
import pytest

from dnnlib.denoising.data_options import NEWEST_RUN, NEWEST_UNFINISHED_RUN
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.training.resume import find_run, load_resumable
from dnnlib.denoising.training.state import TrainingState, load_newest_state, settled_sizes
from dnnlib.errors import UserError
from dnnlib.tflib.state_file import save_state

OPTIONS = TrainingOptions(num_iter=100).fixed_on_resume("gauss25-n2c", "f00d", "kodak")

REPORT = {"steps": [[1.0, 2.0, 3.0, 4.0, 5.0]], "skipped": 0, "in_a_row": 0, "seconds": 0.5}


def state(n: int, **changes) -> TrainingState:
    values = {"reported": True, "variables": {"w": np.full(3, n, np.float32)}, "report": REPORT, "options": OPTIONS}
    return TrainingState(images=n, **{**values, "files": {}, **changes})


def test_the_last_two_are_kept(tmp_path):
    for n in (0, 8, 120_000_000, 16):
        state(n).save(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["training-state-00000016.state", "training-state-120000000.state"]
    assert load_newest_state(tmp_path).images == 120_000_000


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign"])
def test_a_damaged_newest_state_is_reported_and_the_one_before_is_used(tmp_path, capsys, damage):
    state(4).save(tmp_path)
    state(8).save(tmp_path)
    newest = tmp_path / "training-state-00000008.state"
    content = newest.read_bytes()
    middle = len(content) // 2
    changed = {
        "truncated": content[:-1],
        "flipped": content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :],
        "empty": b"",
        "foreign": b"PK" + content,
    }
    newest.write_bytes(changed[damage])
    found = load_newest_state(tmp_path)
    assert found.images == 4
    assert found.variables["w"].tolist() == [4, 4, 4]
    assert "training-state-00000008.state is left aside" in capsys.readouterr().out


def test_no_state_that_can_be_read(tmp_path):
    with pytest.raises(UserError, match="--resume .* holds no training state"):
        load_newest_state(tmp_path)
    (tmp_path / "training-state-00000008.state").write_bytes(b"?")
    with pytest.raises(UserError, match="none of its 1 states can be read"):
        load_newest_state(tmp_path)


STRANGE = [None, True, -1, 1 << 70, 0.5, float("nan"), "a", "", [], {}, [[]], [["a"]], {"a": {}}, [[1.0], [1.0, 2.0]]]


def edits(value, place=()):
    """Yields the paths of all parts of a JSON value."""
    yield place
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from edits(part, (*place, key))


def test_whatever_is_edited_it_loads_or_one_line_says_why(tmp_path):
    """The checksum is made right again: each part in turn becomes each strange value, is left out, or gets a neighbour."""
    values = state(4, files={"stats.jsonl": 5})._asdict()
    variables = values.pop("variables")
    refused = 0
    for place in edits(values):
        for strange in [*STRANGE, "left out", "and more"]:
            changed = {"": copy.deepcopy(values)}
            *rest, last = "", *place
            parent = functools.reduce(operator.getitem, rest, changed)
            if strange == "left out":
                del parent[last]
            elif strange == "and more" and isinstance(parent, dict):
                parent["more"] = 1
            else:
                parent[last] = strange
            save_state(tmp_path / "training-state-00000004.state", variables, changed.get(""))
            try:
                load_resumable(tmp_path, OPTIONS).restore_files(tmp_path)
            except UserError as error:
                assert "\n" not in str(error)
                refused += 1
    assert refused > 500


@pytest.mark.parametrize("n", [2, 104, 108])
def test_a_state_of_so_many_images_as_the_training_never_has_seen(tmp_path, n):
    state(n).save(tmp_path)
    if n == 104:  # after the last step, of n = 100
        assert load_resumable(tmp_path, OPTIONS).images == 104
    else:
        with pytest.raises(UserError, match="its state is of no such training"):
            load_resumable(tmp_path, OPTIONS)


def test_a_full_disk_leaves_the_states_before(tmp_path, monkeypatch):
    state(4).save(tmp_path)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"00000008\.state: cannot be saved \(No space left on device\).*--resume"):
        state(8).save(tmp_path)
    assert os.listdir(tmp_path) == ["training-state-00000004.state"]


def test_growing_files_are_cut_back(tmp_path):
    (tmp_path / "stats.jsonl").write_text("one\n")
    (tmp_path / "events.out.tfevents.1.host").write_text("event")
    (tmp_path / "log.txt").write_text("said")
    sizes = settled_sizes(tmp_path)
    assert sizes == {"stats.jsonl": 4, "events.out.tfevents.1.host": 5}
    with open(tmp_path / "stats.jsonl", "a") as file:
        file.write("two\n")
    (tmp_path / "events.out.tfevents.2.host").write_text("a later event")
    state(4, files=sizes).restore_files(tmp_path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        "stats.jsonl": "one\n", "events.out.tfevents.1.host": "event", "log.txt": "said",
    }


def test_options_that_change_the_result_are_listed(tmp_path):
    state(4).save(tmp_path)
    assert load_resumable(tmp_path, OPTIONS).images == 4
    now = TrainingOptions(num_iter=200, seed=7, state_interval=3, max_skips=1)
    now = now.fixed_on_resume("gauss25-n2n", "f00d", "bsd300")
    with pytest.raises(UserError) as caught:
        load_resumable(tmp_path, now)
    text = str(caught.value)
    assert "--num-iter was 100 and is 200" in text and "--seed was 1 and is 7" in text and "--train was gauss25-n2c" in text
    assert "--validation-set was kodak and is bsd300" in text
    free = ("microbatch-size", "max-skips", "snapshot-every")
    free += ("print-interval", "eval-interval", "state-interval", "state-minutes")
    assert not any(name in text for name in free)


def make_run(folder, name: str, configuration: str):
    run = folder / name
    run.mkdir()
    (run / "training_options.json").write_text(f'{{"options": {{"train": "{configuration}"}}}}')
    return run


def test_the_newest_run_of_the_configuration(tmp_path):
    make_run(tmp_path, "00000-a", "gauss25-n2c")
    newest = make_run(tmp_path, "00003-b", "gauss25-n2c")
    make_run(tmp_path, "00004-c", "gauss25-n2n")
    (tmp_path / "00005-d").mkdir()
    (tmp_path / "00006-e").mkdir()
    (tmp_path / "00006-e" / "training_options.json").write_text("{")
    assert find_run(NEWEST_RUN, str(tmp_path), "gauss25-n2c") == newest
    with pytest.raises(UserError, match="no run of poisson30-n2c in"):
        find_run(NEWEST_RUN, str(tmp_path), "poisson30-n2c")


def test_auto_takes_the_newest_run_that_is_not_finished_or_none(tmp_path):
    assert find_run(NEWEST_UNFINISHED_RUN, str(tmp_path / "none"), "gauss25-n2c") is None
    make_run(tmp_path, "00000-finished", "gauss25-n2c")
    assert find_run(NEWEST_UNFINISHED_RUN, str(tmp_path), "gauss25-n2c") is None
    runs = [make_run(tmp_path, name, "gauss25-n2c") for name in ("00001-a", "00002-b")]
    runs.append(make_run(tmp_path, "00003-c", "gauss25-n2n"))
    for run in runs:
        state(4).save(run)
    make_run(tmp_path, "00004-d", "gauss25-n2c")
    assert find_run(NEWEST_UNFINISHED_RUN, str(tmp_path), "gauss25-n2c") == runs[1]


BROKEN = {
    "states that are damaged": lambda run: (run / "training-state-00000004.state").write_bytes(b"?"),
    "settings nested too deep": lambda run: settings(run).write_text("[" * 100_000),
    "settings that are none": lambda run: settings(run).write_text("[1]"),
    "settings that are no text": lambda run: settings(run).write_bytes(b"\xff\xfe"),
    "settings of a folder": lambda run: (settings(run).unlink(), settings(run).mkdir()),
    "settings of a pipe": lambda run: (settings(run).unlink(), os.mkfifo(settings(run))),
    "a link": lambda run: (run / "stats.jsonl").symlink_to("elsewhere"),
}


def settings(run):
    return run / "training_options.json"


@pytest.mark.parametrize("what", BROKEN)
def test_auto_names_a_broken_run_in_one_line_and_passes_over_it(tmp_path, capsys, what):
    whole, broken = (make_run(tmp_path, name, "gauss25-n2c") for name in ("00000-a", "00001-b"))
    for run in (whole, broken):
        state(4).save(run)
    BROKEN[what](broken)
    assert find_run(NEWEST_UNFINISHED_RUN, str(tmp_path), "gauss25-n2c") == whole
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"Warning: {broken} is passed over: ")
    for path in whole.iterdir():
        path.unlink()
    assert find_run(NEWEST_UNFINISHED_RUN, str(tmp_path), "gauss25-n2c") is None  # a new run begins
    if "settings" in what:
        with pytest.raises(UserError, match="no run of gauss25-n2c in"):
            find_run(NEWEST_RUN, str(tmp_path), "gauss25-n2c")


@pytest.mark.parametrize("name", ["stats.jsonl", "events.out.tfevents.1.host"])
def test_a_link_is_never_cut_back(tmp_path, name):
    """A file elsewhere would be; it stays as it is, and one line says what to do."""
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    elsewhere.write_text("of another")
    (run / name).symlink_to(elsewhere)
    saved = state(4, files={name: 2})
    saved.save(run)
    for refused in (lambda: load_resumable(run, OPTIONS), lambda: saved.restore_files(run)):
        with pytest.raises(UserError, match=f"--resume {run}: {name} is a link"):
            refused()
    assert elsewhere.read_text() == "of another"


def test_folders_where_files_are_expected(tmp_path):
    for name in (".stats.jsonl.12345678.tmp", "training-state-00000012.state"):
        (tmp_path / name).mkdir()
    for n in (0, 4, 8):  # the folder is not among the two that are kept
        state(n, files={"stats.jsonl": 0}).save(tmp_path)
    assert load_newest_state(tmp_path).images == 8
    state(4, files={"stats.jsonl": 0}).restore_files(tmp_path)
    assert load_newest_state(tmp_path).images == 4
    (tmp_path / "stats.jsonl").mkdir()
    with pytest.raises(UserError, match="--resume .*: stats.jsonl is a link or no file"):
        load_resumable(tmp_path, OPTIONS)


def test_a_finished_run_is_refused_but_an_aborted_one_is_not(tmp_path):
    run = make_run(tmp_path, "00000-a", "gauss25-n2c")
    for name in ("_finished.txt", "abort.txt", "network-00000004-gauss25-n2c.pickle"):
        (run / name).touch()
    assert find_run(str(run), "", "gauss25-n2c") == run
    (run / "network-final-gauss25-n2c.pickle").touch()
    with pytest.raises(UserError, match="finished"):
        find_run(str(run), "", "gauss25-n2c")
    with pytest.raises(UserError, match="no such run directory"):
        find_run(str(tmp_path / "none"), "", "gauss25-n2c")
