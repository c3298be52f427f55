"""A training that is killed, terminated or interrupted, and resumed, ends as if nothing had happened: bit for bit."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from material import random_images, write_bare_shard, write_picture
from programs import listening_to_ctrl_c, run_on_terminal

from dnnlib.tflib.runtime import tf

PROGRAM = Path(__file__).resolve().parent.parent / "selfsupervised_denoising.py"
NAME = "gauss5_50-n2n"
OPTIONS = (
    f"--train {NAME} --train-h5 shard.h5 --validation-set own --train-resolution 32 --recipe fast --minibatch-size 2 "
    "--num-iter 60 --print-interval 6 --eval-interval 20 --snapshot-every 30 --state-interval 5 --seed 3"
)
LIMIT = 300  # seconds, for machines that do other work


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("resume")
    write_bare_shard(place / "shard.h5", random_images([(40, 50), (64, 33), (32, 32)]))
    write_picture(place / "own" / "a.png", 32, 30)
    write_picture(place / "own" / "b.png", 20, 32)
    return place


@pytest.fixture(scope="module")
def undisturbed(place) -> Path:
    """Its stderr is a terminal: there is a progress bar, which the others lack."""
    status, text, bar = run_on_terminal(command("undisturbed"), place)
    assert status == 0, text + bar
    assert re.search(r"\r.*\d+/60 \[\d+:\d+<.*image/s, loss=.*psnr=.*\]", bar)
    folder = run_dir(place, "undisturbed")
    assert "image/s" not in text + (folder / "log.txt").read_text()
    return folder


def command(results: str, *more: str) -> list[str]:
    return [sys.executable, str(PROGRAM), *OPTIONS.split(), "--result-dir", results, *more]


def start(place: Path, results: str, *more: str) -> subprocess.Popen:
    with listening_to_ctrl_c():
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command(results, *more), cwd=place, **pipes)


def run_dir(place: Path, results: str) -> Path:
    (found,) = (place / results).glob("00000-*")
    return found


def stop_somewhere(process: subprocess.Popen, number: int, moment: random.Random) -> str:
    """Sends a signal some time after some printed line, or lets the process end before; returns what it printed."""
    text, lines = "", moment.randint(0, 4)
    for line in process.stdout:
        text += line
        if re.match(r" *\d+: time=", line):
            lines -= 1
        if lines < 0:
            break
    time.sleep(moment.uniform(0, 0.5))
    process.send_signal(number)
    rest, _ = process.communicate(timeout=LIMIT)
    return text + rest


def finish(place: Path, results: str) -> None:
    process = start(place, results, "--resume")
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0 or "finished" in output, output


def check_equal(one: Path, other: Path) -> None:
    """Networks, statistics, TensorBoard's curves and pictures: each step once, all values the same."""
    for name in ("network-final-{}.pickle", "network-00000030-{}.pickle"):
        assert (one / name.format(NAME)).read_bytes() == (other / name.format(NAME)).read_bytes()
    assert statistics(one) == statistics(other)
    assert scalars(one) == scalars(other)
    assert [p.name for p in sorted((one / "img").iterdir())] == [p.name for p in sorted((other / "img").iterdir())]
    assert (other / "_finished.txt").exists()


def statistics(folder: Path) -> list[dict]:
    records = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    assert all(record.pop("time") >= 0 for record in records)
    assert len(records) >= 10
    return records


def scalars(folder: Path) -> list[tuple]:
    values = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in tf.train.summary_iterator(str(path)):
            values += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
    assert len(values) == len({value[:2] for value in values})
    return sorted(values)


def kill_until_done(place: Path, results: str, times: int, seed: int) -> None:
    moment = random.Random(seed)
    stop_somewhere(start(place, results), signal.SIGKILL, moment)
    for i in range(times - 1):  # on one device or two: it makes no difference
        devices = ["--num-gpus", "0", "--cpu-devices", f"{1 + i % 2}"]
        stop_somewhere(start(place, results, "--resume", *devices), signal.SIGKILL, moment)
    finish(place, results)


def test_killed(place, undisturbed):
    kill_until_done(place, "killed", times=2, seed=1)
    check_equal(undisturbed, run_dir(place, "killed"))


@pytest.mark.slow
def test_killed_twenty_times(place, undisturbed):
    for seed in range(5):
        kill_until_done(place, f"killed-{seed}", times=4, seed=100 + seed)
        check_equal(undisturbed, run_dir(place, f"killed-{seed}"))


def test_terminated_and_interrupted(place, undisturbed):
    for number, status, more in ((signal.SIGTERM, 143, ()), (signal.SIGINT, 130, ("--resume",))):
        process = start(place, "stopped", *more)
        text = stop_somewhere(process, number, random.Random(int(number)))
        assert process.returncode == status, text
        assert "go on with --resume" in text and "Traceback" not in text
        assert not [name for name in os.listdir(run_dir(place, "stopped")) if name.endswith(".tmp")]
        assert "interrupted" in (run_dir(place, "stopped") / "run.txt").read_text()
    finish(place, "stopped")
    check_equal(undisturbed, run_dir(place, "stopped"))


def test_other_options_are_refused(place, undisturbed):
    process = start(place, "undisturbed", "--resume", "--seed", "4")
    output, _ = process.communicate(timeout=LIMIT)
    assert (process.returncode, output.count("\n")) == (1, 1)
    assert "finished" in output
