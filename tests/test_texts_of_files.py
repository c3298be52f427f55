"""Names and texts that come from files: terminals only show them, lines end, and long names can be written."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from material import smooth_picture, write_network
from PIL import Image
from programs import FOLDER

from dnnlib.denoising.inference.denoise_files import denoise
from dnnlib.denoising.inference.output_paths import plan_outputs
from dnnlib.denoising.options import DenoisingOptions
from dnnlib.denoising.pictures.files import read_header, read_picture
from dnnlib.errors import LONGEST_LINE, LONGEST_REASON, UserError, one_line, printable
from dnnlib.files import atomic_write, remove_abandoned, temporary_prefix, write_text
from dnnlib.progress import say

HOSTILE = "a\x1b[2J\x1b]0;title\x07\r\n\x9b31m\u202egnp.\x7fb"
SHOWN = r"a\x1b[2J\x1b]0;title\x07\r\n\x9b31m\u202egnp.\x7fb"


# --- what is printed


def test_what_a_terminal_would_act_on_is_escaped():
    assert printable(HOSTILE) == SHOWN
    for text in ("kätzchen 猫.png", "Bildschirmfoto 9.41.00\u202fAM.png", r"C:\a", "tab"):
        assert printable(text) == text
    assert printable("\udc80") == r"\udc80"  # of a name that is no UTF-8


@given(st.text(st.characters()), st.integers(10, 40))
def test_printed_is_one_line_of_some_length(text, most):
    shown = printable(text, most)
    assert len(shown) <= most and not set(shown) & {chr(i) for i in (*range(32), *range(127, 160))}
    assert len(shown.splitlines()) <= 1


def test_long_messages_are_cut():
    assert len(one_line(ValueError("x" * 20_000_000))) == LONGEST_REASON
    assert len(one_line(UserError("x" * 20_000_000))) == LONGEST_LINE
    assert one_line(ValueError("two\n lines")) == "two lines" and one_line(KeyError()) == "KeyError"


def test_lines_are_escaped_and_cut(capsys):
    say(f"skipped: {HOSTILE}: {'x' * 20_000_000}")
    out = capsys.readouterr().out
    assert out.startswith(f"skipped: {SHOWN}: xxx") and len(out) == LONGEST_LINE + 1 and out.endswith(" ...\n")


def write_long_axes(path: Path) -> None:
    """Writes a .npy file whose type has names of control characters, and very many."""
    kind = np.dtype([(f"\x1b[31m{i}", "u1") for i in range(600)])
    np.save(path, np.zeros([4, 4], kind))


@pytest.mark.parametrize("read", [read_picture, read_header])
def test_what_a_picture_says_is_cut(tmp_path, read):
    write_long_axes(tmp_path / "a.npy")
    with pytest.raises(UserError) as caught:
        read(tmp_path / "a.npy")
    reason = str(caught.value).removeprefix(f"cannot read {tmp_path / 'a.npy'}: ")
    assert len(reason) <= LONGEST_REASON and reason.isprintable()


@pytest.mark.parametrize("script", [
    [FOLDER / "dataset_tool_h5.py", "--input-dir", "in", "--out", "a.h5"],
    [FOLDER / "dataset_tool_h5.py", "--input-dir", "in", "--out", "a.h5", "--noisy"],
    [FOLDER / "dataset_tool_h5.py", "--input-dir", HOSTILE, "--out", "a.h5"],
    [FOLDER / "selfsupervised_denoising.py", "--denoise", "in", "--network", "network.pickle", "--out", HOSTILE],
    [FOLDER / "selfsupervised_denoising.py", "--denoise", HOSTILE, "--network", "network.pickle", "--out", "out"],
], ids=lambda words: " ".join(map(str, words[1:3])).encode("unicode_escape").decode())  # fmt: skip
def test_programs_print_nothing_that_a_terminal_acts_on(tmp_path, script):
    write_network(tmp_path / "network.pickle", "gauss25-n2c")
    (tmp_path / "in").mkdir()
    Image.fromarray(smooth_picture(256, 256)).save(tmp_path / "in" / f"{HOSTILE}.png")
    (tmp_path / "in" / f"{HOSTILE}.jpg").write_bytes(b"\xff\xd8\xff broken")
    write_long_axes(tmp_path / "in" / "a.npy")
    done = subprocess.run([sys.executable, *script], cwd=tmp_path, capture_output=True, timeout=120)
    printed = (done.stdout + done.stderr).decode()
    assert printed and r"\x1b[2J" in printed
    assert not set(printed) & {chr(i) for i in (*range(10), *range(11, 32), *range(127, 160), 0x202E)}


# --- long names


def longest(ending: str, size: int = 255, letter: str = "n") -> str:
    """A name of so many bytes."""
    count, rest = divmod(size - len(ending), len(letter.encode()))
    return letter * count + "x" * rest + ending


@pytest.mark.parametrize("letter", ["n", "ü", "猫"])
@pytest.mark.parametrize("size", [240, 241, 242, 248, 255])
def test_long_names_are_written_and_nothing_is_left(tmp_path, size, letter):
    path = tmp_path / longest(".tif", size, letter)
    assert len(os.fsencode(path.name)) == size
    with atomic_write(path) as file:
        (temporary,) = tmp_path.iterdir()
        assert temporary.name.startswith(".") and len(os.fsencode(temporary.name)) <= 255
        file.write(b"whole")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]
    # Of killed processes, of this name and of one that begins alike.
    other = path.with_name(longest(".png", size, letter))
    for of in (path, other):
        (tmp_path / f"{temporary_prefix(of)}abcdefgh.tmp").write_bytes(b"half")
    remove_abandoned(path)
    assert len(list(tmp_path.iterdir())) == 2 and (tmp_path / f"{temporary_prefix(other)}abcdefgh.tmp").exists()


def test_short_names_are_those_of_ever(tmp_path):
    write_text(tmp_path / "a.txt", "text")
    assert temporary_prefix(tmp_path / "a.txt") == ".a.txt." and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_pictures_of_long_names_are_denoised(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_network(tmp_path / "network.pickle", "gauss25-blindspot-sigma_known")
    Path("in").mkdir()
    names = [longest(".tif", size, letter) for size, letter in ((242, "a"), (255, "b"), (255, "ü"))]
    for name in names:
        tifffile.imwrite(f"in/{name}", smooth_picture(32, 32), photometric="rgb")
    denoise(["in"], DenoisingOptions("network.pickle", "out", sigma=25, std=True, compare=True), {})
    written = sorted(path.name for path in Path("out").iterdir())
    assert len(written) == 9 and set(names) < set(written) and all(len(os.fsencode(name)) <= 255 for name in written)
    assert sum(name.endswith("-std.tif") for name in written) == sum(name.endswith("-compare.png") for name in written) == 3


def test_extras_that_would_get_one_name_are_refused(tmp_path):
    paths = [str(tmp_path / "in" / f"{'n' * 250}{i}.tif") for i in range(2)]
    assert len(plan_outputs(paths, str(tmp_path / "out"), [])) == 2
    with pytest.raises(UserError, match="two results would be named n+-std.tif"):
        plan_outputs(paths, str(tmp_path / "out"), ["std.tif"])
