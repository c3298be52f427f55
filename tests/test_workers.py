"""Several processes train together, as one would; and what happens when one of them is lost."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from material import random_images, write_bare_shard, write_picture

from dnnlib.tflib.layout import free_addresses

ROOT = Path(__file__).resolve().parent.parent
NAME = "gauss25-blindspot-sigma_global"
OPTIONS = (
    f"--train {NAME} --train-h5 shard.h5 --validation-set own --train-resolution 32 --minibatch-size 4 --num-iter 200 "
    "--print-interval 20 --eval-interval 100 --state-interval 40 --num-gpus 0 --worker-timeout 10"
)
LIMIT = 240  # seconds, for machines that do other work
LOST = 75


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("workers")
    write_bare_shard(place / "shard.h5", random_images([(40, 50), (64, 33), (32, 32)]))
    for i in range(3):
        write_picture(place / "own" / f"{i}.png", 32, 30, seed=i)
    return place


@pytest.fixture(scope="module")
def alone(place) -> Path:
    """The run directory of 50 steps on one device. In float32, which several workers take unless told otherwise."""
    return finished(place, "alone", [start(place, "alone", "--precision", "float32")])


def start(place: Path, results: str, *more: str, program: Path = ROOT / "selfsupervised_denoising.py") -> subprocess.Popen:
    options = [*OPTIONS.split(), "--result-dir", results]
    launch = [*more, "--", *options] if program.name == "launch.py" else [*options, *more]
    out = open(place / f"{results}.txt", "a")  # noqa: SIM115 (the process has it)
    command = [sys.executable, str(program), *launch]
    return subprocess.Popen(command, cwd=place, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)


def workers(place: Path, results: str, count: int, *more: str, missing: int | None = None) -> list[subprocess.Popen]:
    addresses = ",".join(free_addresses(count))
    tasks = [task for task in range(count) if task != missing]
    return [start(place, results, "--workers", addresses, "--task", str(task), "--open-ports", *more) for task in tasks]


def finished(place: Path, results: str, processes: list[subprocess.Popen]) -> Path:
    text = place / f"{results}.txt"
    try:
        assert [process.wait(LIMIT) for process in processes] == [0] * len(processes), text.read_text()
    finally:
        kill(processes)
    (found,) = (place / results).glob("0*-*")
    return found


def kill(processes: list[subprocess.Popen]) -> None:
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(place: Path, results: str, pattern: str, processes: list[subprocess.Popen], times: int = 1) -> None:
    deadline = time.monotonic() + LIMIT
    while len(re.findall(pattern, (place / f"{results}.txt").read_text(), re.MULTILINE)) < times:
        assert all(process.poll() is None for process in processes), (place / f"{results}.txt").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def check_equal(one: Path, other: Path) -> None:
    """The same network, bit for bit, the same statistics and pictures."""
    file_name = f"network-final-{NAME}.pickle"
    assert (one / file_name).read_bytes() == (other / file_name).read_bytes()
    statistics = [[json.loads(line) for line in (d / "stats.jsonl").read_text().splitlines()] for d in (one, other)]
    for records in statistics:
        assert len(records) == 11 and all(record.pop("time") for record in records)
    assert statistics[0] == statistics[1]
    assert sorted(path.name for path in (one / "img").iterdir()) == sorted(path.name for path in (other / "img").iterdir())


@pytest.mark.slow
def test_a_lost_worker_and_a_restart_change_nothing(place, alone):
    """Two processes; one is killed; the launcher starts them again, and all ends as if one had done it alone."""
    launcher = start(place, "launched", "--local", "2", "--restarts", "1", program=ROOT / "tools" / "launch.py")
    try:
        wait_for(place, "launched", r"^ *60: time", [launcher])
        second = subprocess.run(["pgrep", "-P", str(launcher.pid), "-f", "--", "--task 1"], capture_output=True, text=True)
        os.kill(int(second.stdout), signal.SIGKILL)
        folder = finished(place, "launched", [launcher])
    finally:
        subprocess.run(["pkill", "-9", "-P", str(launcher.pid)])
        kill([launcher])
    text = (place / "launched.txt").read_text()
    assert len(re.findall(r"^Error: worker 1 \(127\.0\.0\.1:\d+\) was lost", text, re.MULTILINE)) == 1
    assert "starting again from the last state (1 of 1)" in text and re.search("from image [48]0$", text, re.MULTILINE)
    assert "error: worker 1" in (folder / "run.txt").read_text()
    check_equal(alone, folder)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_devices_of_one_process(place, alone, count):
    results = f"devices-{count}"
    process = start(place, results, "--cpu-devices", str(count), "--precision", "float32")
    check_equal(alone, finished(place, results, [process]))


@pytest.mark.slow
def test_an_evaluation_on_several_devices(place, alone):
    """The same digits and pictures, also where the last device has nothing left to do."""
    network = alone / f"network-final-{NAME}.pickle"
    found = []
    for count in (1, 2):
        program = [sys.executable, str(ROOT / "selfsupervised_denoising.py"), f"--eval={network}", "--validation-set=own"]
        devices = ["--num-gpus=0", f"--cpu-devices={count}", f"--result-dir=evaluated-{count}"]
        subprocess.run([*program, *devices], cwd=place, check=True)
        (folder,) = (place / f"evaluated-{count}" / "_eval").iterdir()
        pictures = {path.name: path.read_bytes() for path in (folder / "img").iterdir()}
        found.append([(folder / name).read_text() for name in ("stats.jsonl", "pictures.csv")] + [pictures])
    assert len(found[0][-1]) == 15
    assert found[0] == found[1]


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes(place, alone, count):
    results = f"processes-{count}"
    check_equal(alone, finished(place, results, workers(place, results, count)))


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_survivors_end_and_name_the_lost_one(place, which, number):
    results = f"lost-{which}-{int(number)}"
    processes = workers(place, results, 3, "--minibatch-size", "3", "--num-iter", "30000")
    try:
        wait_for(place, results, r"^ *21: time", processes)
        processes[which].send_signal(number)
        began = time.monotonic()
        survivors = [process for i, process in enumerate(processes) if i != which]
        assert [process.wait(60) for process in survivors] == [LOST, LOST], (place / f"{results}.txt").read_text()
        assert time.monotonic() - began < 45
    finally:
        kill(processes)
    lines = re.findall(r"^Error: (.*)", (place / f"{results}.txt").read_text(), re.MULTILINE)
    assert len(lines) == 2 and all(line.startswith(f"worker {which} (") for line in lines), lines


@pytest.mark.slow
def test_a_worker_that_never_starts(place):
    processes = workers(place, "absent", 2, missing=1)
    try:
        assert processes[0].wait(60) == LOST
    finally:
        kill(processes)
    assert re.search(r"^Error: worker 1 \(", (place / "absent.txt").read_text(), re.MULTILINE)


@pytest.mark.slow
def test_the_chief_killed_while_saving(place, alone):
    """It saves after every step; whenever it dies, the job goes on from a whole state."""
    results = "chief"
    for i in range(4):
        processes = workers(place, results, 2, "--state-interval", "1", "--resume", "auto")
        try:
            wait_for(place, results, r"^ *\d+: time", processes, times=2 * i + 1)
            time.sleep(0.13 * i)
            processes[0].kill()
            assert processes[1].wait(60) == LOST
        finally:
            kill(processes)
    check_equal(alone, finished(place, results, workers(place, results, 2, "--resume", "auto")))


@pytest.mark.slow
def test_a_signal_to_one_stops_all_and_loses_nothing(place, alone):
    processes = workers(place, "signal", 2)
    try:
        wait_for(place, "signal", r"^ *60: time", processes)
        processes[1].send_signal(signal.SIGTERM)
        assert [process.wait(60) for process in processes] == [143, 143]
    finally:
        kill(processes)
    (folder,) = (place / "signal").glob("0*-*")
    assert re.search(r"Stopped after \d+ images", (folder / "log.txt").read_text())
    one = ["--resume", "--cpu-devices", "2"]  # and another scale
    check_equal(alone, finished(place, "signal", [start(place, "signal", *one)]))
