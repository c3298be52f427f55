"""The log of a run: what is copied, what is left out, and what happens when the disk is full."""

import errno
import io
import os
import sys
import threading

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tqdm import tqdm

from dnnlib.errors import UserError
from dnnlib.submission.run_context import RunContext
from dnnlib.submission.run_log import LineFile, RunLog

needs_full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full to stand in for a full disk")


def enter(run_dir, **options):
    return RunContext(run_dir, "train gauss25-n2c", options)


def log_of(folder):
    return (folder / "log.txt").read_bytes().decode("utf-8")


class Stream(io.StringIO):
    """A stream that counts flushes."""

    flushes = 0

    def flush(self):
        self.flushes += 1
        super().flush()


def test_everything_printed_is_logged_and_still_printed(tmp_path, capsys):
    print("before")
    with enter(tmp_path):
        print("one\ntwo")
        print("warning", file=sys.stderr)
        print("half", end="")
        assert log_of(tmp_path) == "one\ntwo\nwarning\n"  # at once, and whole lines only
        print(" line")
        sys.stdout.writelines(["a\n", "\n", "b\n"])
        print("unfinished", end="")
    print("after")
    assert log_of(tmp_path) == "one\ntwo\nwarning\nhalf line\na\n\nb\nunfinished\n"
    printed = capsys.readouterr()
    assert printed.out == "before\none\ntwo\nhalf line\na\n\nb\nunfinishedafter\n"
    assert printed.err == "warning\n"


def test_streams_are_flushed_by_line_and_given_back(tmp_path, monkeypatch):
    out, err = Stream(), Stream()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with enter(tmp_path):
        tee = sys.stdout
        print("x", end="")
        assert out.flushes == 0
        print("y")
        assert out.flushes == 1
        assert tee.isatty() is False
        assert tee.write("12345") == 5
    assert (sys.stdout, sys.stderr) == (out, err)
    print("late", file=tee)  # e.g. a logging handler that has kept the stream
    assert log_of(tmp_path) == "xy\n12345\n"
    assert out.getvalue() == "xy\n12345late\n"


def test_streams_that_the_shell_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with enter(tmp_path):
        print("nobody there")
        print("seen", file=sys.stderr)
    assert sys.stdout is None
    assert log_of(tmp_path) == "seen\n"


@pytest.mark.parametrize("leave", [True, False])
def test_progress_bars_are_not_logged(tmp_path, leave):
    with enter(tmp_path):
        print("before", file=sys.stderr)
        for i in tqdm(range(5), leave=leave, mininterval=0, ncols=50):
            if i == 2:
                tqdm.write("between", file=sys.stderr)
                print("on stdout")
        print("after", file=sys.stderr)
        print("ends as on Windows\r\n", end="")
        print("many\nover\rwritten\nlines")
    assert log_of(tmp_path) == "before\nbetween\non stdout\nafter\nends as on Windows\nmany\nlines\n"


def test_any_encoding(tmp_path, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with enter(tmp_path, folder="\udcff"):
        print("grün \udcff")
        sys.stdout.flush()
    assert raw.getvalue() == b"gr\\xfcn \\udcff\n"
    assert log_of(tmp_path) == "grün \\udcff\n"


def test_lines_of_many_threads_stay_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    barrier = threading.Barrier(8)

    def work(name):
        barrier.wait()
        for i in range(100):
            print(name, i, end="")
            print(" end of", name, i)

    with enter(tmp_path) as run:
        threads = [threading.Thread(target=work, args=(name,)) for name in "abcdefgh"]
        for thread in threads:
            thread.start()
        for i in range(100):
            run.append_stats({"n": i})
        for thread in threads:
            thread.join()
    lines = log_of(tmp_path).splitlines()
    assert sorted(lines) == sorted(f"{name} {i} end of {name} {i}" for name in "abcdefgh" for i in range(100))


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.text("ab\né\udc80 ", max_size=6)), max_size=12))
def test_log_has_each_streams_lines(tmp_path, pieces):
    path = tmp_path / "log.txt"
    path.unlink(missing_ok=True)
    log = RunLog(path)
    for stream, text in pieces:
        log.write(stream, text)
    assert path.read_bytes()[-1:] in (b"", b"\n")
    log.finish()
    wanted = []
    for number in (0, 1):
        *lines, last = "".join(text for stream, text in pieces if stream == number).split("\n")
        wanted += lines + ([last] if last else [])
    expected = [line.encode("utf-8", "backslashreplace") for line in wanted]
    assert sorted(path.read_bytes().split(b"\n")[:-1]) == sorted(expected)


