"""download_kodak.py and dnnlib/download.py against a server on loopback: what is kept, fetched, tried again and refused."""

import hashlib
import http.server
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

import download_kodak
from config import kodak
from dnnlib import download
from dnnlib.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
BODIES = {f"kodim{number:02}.png": b"picture %d " % number * 100 for number in (1, 2, 3)}
DIGESTS = {name: hashlib.sha256(body).hexdigest() for name, body in BODIES.items()}


class Server(http.server.ThreadingHTTPServer):
    """Gives BODIES, but first what `script` has for a name: a list of functions that each answer one request."""

    daemon_threads = True

    def __init__(self):
        self.script: dict[str, list] = {}
        self.asked: list[str] = []
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/a/"

    def handle_error(self, request, client_address):  # a client that leaves early is what some tests are about
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802 (the name is the library's)
        self.close_connection = True
        folder, _, name = self.path.rpartition("/")
        self.server.asked.append(name)
        steps = self.server.script.get(name)
        if steps:
            steps.pop(0)(self)
        elif folder == "/a" and name in BODIES:
            answer(200, BODIES[name])(self)
        else:
            answer(404)(self)

    def log_message(self, *_):
        pass


def answer(code, body=b"", length=None):
    """A step that sends this answer; `length` is what it says the body's length is."""

    def step(handler):
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return step


def stream(piece, pause):
    """A step that sends `piece` for ever (a minute at most) with pauses, and says no length."""

    def step(handler):
        handler.send_response(200)
        handler.end_headers()
        end = time.monotonic() + 60
        while time.monotonic() < end and not handler.server.stopping.wait(pause):
            handler.wfile.write(piece)

    return step


def raw_stream(start, piece):
    """A step that sends `start`, and then `piece` for ever (a minute at most): not yet a body."""

    def step(handler):
        handler.wfile.write(start)
        end = time.monotonic() + 60
        while time.monotonic() < end and not handler.server.stopping.wait(0.02):
            handler.wfile.write(piece)

    return step


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(kodak, "SHA256", DIGESTS)
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.01)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.stopping.set()
        running.shutdown()
        thread.join()


def fetch(server, folder, *arguments):
    download_kodak.main(["--output-dir", str(folder), "--base-url", server.url, *arguments])


