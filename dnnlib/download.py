"""Fetches files of known SHA-256 over HTTP: right ones are kept, wrong ones fetched again, nothing is half-written."""

import contextlib
import hashlib
import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dnnlib.errors import UserError, one_line
from dnnlib.files import atomic_write, file_sha256, remove_abandoned

MAX_BYTES = 4 << 20  # of one response; a Kodak image has less than 1 MB
MAX_SECONDS = 300.0  # for one response, headers too: a server that sends a byte now and then never runs into the timeout
FIRST_PAUSE = 1.0  # seconds before the second try; doubles with each further one ...
LONGEST_PAUSE = 30.0  # ... up to this

_CHUNK = 1 << 16
_AGENT = "selfsupervised-denoising (dataset download)"  # some servers turn the bare urllib away
_TRANSIENT = {408, 425, 429}  # of the 4xx codes, those that ask to come again later


class _Failure(Exception):
    """Says why one try brought no right file; `again` tells whether another one may."""

    def __init__(self, message: str, again: bool):
        super().__init__(message)
        self.again = again


def check_base_url(url: str) -> str:
    """Returns `url` with one slash at its end. Raises ValueError, for the user, if it is no http(s) address."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # e.g. a port that is no number, or half an IPv6 address
        usable = False
    if not usable or not url.isascii() or any(letter <= " " for letter in url):
        raise ValueError(f"{url!r} is not an address such as http://host/folder/")
    return url.rstrip("/") + "/"


def download_all(
    folder: Path, base_url: str, digests: Mapping[str, str], *, tries: int = 3, timeout: float = 10.0, remedy: str
) -> None:
    """Brings every file of `digests` (name -> SHA-256 in hexadecimal) from `base_url` + name into `folder`, made if missing.

    folder: where they go.
    base_url: with a slash at its end.
    digests: what to fetch.
    tries: of each file.
    timeout: in seconds without a byte.
    remedy: what to say where a file cannot be had.

    Prints one line a file, and one for each failure that is tried again. A file that is there and right is not fetched.
    Raises UserError (file, address, reason, remedy) at the first file that cannot be had; those fetched before it stay.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output-dir {folder}: cannot make this folder ({_reason(error)}); name another one") from None
    fetched = 0
    for number, (name, sha256) in enumerate(digests.items(), 1):
        head = f"{number:{len(str(len(digests)))}}/{len(digests)} {name}"
        state = _state(folder / name, sha256)
        if state == "right":
            print(f"{head}: already there", flush=True)
            continue
        body = _fetch(name, base_url + name, sha256, tries, timeout, remedy)
        _store(folder / name, body)
        fetched += 1
        note = " (the file that was there had other content)" if state == "wrong" else ""
        print(f"{head}: fetched, {len(body)} bytes{note}", flush=True)
    print(f"{len(digests)} files in {folder}, {fetched} of them fetched now; all SHA-256 digests are right.", flush=True)


def _state(path: Path, sha256: str) -> str:
    """Returns `absent`, `right` or `wrong`: how the file at `path` compares with the wanted one."""
    try:
        if not path.exists():
            return "absent"
        if not path.is_file():
            raise UserError(f"{path} is in the way and is not a file; move it")
        return "right" if file_sha256(path) == sha256 else "wrong"
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({_reason(error)}); mend its permissions or move it") from None


def _store(path: Path, body: bytes) -> None:
    """Writes a file whole. Raises UserError where it cannot be written."""
    try:
        remove_abandoned(path)
        with atomic_write(path) as file:
            file.write(body)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({_reason(error)}); free space or name another --output-dir") from None


