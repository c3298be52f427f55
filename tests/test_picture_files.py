"""Users' pictures: each kind is written as it was, with its metadata; what cannot be is refused in one line."""

import io
import os

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from dnnlib.denoising.pictures import png
from dnnlib.denoising.pictures.files import read_picture
from dnnlib.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
RNG = np.random.default_rng(1)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, MAKE = 274, 271


def values(*shape, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def exif():
    tags = Image.Exif()
    tags[ORIENTATION], tags[MAKE] = 6, "a maker"
    return tags


def rewritten(path):
    """The picture, and the path of a file that is written in its likeness, of other pixels (the same with 1 added)."""
    picture = read_picture(path)
    out = path.with_name(f"out-{path.name}")
    picture.write(out, [(page + 1).astype(page.dtype) for page in picture.pages])
    return picture, out


def check_pixels(path, expected, kind, colours):
    """That `expected` [P,H,W,C] are read, and written back."""
    picture, out = rewritten(path)
    assert (picture.kind, picture.colours, picture.notes) == (kind, colours, [])
    again = read_picture(out)
    assert len(picture.pages) == len(again.pages) == len(expected)
    for page, other, wanted in zip(picture.pages, again.pages, expected, strict=True):
        np.testing.assert_array_equal(page, wanted, strict=True)
        np.testing.assert_array_equal(other, (wanted + 1).astype(wanted.dtype), strict=True)
    return out


# --- PNG, JPEG, WebP


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("channels", "colours"), [(1, 1), (2, 1), (3, 3), (4, 3)])
def test_png(tmp_path, channels, colours, dtype):
    pixels = values(7, 5, channels, dtype=dtype)
    if dtype == np.uint16:
        (tmp_path / "a.png").write_bytes(png.encode16(pixels))
    else:
        Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(tmp_path / "a.png")
    out = check_pixels(tmp_path / "a.png", [pixels], "PNG", colours)
    assert out.read_bytes()[24:26] == (tmp_path / "a.png").read_bytes()[24:26]  # bits and colour type


def test_sixteen_bit_png_as_others_read_it(tmp_path):
    pixels = values(7, 5, dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.pages[0][:, :, 0], pixels)
    picture.write(tmp_path / "b.png", picture.pages)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), pixels)


METADATA = {"icc_profile": ICC, "exif": exif(), "dpi": (300, 300)}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", METADATA), ("a.jpg", METADATA), ("g.jpg", {"comment": b"a comment"}),
        ("a.webp", METADATA | {"lossless": True}), ("b.webp", METADATA),
    ],
)  # fmt: skip
def test_metadata_is_kept(tmp_path, name, options):
    Image.fromarray(values(40, 30, 3)).save(tmp_path / name, **options)
    _, out = rewritten(tmp_path / name)
    with Image.open(tmp_path / name) as before, Image.open(out) as after:
        assert (after.format, after.mode, after.size) == (before.format, before.mode, before.size)
        keys = set(before.info) - {"jfif_density"}
        assert keys >= set(options) - {"lossless", "dpi"}
        assert {key: after.info.get(key) for key in keys} == {key: before.info[key] for key in keys}
        if "exif" in options:
            assert dict(after.getexif()) == {ORIENTATION: 6, MAKE: "a maker"}


def test_sixteen_bit_png_keeps_metadata(tmp_path):
    eight = io.BytesIO()
    Image.fromarray(values(7, 5, 3)).save(eight, format="PNG", **METADATA)
    chunks = png.metadata_chunks(eight.getvalue())
    (tmp_path / "a.png").write_bytes(png.with_chunks(png.encode16(values(7, 5, 3, dtype=np.uint16)), chunks))
    _, out = rewritten(tmp_path / "a.png")
    with Image.open(out) as after:
        assert after.info["icc_profile"] == ICC and after.getexif()[ORIENTATION] == 6
        assert after.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert png.bit_depth(out.read_bytes()) == 16


def test_jpeg_has_quality_95_and_its_own_subsampling(tmp_path):
    for subsampling in (0, 2):
        Image.fromarray(values(32, 32, 3)).save(tmp_path / "a.jpg", quality=50, subsampling=subsampling)
        picture, out = read_picture(tmp_path / "a.jpg"), tmp_path / "b.jpg"
        picture.write(out, picture.pages)
        expected = io.BytesIO()
        Image.fromarray(picture.pages[0]).save(expected, format="JPEG", quality=95, subsampling=subsampling)
        assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(expected)))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("extended", [False, True], ids=["bare", "with ICC"])
