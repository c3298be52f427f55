"""The dataset tool: what it writes, in which order, what it prints, and that nothing half-made is ever left behind."""

import errno
import itertools
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from programs import listening_to_ctrl_c, run_on_terminal

import dataset_tool_h5
from dnnlib.command_line import CommandLine
from dnnlib.denoising.data import shard_writer
from dnnlib.denoising.data.shard_writer import write_shard
from dnnlib.denoising.pictures import search as picture_search
from dnnlib.denoising.pictures.search import find_pictures
from dnnlib.errors import UserError

TOOL = Path(__file__).parent.parent / "dataset_tool_h5.py"
RNG = np.random.default_rng(2)


def picture(path, height=256, width=256, kind="RGB"):
    """Writes a picture, quickly; returns the RGB pixels as they should be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"RGB": 3, "L": 1, "LA": 2, "RGBA": 4}[kind]
    pixels = np.broadcast_to(RNG.integers(0, 256, (height, 1, channels), dtype=np.uint8), (height, width, channels)).copy()
    Image.fromarray(pixels.squeeze(axis=2) if channels == 1 else pixels).save(path, format="PNG", compress_level=1)
    return pixels[:, :, :3] if channels >= 3 else np.repeat(pixels[:, :, :1], 3, axis=2)


def many_pictures(folder, count):
    """So many of 512 x 512 pixels: 786,432 bytes each in a shard."""
    picture(folder / "0.png", 512, 512)
    for i in range(1, count):
        os.link(folder / "0.png", folder / f"{i}.png")


def read_shard(path):
    with h5py.File(path, "r") as file:
        assert file.attrs["complete"]
        assert h5py.check_vlen_dtype(file["images"].dtype) == np.uint8 and file["shapes"].dtype == np.int32
        assert file["images"].shape == (len(file["shapes"]),) and file["shapes"].shape[1:] == (3,)
        return [flat.reshape(shape) for flat, shape in zip(file["images"], file["shapes"], strict=True)]


def run_tool(*arguments, **options):
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", timeout=60, **options)


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def out(tmp_path):
    """The name of a shard, alone in its folder."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "shard.h5"


# --- what is written


def test_pictures_order_and_statistics(tmp_path, out, capsys):
    folder = tmp_path / "in"
    taken = {"a.JPEG": (256, 256), "b.jpg": (512, 512), "c/d.png": (256, 512), "c/E.PNG": (300, 257)}
    taken |= {"f.JPG": (260, 280), "g.jpeg": (280, 260)}
    left = {"h.png": (255, 400), "i.png": (400, 255), "j.png": (513, 300), "k.png": (300, 513)}
    modes = dict.fromkeys(("a.JPEG", "b.jpg", "d.png"), "RGB") | {"E.PNG": "L", "f.JPG": "LA", "g.jpeg": "RGBA"}
    pixels = {}
    for name, size in (taken | left).items():
        pixels[str(folder / name)] = picture(folder / name, *size, modes.get(Path(name).name, "RGB"))
    (folder / "notes.txt").write_text("no picture")

    order = sorted(pixels)
    np.random.RandomState(0xBADF00D).shuffle(order)
    kept = [path for path in order if all(256 <= side <= 512 for side in pixels[path].shape[:2])]
    assert len(kept) == 6 and kept != sorted(kept)

    statistics = write_shard(str(folder), out)
    images = read_shard(out)
    assert len(images) == len(kept)
    for image, path in zip(images, kept, strict=True):
        np.testing.assert_array_equal(image, pixels[path].transpose(2, 0, 1))

    lines = capsys.readouterr().out.splitlines()
    wrong = {f"skipped: {folder / name}: {w} x {h} pixels, outside 256..512" for name, (h, w) in left.items()}
    assert set(lines[:4]) == wrong
    assert lines[4:10] == [f"{i}/6: {path}" for i, path in enumerate(kept, start=1)]
    assert [line.strip() for line in lines[10:]] == [
        "Statistics:",
        "files looked at: 10",
        "skipped, width or height outside 256..512: 4",
        "skipped, unreadable: 0",
        "images written: 6",
        f"total pixels: {256 * 256 + 512 * 512 + 256 * 512 + 300 * 257 + 260 * 280 * 2}",
        "image modes:",
        "RGB: 3 images",
        *(f"{mode}: 1 images" for mode in dict.fromkeys(modes[Path(path).name] for path in kept) if mode != "RGB"),
        "image sizes:",
        ">= 256x256: 6 images",
    ]
    assert statistics.written == 6
    assert left_in(out.parent) == ["shard.h5"]