def _fetch(name: str, url: str, sha256: str, tries: int, timeout: float, remedy: str) -> bytes:
    """Returns the right content of a file. Raises UserError where it cannot be had.

    name: what messages call the file.
    url: its address.
    sha256: of the right content, in hexadecimal.
    tries: how often at most.
    timeout: in seconds without a byte.
    remedy: what the error says that helps.
    """
    pause = FIRST_PAUSE
    for turn in range(1, tries + 1):
        try:
            return _fetch_once(url, sha256, timeout)
        except _Failure as failure:
            if not failure.again or turn == tries:
                times = f" (tried {turn} times)" if turn > 1 else ""
                raise UserError(f"{name}: {url}: {failure}{times}; {remedy}") from None
            print(f"{name}: {failure}; trying again in {pause:g} s", flush=True)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    raise ValueError(f"tries must be at least 1, not {tries}")


def _fetch_once(url: str, sha256: str, timeout: float) -> bytes:
    """Returns the content of `url` if it has this SHA-256. Raises _Failure."""
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT})
    deadline = _Deadline(MAX_SECONDS)
    try:
        with deadline, _opener(deadline).open(request, timeout=timeout) as response:
            body = _read(response, deadline)
    except urllib.error.HTTPError as error:  # before its base classes URLError and OSError
        error.close()
        again = error.code >= 500 or error.code in _TRANSIENT
        phrase = http.client.responses.get(error.code, "")  # our own words: the server's may hold anything
        raise _Failure(f"the server answered {error.code} {phrase}".rstrip(), again) from None
    except (http.client.InvalidURL, UnicodeError) as error:
        raise _Failure(one_line(error), again=False) from None
    except (OSError, http.client.HTTPException) as error:
        deadline.check()
        raise _Failure(f"no file came ({_reason(error)})", again=True) from None
    found = hashlib.sha256(body).hexdigest()
    if found != sha256:
        raise _Failure(f"wrong content, {len(body)} bytes with SHA-256 {found} instead of {sha256}", again=True)
    return body


class _Deadline:
    """Cuts connections off when the time is over, whatever they are at; a timeout would only end one that is silent.

    passed: whether it is over.
    """

    def __init__(self, seconds: float):
        """Begins when it is entered. seconds: until then."""
        self.passed = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_) -> None:
        self._timer.cancel()
        with self._lock:
            for each in self._sockets:
                each.close()

    def check(self) -> None:
        """Raises _Failure if the time is over."""
        if self.passed:
            raise _Failure(f"the answer took longer than {MAX_SECONDS:g} s", again=True)

    def guard(self, connected: socket.socket) -> None:
        """Watches over a connection, under whatever it is wrapped in later."""
        with self._lock:
            self._sockets.append(connected.dup())
        if self.passed:
            self._cut()

    def _cut(self) -> None:
        with self._lock:
            self.passed = True
            for each in self._sockets:
                with contextlib.suppress(OSError):  # it has ended by itself
                    each.shutdown(socket.SHUT_RDWR)


def _opener(deadline: _Deadline) -> urllib.request.OpenerDirector:
    """Returns what opens addresses of http and https, through redirections too, and of nothing else."""

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            deadline.guard(self.sock)

    class Secure(http.client.HTTPSConnection, Plain):  # its connection is made by Plain, and encrypted then
        pass

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, request):
            return self.do_open(Plain, request)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, request):
            return self.do_open(Secure, request)

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, PlainHandler, SecureHandler, urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener


def _read(response: http.client.HTTPResponse, deadline: _Deadline) -> bytes:
    """Returns the body of a response, kept within MAX_BYTES. Raises _Failure, OSError or HTTPException.

    deadline: when the connection is cut off, which may look like the body's end.
    """
    announced = response.length
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > MAX_BYTES:
            raise _Failure(f"the answer is longer than {MAX_BYTES} bytes, which the file is not", again=True)
    deadline.check()
    if announced is not None and len(body) < announced:
        raise _Failure(f"the connection broke off after {len(body)} of {announced} bytes", again=True)
    return bytes(body)


def _reason(error: BaseException) -> str:
    """Returns the plain words of an error: an OSError's text without number and file name, what a URLError wraps."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        return f"{type(error).__name__}: not a whole HTTP answer"
    return one_line(error)