def test_webp_is_lossless_if_it_was(tmp_path, channels, extended):
    options = {"icc_profile": ICC} if extended else {}
    pixels = values(20, 30, channels)
    Image.fromarray(pixels).save(tmp_path / "a.webp", lossless=True, exact=True, **options)
    check_pixels(tmp_path / "a.webp", [pixels], "WebP", 3)
    Image.fromarray(pixels).save(tmp_path / "b.webp", quality=60, **options)
    _, out = rewritten(tmp_path / "b.webp")
    assert b"VP8L" in (tmp_path / "out-a.webp").read_bytes()[:4000] and b"VP8L" not in out.read_bytes()[:4000]


CYAN = (255, 0, 0, 0)
CONVERTED = [
    ("palette.png", lambda: Image.fromarray(values(9, 8, 3)).quantize(8), {}, "palette converted to RGB", (9, 8, 3)),
    ("clear.png", lambda: Image.fromarray(values(9, 8, 3)).quantize(8), {"transparency": 3}, "converted to RGBA", (9, 8, 4)),
    ("keyed.png", lambda: Image.fromarray(values(9, 8, 3)), {"transparency": (1, 2, 3)}, "converted to RGBA", (9, 8, 4)),
    ("bits.png", lambda: Image.fromarray(values(9, 8) > 99), {}, "1-bit converted to L", (9, 8, 1)),
    ("cmyk.jpg", lambda: Image.new("CMYK", (8, 9), CYAN), {"icc_profile": ICC}, "CMYK converted to RGB", (9, 8, 3)),
    ("palette.tif", lambda: Image.fromarray(values(9, 8, 3)).quantize(8), {}, "palette converted", (9, 8, 3)),
    ("cmyk.tif", lambda: Image.new("CMYK", (8, 9), CYAN), {}, "CMYK converted", (9, 8, 3)),
    ("bits.tif", lambda: Image.fromarray(values(9, 8) > 99), {}, "converted to 8-bit grey", (9, 8, 1)),
]


@pytest.mark.parametrize(("name", "make", "options", "note", "shape"), CONVERTED, ids=[case[0] for case in CONVERTED])
def test_what_is_converted_is_said(tmp_path, name, make, options, note, shape):
    image = make()
    image.save(tmp_path / name, **options)
    picture, out = rewritten(tmp_path / name)
    assert note in ", ".join(picture.notes)
    assert picture.pages[0].shape == shape and picture.pages[0].dtype == np.uint8
    with Image.open(tmp_path / name) as before:
        wanted = np.asarray(before.convert({1: "L", 3: "RGB", 4: "RGBA"}[shape[2]]))
    np.testing.assert_array_equal(picture.pages[0].squeeze(), wanted)
    again = read_picture(out)
    assert again.pages[0].shape == shape and again.notes == []
    if "icc_profile" in options:  # of CMYK: it would turn the colours into others
        assert "icc_profile" not in Image.open(out).info


# --- TIFF


@pytest.mark.parametrize("dtype", ["u1", "u2", "f2", "f4", "f8"])
@pytest.mark.parametrize(("shape", "options"), [
    ((7, 5), {}), ((7, 5, 3), {"compression": "zlib"}), ((7, 5, 4), {"extrasamples": ["unassalpha"]}),
    ((3, 7, 5), {"pages": True}), ((3, 7, 5, 3), {"pages": True, "compression": "zlib"}),
])  # fmt: skip
def test_tiff(tmp_path, shape, options, dtype):
    pixels = RNG.random(shape).astype(dtype) if dtype[0] == "f" else values(*shape, dtype=np.dtype(dtype))
    options = dict(options)
    pages = pixels if options.pop("pages", False) else pixels[None]
    colour = shape[-1] in (3, 4)
    photometric = "rgb" if colour else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=photometric, byteorder=">", **options)
    expected = [page if colour else page[:, :, None] for page in pages]
    out = check_pixels(tmp_path / "a.tif", expected, "TIFF", 3 if colour else 1)
    with tifffile.TiffFile(tmp_path / "a.tif") as before, tifffile.TiffFile(out) as after:
        assert after.byteorder == before.byteorder
        for one, other in zip(before.pages, after.pages, strict=True):
            assert one.compression == other.compression and one.aspage().extrasamples == other.aspage().extrasamples


