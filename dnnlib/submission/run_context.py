"""Keeps a run directory's books: the log, when and how the run began and ended, its settings and statistics (SPEC 11)."""

import contextlib
import csv
import datetime
import io
import json
import os
import platform
import sys
import threading
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from dnnlib.errors import UserError, one_line
from dnnlib.files import is_own_file, write_text
from dnnlib.submission.directory_lock import DirectoryLock
from dnnlib.submission.environment import environment, jsonable, settings_json, settings_text
from dnnlib.submission.run_log import LineFile, RunLog, Tee, cannot_write


class RunContext:
    """Keeps the books of a run in `run_dir`, which must exist, as a context manager around it.

    While it is entered, what Python prints to sys.stdout and sys.stderr also goes to `log.txt`, whole lines at a time and
    without progress bars; should an error end the run, its traceback (or, for a UserError, its line) goes there too.
    `run.txt` tells task, host, process, start, stop and how the run ended: `finished`, `interrupted`, `error: ...` for a
    UserError, or `failed: ...` for anything else. `options.txt` holds the settings as text. `_finished.txt` is there
    after a clean end only. Errors are recorded and passed on.

    A directory may be entered again (a resumed run): log and statistics go on, `run.txt` gets a second entry.

    Where a file cannot be written, a UserError names it: on entering, from a `print` (once), from the methods, or at the
    end, unless another error is already on its way.
    """

    def __init__(self, run_dir: str | os.PathLike, task: str, options: dict):
        """Takes the run's task, e.g. "train gauss25-n2c", and its settings by name, of types that `jsonable` takes."""
        self.run_dir = Path(run_dir)
        self._task = task
        self._options = options
        self._stats_lock = threading.Lock()
        self._earlier_entries = ""
        self._started = ""
        self._abort_seen = False

    def __enter__(self) -> "RunContext":
        """Locks the directory, writes the first entries, and begins to log. Raises UserError where that cannot be."""
        # The books.
        self._started = _now()
        self._lock = DirectoryLock(self.run_dir)
        try:
            self._remove("_finished.txt")
            self._earlier_entries = self._read_earlier_entries()
        except OSError as error:
            raise cannot_write(error.filename or self.run_dir, error) from error
        self._write_entry()
        self._write("options.txt", settings_text(self._settings()))
        # The log.
        self._log = RunLog(self.run_dir / "log.txt")
        self._streams = sys.stdout, sys.stderr
        # A stream is None where the shell closed it (`>&-`); then there is nothing to print on either.
        sys.stdout, sys.stderr = (
            None if stream is None else Tee(stream, self._log, number) for number, stream in enumerate(self._streams)
        )
        return self

    def __exit__(self, _kind, error: BaseException | None, _trace) -> None:
        sys.stdout, sys.stderr = self._streams
        try:
            self._close_books(error)
        finally:
            self._lock.close()

    def _close_books(self, error: BaseException | None) -> None:
        """Ends the log, and writes how the run ended; raises what goes wrong with that, unless `error` ended the run."""
        failure = None if isinstance(error, SystemExit) and error.code in (None, 0) else error
        try:
            self._log.finish(_closing_text(failure))
        except UserError as problem:
            failure = failure or problem
        try:
            self._write_entry(stopped=_now(), ended=self._how_it_ended(failure))
            if failure is None:
                self._write("_finished.txt", f"{_now()}\n")
        except UserError as problem:
            failure = failure or problem
        if failure is not None and failure is not error:
            raise failure

    def abort_requested(self) -> bool:
        """Returns whether somebody has put a file named `abort.txt` into the directory."""
        self._abort_seen = self._abort_seen or os.path.exists(self.run_dir / "abort.txt")
        return self._abort_seen

    def forget_abort(self) -> None:
        """Removes `abort.txt`, of the time before: to go on with a run is to want it to go on. Raises UserError."""
        try:
            self._remove("abort.txt")
        except OSError as error:
            raise cannot_write(self.run_dir / "abort.txt", error) from error

    def append_stats(self, record: dict) -> None:
        """Appends one JSON object as a line to `stats.jsonl`. Numpy scalars are welcome; NaN and infinities become null."""
        line = json.dumps(jsonable(record), allow_nan=False)
        with self._stats_lock, LineFile(self.run_dir / "stats.jsonl") as file:
            file.append(line)

    def write_table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
        """Writes a CSV file (RFC 4180) with a line of column names."""
        text = io.StringIO()
        csv.writer(text).writerows([columns, *rows])
        self._write(name, text.getvalue())

    def write_json(self, name: str, content: dict) -> None:
        """Writes an object as JSON, atomically; NaN and infinities become null."""
        self._write(name, settings_json(content))

    def write_options(self, **facts) -> None:
        """Writes the options as JSON to `training_options.json`, and as text to `options.txt`.

        The JSON object has `options` and, about this process, `packages`, `host`, `cpu_count`, `command_line`, where
        the program lies in a git checkout `git_commit`, and the `facts` (device=...).
        """
        settings = self._settings(**facts)
        self._write("training_options.json", settings_json(settings))
        self._write("options.txt", settings_text(settings))

    def _settings(self, **facts) -> dict:
        """Returns all that is put down of a run's settings, with facts that only this run knows."""
        return {"task": self._task, "options": self._options, **environment(), **facts}

    def _how_it_ended(self, failure: BaseException | None) -> str:
        """Returns what `run.txt` says of the end."""
        if failure is None:
            return "finished, early because of abort.txt" if self._abort_seen else "finished"
        if isinstance(failure, KeyboardInterrupt):
            return "interrupted"
        if isinstance(failure, UserError):
            return f"error: {one_line(failure)}"
        return f"failed: {type(failure).__name__}: {one_line(failure)}"

    def _write_entry(self, **end: str) -> None:
        """Writes this run's entry in `run.txt`, behind those of earlier ones. end: what is known of it at the end."""
        entry = {"task": self._task, "host": platform.node(), "pid": os.getpid(), "started": self._started, **end}
        self._write("run.txt", self._earlier_entries + settings_text(entry))

    def _read_earlier_entries(self) -> str:
        """Returns what `run.txt` says of earlier runs in this directory."""
        path = self.run_dir / "run.txt"
        try:
            return path.read_text("utf-8", "replace") + "\n" if is_own_file(path) else ""
        except FileNotFoundError:
            return ""

    def _remove(self, name: str) -> None:
        """Removes a file of the directory, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.run_dir / name)

    def _write(self, name: str, text: str) -> None:
        """Writes a text file of the directory. Raises UserError where it cannot be written."""
        path = self.run_dir / name
        try:
            write_text(path, text)
        except OSError as error:
            raise cannot_write(path, error) from error


def _now() -> str:
    """Returns local time with its distance from UTC, to the second."""
    return datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")


def _closing_text(failure: BaseException | None) -> str | None:
    """Returns what the terminal will show of an error once the streams are the old ones again."""
    if failure is None:
        return None
    if isinstance(failure, UserError):
        return f"Error: {one_line(failure)}"
    if isinstance(failure, KeyboardInterrupt):
        return "Interrupted."
    return "".join(traceback.format_exception(failure)).rstrip("\n")
