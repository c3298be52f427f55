"""TIFF files that are odd or hostile: all that they hold is denoised, or one line says what is the matter."""

import json
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


LISTED = [{"rowsperstrip": 10}, {"rowsperstrip": 10, "compression": "zlib"}, {"tile": (16, 16), "compression": "zlib"}]


@pytest.mark.parametrize("options", LISTED, ids=str)
def test_strips_and_tiles_that_are_not_listed(tmp_path, options):
    """They would be zeros, as a picture that became larger by a damaged tag."""
    tifffile.imwrite(tmp_path / "a.tif", values(40, 32), metadata=None, **options)
    assert len(read_picture(tmp_path / "a.tif").pages) == 1
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        at = tiff.pages[0].tags[257].offset
    changed(tmp_path / "a.tif", at, struct.pack("<HHII", 257, 4, 1, 400))
    refused(tmp_path / "a.tif", "damaged .it lists . of .. strips or tiles")


def test_one_strip_that_is_said_to_be_many(tmp_path):
    """As some programs write what lies in one piece."""
    pixels = values(40, 32)
    tifffile.imwrite(tmp_path / "a.tif", pixels, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        changed(tmp_path / "a.tif", tiff.pages[0].tags[278].offset, struct.pack("<HHII", 278, 4, 1, 1))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif").pages[0][:, :, 0], pixels)


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


def test_other_tags_that_cannot_be_written_are_left_out_one_by_one(place, capsys):
    """An orientation of two fractions; the maker beside it is kept."""
    tags = [(274, 12, 2, (1.5, 2.5), True), (271, 2, None, "a maker", True)]
    tifffile.imwrite("in/a.tif", smooth_picture(64, 64), photometric="rgb", resolution=(300, 150), extratags=tags)
    denoise(["in"], OPTIONS, {})
    assert "its Orientation, which cannot be written, is left out" in capsys.readouterr().out.splitlines()[0]
    with tifffile.TiffFile("out/a.tif") as tiff:
        written = tiff.pages[0].tags
        assert written[271].value == "a maker" and [written[code].value for code in RESOLUTIONS] == [(300, 1), (150, 1)]
        assert 274 not in written and tiff.pages[0].description == '{"shape": [64, 64, 3]}'


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


# --- pictures that TIFF's own list of pages does not have


def write_stk(path: Path, planes: np.ndarray, rows: int) -> None:
    """Writes a stack as MetaMorph does: one page, strips of so many rows, and the other planes right behind the first."""
    count, height, width = planes.shape
    strips, size = -(-height // rows), planes.itemsize
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8 * size), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, strips, 0),
        (277, 3, 1, 1), (278, 4, 1, rows), (279, 4, strips, 0), (33628, 4, 1, 0), (33629, 5, count, 0),
    ]  # fmt: skip
    behind = 8 + 2 + 12 * len(tags) + 4
    records = struct.pack("<6I", 0, 1, 2451545, 0, 2451545, 0) * count
    start = behind + len(records) + 8 + 8 * strips
    lengths = [min(rows, height - row) * width * size for row in range(0, height, rows)]
    offsets = [start + row * width * size for row in range(0, height, rows)]
    at = behind + len(records) + 8
    places = {33629: behind, 33628: behind + len(records)}
    places |= {273: at, 279: at + 4 * strips} if strips > 1 else {273: offsets[0], 279: lengths[0]}
    body = b"".join(struct.pack("<HHII", *tag[:3], places.get(tag[0], tag[3])) for tag in tags)
    lists = struct.pack(f"<{2 * strips}I", *offsets, *lengths)
    content = struct.pack("<H", len(tags)) + body + bytes(4) + records + bytes(8) + lists + planes.tobytes()
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + content)


def check_stack(path: Path, expected: np.ndarray, notes: list[str] | None = None) -> None:
    """That all of `expected` [P,H,W,C] is read and written, so that it is what tifffile reads of the result, too."""
    picture = read_picture(path)
    assert read_header(path).pages == len(picture.pages) == len(expected) and picture.notes == (notes or [])
    for page, wanted in zip(picture.pages, expected, strict=True):
        np.testing.assert_array_equal(page, wanted, strict=True)
    out = path.with_name("result.tif")
    picture.write(out, [255 - page for page in picture.pages])
    with tifffile.TiffFile(out) as tiff:
        written = [series.asarray() for series in tiff.series]
        assert len(tiff.pages) == len(expected)
    np.testing.assert_array_equal(np.concatenate(written).reshape(expected.shape), 255 - expected)
    assert len(read_picture(out).pages) == len(expected)