def test_tiff_keeps_its_tags(tmp_path):
    texts = [(271, 2, None, "a maker", True), (ORIENTATION, 3, 1, 6, True), (33432, 2, None, "someone", True)]
    tifffile.imwrite(
        tmp_path / "a.tif", values(7, 5, 3, dtype=np.uint16), photometric="rgb", iccprofile=ICC, resolution=(300, 150),
        resolutionunit="inch", description="some words \u00e9".encode(), extratags=texts, compression="zlib", predictor=True,
        metadata=None, software="a program",
    )  # fmt: skip
    picture, out = rewritten(tmp_path / "a.tif")
    assert picture.notes == []
    with tifffile.TiffFile(tmp_path / "a.tif") as before, tifffile.TiffFile(out) as after:
        tags = [{tag.code: tag.value for tag in file.pages[0].tags} for file in (before, after)]
    for of_strips in (273, 279):
        tags[0].pop(of_strips), tags[1].pop(of_strips)
    assert tags[0] == tags[1]


def test_separate_planes_and_big_tiff(tmp_path):
    pixels = values(3, 9, 7)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig="separate", bigtiff=True)
    out = check_pixels(tmp_path / "a.tif", [np.moveaxis(pixels, 0, -1)], "TIFF", 3)
    assert tifffile.TiffFile(out).is_bigtiff


def test_imagej_stacks_stay_stacks(tmp_path):
    stack = values(4, 9, 7)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True)
    out = check_pixels(tmp_path / "a.tif", stack[..., None], "TIFF", 1)
    assert tifffile.imread(out).shape == (4, 9, 7) and tifffile.TiffFile(out).is_imagej


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "packbits"])
def test_other_compressions_of_8_bits(tmp_path, compression):
    """With pages, and an orientation, which Pillow applies."""
    pages = [Image.fromarray(values(16, 24, 3)) for _ in range(2)]
    pages[0].save(tmp_path / "a.tif", compression=compression, save_all=True, append_images=pages[1:])
    picture, out = rewritten(tmp_path / "a.tif")
    for page, wanted in zip(picture.pages, pages, strict=True):
        assert page.shape == (16, 24, 3)
        if compression != "jpeg":
            np.testing.assert_array_equal(page, np.asarray(wanted))
    assert len(read_picture(out).pages) == 2
    pages[0].save(tmp_path / "b.tif", compression=compression, exif=exif())
    picture, out = rewritten(tmp_path / "b.tif")
    if "turned upright" in picture.notes:  # not where imagecodecs is there
        assert picture.pages[0].shape == (24, 16, 3) and ORIENTATION not in Image.open(out).getexif()
    else:
        assert picture.pages[0].shape == (16, 24, 3) and Image.open(out).getexif()[ORIENTATION] == 6


# --- .npy


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "f4", "<f8", ">f4"])
@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 1), (7, 5, 3), (2, 7, 5, 1), (3, 7, 5, 3)], ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path, dtype, shape, order):
    array = np.asarray(RNG.random(shape) * 200, np.dtype(dtype), order=order)
    np.save(tmp_path / "a.npy", array)
    picture = read_picture(tmp_path / "a.npy")
    assert picture.colours == (1 if len(shape) == 2 else min(shape[-1], 3)) and all(page.ndim == 3 for page in picture.pages)
    picture.write(tmp_path / "b.npy", [page.copy() for page in picture.pages])
    assert (tmp_path / "b.npy").read_bytes() == (tmp_path / "a.npy").read_bytes()


# --- what is refused


def write_npy(array):
    return lambda path: np.save(path.open("wb"), array, allow_pickle=True)


def write_tiff(array, **options):
    return lambda path: tifffile.imwrite(path, array, **options)


def truncated(write, name):
    def write_half(path):
        write(path.with_name(name))
        path.write_bytes(path.with_name(name).read_bytes()[:-150])

    return write_half


