"""How large a picture may be: one limit for all formats and programs, over all pages of a file, that an option moves."""

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from material import smooth_picture, write_network
from PIL import Image

import dataset_tool_h5
import selfsupervised_denoising
from dnnlib.denoising.pictures import limit, png
from dnnlib.denoising.pictures.files import read_header, read_picture
from dnnlib.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")


@pytest.fixture(autouse=True)
def as_ever():
    yield
    limit.allow_pixels(None)


def refused(path: Path, words: str) -> None:
    """That neither pixels nor header are read, and that a line says why."""
    for read in (read_picture, read_header):
        with pytest.raises(UserError, match=f"cannot read {path}: .*{words}") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def write_claim(path: Path, shape: tuple[int, ...], kind: str) -> None:
    """Writes an .npy file that claims a shape, and holds nothing of it."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


WIDTH, HEIGHT, STRIP, STRIP_SIZE, TILE_WIDTH, TILE_HEIGHT, TILE, TILE_SIZE = 256, 257, 273, 279, 322, 323, 324, 325


def retag(path: Path, tags: dict[int, int], more: bytes = b"") -> None:
    """Replaces tags of all pages of a TIFF file, each by one number, and adds bytes at the end."""
    with tifffile.TiffFile(path) as tiff:
        places = {page.tags[code].offset: value for page in tiff.pages for code, value in tags.items()}
    data = bytearray(path.read_bytes())
    for at, value in places.items():
        data[at + 2 : at + 12] = struct.pack("<HII", 4, 1, value)
    path.write_bytes(data + more)


def write_empty_tiles(path: Path, side: int, kind: str, channels: int, pages: int = 1) -> None:
    """Writes pages of one tile each, of no byte, which stands for zeros."""
    small = np.zeros([pages, 16, 16, channels], kind)
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    tifffile.imwrite(path, small, photometric="rgb", tile=(16, 16), compression="zlib", metadata=None, **extra)
    tile = -(-side // 16) * 16
    retag(path, {WIDTH: side, HEIGHT: side, TILE_WIDTH: tile, TILE_HEIGHT: tile, TILE: 0, TILE_SIZE: 0})


# Files of some bytes. Their pixels, if all were made, would take gigabytes, which these tests must not.


@pytest.mark.parametrize(("shape", "kind"), [((30000, 20000), "<f8"), ((20, 9000, 9000, 3), "<u2"), ((1 << 40, 3), "|u1")])
def test_an_array_that_its_file_does_not_hold(tmp_path, shape, kind, monkeypatch):
    write_claim(tmp_path / "a.npy", shape, kind)
    monkeypatch.setattr(np, "fromfile", lambda *_, **__: pytest.fail("memory is taken"))
    refused(tmp_path / "a.npy", "damaged")


@pytest.mark.parametrize(("side", "kind", "channels"), [(13300, "f8", 4), (10000, "f8", 3), (13400, "u1", 3)])
def test_a_page_of_nothing(tmp_path, side, kind, channels, monkeypatch):
    """Of a type whose pixels take more memory than the limit is meant for, and of too many pixels."""
    write_empty_tiles(tmp_path / "a.tif", side, kind, channels)
    monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda _: pytest.fail("memory is taken"))
    refused(tmp_path / "a.tif", "too large .* --max-pixels")


def test_pages_count_together(tmp_path, monkeypatch):
    write_empty_tiles(tmp_path / "a.tif", 9000, "u1", 3, pages=3)
    monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda _: pytest.fail("memory is taken"))
    refused(tmp_path / "a.tif", "too large .243000000 pixels in 3 pages, 178956970 are allowed.: .* --max-pixels")


def test_a_large_tile_of_a_small_picture(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros([16, 16], np.uint8), tile=(16, 16), compression="zlib")
    retag(tmp_path / "a.tif", {TILE_WIDTH: 1 << 15, TILE_HEIGHT: 1 << 15})
    refused(tmp_path / "a.tif", "too large .32768 x 32768 pixels")


def test_a_strip_that_unpacks_to_more_than_its_pixels(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros([16, 16], np.uint8), compression="zlib", metadata=None)
    packed = zlib.compress(bytes(1 << 27))
    retag(path, {STRIP: path.stat().st_size, STRIP_SIZE: len(packed)}, packed)
    with pytest.raises(UserError, match="unpacks to more than its pixels"):
        read_picture(path)


# --- what is stored as it is


def test_pages_that_lie_in_their_file_may_be_more(tmp_path, monkeypatch):
    """A long stack is no bomb; pages that are larger than their file are."""
    stack = np.random.default_rng(0).integers(0, 256, (8, 20, 30), np.uint8)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # of which 800 are allowed
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    np.save(tmp_path / "a.npy", stack[..., None])
    for name in ("a.tif", "a.npy"):
        assert len(read_picture(tmp_path / name).pages) == read_header(tmp_path / name).pages == 8
    # Pages of the same bytes.
    path = tmp_path / "b.tif"
    tifffile.imwrite(path, stack[:, :2, :3], photometric="minisblack", metadata=None)
    retag(path, {WIDTH: 30, HEIGHT: 20, 278: 20, STRIP: path.stat().st_size, STRIP_SIZE: 600}, bytes(600))
    refused(path, "too large .* pages, 800 are allowed")
    # Pages that are small because they are packed.
    tifffile.imwrite(tmp_path / "c.tif", stack * 0, photometric="minisblack", compression="zlib")
    refused(tmp_path / "c.tif", "too large")


# --- the option


def write_all(folder: Path) -> list[Path]:
    """Writes 70 x 64 pixels in each format, and in one of TIFF and .npy two pages of them."""
    folder.mkdir()
    picture = smooth_picture(64, 70)
    for name in ("a.png", "b.jpg", "c.webp", "d.tif"):
        Image.fromarray(picture).save(folder / name)
    np.save(folder / "e.npy", picture)
    (folder / "f.png").write_bytes(png.encode16(picture.astype(np.uint16) * 257))
    tifffile.imwrite(folder / "g.tif", np.stack([picture] * 2), photometric="rgb")
    np.save(folder / "h.npy", np.stack([picture] * 2))
    return sorted(folder.iterdir())


def test_the_option_counts_all_pages_of_a_file(tmp_path):
    for path in write_all(tmp_path / "in"):
        pixels = 64 * 70 * len(read_picture(path).pages)
        limit.allow_pixels(pixels - 1)
        refused(path, "too large .* --max-pixels")
        limit.allow_pixels(pixels)
        assert read_picture(path).pages and read_header(path).width == 70
        limit.allow_pixels(None)


def test_the_option_allows_more(tmp_path, monkeypatch):
    """Than Pillow and the bytes of a pixel would."""
    paths = write_all(tmp_path / "in")
    write_empty_tiles(tmp_path / "in" / "i.tif", 100, "f8", 4)
    monkeypatch.setattr(limit, "_PILLOWS", 20)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    for path in paths:
        refused(path, "too large")
    limit.allow_pixels(10**6)
    for path in (*paths, tmp_path / "in" / "i.tif"):
        assert read_picture(path).pages
    limit.allow_pixels(None)
    refused(paths[0], "too large")


def test_it_is_an_option_of_all_programs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_all(Path("in"))
    write_network(Path("network.pickle"), "gauss25-n2c")
    command = ["--denoise", "in", "--network", "network.pickle", "--out", "out", "--max-pixels", "4480"]
    monkeypatch.setattr(sys, "argv", ["program", *command])
    with pytest.raises(UserError, match="2 of 8 files skipped"):
        selfsupervised_denoising.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "too large" in line] == [line for line in lines if line.startswith("skipped: ")]
    for noisy, skipped in (([], 2), (["--noisy"], 2)):
        dataset_tool_h5.main(["--input-dir=in", "--out=a.h5", "--min-size=16", "--max-pixels=4480", *noisy])
        lines = capsys.readouterr().out.splitlines()
        assert len([line for line in lines if "too large" in line]) == skipped
        with pytest.raises(UserError, match="none of the 8"):
            dataset_tool_h5.main(["--input-dir=in", "--out=a.h5", "--min-size=16", "--max-pixels=4479", *noisy])
        capsys.readouterr()


@pytest.mark.parametrize("given", [0, -3])
def test_a_limit_that_cannot_be(tmp_path, given):
    with pytest.raises(UserError, match=f"--max-pixels {given}: must be 1 or more"):
        dataset_tool_h5.main([f"--input-dir={tmp_path}", f"--out={tmp_path / 'a.h5'}", f"--max-pixels={given}"])