def test_palette_1_bit_and_cmyk_pictures_are_taken(tmp_path, out, capsys):
    noise = Image.fromarray(RNG.integers(0, 256, (256, 256, 3), dtype=np.uint8))
    (tmp_path / "in").mkdir()
    noise.quantize(16).save(tmp_path / "in" / "p.png")
    noise.convert("1").save(tmp_path / "in" / "1.png")
    noise.convert("CMYK").save(tmp_path / "in" / "cmyk.jpg")
    write_shard(str(tmp_path / "in"), out)
    assert [image.shape for image in read_shard(out)] == [(3, 256, 256)] * 3
    assert set(re.findall(r"^    (\w+): 1 images$", capsys.readouterr().out, re.MULTILINE)) == {"P", "1", "CMYK"}


def test_damaged_files_are_named_counted_and_replaced(tmp_path, out, capsys):
    folder = tmp_path / "in"
    for i in range(8):
        picture(folder / f"{i}.png")
    whole = (folder / "0.png").read_bytes()
    order = find_pictures(str(folder))
    np.random.RandomState(0xBADF00D).shuffle(order)
    Path(order[0]).write_bytes(whole[: len(whole) // 2])  # the header is fine: found when it is decoded
    Path(order[1]).write_text("a text")
    Path(order[2]).write_bytes(b"")
    statistics = write_shard(str(folder), out, max_files=3)
    printed = capsys.readouterr().out
    for path, reason in zip(order, ["image file is truncated", "not a picture", "the file is empty"], strict=False):
        assert re.search(rf"^skipped: cannot read {re.escape(path)}: .*{reason}", printed, re.MULTILINE)
    # The first three of the right size are 0, 3 and 4; for the damaged 0 the next one, 5, is taken.
    assert re.findall(r"^(\d/3): (.*)$", printed, re.MULTILINE) == [(f"{i + 1}/3", order[3 + i]) for i in range(3)]
    assert (statistics.written, statistics.unreadable, statistics.looked_at) == (3, 3, 6)
    assert len(read_shard(out)) == 3


def test_the_file_shrinks_where_nothing_can_replace_a_damaged_picture(tmp_path, out, capsys):
    for name in "abc":
        picture(tmp_path / "in" / f"{name}.png")
    content = (tmp_path / "in" / "b.png").read_bytes()
    (tmp_path / "in" / "b.png").write_bytes(content[:-200])
    write_shard(str(tmp_path / "in"), out)
    assert len(read_shard(out)) == 2
    assert "2/3: " in capsys.readouterr().out
    assert out.stat().st_size < 2 * 3 * 256 * 256 + 50_000  # the space reserved is given back


def test_progress_line_per_hundred_files(tmp_path, out, capsys):
    picture(tmp_path / "in" / "good.png")
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "small.png")
    for i in range(249):
        os.link(tmp_path / "small.png", tmp_path / "in" / f"{i}.png")
    write_shard(str(tmp_path / "in"), out)
    assert re.findall("looked at (.*) files$", capsys.readouterr().out, re.MULTILINE) == ["100 of 250", "200 of 250"]


def test_glob_links_and_folders_seen_twice(tmp_path):
    for name in ("a/x.png", "b/y.jpg", "b/c/z.JPEG", "b/w.txt", "d/odd[1].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)  # contains itself
    (tmp_path / "b" / "other").symlink_to(tmp_path / "d")

    def found(pattern):
        return [os.path.relpath(path, tmp_path) for path in find_pictures(f"{tmp_path}/{pattern}")]

    assert found("a") == ["a/x.png"]
    assert found("*/*.png") == ["a/x.png", "d/odd[1].png"]
    assert found("[ab]/*.*") == ["a/x.png", "b/y.jpg"]
    assert len(found("")) == 4  # each file once, in spite of the links
    assert len({os.path.realpath(tmp_path / path) for path in found("")}) == 4
    assert found("d") == ["d/odd[1].png"]
    assert sorted(os.path.realpath(tmp_path / path) for path in found("**")) == [
        str(tmp_path / name) for name in ("a/x.png", "b/c/z.JPEG", "b/y.jpg", "d/odd[1].png")
    ]
    (tmp_path / "e[1]").mkdir()
    (tmp_path / "e[1]" / "v.png").touch()
    assert found("e[1]") == ["e[1]/v.png"]  # a folder of that name counts before a pattern


def test_links_are_followed_once(tmp_path):
    for name in ("in/a.png", "in/sub/b.png", "outside/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("back", "again"):  # with each other they would make 2 to the power of 40 ways
        (tmp_path / "in" / "sub" / name).symlink_to(tmp_path / "in")
    (tmp_path / "in" / "sub" / "link").symlink_to(tmp_path / "outside")
    walk = itertools.islice(picture_search._files_in(str(tmp_path / "in"), "", True, set()), 10)
    assert sorted(os.path.relpath(path, tmp_path) for path in walk) == ["in/a.png", "in/sub/b.png", "in/sub/link/c.png"]


def test_unreadable_folder_is_named_and_passed_over(tmp_path, monkeypatch, capsys):
    for name in ("in/a/x.png", "in/b/y.png"):
        picture(tmp_path / name)
    real = os.scandir

    def scandir(path):
        if os.fspath(path).endswith(("/b", "/shut")):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert find_pictures(str(tmp_path / "in")) == [str(tmp_path / "in/a/x.png")]
    assert f"skipped: cannot read the folder {tmp_path}/in/b: Permission denied" in capsys.readouterr().out
    (tmp_path / "shut").mkdir()
    with pytest.raises(UserError, match="--input-dir: cannot read the folder .*/shut: Permission denied"):
        find_pictures(str(tmp_path / "shut"))


# --- wrong use


def test_other_sizes(tmp_path, out):
    for name, size in {"a.png": (99, 300), "b.png": (100, 400), "c.png": (401, 200), "d.png": (300, 300)}.items():
        picture(tmp_path / "in" / name, *size)
    statistics = write_shard(str(tmp_path / "in"), out, min_size=100, max_size=400)
    assert sorted(image.shape[1:] for image in read_shard(out)) == [(100, 400), (300, 300)]
    assert "  skipped, width or height outside 100..400: 2" in statistics.lines()
    for size in ({"min_size": 0}, {"min_size": 0, "max_size": 0}):
        with pytest.raises(UserError, match="--min-size must be at least 1, not 0"):
            write_shard(str(tmp_path / "in"), out, **size)
    with pytest.raises(UserError, match="--max-size 200 is below --min-size 256"):
        write_shard(str(tmp_path / "in"), out, max_size=200)


def test_nothing_of_the_right_size(tmp_path, out):
    picture(tmp_path / "in" / "a.png", 255, 300)
    picture(tmp_path / "in" / "b.png", 300, 513)
    (tmp_path / "in" / "c.png").touch()
    with pytest.raises(UserError, match=r"none of the 3 pictures .*: 2 are not within 256\.\.512 .*, 1 cannot be read"):
        write_shard(str(tmp_path / "in"), out)
    assert left_in(out.parent) == []


def test_only_damaged_pictures(tmp_path, out):
    picture(tmp_path / "in" / "a.png")
    content = (tmp_path / "in" / "a.png").read_bytes()
    (tmp_path / "in" / "a.png").write_bytes(content[:100])
    with pytest.raises(UserError, match=r"none of the 1 pictures looked at .*: 0 are not .*, 1 cannot be read"):
        write_shard(str(tmp_path / "in"), out)
    assert left_in(out.parent) == []


WRONG_USE = [
    ("--out OUT", "the following arguments are required: --input-dir"),
    ("--input-dir IN", "the following arguments are required: --out"),
    ("--input-dir IN --out OUT --max-files 0", "--max-files must be at least 1, not 0"),
    ("--input-dir IN --out OUT --max-files x", "--max-files: invalid int value: 'x'"),
    ("--input-dir IN --out OUT --workers 0", "--workers must be from 1 to 256, not 0"),
    ("--input-dir IN --out OUT --workers 257", "--workers must be from 1 to 256, not 257"),
    ("--input-dir IN --out OUT --max-file 3", "unrecognized arguments: --max-file 3; did you mean --max-files?"),
    ("--input-dir TMP/none --out OUT", "--input-dir: there is no folder TMP/none"),
    ("--input-dir IN/a.png --out OUT", "--input-dir: IN/a.png is not a folder"),
    ("--input-dir TMP/*.png --out OUT", "--input-dir: nothing matches TMP/*.png"),
    ("--input-dir TMP/out --out OUT", "--input-dir: no picture (.png, .jpg, .jpeg, .tif, .tiff, .webp, .npy, .bmp) in TMP"),
    ("--input-dir IN --out TMP/none/a.h5", "--out: cannot write TMP/none/a.h5: No such file or directory"),
    ("--input-dir IN --out TMP/out", "--out: TMP/out is not a file"),
    ("--input-dir IN --out /dev/null", "--out: /dev/null is not a file"),
    ("--input-dir IN --out /proc/a.h5", "--out: cannot write /proc/a.h5: "),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_USE)
def test_wrong_use_is_one_line(tmp_path, out, arguments, message):
    picture(tmp_path / "in" / "a.png")

    def fill(text):
        return text.replace("IN", str(tmp_path / "in")).replace("OUT", str(out)).replace("TMP", str(tmp_path))

    with pytest.raises(UserError) as caught:
        dataset_tool_h5.main([fill(argument) for argument in arguments.split()])
    assert fill(message) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert left_in(out.parent) == [] and left_in(tmp_path / "in") == ["a.png"]


def test_folder_that_cannot_be_written(tmp_path, out, monkeypatch):
    picture(tmp_path / "in" / "a.png")

    def mkstemp(**_options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", mkstemp)
    monkeypatch.setattr(shard_writer, "find_pictures", lambda _: pytest.fail("searched first"))
    with pytest.raises(UserError, match=r"--out: cannot write .*shard\.h5: Permission denied"):
        write_shard(str(tmp_path / "in"), out)


def test_suggestion_for_a_mistyped_option():
    parser = CommandLine()
    parser.add_argument("--dataset-dir")
    with pytest.raises(UserError, match=r"arguments: --dataset_dir=x; did you mean --dataset-dir\? \(see --help\)"):
        parser.parse_args(["--dataset_dir=x"])
    with pytest.raises(UserError, match=r"unrecognized arguments: --zzz \(see --help\)"):
        parser.parse_args(["--zzz"])
    with pytest.raises(UserError, match="unrecognized arguments: --data x"):  # no abbreviations
        parser.parse_args(["--data", "x"])


# --- the real command line


def test_command_line_end_to_end(tmp_path, out):
    picture(tmp_path / "in" / "a.png")
    odd = os.fsdecode(b"b\xff.png")  # a name that is not text
    picture(tmp_path / "in" / odd)
    out.write_bytes(b"old")
    done = run_tool("--input-dir", tmp_path / "in", "--out", out, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert r"b\udcff.png" in done.stdout
    assert len(read_shard(out)) == 2


def test_error_on_the_real_command_line(out):
    done = run_tool("--out", out)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: the following arguments are required: --input-dir (see --help)\n"


def test_help_is_quick_and_imports_nothing_heavy():
    script = "import sys, runpy; sys.argv = ['x', '--help']\n" + (
        f"try: runpy.run_path({str(TOOL)!r}, run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'h5py', 'numpy', 'PIL', 'tensorflow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=TOOL.parent, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "old file is replaced when the new one is complete" in " ".join(done.stdout.split())
    assert done.stdout.rstrip().splitlines()[-1].lstrip().startswith("python dataset_tool_h5.py --input-dir")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve disk space")
@pytest.mark.parametrize("limit", [1, 100_000, 40_000_000])
def test_disk_full(tmp_path, out, limit):
    many_pictures(tmp_path / "in", 40)  # more than 30 MB: the second reservation fails
    out.write_bytes(b"old")
    done = run_tool(
        "--input-dir",
        tmp_path / "in",
        "--out",
        out,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1, done.stderr  # HDF5 crashes on a full disk, so it must not meet it
    assert done.stderr == f"Error: --out: cannot write {out}: File too large\n"
    assert left_in(out.parent) == ["shard.h5"] and out.read_bytes() == b"old"
    assert ("/40: " in done.stdout) == (limit == 40_000_000)


def test_interrupt_leaves_nothing(tmp_path, out):
    many_pictures(tmp_path / "in", 3000)
    command = [sys.executable, str(TOOL), "--input-dir", str(tmp_path / "in"), "--out", str(out)]
    with (
        listening_to_ctrl_c(),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
    ):
        while not process.stdout.readline().startswith("1/3000: "):
            assert process.poll() is None
        assert len(left_in(out.parent)) == 1  # the temporary file is there now
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "Interrupted.\n")
    assert left_in(out.parent) == []


def test_any_number_of_workers_writes_the_same_file_and_statistics(tmp_path, out, capsys):
    folder = tmp_path / "in"
    for i in range(60):
        picture(folder / f"{i}.png", *RNG.integers(254, 300, 2))
    for i in range(0, 60, 7):
        content = (folder / f"{i}.png").read_bytes()
        (folder / f"{i}.png").write_bytes(content[: RNG.integers(len(content))])
    for most in (None, 20):
        results = []
        for workers in (1, 2, 7):
            statistics = write_shard(str(folder), out, most, workers)
            results.append((out.read_bytes(), statistics, capsys.readouterr().out))
        assert results[0] == results[1] == results[2]
        assert statistics.unreadable > 0 and statistics.wrong_size > 0


def test_a_second_run_clears_up_after_a_killed_one(tmp_path, out):
    many_pictures(tmp_path / "in", 3000)
    picture(tmp_path / "few" / "a.png")
    command = [sys.executable, str(TOOL), "--input-dir", str(tmp_path / "in"), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while not process.stdout.readline().startswith("1/3000: "):
            assert process.poll() is None
        (mine,) = left_in(out.parent)
        write_shard(str(tmp_path / "few"), out)
        assert left_in(out.parent) == [mine, "shard.h5"]  # not while the other one is still at work
        process.kill()
        process.communicate(timeout=30)
    assert left_in(out.parent) == [mine, "shard.h5"] and len(read_shard(out)) == 1
    write_shard(str(tmp_path / "few"), out)
    assert left_in(out.parent) == ["shard.h5"]


def test_progress_on_a_terminal(tmp_path, out):
    for i in range(3):
        picture(tmp_path / "in" / f"{i}.png")
    status, text, bar = run_on_terminal([sys.executable, TOOL, "--input-dir", tmp_path / "in", "--out", out], tmp_path)
    assert status == 0
    assert re.findall(r"^\d/3: ", text, re.MULTILINE) == ["1/3: ", "2/3: ", "3/3: "] and "\r" not in text
    assert re.search(r"\r.*0/3 \[.*image/s\]", bar) and bar.rstrip(" ").endswith("\r")  # it is gone in the end


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path, out):
    many_pictures(tmp_path / "in", 150)
    script = (
        "import resource, sys; from dnnlib.denoising.data.shard_writer import write_shard\n"
        "write_shard(*sys.argv[1:3], max_files=20); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "write_shard(*sys.argv[1:3]); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "in"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=TOOL.parent, timeout=60)
    grown = int(done.stdout.splitlines()[-1]) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 20e6  # the other 130 pictures are 102 MB


# --- black and white


def deep(path, lowest: int, highest: int):
    """Writes a grey picture of 16 bits; returns its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.rint(np.linspace(lowest, highest, 256 * 256)).reshape(256, 256).astype(np.uint16)
    Image.fromarray(pixels).save(path)
    return pixels


def test_12_bits_in_16_are_no_black_pictures(tmp_path, out, capsys):
    """Their white is refused where nothing tells it, and taken from --white."""
    for i in range(3):
        pixels = deep(tmp_path / "in" / f"{i}.png", 100, 900 + i)
        picture(tmp_path / "in" / "8 bits" / f"{i}.png")  # these do not hide the others
    picture(tmp_path / "in" / "8 bits" / "3.png")
    arguments = ["--input-dir", str(tmp_path / "in"), "--out", str(out)]
    with pytest.raises(UserError) as caught:
        dataset_tool_h5.main(arguments)
    assert str(caught.value) == (
        "--input-dir: 3 of 3 pictures whose white nothing tells have values of up to about 901 of 65,535, and would be "
        "nearly black: give --white, 1023 if these are 10 bits, 4095 if these are 12 bits, 16383 if these are 14 bits, or "
        "65535 if they are as dark as that"
    )
    assert left_in(out.parent) == []
    arguments[1] += "/*.png"
    dataset_tool_h5.main([*arguments, "--white", "902", "--black", "100"])
    stored = read_shard(out)
    assert all(image[0, 0, 0] == 0 and image[0, -1, -1] >= 254 for image in stored)
    expected = np.rint((pixels - 100.0) / 802 * 255)
    assert any(np.abs(image - expected).max() <= 1 for image in stored)
    dataset_tool_h5.main([*arguments, "--white", "65535"])
    assert all(image.max() <= 4 for image in read_shard(out)) and "Warning" not in capsys.readouterr().out


def test_many_of_12_bits_are_refused_early(tmp_path, out):
    deep(tmp_path / "in" / "0.png", 100, 900)
    for i in range(1, 40):
        os.link(tmp_path / "in" / "0.png", tmp_path / "in" / f"{i}.png")
    with pytest.raises(UserError, match="32 of 32 pictures whose white nothing tells"):
        write_shard(str(tmp_path / "in"), out)


def test_a_dark_picture_of_16_bits_is_taken(tmp_path, out, capsys):
    dark = deep(tmp_path / "in" / "dark.png", 0, 3000)
    for i in range(2):
        deep(tmp_path / "in" / f"{i}.png", 0, 65535)
    picture(tmp_path / "in" / "8.png")
    write_shard(str(tmp_path / "in"), out)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("Warning: 1 of 3 pictures use little of their range, e.g. ")
    assert "dark.png: values from 0 to 3,000 of 65,535" in line
    assert any(np.array_equal(image[0], dark >> 8) for image in read_shard(out))


def test_8_bits_and_floats_with_a_white(tmp_path, out, capsys):
    picture(tmp_path / "in" / "8.png")
    ramp = np.linspace(0, 4095, 256 * 256).reshape(256, 256)
    np.save(tmp_path / "in" / "float.npy", ramp)
    write_shard(str(tmp_path / "in"), out, white=4095)
    (image,) = read_shard(out)
    np.testing.assert_allclose(image[1], ramp / 4095 * 255, rtol=0, atol=0.5001)
    assert "8.png: --white 4095 is above 255, the largest value of its uint8" in capsys.readouterr().out
    write_shard(str(tmp_path / "in"), out)
    assert "float.npy: pictures of floating-point 64-bit values are not supported, save it as" in capsys.readouterr().out
    with pytest.raises(UserError, match="--white 5: must be a number above --black 9"):
        write_shard(str(tmp_path / "in"), out, white=5.0, black=9.0)