REFUSED = [
    ("a.txt", lambda path: path.write_text("some words that are no picture"), "not a picture of a known kind"),
    ("a.png", lambda path: path.touch(), "the file is empty"),
    ("a.png", lambda path: path.mkdir(), "Is a directory"),
    ("a.png", os.mkfifo, "not a regular file"),
    ("a.bmp", lambda path: Image.fromarray(values(9, 9)).save(path), "not a picture of a known kind"),
    ("a.npy", write_npy(values(9, 9, 5)), "shape"), ("a.npy", write_npy(values(2, 2, 9, 9, 3)), "shape"),
    ("a.npy", write_npy(values(9)), "shape"), ("a.npy", write_npy(np.zeros([9, 9], np.int64)), "int64"),
    ("a.npy", write_npy(np.zeros([9, 9], complex)), "complex128"), ("a.npy", write_npy(np.zeros([0, 9])), "no pixels"),
    ("a.npy", write_npy(np.array([{}])), "damaged"), ("a.npy", truncated(write_npy(values(90, 90)), "b.npy"), "damaged"),
    ("a.tif", write_tiff(np.zeros([9, 9], np.int8)), "int8"), ("a.tif", write_tiff(np.zeros([9, 9], np.uint32)), "uint32"),
    ("a.tif", write_tiff(values(9, 9), photometric="miniswhite"), "white is zero"),
    ("a.tif", truncated(write_tiff(values(90, 90, 3), photometric="rgb"), "b.tif"), "truncated|damaged"),
    ("a.gif.png", lambda path: Image.fromarray(values(9, 9)).save(path, format="GIF"), "not a picture of a known kind"),
    (
        "a.webp",
        lambda path: Image.fromarray(values(9, 9, 3)).save(path, save_all=True, append_images=[Image.new("RGB", (9, 9))]),
        "animation of 2 frames",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "write", "words"), REFUSED, ids=[f"{case[0]} {case[2]}" for case in REFUSED])
def test_refused(tmp_path, name, write, words, capfd):
    write(tmp_path / name)
    with pytest.raises(UserError, match=f"cannot read {tmp_path / name}: .*({words})") as caught:
        read_picture(tmp_path / name)
    assert "\n" not in str(caught.value) and capfd.readouterr() == ("", "")


def test_decompression_bombs(tmp_path, monkeypatch):
    Image.fromarray(values(9, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(png.encode16(values(9, 8, 3, dtype=np.uint16)))
    Image.fromarray(values(9, 8)).save(tmp_path / "c.jpg")
    tifffile.imwrite(tmp_path / "d.tif", values(9, 8), compression="zlib")
    Image.fromarray(values(9, 8)).save(tmp_path / "e.webp")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    for name in ("a.png", "b.png", "c.jpg", "d.tif", "e.webp"):
        with pytest.raises(UserError, match=f"{name}: the picture is too large"):
            read_picture(tmp_path / name)


def test_sixteen_bits_that_only_imagecodecs_reads(tmp_path, monkeypatch):
    """Colour: grey ones Pillow can read, too."""
    grey = values(9, 8, dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.tif", compression="tiff_lzw")
    check_pixels(tmp_path / "grey.tif", [grey[:, :, None]], "TIFF", 1)
    tifffile.imwrite(tmp_path / "a.tif", values(9, 8, 3, dtype=np.uint16), photometric="rgb", compression="zlib")

    def missing(_page):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", missing)
    with pytest.raises(UserError, match="16-bit values stored as ADOBE_DEFLATE cannot be read: save it uncompressed"):
        read_picture(tmp_path / "a.tif")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install imagecodecs"):
        read_picture(tmp_path / "a.tif")


def encoded(kind):
    buffer = io.BytesIO()
    if kind == "TIFF":
        tifffile.imwrite(buffer, values(24, 20, 3), photometric="rgb", compression="zlib")
        return buffer.getvalue()
    if kind == "PNG16":
        return png.encode16(values(24, 20, 3, dtype=np.uint16))
    Image.fromarray(values(24, 20, 3)).save(buffer, format=kind)
    return buffer.getvalue()


DAMAGED = {kind: encoded(kind) for kind in ("PNG", "PNG16", "JPEG", "TIFF", "WEBP")}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(DAMAGED)),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=5),
    st.integers(0, 3000),
)
def test_damaged_files_are_read_or_refused(tmp_path_factory, kind, changes, cut):
    content = bytearray(DAMAGED[kind])
    for position, value in changes:
        content[position % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: max(len(content) - cut, 0)] if cut % 2 else content)
    try:
        pages = read_picture(path).pages
    except UserError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert all(page.ndim == 3 and page.size for page in pages)


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    Image.fromarray(values(9, 8)).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", values(9, 8))

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "out").mkdir()
    for name in ("a.png", "b.tif"):
        picture = read_picture(tmp_path / name)
        with pytest.raises(UserError, match=f"cannot write .*{name}: No space left"):
            picture.write(tmp_path / "out" / name, picture.pages)
    assert not list((tmp_path / "out").iterdir())
