"""A run's books: how it began and ended, its statistics and settings. (Run directories and logs: test_submission_*.py.)"""

import errno
import io
import json
import math
import os
import re
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dnnlib.errors import UserError
from dnnlib.submission import environment
from dnnlib.submission.run_context import RunContext

REPOSITORY = Path(__file__).resolve().parents[1]


def enter(run_dir, **options):
    return RunContext(run_dir, "train gauss25-n2c", options)


def log_of(folder):
    return (folder / "log.txt").read_bytes().decode("utf-8")


def test_clean_end(tmp_path):
    with enter(tmp_path):
        text = (tmp_path / "run.txt").read_text()
        date = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"
        assert re.search(rf"^task: +train gauss25-n2c\nhost: +.+\npid: +{os.getpid()}\nstarted: +{date}\n$", text)
        assert not (tmp_path / "_finished.txt").exists()
    assert re.search(rf"^stopped: +{date}\nended: +finished$", (tmp_path / "run.txt").read_text(), re.MULTILINE)
    assert (tmp_path / "_finished.txt").exists()
    assert sorted(os.listdir(tmp_path)) == ["_finished.txt", "log.txt", "options.txt", "run.txt"]


def ended(folder):
    return re.findall(r"^ended: +(.*)$", (folder / "run.txt").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("error", "in_run_txt", "in_log"),
    [
        (KeyboardInterrupt(), "interrupted", r"^Interrupted\.$"),
        (UserError("--train-h5 x: no\nsuch file"), "error: --train-h5 x: no such file", r"^Error: --train-h5 x: no such"),
        (ValueError("bad\nthing"), "failed: ValueError: bad thing", r"(?s)^Traceback .*raise error.*ValueError: bad\nthing"),
        (SystemExit(3), "failed: SystemExit: 3", r"^SystemExit: 3$"),
        (MemoryError(), "failed: MemoryError: MemoryError", r"^MemoryError$"),
    ],
)
def test_ends_with_an_error(tmp_path, capsys, error, in_run_txt, in_log):
    streams = sys.stdout, sys.stderr
    (tmp_path / "_finished.txt").write_text("of an earlier run here")
    with pytest.raises(type(error)) as caught, enter(tmp_path):
        print("started", end="")
        raise error
    assert caught.value is error
    assert (sys.stdout, sys.stderr) == streams
    assert ended(tmp_path) == [in_run_txt]
    assert not (tmp_path / "_finished.txt").exists()
    assert log_of(tmp_path).startswith("started\n")
    assert re.search(in_log, log_of(tmp_path).removeprefix("started\n"), re.MULTILINE)
    assert capsys.readouterr().err == ""  # the terminal gets it from whoever catches it


def test_exit_with_status_0_is_a_clean_end(tmp_path):
    with pytest.raises(SystemExit), enter(tmp_path):
        sys.exit(0)
    assert ended(tmp_path) == ["finished"]
    assert (tmp_path / "_finished.txt").exists()


def test_a_run_outlives_the_reader_of_its_output(tmp_path, monkeypatch):
    class Pipe(io.StringIO):
        def write(self, _text):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", Pipe())
    with enter(tmp_path):
        print("nobody reads this")
        print("nor this", flush=True)
    assert log_of(tmp_path) == "nobody reads this\nnor this\n"
    assert ended(tmp_path) == ["finished"]


def test_abort(tmp_path):
    with enter(tmp_path) as run:
        assert not run.abort_requested()
        (tmp_path / "abort.txt").touch()
        assert run.abort_requested()
        (tmp_path / "abort.txt").unlink()
        assert run.abort_requested()  # said once, it is said
    assert ended(tmp_path) == ["finished, early because of abort.txt"]
    assert (tmp_path / "_finished.txt").exists()


def test_an_abort_of_the_time_before_is_forgotten(tmp_path):
    (tmp_path / "abort.txt").touch()
    with enter(tmp_path) as run:
        run.forget_abort()
        run.forget_abort()
        assert not run.abort_requested()
        (tmp_path / "abort.txt").mkdir()
        with pytest.raises(UserError, match="abort.txt: cannot be written"):
            run.forget_abort()


def test_second_run_in_the_same_directory(tmp_path):
    with pytest.raises(KeyboardInterrupt), enter(tmp_path) as run:
        print("first")
        run.append_stats({"n": 0})
        raise KeyboardInterrupt
    with enter(tmp_path) as run:
        print("second")
        run.append_stats({"n": 4})
    assert ended(tmp_path) == ["interrupted", "finished"]
    assert log_of(tmp_path) == "first\nInterrupted.\nsecond\n"
    assert (tmp_path / "stats.jsonl").read_text() == '{"n": 0}\n{"n": 4}\n'


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(st.characters(categories=["L", "N", "Z", "Cc", "Cs"]), max_size=8),
    st.floats(width=32).map(np.float32),
    st.floats().map(np.float64),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.booleans().map(np.bool_),
    st.lists(st.floats(width=16), max_size=3).map(lambda x: np.array(x, np.float16)),
)
names = st.text(max_size=3)
values = st.recursive(scalars, lambda x: st.lists(x, max_size=3) | st.dictionaries(names, x, max_size=3), max_leaves=6)


