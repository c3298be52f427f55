"""Files that grow by whole lines, and the tee that copies what a program prints into such a file."""

import contextlib
import os
import stat
import threading
from pathlib import Path
from typing import TextIO

from dnnlib.errors import UserError, one_line
from dnnlib.files import is_own_file

_BLOCK = 1 << 16


def cannot_write(path: str | os.PathLike, error: OSError) -> UserError:
    """Returns the one line for a file of the run directory that could not be written."""
    reason = error.strerror or one_line(error)
    return UserError(f"{os.fspath(path)}: cannot be written ({reason}); free some space, or give another --result-dir")


class LineFile:
    """Appends to a text file (UTF-8), so that a reader sees it grow by whole lines.

    Each call is one unbuffered write, so nothing waits in memory. What a killed program left of an unfinished last line
    is removed on opening. Safe to share among threads. Raises UserError naming the file where it cannot be opened or
    written, or is a link, which would change a file elsewhere; a line of which only a part found room is taken back.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._lock = threading.RLock()
        try:
            if _leads_elsewhere(self.path):
                raise UserError(f"{self.path}: is a link or no file, and lines are added to it; move it away")
            self._file = open(self.path, "a+b", buffering=0)  # noqa: SIM115 (closed by `close`)
            self._drop_unfinished_line()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def append(self, text: str) -> None:
        """Appends `text` and a line end. What UTF-8 cannot carry (lone surrogates) becomes `\\udc80` and the like."""
        data = memoryview(text.encode("utf-8", "backslashreplace") + b"\n")
        with self._lock:
            try:
                size = self._file.seek(0, os.SEEK_END)
                try:
                    while data:  # a disk that fills up takes a part, and refuses with the next call
                        data = data[self._file.write(data) :]
                except BaseException:
                    with contextlib.suppress(OSError):
                        self._file.truncate(size)
                    raise
            except OSError as error:
                raise cannot_write(self.path, error) from error

    def close(self) -> None:
        """Closes the file."""
        with self._lock, contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> "LineFile":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _drop_unfinished_line(self) -> None:
        """Cuts the file off after its last line end, which is looked for from behind."""
        size = position = self._file.seek(0, os.SEEK_END)
        keep = 0
        while position > 0:
            start = max(0, position - _BLOCK)
            self._file.seek(start)
            found = self._file.read(position - start).rfind(b"\n")
            if found >= 0:
                keep = start + found + 1
                break
            position = start
        if keep < size:
            self._file.truncate(keep)


def _leads_elsewhere(path: Path) -> bool:
    """Tells whether a file is a link to another, or a pipe, which nobody may read. A device is welcome, also by a link."""
    if not os.path.lexists(path) or is_own_file(path) or os.path.isdir(path):
        return False
    return not os.path.exists(path) or not stat.S_ISCHR(os.stat(path).st_mode)


class RunLog:
    """Keeps what one or more streams print, line by line, in one file.

    A line is written once it is complete, and lines of different threads or streams are never mixed. Text of progress
    bars, which is text with a carriage return, is left out.
    """

    def __init__(self, path: str | os.PathLike):
        self._file = LineFile(path)
        self._lock = threading.RLock()  # reentrant: a destructor or signal handler may print in the middle of a print
        self._pending: dict[tuple[int, int], tuple[str, bool]] = {}  # (stream, thread) -> (text so far, a bar was here)
        self._failure: UserError | None = None
        self._closed = False

    def write(self, stream: int, text: str) -> None:
        """Takes what was printed on stream number `stream`.

        Raises UserError naming the file when it cannot be written, but only once: from then on the log stays as it is, and
        printing works on, so that the error itself can be printed.
        """
        key = (stream, threading.get_ident())
        with self._lock:
            if self._closed or self._failure:
                return
            lines, pending = _complete_lines(self._pending.pop(key, ("", False)), text)
            if pending != ("", False):
                self._pending[key] = pending
            if lines:
                self._append("\n".join(lines))

    def finish(self, closing_text: str | None = None) -> None:
        """Writes unfinished lines and the closing text, and closes the file; what is printed later is not logged.

        Raises the UserError of a failed write, also of an earlier one.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            rest = [text for text, _ in self._pending.values() if text] + ([closing_text] if closing_text else [])
            try:
                if rest and not self._failure:
                    self._append("\n".join(rest))
            finally:
                self._file.close()
            if self._failure:
                raise self._failure

    def _append(self, text: str) -> None:
        """Writes lines, and remembers that it failed if it does."""
        try:
            self._file.append(text)
        except UserError as error:
            self._failure = error
            raise


def _complete_lines(pending: tuple[str, bool], text: str) -> tuple[list[str], tuple[str, bool]]:
    """Adds printed text to an unfinished line, and returns the lines that are now complete, and what is still unfinished."""
    line, bar = pending
    lines = []
    *ended, last = text.replace("\r\n", "\n").split("\n")
    for piece, end in [*((piece, True) for piece in ended), (last, False)]:
        if "\r" in piece:
            piece, bar = "", True
        line += piece
        if end:
            if line or not bar:  # the line end that closes a progress bar is part of the bar
                lines.append(line)
            line, bar = "", False
    return lines, (line, bar)


class Tee:
    """Stands in for sys.stdout or sys.stderr: passes everything on, line-flushed, and copies it into a RunLog.

    A run with a log does not die of its terminal: when nobody reads on (`| head`, a Ctrl-C that ended `| tee` too), the
    text goes to the log alone.

    Everything but writing (`isatty`, `fileno`, `encoding`, ...) is the wrapped stream's own.
    """

    def __init__(self, stream: TextIO, log: RunLog, number: int):
        self._stream = stream
        self._log = log
        self._number = number
        self._broken = False

    def write(self, text: str) -> int:
        if not self._broken:
            try:
                self._pass_on(text)
            except BrokenPipeError:
                self._broken = True
        self._log.write(self._number, text)
        return len(text)

    def writelines(self, lines) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if not self._broken:
            self._stream.flush()

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def _pass_on(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:  # e.g. a file name with letters that an ASCII terminal lacks: no reason to end a run
            encoding = self._stream.encoding or "ascii"
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        if "\n" in text:
            self._stream.flush()