@needs_full_device
def test_full_disk_is_one_user_error(tmp_path, capsys):
    (tmp_path / "log.txt").symlink_to("/dev/full")
    with pytest.raises(UserError, match="log.txt: cannot be written .*space"), enter(tmp_path):
        print("first")
    assert "error: " in (tmp_path / "run.txt").read_text()
    assert not (tmp_path / "_finished.txt").exists()
    assert capsys.readouterr().out == "first\n"
    print("works on")
    assert capsys.readouterr().out == "works on\n"


@needs_full_device
def test_printing_the_error_itself_does_not_fail_again(tmp_path, capsys):
    """The error was swallowed where it came up: printing works on, and the end of the run says it once more."""
    (tmp_path / "log.txt").symlink_to("/dev/full")
    with pytest.raises(UserError, match="log.txt"), enter(tmp_path):
        try:
            print("first")
        except UserError as error:
            print(error, file=sys.stderr)
        print("second")
    printed = capsys.readouterr()
    assert printed.out == "first\nsecond\n"
    assert "log.txt" in printed.err
    assert not (tmp_path / "_finished.txt").exists()


@needs_full_device
def test_full_disk_does_not_hide_the_runs_own_error(tmp_path):
    (tmp_path / "log.txt").symlink_to("/dev/full")
    with pytest.raises(ZeroDivisionError), enter(tmp_path):
        1 / 0  # noqa: B018
    assert "failed: ZeroDivisionError" in (tmp_path / "run.txt").read_text()


@needs_full_device
def test_statistics_on_a_full_disk(tmp_path):
    (tmp_path / "stats.jsonl").symlink_to("/dev/full")
    with enter(tmp_path) as run:
        for _ in range(2):
            with pytest.raises(UserError, match="stats.jsonl: cannot be written"):
                run.append_stats({"n": 0})


def test_half_a_line_is_taken_back(tmp_path):
    """A disk that fills up takes a part of the line first."""
    with LineFile(tmp_path / "lines") as file:
        file.append("whole")
        real = file._file

        class NearlyFull:
            writes = 0

            def write(self, data):
                self.writes += 1
                if self.writes > 1:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return real.write(data[:3])

            def __getattr__(self, name):
                return getattr(real, name)

        file._file = NearlyFull()
        with pytest.raises(UserError, match="lines: cannot be written"):
            file.append("does not fit")
        file._file = real
        file.append("again")
    assert (tmp_path / "lines").read_text() == "whole\nagain\n"


def test_a_write_in_parts_gives_the_whole_line(tmp_path):
    with LineFile(tmp_path / "lines") as file:
        real = file._file

        class Slow:
            def write(self, data):
                return real.write(data[:3])

            def __getattr__(self, name):
                return getattr(real, name)

        file._file = Slow()
        file.append("a long line")
        file._file = real
    assert (tmp_path / "lines").read_text() == "a long line\n"


@pytest.mark.parametrize("length", [0, 1, 1 << 16, (1 << 16) + 1, 200_000])
def test_what_a_killed_program_left_of_a_line_goes(tmp_path, length):
    path = tmp_path / "lines"
    for before in ("", "first\n", "x" * 70_000 + "\n"):
        path.write_text(before + "y" * length)
        with LineFile(path) as file:
            file.append("next")
        assert path.read_text() == before + "next\n"


@pytest.mark.parametrize("name", ["run.txt", "log.txt", "options.txt", "_finished.txt"])
def test_folder_in_the_way_of_a_file(tmp_path, name):
    (tmp_path / name).mkdir()
    streams = sys.stdout, sys.stderr
    with pytest.raises(UserError, match=f"{name}: cannot be written"), enter(tmp_path):
        pass
    assert (sys.stdout, sys.stderr) == streams


@pytest.mark.parametrize("name", ["log.txt", "stats.jsonl"])
def test_lines_are_not_added_through_a_link(tmp_path, name):
    """What an unfinished last line seems to be would be cut off a file elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("no line end")
    (tmp_path / name).symlink_to(elsewhere)
    with pytest.raises(UserError, match=f"{name}: is a link or no file"), RunContext(tmp_path, "train", {}) as run:
        run.append_stats({"n": 1})
    assert elsewhere.read_text() == "no line end"


def test_pipes_in_the_way_of_files(tmp_path):
    os.mkfifo(tmp_path / "run.txt")  # is replaced
    with RunContext(tmp_path, "train", {}):
        pass
    assert "finished" in (tmp_path / "run.txt").read_text()
    os.unlink(tmp_path / "log.txt")
    os.mkfifo(tmp_path / "log.txt")
    with pytest.raises(UserError, match="log.txt: is a link or no file"), RunContext(tmp_path, "train", {}):
        pass


def test_run_directory_that_vanishes(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(UserError, match="run.txt: cannot be written"), enter(folder) as run:
        for entry in folder.iterdir():
            entry.unlink()
        folder.rmdir()
        with pytest.raises(UserError, match="stats.jsonl"):
            run.append_stats({})