def same(read, given_value):
    """Whether a value read back is the one written, with null for what is not finite."""
    if isinstance(given_value, (np.generic, np.ndarray)):
        given_value = given_value.tolist()
    if isinstance(given_value, dict):
        return read.keys() == given_value.keys() and all(same(read[key], given_value[key]) for key in read)
    if isinstance(given_value, list):
        return len(read) == len(given_value) and all(map(same, read, given_value))
    if isinstance(given_value, float) and not math.isfinite(given_value):
        return read is None
    return type(read) is type(given_value) and read == given_value


def no_constants(name):
    raise AssertionError(f"{name} is not JSON")


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=5), values, max_size=4), max_size=4))
def test_statistics_are_json_lines(tmp_path, records):
    path = tmp_path / "stats.jsonl"
    path.unlink(missing_ok=True)
    run = RunContext(tmp_path, "t", {})
    for record in records:
        run.append_stats(record)
    text = path.read_bytes().decode("ascii") if records else ""
    assert text.count("\n") == len(records)
    for line, record in zip(text.splitlines(), records, strict=True):
        assert same(json.loads(line, parse_constant=no_constants), record)


def test_statistics_from_many_threads(tmp_path):
    run = RunContext(tmp_path, "t", {})

    def work(name):
        for i in range(40):
            run.append_stats({"name": name, "i": i, "text": "x" * 500})

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = [json.loads(line) for line in (tmp_path / "stats.jsonl").read_text().splitlines()]
    assert sorted((record["name"], record["i"]) for record in records) == [(name, i) for name in range(6) for i in range(40)]


def test_statistics_that_are_not_json_are_a_bug(tmp_path):
    run = RunContext(tmp_path, "t", {})
    for value in (object(), 1j, b"x", {1, 2}):
        with pytest.raises(TypeError, match="not a JSON value"):
            run.append_stats({"x": value})
    assert not (tmp_path / "stats.jsonl").exists()
    assert environment.jsonable(np.longdouble(1.5)) == 1.5
    assert environment.jsonable({1: (np.nan, Path("a/b"))}) == {"1": [None, "a/b"]}


def test_options(tmp_path):
    with enter(tmp_path, learning_rate=3e-4, dataset_dir=Path("data sets")):
        text = (tmp_path / "options.txt").read_text()
        assert re.search(r"^  learning_rate: +0.0003\n  dataset_dir: +data sets$", text, re.MULTILINE)
    with enter(tmp_path, train_h5="a\nseed: 5", minibatch=np.int64(4), resume=None, sizes=(1, 2)) as run:
        run.write_options(device="a card")
    data = json.loads((tmp_path / "training_options.json").read_text())
    assert data["options"] == {"train_h5": "a\nseed: 5", "minibatch": 4, "resume": None, "sizes": [1, 2]}
    assert data["task"] == "train gauss25-n2c"
    assert data["packages"].keys() == {"python", "tensorflow", "numpy", "h5py", "pillow", "scipy", "scikit-image"}
    assert data["packages"]["numpy"] == np.__version__
    assert data["packages"]["python"] == sys.version.split()[0]
    assert data["cpu_count"] == os.cpu_count()
    assert data["command_line"] == sys.orig_argv
    assert data["host"]
    assert data["device"] == "a card"
    text = (tmp_path / "options.txt").read_text()
    lines = [" ".join(line.split()) for line in text.splitlines() if line.startswith("  ")]
    assert lines[:4] == [r"train_h5: 'a\nseed: 5'", "minibatch: 4", "resume: none", "sizes: 1, 2"]
    assert f"numpy: {np.__version__}" in lines
    assert (tmp_path / "training_options.json").read_text().startswith('{\n  "task": ')


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    result = subprocess.run(["git", "-C", folder, *identity, *arguments], env=environ, capture_output=True, check=True)
    return result.stdout.decode().strip()


def test_commit(tmp_path, monkeypatch):
    try:
        git(tmp_path, "init")
    except FileNotFoundError:
        pytest.skip("git is not installed")
    environment.git_commit.cache_clear()
    assert environment.git_commit(tmp_path) is None  # nothing committed
    git(tmp_path, "commit", "--allow-empty", "--no-verify", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "inside").mkdir()
    environment.git_commit.cache_clear()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))  # as inside a hook
    assert re.fullmatch("[0-9a-f]{40}", commit)
    assert environment.git_commit(tmp_path) == commit
    assert environment.git_commit(tmp_path / "inside") is None  # somebody else's repository around the program
    monkeypatch.setattr(environment, "PROGRAM_DIR", tmp_path)
    assert environment.environment()["git_commit"] == commit


def test_no_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    environment.git_commit.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "git_commit" not in environment.environment()
    environment.git_commit.cache_clear()


def test_versions_are_told_without_importing_the_packages():
    program = (
        "import sys, dnnlib.submission.run_context, dnnlib.submission.run_dir\n"
        "from dnnlib.submission.environment import environment\n"
        "environment()\n"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'numpy', 'h5py', 'PIL')))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY).returncode == 0
