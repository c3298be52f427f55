"""Run directories: ids, concurrency, refusals."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dnnlib.errors import UserError
from dnnlib.submission import run_dir
from dnnlib.submission.run_dir import check_result_dir, create_run_dir

REPOSITORY = Path(__file__).resolve().parents[1]


def test_ids_count_up_from_the_highest(tmp_path):
    results = tmp_path / "deep" / "results"
    assert create_run_dir(results, "a") == results / "00000-a"
    assert create_run_dir(str(results), "a") == results / "00001-a"
    (results / "00041-by-hand").mkdir()
    for other in ["_eval", "123-x", "0000099-x", "00077", "00078x", "x-00079-y", ".reserved-00080"]:
        (results / other).mkdir()
    (results / "20240101-notes.txt").write_text("")
    assert create_run_dir(results, "b") == results / "00042-b"
    assert (results / "00042-b").is_dir()
    assert not [name for name in os.listdir(results) if name.startswith(".reserved-00042")]


def test_reservation_of_a_killed_run_costs_one_id(tmp_path):
    (tmp_path / ".reserved-00000").mkdir()
    assert [create_run_dir(tmp_path, "a").name for _ in range(3)] == ["00001-a", "00002-a", "00003-a"]


def test_processes_that_start_together_get_different_ids(tmp_path):
    program = (
        "import os, sys, time\n"
        "from dnnlib.submission.run_dir import create_run_dir\n"
        "open(sys.argv[1] + '/ready-' + sys.argv[2], 'w').close()\n"
        "while not os.path.exists(sys.argv[1] + '/go'): time.sleep(0.001)\n"
        "for i in range(12): create_run_dir(sys.argv[1] + '/results', f'{sys.argv[2]}-{i}')\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    processes = [subprocess.Popen([*command, str(i)], cwd=REPOSITORY) for i in range(8)]
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("ready-*"))) < 8 and time.monotonic() < deadline:
        time.sleep(0.005)
    (tmp_path / "go").touch()
    assert [process.wait(60) for process in processes] == [0] * 8
    names = os.listdir(tmp_path / "results")
    assert sorted(int(name[:5]) for name in names) == list(range(96))  # no id twice, none left out, no reservations
    assert len({name[6:] for name in names}) == 96


def test_threads_that_start_together_get_different_ids_with_one_description(tmp_path):
    barrier = threading.Barrier(8)
    made = []

    def work():
        barrier.wait()
        made.extend(create_run_dir(tmp_path / "results", "same") for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in made) == [f"{i:05d}-same" for i in range(40)]


def test_creating_survives_a_check_that_removes_the_folder(tmp_path, monkeypatch):
    """A check of a missing folder makes it and removes it again, and may do so in the middle of another run's making."""
    results = tmp_path / "deep" / "results"
    listdir = os.listdir
    removals = 3

    def removed_just_now(path):
        nonlocal removals
        if removals:
            removals -= 1
            results.rmdir()
            results.parent.rmdir()
        return listdir(path)

    monkeypatch.setattr(run_dir.os, "listdir", removed_just_now)
    assert create_run_dir(results, "a") == results / "00000-a"
    assert removals == 0


def test_creating_beside_checks(tmp_path):
    stop = threading.Event()
    problems = []

    def keep_checking():
        try:
            while not stop.is_set():
                check_result_dir(tmp_path / "results")
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=keep_checking) for _ in range(2)]
    for thread in threads:
        thread.start()
    made = [create_run_dir(tmp_path / "results", "a").name for _ in range(20)]
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []
    assert made == tree(tmp_path / "results") == [f"{i:05d}-a" for i in range(20)]


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("result_dir", ["here", "here/not/yet", "not/yet/../at/all"])
def test_check_leaves_nothing_behind(tmp_path, result_dir):
    (tmp_path / "here" / "00000-a").mkdir(parents=True)
    check_result_dir(tmp_path / result_dir)
    assert tree(tmp_path) == ["here", "here/00000-a"]


def test_check_leaves_nothing_behind_where_it_fails_half_way(tmp_path):
    with pytest.raises(UserError, match="too long"):
        check_result_dir(tmp_path / "a" / "b" / ("x" * 300) / "c")
    assert tree(tmp_path) == []


def make(result_dir):
    create_run_dir(result_dir, "a")


@pytest.mark.parametrize("act", [make, check_result_dir])
class TestRefusals:
    @pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
    def test_file_in_the_way(self, tmp_path, act, below):
        (tmp_path / "results").write_text("mine")
        with pytest.raises(UserError, match=f"^--result-dir {tmp_path}/results.*a file is in the way"):
            act(tmp_path / "results" / below)
        assert (tmp_path / "results").read_text() == "mine"

    def test_dangling_link(self, tmp_path, act):
        (tmp_path / "results").symlink_to("nowhere")
        with pytest.raises(UserError, match="--result-dir"):
            act(tmp_path / "results")

    @pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc here")
    @pytest.mark.parametrize("folder", ["/proc", "/proc/results"])
    def test_file_system_that_takes_nothing(self, act, folder):
        with pytest.raises(UserError, match=f"^--result-dir {folder}: .*give a folder that you can write to$"):
            act(folder)

    @pytest.mark.parametrize(
        ("number", "text"),
        [
            (errno.EACCES, "Permission denied.*can write to"),
            (errno.EROFS, "Read-only.*can write to"),
            (errno.EIO, "error.*can write to"),
            (errno.ENOSPC, "free some space"),
            (errno.EDQUOT, "free some space"),
            (errno.ENAMETOOLONG, "too long"),
        ],
    )
    def test_what_the_system_refuses(self, tmp_path, monkeypatch, act, number, text):
        def refuse(path, *_, **__):
            raise OSError(number, os.strerror(number), os.fspath(path))

        monkeypatch.setattr(os, "mkdir", refuse)
        with pytest.raises(UserError, match=f"^--result-dir {tmp_path}: .*{text}"):
            act(tmp_path)
        assert tree(tmp_path) == []


def test_full_disk_that_still_takes_folders_is_noticed(tmp_path, monkeypatch):
    def no_space(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(UserError, match="--result-dir.*free some space"):
        check_result_dir(tmp_path / "results")
    assert tree(tmp_path) == []


def test_description_too_long_for_the_file_system(tmp_path):
    with pytest.raises(UserError, match="^--result-dir .* too long for this file system"):
        create_run_dir(tmp_path, "x" * 300)
    assert tree(tmp_path) == []  # the reservation too has gone


def test_ids_used_up(tmp_path):
    (tmp_path / "99999-a").mkdir()
    with pytest.raises(UserError, match="--result-dir.*used up"):
        create_run_dir(tmp_path, "b")
    assert tree(tmp_path) == ["99999-a"]


@pytest.mark.parametrize("description", ["", "a/b", "a\0b"])
def test_description_that_is_no_file_name(tmp_path, description):
    with pytest.raises(ValueError, match="file name"):
        create_run_dir(tmp_path / "results", description)
    assert tree(tmp_path) == []


def test_made_by_something_that_reserves_nothing(tmp_path, monkeypatch):
    """The name appears between the last look and the making: another id is taken."""
    mkdir = os.mkdir

    def overtaken(path, *args, **kwargs):
        mkdir(path, *args, **kwargs)
        if os.fspath(path).endswith("00000-a"):
            raise FileExistsError(errno.EEXIST, "File exists", os.fspath(path))

    monkeypatch.setattr(run_dir.os, "mkdir", overtaken)
    assert create_run_dir(tmp_path, "a").name == "00001-a"
