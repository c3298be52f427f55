"""TIFF files that are odd or hostile: all that they hold is denoised, or one line says what is the matter."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from material import smooth_picture, write_network

from dnnlib.denoising.inference.denoise_files import denoise
from dnnlib.denoising.options import DenoisingOptions
from dnnlib.denoising.pictures.files import read_header, read_picture
from dnnlib.errors import UserError

RNG = np.random.default_rng(3)
RESOLUTIONS = (282, 283)


def values(*shape: int, dtype=np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def refused(path: Path, words: str) -> None:
    """That neither pixels nor header are read, and that a line says why."""
    for read in (read_picture, read_header):
        with pytest.raises(UserError, match=f"cannot read {path}: .*{words}") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def changed(path: Path, at: int, content: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + len(content)] = content
    path.write_bytes(data)


# --- lists of pages that are rings


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize(("pages", "back_to"), [(1, 0), (2, 0), (3, 1), (130, 0), (130, 20)])
def test_a_list_of_pages_that_leads_back_is_refused(tmp_path, pages, back_to, bigtiff):
    path = tmp_path / "ring.tif"
    tifffile.imwrite(path, values(pages, 4, 5), photometric="minisblack", bigtiff=bigtiff, metadata=None)
    with tifffile.TiffFile(path) as tiff:
        end, offset = tiff.pages.next_page_offset, tiff.pages[back_to].offset
    assert len(read_picture(path).pages) == pages
    changed(path, end, struct.pack("<Q" if bigtiff else "<I", offset))
    refused(path, f"page {pages + 1} of its list")


# --- what cannot be written


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working directory, with a network and a folder `in` whose last file is a plain one."""
    monkeypatch.chdir(tmp_path)
    write_network(tmp_path / "network.pickle", "gauss25-n2c")
    (tmp_path / "in").mkdir()
    tifffile.imwrite("in/z.tif", smooth_picture(64, 64), photometric="rgb")
    return tmp_path


OPTIONS = DenoisingOptions("network.pickle", "out")


def write_resolution(path: Path, kind: int, values: bytes, unit: int = 2) -> None:
    """Writes a picture whose resolution is stored in an odd way.

    kind: of the values, as TIFF numbers them.
    values: as they are stored; 8 bytes are one fraction.
    """
    tifffile.imwrite(path, smooth_picture(64, 64), photometric="rgb", metadata=None, software=False, resolution=(300, 300))
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        places, unit_at = [tags[code].offset for code in RESOLUTIONS], tags[296].valueoffset
    size = {3: 2, 4: 4, 5: 8, 11: 4}[kind]
    end = path.stat().st_size
    for at in places:
        field = values.ljust(4, b"\0") if len(values) <= 4 else struct.pack("<I", end)
        changed(path, at + 2, struct.pack("<HI", kind, len(values) // size) + field)
    changed(path, unit_at, struct.pack("<H", unit))
    path.write_bytes(path.read_bytes() + values)


@pytest.mark.parametrize(("arguments", "left_out"), [
    ((5, bytes(8)), "resolution"), ((11, struct.pack("<f", np.nan)), "resolution"), ((5, b""), "resolution"),
    ((5, struct.pack("<II", 300, 1), 77), "unit of resolution"),
])  # fmt: skip
def test_a_resolution_that_is_none_is_left_out(place, capsys, arguments, left_out):
    write_resolution(Path("in/a.tif"), *arguments)
    denoise(["in"], OPTIONS, {})
    lines = capsys.readouterr().out.splitlines()
    assert f"its {left_out}, which cannot be written, is left out" in lines[0] and "in/z.tif" in lines[1]
    for name in ("a.tif", "z.tif"):
        assert tifffile.imread(f"out/{name}").shape == (64, 64, 3)


@pytest.mark.parametrize("arguments", [
    (5, struct.pack("<II", 300, 1)), (5, struct.pack("<6I", 300, 1, 1, 1, 1, 1)), (4, struct.pack("<I", 300)),
    (4, struct.pack("<3I", 300, 7, 7)), (3, struct.pack("<H", 300)), (11, struct.pack("<f", 300)),
])  # fmt: skip
def test_a_resolution_is_kept_however_it_is_stored(tmp_path, arguments):
    write_resolution(tmp_path / "a.tif", *arguments)
    picture = read_picture(tmp_path / "a.tif")
    picture.write(tmp_path / "b.tif", picture.pages)
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert [tiff.pages[0].tags[code].value for code in RESOLUTIONS] == [(300, 1)] * 2 and picture.notes == []


ERRORS = [struct.error("odd"), ZeroDivisionError(), TypeError("a\ntag"), KeyError(7)]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("method", ["TiffWriter.write", "TiffPage.asarray"])
def test_whatever_tifffile_raises_skips_one_file(place, monkeypatch, capsys, method, error):
    """As it does for tags that nobody has thought of."""
    tifffile.imwrite("in/a.tif", smooth_picture(64, 70), photometric="rgb")
    owner, name = getattr(tifffile, method.split(".")[0]), method.split(".")[1]
    function = getattr(owner, name)

    def raising(self, *data, **options):
        if 70 in (data[0] if data else self).shape:
            raise error
        return function(self, *data, **options)

    monkeypatch.setattr(owner, name, raising)
    with pytest.raises(UserError, match="1 of 2 files skipped"):
        denoise(["in"], OPTIONS, {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("in/z.tif: ")
    assert lines[0].startswith(f"skipped: cannot {'write out' if name == 'write' else 'read in'}/a.tif: ")
    assert [path.name for path in Path("out").iterdir()] == ["z.tif"]


@pytest.mark.parametrize("ours", ["pictures.tiff.write_tiff", "inference.denoise_files._denoise_pages"])
def test_an_error_of_ours_keeps_its_traceback(place, monkeypatch, ours):
    def wrong(*_):
        raise TypeError("ours")

    monkeypatch.setattr(f"dnnlib.denoising.{ours}", wrong)
    with pytest.raises(TypeError, match="ours"):
        denoise(["in"], OPTIONS, {})
    assert not list(Path("out").iterdir())
