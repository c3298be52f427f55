"""Reading and writing pictures: channel rule, damaged files, padding and rounding."""

import io
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from dnnlib.denoising.pictures.files import read_header
from dnnlib.denoising.pictures.images import (
    pad_to_square,
    read_image,
    to_float,
    to_uint8,
    write_image,
)
from dnnlib.denoising.pictures.search import pictures_in
from dnnlib.errors import UserError

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "data" / "golden"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # pytest puts its own filters before ours
RNG = np.random.default_rng(1)
RGB = RNG.integers(0, 256, (7, 5, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (7, 5), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (7, 5, 1), dtype=np.uint8)
AVERAGE = np.rint(RGB.astype(np.float64).mean(axis=2)).astype(np.uint8)


def three(grey):
    return np.stack([grey] * 3, axis=2)


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


# --- the channel rule


@pytest.mark.parametrize(
    ("array", "rgb", "mono"),
    [
        pytest.param(RGB, RGB, AVERAGE, id="RGB"),
        pytest.param(np.concatenate([RGB, ALPHA], axis=2), RGB, AVERAGE, id="RGBA, not blended"),
        pytest.param(GREY, three(GREY), GREY, id="L"),
        pytest.param(np.concatenate([GREY[:, :, None], ALPHA], axis=2), three(GREY), GREY, id="LA"),
        pytest.param(GREY > 99, three((GREY > 99) * np.uint8(255)), (GREY > 99) * np.uint8(255), id="1-bit"),
        pytest.param(GREY.astype(np.uint16) * 256 + 255, three(GREY), GREY, id="16-bit grey, upper bits"),
    ],
)
def test_channel_rule(tmp_path, array, rgb, mono):
    path = save(tmp_path / "a.png", array)
    np.testing.assert_array_equal(read_image(path), rgb, strict=True)
    np.testing.assert_array_equal(read_image(path, channels=1), mono[:, :, None], strict=True)


def test_palette_with_transparency(tmp_path):
    image = Image.fromarray(RGB).quantize(8)
    expected = np.array(image.getpalette(), np.uint8).reshape(-1, 3)[np.array(image)]
    image.save(tmp_path / "a.png", transparency=bytes([0, 128, 255, 3, 4, 5, 6, 7]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected, strict=True)


def test_pillow_is_silent_in_a_script(tmp_path):
    Image.fromarray(RGB).quantize(8).save(tmp_path / "a.png", transparency=bytes(8))
    with_bad_exif = io.BytesIO()
    Image.fromarray(RGB).save(with_bad_exif, format="JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\x7f")
    (tmp_path / "b.jpg").write_bytes(with_bad_exif.getvalue())
    script = (
        "from PIL import Image; Image.MAX_IMAGE_PIXELS = 30\n"  # 35 pixels are then large enough for a warning
        "from dnnlib.denoising.pictures.images import read_image\n"
        f"print([read_image(path).shape for path in {[str(tmp_path / 'a.png'), str(tmp_path / 'b.jpg')]}])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[(7, 5, 3), (7, 5, 3)]\n", "")


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    Image.new("CMYK", (32, 32), (255, 0, 0, 0)).save(tmp_path / "a.jpg", quality=95)  # cyan: no red
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (32, 32, 3)
    assert np.abs(image.astype(int) - [0, 255, 255]).max() <= 3


def test_sixteen_bit_colour_keeps_the_upper_bits(tmp_path):
    values = [(0x1234, 0xFFFF, 0x00FF), (0xABCD, 0x8000, 0x7FFF)]
    ppm = b"P6 2 1 65535\n" + b"".join(value.to_bytes(2, "big") for pixel in values for value in pixel)
    (tmp_path / "a.ppm").write_bytes(ppm)
    expected = np.array([[[value >> 8 for value in pixel] for pixel in values]])
    assert np.abs(read_image(tmp_path / "a.ppm").astype(int) - expected).max() <= 1  # Pillow rounds in this format


def test_exif_orientation_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    save(tmp_path / "a.png", RGB, exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), RGB)
    assert read_header(tmp_path / "a.png") == (5, 7, "RGB", 1, 1)


def test_only_one_or_three_channels():
    with pytest.raises(ValueError, match="must be 1 or 3"):
        read_image("a.png", channels=4)


# --- files that are no pictures


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"a text, no picture", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 300 300\n", "not a picture"),  # never handed to Ghostscript
    ],
)
def test_no_picture(tmp_path, content, reason):
    (tmp_path / "a.png").write_bytes(content)
    for read in (read_image, read_header):
        with pytest.raises(UserError, match=rf"cannot read {re.escape(str(tmp_path / 'a.png'))}: {reason}"):
            read(tmp_path / "a.png")


