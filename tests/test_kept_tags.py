"""What of a file stays with its result: tags of TIFF, EXIF of all kinds; and that what does not is said."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from dnnlib.denoising.pictures.files import read_picture
from dnnlib.errors import UserError

RNG = np.random.default_rng(5)
EXIF, GPS, MAKER_NOTE = 34665, 34853, 37500
EXPOSURE = {33434: IFDRational(1, 100), 34855: 400, 36867: "2020:01:01 00:00:00", 42036: "a lens of a long name"}
PLACE = {1: "N", 2: (IFDRational(48), IFDRational(12), IFDRational(3, 10)), 3: "E"}


def values(*shape, dtype=np.uint8):
    return RNG.integers(0, 200, shape).astype(dtype)


def rewritten(path):
    """The notes of a picture, and the path of another with other pixels."""
    picture, out = read_picture(path), path.with_name(f"out-{path.name}")
    picture.write(out, [page + 1 for page in picture.pages])
    return picture.notes, out


def tags_of(path):
    """Of the first page, but for where the pixels lie: (type, value)."""
    with tifffile.TiffFile(path) as tiff:
        places = (273, 279, EXIF, GPS)
        return {tag.code: (tag.dtype, str(tag.value)) for tag in tiff.pages[0].tags if tag.code not in places}


def blocks_of(path):
    with Image.open(path) as image:
        exif = image.getexif()
        return exif.get_ifd(EXIF), exif.get_ifd(GPS), exif.get(274)


GEO = [
    (33550, 12, 3, (10.0, 10.0, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 4.6e6, 0.0), True),
    (34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 1), True), (34736, 12, 2, (1.5, 2.5), True), (34737, 2, None, "WGS 84|", True),
    (42112, 2, None, "<GDALMetadata>x</GDALMetadata>", True), (42113, 2, None, "0", True),
    (34264, 12, 16, tuple(map(float, range(16))), True),
]  # fmt: skip
OTHERS = [(269, 2, None, "a document", True), (285, 2, None, "a page", True), (33723, 7, 5, b"iptc!", True),
          (318, 5, 2, (1, 3, 1, 3), True), (286, 5, 1, (7, 2), True)]


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_geotiff_and_other_tags_are_kept(tmp_path, byteorder, big):
    options = {"bigtiff": big, "byteorder": byteorder, "metadata": None, "resolution": (5, 5), "extratags": GEO + OTHERS}
    tifffile.imwrite(tmp_path / "a.tif", values(9, 8, dtype=np.int16), **options)
    notes, out = rewritten(tmp_path / "a.tif")
    assert notes == [] and tags_of(out) == tags_of(tmp_path / "a.tif") and len(tags_of(out)) > len(GEO + OTHERS)


@pytest.mark.parametrize("truncate", [False, True])
def test_imagej_keeps_its_metadata(tmp_path, truncate):
    metadata = {
        "axes": "ZYX", "unit": "um", "spacing": 2.0, "Info": "some words", "Labels": list("abcd"), "Overlays": [b"roi"],
        "LUTs": [values(3, 256)] * 4,
    }  # fmt: skip
    options = {"imagej": True, "resolution": (5, 5), "metadata": metadata, "truncate": truncate}
    tifffile.imwrite(tmp_path / "a.tif", values(4, 9, 8), **options)
    notes, out = rewritten(tmp_path / "a.tif")
    assert notes == [] and tags_of(out) == tags_of(tmp_path / "a.tif")
    with tifffile.TiffFile(out) as tiff:
        assert [50839 in page.aspage().tags for page in tiff.pages] == [True, False, False, False]
        found = tiff.imagej_metadata
        assert (found["unit"], found["spacing"], found["Info"], found["Labels"]) == ("um", 2.0, "some words", list("abcd"))


@pytest.mark.parametrize("kind", ["tif", "jpg", "png", "webp"])
def test_exif_is_kept_and_the_picture_is_not_turned(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    image = Image.fromarray(values(40, 30, 3))
    if kind == "tif":
        info = ImageFileDirectory_v2()
        info[274], info[EXIF], info[GPS] = 6, EXPOSURE, PLACE
        image.save(path, tiffinfo=info)
    else:
        exif = Image.Exif()
        exif[274] = 6
        exif.get_ifd(EXIF).update(EXPOSURE)
        exif.get_ifd(GPS).update(PLACE)
        image.save(path, exif=exif)
    notes, out = rewritten(path)
    assert notes == [] and blocks_of(out) == blocks_of(path)
    found, place, orientation = blocks_of(out)
    assert (set(found), set(place), orientation) == (set(EXPOSURE), set(PLACE), 6)
    with Image.open(out) as image:
        assert image.size == ((40, 30) if kind == "tif" else (30, 40))  # of TIFF Pillow says how it will turn it


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_exif_blocks_of_all_pages(tmp_path, order, big):
    """Written by hand: the second page points to one, and in files of 64 bits, too."""
    count, entry, place, inline = ("Q", "HHQ", "Q", 8) if big else ("H", "HHI", "I", 4)
    with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=order, bigtiff=big) as writer:
        for page in range(3):
            pointer = [(34664, 16 if big else 4, 1, 0, True)] if page == 1 else []
            writer.write(values(9, 8), metadata=None, extratags=pointer)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        tag = tiff.pages[1].aspage().tags[34664]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    start = len(data)
    data[tag.offset : tag.offset + 2] = struct.pack(f"{order}H", EXIF)
    data[tag.valueoffset : tag.valueoffset + inline] = struct.pack(f"{order}{place}", start)
    lens = b"a lens of a long name\0"
    block = struct.pack(f"{order}{count}", 2) + struct.pack(f"{order}{entry}", 34855, 3, 1)
    block += struct.pack(f"{order}H", 400).ljust(inline, b"\0") + struct.pack(f"{order}{entry}", 42036, 2, len(lens))
    block += struct.pack(f"{order}{place}", start + len(block) + 2 * inline) + bytes(inline) + lens
    (tmp_path / "a.tif").write_bytes(data + block)
    notes, out = rewritten(tmp_path / "a.tif")
    assert notes == []
    for path in (tmp_path / "a.tif", out):
        with tifffile.TiffFile(path) as tiff:
            assert [EXIF in page.aspage().tags for page in tiff.pages] == [False, True, False]
            found = tiff.pages[1].aspage().tags[EXIF].value
            assert (found["ISOSpeedRatings"], found["LensModel"]) == (400, "a lens of a long name")
            assert tiff.pages[1].asarray().shape == (9, 8)


@pytest.mark.parametrize(("at", "value"), [(2, 99), (8, 1 << 31), (4, 1 << 31)], ids=["type", "place", "count"])
def test_a_damaged_block_is_left_out(tmp_path, at, value):
    info = ImageFileDirectory_v2()
    info[EXIF] = EXPOSURE
    Image.fromarray(values(40, 30, 3)).save(tmp_path / "a.tif", tiffinfo=info)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    place = data.index(struct.pack("<HH", 42036, 2)) + at
    data[place : place + (2 if at == 2 else 4)] = struct.pack("<H" if at == 2 else "<I", value)
    (tmp_path / "a.tif").write_bytes(data)
    notes, out = rewritten(tmp_path / "a.tif")
    assert notes == ["its EXIF block, which is damaged, is left out"] and blocks_of(out)[0] == {}


def test_no_more_is_kept_than_the_file_has(tmp_path):
    """Though each of many pages points to all of it."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for _ in range(40):
            writer.write(values(9, 8), metadata=None, extratags=[(33723, 7, 9, b"some iptc", True)])
        writer.write(values(100, 400), metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        tags = [page.aspage().tags[33723] for page in tiff.pages[:40]]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    for tag in tags:
        data[tag.offset + 4 : tag.offset + 12] = struct.pack("<II", len(data) - 9000, 8)
    (tmp_path / "a.tif").write_bytes(data)
    notes, out = rewritten(tmp_path / "a.tif")
    assert notes == ["its tags IPTCNAA are left out"]
    assert out.stat().st_size < 2.1 * len(data)


# --- what is said


def test_a_makers_note_would_point_nowhere(tmp_path):
    info = ImageFileDirectory_v2()
    info[EXIF] = EXPOSURE | {MAKER_NOTE: b"a note that holds places in its file"}
    Image.fromarray(values(40, 30, 3)).save(tmp_path / "a.tif", tiffinfo=info)
    notes, out = rewritten(tmp_path / "a.tif")
    assert notes == ["the camera maker's note in its EXIF block is left out"] and set(blocks_of(out)[0]) == set(EXPOSURE)


def test_other_tags_are_named(tmp_path):
    tags = [(65000 + i, 3, 1, 7, True) for i in range(9)] + [(34377, 7, 4, b"8BIM", True)]
    tifffile.imwrite(tmp_path / "a.tif", values(9, 8), extratags=tags, metadata=None)
    notes, _ = rewritten(tmp_path / "a.tif")
    assert notes == ["its tags ImageResources, 65000, 65001, 65002, 65003, 65004 and 4 more are left out"]


def test_chunks_of_png_are_named(tmp_path):
    Image.fromarray(values(9, 8)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    more = chunk(b"tIME", bytes(7)) + chunk(b"tEXt", b"Author\0me") + chunk(b"prVt", b"x\x1b")
    (tmp_path / "a.png").write_bytes(data[:33] + more + data[33:])
    notes, out = rewritten(tmp_path / "a.png")
    assert notes == ["its chunks tIME, prVt are left out"] and Image.open(out).text == {"Author": "me"}


def test_segments_of_jpeg_are_named(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(values(16, 16, 3)).save(buffer, format="JPEG", comment="a comment", dpi=(300, 300), exif=Image.Exif())
    data, more = buffer.getvalue(), b"\xff\xed" + struct.pack(">H", 12) + b"Photoshop\0"
    (tmp_path / "a.jpg").write_bytes(data[:2] + more + data[2:])
    notes, out = rewritten(tmp_path / "a.jpg")
    assert notes == ["its segments APP13 are left out"] and Image.open(out).info["comment"] == b"a comment"


# --- kinds that need imagecodecs, and kinds for which it does not help


@pytest.mark.parametrize("compression", ["lzw", "zstd", "lzma", "packbits"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4"])
def test_compressed_files_are_ordinary(tmp_path, compression, dtype):
    pixels = values(20, 30, 3, dtype=dtype)
    predictor = dtype[0] != "f" and compression != "packbits"
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", compression=compression, predictor=predictor)
    notes, out = rewritten(tmp_path / "a.tif")
    assert notes == []
    with tifffile.TiffFile(out) as tiff:
        np.testing.assert_array_equal(tiff.asarray(), pixels + 1)
        assert tiff.pages[0].compression == 8 and tiff.pages[0].predictor == (2 if predictor else 1)


@pytest.mark.parametrize(
    ("photometric", "words"), [("separated", "CMYK of 16 bits is not supported: convert it to RGB"), ("cfa", "camera raw")]
)
def test_colours_of_16_bits_that_nothing_reads(tmp_path, photometric, words):
    shape = (20, 30, 4) if photometric == "separated" else (20, 30)
    tifffile.imwrite(tmp_path / "a.tif", values(*shape, dtype=np.uint16), photometric=photometric)
    with pytest.raises(UserError, match=words) as caught:
        read_picture(tmp_path / "a.tif")
    assert "imagecodecs" not in str(caught.value)