def refusal(server, folder, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        fetch(server, folder, *arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def content(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_fetches_all_into_a_new_folder_and_prints_a_line_a_file(server, tmp_path, capsys):
    folder = tmp_path / "datasets" / "kodak"
    fetch(server, folder)
    assert content(folder) == BODIES
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [[f"{i}/3", f"kodim0{i}.png:"] for i in (1, 2, 3)]
    assert all("fetched" in line for line in lines[:3])
    assert len(lines) == 4 and "3 of them fetched" in lines[3]


def test_keeps_the_right_and_replaces_the_wrong(server, tmp_path, capsys):
    (tmp_path / "kodim01.png").write_bytes(BODIES["kodim01.png"])
    (tmp_path / "kodim02.png").write_bytes(BODIES["kodim02.png"][:-1])
    before = (tmp_path / "kodim01.png").stat().st_mtime_ns
    fetch(server, tmp_path)
    assert content(tmp_path) == BODIES
    assert server.asked == ["kodim02.png", "kodim03.png"]
    assert (tmp_path / "kodim01.png").stat().st_mtime_ns == before
    lines = capsys.readouterr().out.splitlines()
    assert "already there" in lines[0] and "other content" in lines[1] and "other content" not in lines[2]


@pytest.mark.parametrize(
    "first, reason",
    [
        (answer(200, b"not the picture"), "wrong content, 15 bytes"),
        (answer(200, BODIES["kodim01.png"][:-5], length=len(BODIES["kodim01.png"])), "broke off after 995 of 1000 bytes"),
        (answer(500), "500 Internal Server Error"),
        (answer(503, b"busy"), "503"),
        (answer(429), "429"),
        (lambda handler: handler.connection.shutdown(socket.SHUT_RDWR), "Remote end closed"),
        (lambda handler: handler.wfile.write(b"\x1b[2Jnonsense\r\n\r\n"), "BadStatusLine"),
        (lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\na"), "Incomplete"),
    ],
)
def test_tries_again_after(first, reason, server, tmp_path, capsys):
    server.script["kodim01.png"] = [first]
    fetch(server, tmp_path)
    assert content(tmp_path) == BODIES
    assert server.asked.count("kodim01.png") == 2
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("kodim01.png: ") and reason in line and "trying again" in line and "\x1b" not in line


def test_does_not_wait_for_the_end_of_a_stream_of_known_length(server, tmp_path):
    def step(handler):
        answer(200, BODIES["kodim01.png"])(handler)
        handler.server.stopping.wait(30)

    server.script["kodim01.png"] = [step]
    start = time.monotonic()
    fetch(server, tmp_path)
    assert content(tmp_path) == BODIES and time.monotonic() - start < 5


def test_follows_a_redirection(server, tmp_path):
    def step(handler):
        handler.send_response(301)
        handler.send_header("Location", "/a/kodim01.png")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server.script["kodim01.png"] = [step]
    fetch(server, tmp_path)
    assert content(tmp_path) == BODIES


@pytest.mark.parametrize("kind", ["file", "ftp", "data"])
def test_is_not_led_away_from_http(kind, server, tmp_path):
    place = tmp_path / "kodim01.png"
    place.write_bytes(BODIES["kodim01.png"])
    where = {"file": place.as_uri(), "ftp": "ftp://127.0.0.1/kodim01.png", "data": "data:,x"}[kind]

    def step(handler):
        handler.send_response(302)
        handler.send_header("Location", where)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server.script["kodim01.png"] = [step] * 9
    message = refusal(server, tmp_path / "out")
    assert message.startswith(f"kodim01.png: {server.url}kodim01.png: ") and content(tmp_path / "out") == {}


def test_absent_file_is_refused_at_once_and_the_rest_stays(server, tmp_path):
    server.script["kodim02.png"] = [answer(404)]
    message = refusal(server, tmp_path)
    assert message.startswith(f"kodim02.png: {server.url}kodim02.png: ") and "404 Not Found" in message
    assert kodak.REMEDY in message and "--base-url" in kodak.REMEDY
    assert server.asked == ["kodim01.png", "kodim02.png"]
    assert content(tmp_path) == {"kodim01.png": BODIES["kodim01.png"]}


@pytest.mark.parametrize("tries", [1, 3, 4])
def test_gives_up_after_so_many_wrong_digests(tries, server, tmp_path):
    server.script["kodim01.png"] = [answer(200, b"login page")] * 9
    (tmp_path / "kodim01.png").write_bytes(b"old")
    message = refusal(server, tmp_path, *([] if tries == 3 else ["--retries", str(tries)]))
    assert "wrong content" in message and DIGESTS["kodim01.png"] in message and kodak.REMEDY in message
    assert hashlib.sha256(b"login page").hexdigest() in message
    assert len(server.asked) == tries
    assert content(tmp_path) == {"kodim01.png": b"old"}


def test_pauses_grow(server, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download, "FIRST_PAUSE", 8)
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    server.script["kodim01.png"] = [answer(500)] * 4
    fetch(server, tmp_path, "--retries", "5")
    assert pauses == [8, 16, 30, 30]


def test_nobody_listens(server, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, so that nobody else gets it, but not listening
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        message = refusal(server, tmp_path, "--base-url", url)
    assert f"{url}kodim01.png" in message and "Connection refused" in message and "tried 3 times" in message
    assert content(tmp_path) == {}


def test_silent_server_is_left_after_the_timeout(server, tmp_path):
    server.script["kodim01.png"] = [lambda handler: handler.server.stopping.wait(60)]
    start = time.monotonic()
    with pytest.raises(UserError, match="timed out"):
        download.download_all(tmp_path, server.url, DIGESTS, tries=1, timeout=0.2, remedy="")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("limit, step", [
    ("MAX_BYTES", answer(200, b"x" * 20_001)),
    ("MAX_SECONDS", stream(b"x", 0.02)),
    ("MAX_SECONDS", raw_stream(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX-Header: ", b"x")),
    ("MAX_SECONDS", raw_stream(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
], ids=["long", "slow body", "slow headers", "Continue for ever"])  # fmt: skip
def test_endless_answer_is_cut_off(limit, step, server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, limit, {"MAX_BYTES": 20_000, "MAX_SECONDS": 0.2}[limit])
    server.script["kodim01.png"] = [step]
    start = time.monotonic()
    message = refusal(server, tmp_path, "--retries", "1")
    assert "longer than" in message and content(tmp_path) == {} and time.monotonic() - start < 5


def test_output_dir_is_a_file(server, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "kodak"):
        assert f"--output-dir {folder}" in refusal(server, folder)
    assert server.asked == []


def test_something_else_in_the_place_of_a_file(server, tmp_path):
    (tmp_path / "kodim02.png").mkdir()
    assert f"{tmp_path / 'kodim02.png'} is in the way" in refusal(server, tmp_path)
    assert (tmp_path / "kodim01.png").read_bytes() == BODIES["kodim01.png"]


def test_full_disk(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "atomic_write", Mock(side_effect=OSError(28, "No space left on device")))
    message = refusal(server, tmp_path)
    assert f"{tmp_path / 'kodim01.png'}: cannot be written (No space left on device)" in message
    assert len(server.asked) == 1  # what is wrong here is not tried again there


@pytest.mark.parametrize(
    "arguments, word",
    [
        ([], "--output-dir"),
        (["--output-dir"], "--output-dir"),
        (["--output-dir", ""], "--output-dir"),
        (["--output-dir", "x", "--retries", "0"], "--retries"),
        (["--output-dir", "x", "--retries", "-1"], "--retries"),
        (["--output-dir", "x", "--retries", "two"], "--retries"),
        (["--output-dir", "x", "--base-url", "ftp://host/"], "--base-url"),
        (["--output-dir", "x", "--base-url", "http://"], "--base-url"),
        (["--output-dir", "x", "--base-url", "http://host:port/"], "--base-url"),
        (["--output-dir", "x", "--base-url", "http://h\u00f6st/"], "--base-url"),
        (["--output-dir", "x", "--output", "y"], "--output"),
        (["--output-dir", "x", "y"], "y"),
    ],
)
def test_wrong_options(arguments, word, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        download_kodak.main(arguments)
    assert word in str(caught.value) and "\n" not in str(caught.value)
    assert content(tmp_path) == {}


@given(st.text() | st.text(":/[]@#?.%0a \n").map(lambda rest: "http:" + rest))
def test_base_url_is_refused_or_usable(text):
    try:
        url = download.check_base_url(text)
    except ValueError:
        return
    assert url.endswith("/") and download.check_base_url(url) == url
    download.urllib.request.Request(url + "kodim01.png")  # takes it, and does not ask


def test_host_that_cannot_be_looked_up(server, tmp_path):
    message = refusal(server, tmp_path, "--base-url", f"http://{'a' * 70}.invalid/")
    assert "kodim01.png" in message and kodak.REMEDY in message


def test_table_names_the_24_images():
    assert list(kodak.SHA256) == [f"kodim{number:02}.png" for number in range(1, 25)]
    assert all(len(bytes.fromhex(digest)) == 32 and digest == digest.lower() for digest in kodak.SHA256.values())
    assert len(set(kodak.SHA256.values())) == 24
    assert download.check_base_url(kodak.BASE_URL) == kodak.BASE_URL


def start(server, folder, *arguments):
    """The script as a process of its own, with the digests of this test."""
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background hands on an ignored one
import config.kodak
config.kodak.SHA256 = {DIGESTS!r}
from dnnlib.errors import run_script
import download_kodak
run_script(download_kodak.main)
"""
    command = [sys.executable, "-c", code, "--output-dir", folder, "--base-url", server.url, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_failure_is_one_line_and_status_1(server, tmp_path):
    server.script["kodim02.png"] = [answer(404)]
    process = start(server, tmp_path)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert len(errors.splitlines()) == 1 and errors.startswith("Error: kodim02.png: ")
    assert len(output.splitlines()) == 1 and "kodim01.png" in output


def test_interrupted_leaves_whole_files_only(server, tmp_path):
    halfway = threading.Event()

    def stall(handler):
        answer(200, BODIES["kodim02.png"][:50], length=len(BODIES["kodim02.png"]))(handler)
        handler.wfile.flush()
        halfway.set()
        handler.server.stopping.wait(30)

    server.script["kodim02.png"] = [stall]
    process = start(server, tmp_path)
    assert halfway.wait(30)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and errors == "Interrupted.\n"
    assert content(tmp_path) == {"kodim01.png": BODIES["kodim01.png"]}
    fetch(server, tmp_path)
    assert content(tmp_path) == BODIES