def test_missing_file_folder_pipe_and_32_bit_values(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    Image.fromarray(np.zeros((3, 3), np.float32)).save(tmp_path / "float.tif")
    for name, reason in [
        ("none.png", "No such file"),
        (".", "Is a directory"),
        ("pipe.png", "not a regular file"),
        ("float.tif", "32-bit values are not supported, save it as"),
    ]:
        with pytest.raises(UserError, match=f"cannot read .*: .*{reason}"):
            read_image(tmp_path / name)


def test_decompression_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UserError, match=r"a\.png: the picture is too large"):
        read_image(save(tmp_path / "a.png", RGB))


def encoded(file_format):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=file_format)
    return buffer.getvalue()


PICTURES = {file_format: encoded(file_format) for file_format in ("PNG", "JPEG", "TIFF", "BMP")}


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_truncated_anywhere(tmp_path, file_format):
    path, content = tmp_path / "a", PICTURES[file_format]
    path.write_bytes(content)
    whole = read_image(path)
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        try:
            image = read_image(path)
        except UserError as error:
            assert str(path) in str(error) and "\n" not in str(error)
        else:  # only checksums and the end marker are missing
            assert size >= len(content) - 20
            np.testing.assert_array_equal(image, whole)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(PICTURES)), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1))
def test_damaged_anywhere_is_read_or_refused(tmp_path_factory, file_format, changes):
    content = bytearray(PICTURES[file_format])
    for position, value in changes:
        content[position % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    try:
        image = read_image(path)
    except UserError as error:
        assert str(path) in str(error)
    else:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


# --- folders


def test_pictures_in(tmp_path):
    for name in ("b.png", "a10.png", "a2.png", "C.png", "d.PNG", "e.jpg", ".f.png", "g.bmp", "x.png.txt", "sub/z.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "broken.png").symlink_to("nowhere")

    def found(**options):
        return [os.path.relpath(path, tmp_path) for path in pictures_in(tmp_path, **options)]

    small = ["a10.png", "a2.png", "b.png", "broken.png"]
    assert found(pattern="*.png") == ["C.png", *small] and found(pattern="*.tif") == []
    assert found() == ["C.png", *small, "d.PNG", "e.jpg", "g.bmp"]
    assert found(writable_only=True) == ["C.png", *small, "d.PNG", "e.jpg"]
    assert found(walk=True) == [*found(), "sub/z.png"]


def test_pictures_in_no_folder(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file", "missing"):
        with pytest.raises(UserError, match=f"^cannot read the folder .*/{name}: "):
            pictures_in(tmp_path / name)
        with pytest.raises(UserError, match=f"^--denoise: cannot read the folder .*/{name}: "):
            pictures_in(tmp_path / name, "--denoise")


# --- writing


@pytest.mark.parametrize("array", [RGB, GREY, GREY[:, :, None], RGB[::-1, ::2]], ids=["RGB", "HW", "HW1", "strided"])
def test_png_round_trip(tmp_path, array):
    write_image(tmp_path / "a.PNG", array)
    grey = array.ndim == 2 or array.shape[2] == 1
    assert read_header(tmp_path / "a.PNG") == (array.shape[1], array.shape[0], "L" if grey else "RGB", 1, 1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.PNG", channels=1 if grey else 3).squeeze(), array.squeeze())
    assert [path.name for path in tmp_path.iterdir()] == ["a.PNG"]


def test_jpeg_has_quality_95(tmp_path):
    write_image(tmp_path / "a.jpg", RGB)
    expected = io.BytesIO()
    Image.fromarray(RGB).save(expected, format="JPEG", quality=95)
    assert (tmp_path / "a.jpg").read_bytes() == expected.getvalue()


def test_write_errors_name_the_file_and_leave_nothing(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"cannot write .*a\.gif: the name of a picture must end in \.png or \.jpg"):
        write_image(tmp_path / "a.gif", RGB)
    with pytest.raises(UserError, match=r"cannot write .*none/a\.png: No such file"):
        write_image(tmp_path / "none" / "a.png", RGB)
    (tmp_path / "a.png").write_bytes(b"old")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*a\.png: No space left"):
        write_image(tmp_path / "a.png", RGB)
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("array", [RGB.astype(np.float32), RGB[:, :, :2], RGB[0, 0]])
def test_write_refuses_other_arrays(tmp_path, array):
    with pytest.raises(ValueError, match="expected uint8"):
        write_image(tmp_path / "a.png", array)


# --- rounding


FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=4), elements=FLOATS | st.floats(-0.25, 1.25, width=32)))
def test_to_uint8_formula(image):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = to_uint8(image)
    assert result.dtype == np.uint8 and result.shape == image.shape
    for value, got in zip(image.ravel(), result.ravel(), strict=True):
        if np.isnan(value):
            assert got == 0
        else:
            with np.errstate(over="ignore"):
                assert got == np.floor(np.clip(np.float32(255) * value + np.float32(0.5), 0, 255))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_8_bit_value_survives(dtype):
    values = np.arange(256)
    np.testing.assert_array_equal(to_uint8((values / 255).astype(dtype)), values)
    np.testing.assert_array_equal(to_uint8(to_float(values.astype(np.uint8))), values)


def test_to_uint8_at_the_halves_and_beyond():
    image = np.array([0.499, 0.501, 254.499, 254.501, 255, 255.3, 2000, -0.3, -2000, np.inf, -np.inf]) / 255
    assert to_uint8(image).tolist() == [0, 1, 254, 255, 255, 255, 255, 0, 0, 255, 0]


def test_to_uint8_refuses_integers():
    with pytest.raises(TypeError, match="floating-point"):
        to_uint8(RGB)


# --- padding


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))), st.integers(0, 30))
def test_pad_to_square_is_a_reflection(image, extra):
    height, width, channels = image.shape
    side = max(height, width) + extra
    padded = pad_to_square(image, side)
    assert padded.shape == (side, side, channels) and padded.dtype == np.uint8

    def source(position, size):  # a triangle wave that does not repeat its ends
        return abs((position + size - 1) % (2 * size - 2) - (size - 1)) if size > 1 else 0

    for row in range(side):
        for column in range(side):
            np.testing.assert_array_equal(padded[row, column], image[source(row, height), source(column, width)])


def test_pad_to_square_refuses_a_smaller_square():
    with pytest.raises(ValueError, match="cannot pad 7x5"):
        pad_to_square(RGB, 6)


@pytest.mark.parametrize("archive", sorted(GOLDEN.glob("*-*.npz")), ids=lambda path: path.stem)
def test_padding_and_scale_are_those_of_the_2019_program(archive):
    arrays = np.load(archive)
    for i, path in enumerate(pictures_in(GOLDEN / "kodak", pattern="*.png")[:2]):
        image = read_image(path)
        assert image.shape[:2] == tuple(arrays[f"img{i}_size_hw"])
        padded = to_float(pad_to_square(image, 96)).transpose(2, 0, 1)[None]
        np.testing.assert_array_equal(padded, arrays[f"img{i}_clean_padded"], strict=True)  # to the last bit


def test_golden_data_are_there():
    assert len(list(GOLDEN.glob("*-*.npz"))) >= 6
    assert read_header(GOLDEN / "kodak" / "03.png") == (96, 64, "L", 1, 1)