@pytest.mark.parametrize(("dtype", "rows"), [(np.uint8, 9), (np.uint16, 9), (np.uint16, 4)])
def test_metamorph_stacks(tmp_path, dtype, rows):
    planes = values(3, 9, 7, dtype=np.uint8).astype(dtype)
    write_stk(tmp_path / "a.stk", planes, rows)
    with tifffile.TiffFile(tmp_path / "a.stk") as tiff:
        assert tiff.is_stk and len(tiff.pages) == 1 and len(tiff.pages[0].dataoffsets) == -(-9 // rows)
    check_stack(tmp_path / "a.stk", planes[..., None], ["MetaMorph's own tags are left out"])


@pytest.mark.parametrize("shape", [(3, 40, 30), (2, 3, 40, 30), (3, 40, 30, 3)])
def test_stacks_of_tifffile_behind_one_page(tmp_path, shape):
    planes = values(*shape)
    colour = shape[-1] == 3
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb" if colour else "minisblack", truncate=True)
    check_stack(tmp_path / "a.tif", planes.reshape(-1, 40, 30, 3 if colour else 1))


@pytest.mark.parametrize("shape", [(3, 40, 30), (9, 40, 30), (10**12, 40, 30), (41, 30), (0, 0, 0), (3,) * 99, "", None])
def test_a_description_of_other_pictures(tmp_path, shape):
    """Without the mark of a stack: it is what the file holds that counts."""
    words = json.dumps({"shape": shape})
    tifffile.imwrite(tmp_path / "a.tif", values(40, 30), metadata=None, description=words)
    assert len(read_picture(tmp_path / "a.tif").pages) == read_header(tmp_path / "a.tif").pages == 1
    whole = tmp_path / "a.tif"
    whole.write_bytes(whole.read_bytes() + bytes(2 * 40 * 30))
    assert len(read_picture(whole).pages) == (3 if shape == (3, 40, 30) else 1)


def test_several_stacks_behind_a_page_each(tmp_path):
    planes = values(5, 40, 30)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for part in (planes[:3], planes[3:]):
            writer.write(part, photometric="minisblack", truncate=True)
    check_stack(tmp_path / "a.tif", planes[..., None])


def test_stacks_of_imagej_behind_one_page(tmp_path):
    planes = values(4, 40, 30)
    tifffile.imwrite(tmp_path / "a.tif", planes, imagej=True, truncate=True, metadata={"axes": "ZYX"})
    check_stack(tmp_path / "a.tif", planes[..., None])
    with tifffile.TiffFile(tmp_path / "result.tif") as tiff:
        assert tiff.is_imagej and tiff.series[0].axes == "ZYX"


@pytest.mark.parametrize(("options", "words"), [({"truncate": True}, "truncated"), ({"imagej": True}, "ImageJ stored 4")])
def test_a_stack_that_is_cut_off(tmp_path, options, words):
    options = {"truncate": True, "photometric": "minisblack"} | options
    tifffile.imwrite(tmp_path / "a.tif", values(4, 90, 70), **options)
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[: -90 * 70])
    refused(tmp_path / "a.tif", words)


# --- SubIFDs


RAW = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, b"\0\1\1\2", True)]


@pytest.mark.parametrize("marked", [0, 1], ids=["a plain page", "a preview"])
@pytest.mark.parametrize(("photometric", "side"), [("cfa", 32), ("minisblack", 32), ("minisblack", 12)])
def test_raw_data_behind_a_preview_is_not_passed_over(tmp_path, marked, photometric, side):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(values(16, 16, 3), photometric="rgb", subfiletype=marked, subifds=1, metadata=None)
        tags = RAW if photometric == "cfa" else []
        writer.write(values(side, side, dtype=np.uint16), photometric=photometric, extratags=tags, metadata=None)
    kind = photometric.upper()
    refused(tmp_path / "a.tif", f"a picture of {side} x {side} {kind} uint16 behind one of 16 x 16 RGB uint8.*raw converter")


def test_a_thumbnail_larger_than_the_picture_is_none(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for side, marked in ((8, 1), (16, 0), (32, 1)):
            writer.write(values(side, side), photometric="minisblack", subfiletype=marked, metadata=None)
    refused(tmp_path / "a.tif", "a picture of 32 x 32 MINISBLACK uint8 behind one of 16 x 16")


def test_raw_data_in_the_first_page(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values(16, 16, dtype=np.uint16), photometric="cfa", extratags=RAW)
    with pytest.raises(UserError, match="camera raw .16 x 16 CFA uint16.: develop it"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("marked", [0, 1])
@pytest.mark.parametrize("options", [{"subifds": 2}, {"subifds": 2, "pages": 2}, {}], ids=["SubIFDs", "two pages", "pages"])
def test_pyramids(tmp_path, options, marked):
    """The picture is denoised; that its smaller copies are left out is said, or they are pages like others."""
    pages = options.pop("pages", 1)
    pictures = values(pages, 32, 32, 3)
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=True) as writer:
        for picture in pictures:
            writer.write(picture, photometric="rgb", metadata=None, **options)
            for step in (2, 4):
                writer.write(picture[::step, ::step], photometric="rgb", subfiletype=marked, metadata=None)
    picture = read_picture(tmp_path / "a.tif")
    in_list = not options and not marked
    assert picture.notes == ([] if in_list else [f"its {'smaller copies' if options else 'thumbnails'} are left out"])
    for page, wanted in zip(picture.pages, pictures, strict=not in_list):
        np.testing.assert_array_equal(page, wanted)
    assert [page.shape[0] for page in picture.pages] == ([32, 16, 8] if in_list else [32] * pages)


def test_sub_ifds_that_lead_back(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(values(16, 16), photometric="minisblack", subifds=1, metadata=None)
        writer.write(values(8, 8), photometric="minisblack", subfiletype=1, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        (inner,) = tiff.pages[0].subifds
        tags = tiff.pages[0].pages[0].tags
        assert tiff.pages[0].pages[0].is_reduced and 305 in tags
        changed(tmp_path / "a.tif", tags[305].offset, struct.pack("<HHII", 330, 4, 1, inner))
    assert read_picture(tmp_path / "a.tif").notes == ["its smaller copies are left out"]
