"""The table of formats: a row is all that a format needs, and every program takes what is in it."""

import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np
import pytest
import tifffile
from material import smooth_picture, write_network
from PIL import Image

import dataset_tool_h5
from config.validation_sets import VALIDATION_SETS
from dnnlib.denoising.data.validation_set import open_validation_set
from dnnlib.denoising.inference.denoise_files import denoise
from dnnlib.denoising.options import DenoisingOptions
from dnnlib.denoising.pictures import formats, png
from dnnlib.denoising.pictures.files import read_header, read_picture
from dnnlib.denoising.pictures.images import read_image, to_float
from dnnlib.denoising.pictures.picture import Picture
from dnnlib.errors import UserError

ROOT = Path(__file__).parent.parent
EVERY_VALUE = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256)


def test_the_table_is_sound():
    suffixes = formats.suffixes(writable_only=False)
    assert len({row.kind for row in formats.FORMATS}) == len(formats.FORMATS) and len(set(suffixes)) == len(suffixes)
    for row in formats.FORMATS:
        assert all(callable(formats.function(name)) for name in (row.reader, row.writer, row.header) if name)
        assert formats.named(row.kind) is row
        assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in row.suffixes)


def test_the_table_is_light():
    script = "import sys, dnnlib.denoising.pictures.formats; print([m for m in ('numpy', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# --- a new format


def read_toy(path) -> Picture:
    """Reads grey pixels of 8 bits after a line 'toy WIDTH HEIGHT'."""
    start, _, content = Path(path).read_bytes().partition(b"\n")
    width, height = map(int, start.split()[1:])
    return Picture("toy", [np.frombuffer(content, np.uint8).reshape(height, width, 1)], 1, kept=start)


def write_toy(picture: Picture, pages: list[np.ndarray], file: BinaryIO) -> None:
    """Writes the same line, and the pixels."""
    file.write(picture.kept + b"\n" + pages[0].tobytes())


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """A folder of two pictures of a format that is one more row of the table."""
    row = formats.Format("toy", (".toy",), rb"toy ", f"{__name__}:read_toy", f"{__name__}:write_toy")
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, row))
    (tmp_path / "in").mkdir()
    for i, name in enumerate(("a.toy", "b.TOY")):
        (tmp_path / "in" / name).write_bytes(b"toy 80 64\n" + smooth_picture(64, 80, i)[:, :, 0].tobytes())
    return tmp_path / "in"


def test_a_new_format_is_denoised(toys, tmp_path, capsys):
    network = write_network(tmp_path / "network.pickle", "gauss25-n2c-mono")
    denoise([str(toys)], DenoisingOptions(str(network), str(tmp_path / "out")), {})
    assert "a.toy: 80 x 64 grey, uint8, " in capsys.readouterr().out
    for name in ("a.toy", "b.TOY"):
        before, after = (read_picture(folder / name).pages[0] for folder in (toys, tmp_path / "out"))
        assert after.shape == before.shape and (after != before).any()


@pytest.mark.parametrize("noisy", [False, True])
def test_a_new_format_goes_into_shards(toys, tmp_path, noisy):
    shard = tmp_path / "shard.h5"
    options = ["--noisy", "--holdout=0.5"] if noisy else []
    dataset_tool_h5.main([f"--input-dir={toys}", f"--out={shard}", "--min-size=32", *options])
    with h5py.File(shard) as file:
        stored = [*file["images"], *(file["held_out/images"] if noisy else [])]
    expected = [smooth_picture(64, 80, i)[:, :, 0].ravel() for i in range(2)]
    channels = 1 if noisy else 3
    assert {pixels.tobytes() for pixels in stored} == {np.tile(pixels, channels).tobytes() for pixels in expected}


def test_a_new_format_is_validated_on(toys):
    found = open_validation_set(str(toys), None, VALIDATION_SETS)
    assert found.labels == ["a.toy", "b.TOY"] and found.side == 96
    np.testing.assert_array_equal(found.read(1, 1)[0][:64, :80], to_float(smooth_picture(64, 80, 1)[:, :, :1]))


def test_a_format_that_is_only_read_is_not_denoised(tmp_path):
    """BMP: clean pictures may be of it; in a folder to denoise it is left alone."""
    Image.fromarray(smooth_picture(64, 80)).save(tmp_path / "a.bmp")
    np.testing.assert_array_equal(read_image(tmp_path / "a.bmp"), smooth_picture(64, 80))
    network = write_network(tmp_path / "network.pickle", "gauss25-n2c")
    with pytest.raises(UserError, match="no picture in it"):
        denoise([str(tmp_path)], DenoisingOptions(str(network), str(tmp_path / "out")), {})


# --- clean pictures of all formats


def write_every_value(path):
    """Writes a picture with each 16-bit value."""
    if path.suffix == ".tif":
        tifffile.imwrite(path, EVERY_VALUE, byteorder=">")
    elif path.suffix == ".npy":
        np.save(path, EVERY_VALUE)
    else:
        path.write_bytes(png.encode16(EVERY_VALUE[:, :, None]))


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.png"])
def test_16_bits_become_8(tmp_path, name):
    """Scaled and rounded; of PNG files the upper bits have always been taken."""
    write_every_value(tmp_path / name)
    expected = EVERY_VALUE >> 8 if name == "a.png" else np.rint(EVERY_VALUE / 65535 * 255)
    np.testing.assert_array_equal(read_image(tmp_path / name, 1)[:, :, 0], expected.astype(np.uint8), strict=True)


def test_16_bit_colour_with_alpha(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (40, 50, 4), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    (tmp_path / "a.png").write_bytes(png.encode16(pixels))
    assert read_header(tmp_path / "a.tif") == (50, 40, "RGBA uint16", 1, 1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.rint(pixels[:, :, :3] / 257).astype(np.uint8))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels[:, :, :3] >> 8)


def test_a_clean_shard_of_all_formats(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    colour = smooth_picture(256, 260)
    for suffix, options in {".png": {}, ".webp": {"lossless": True}, ".tif": {}, ".bmp": {}}.items():
        Image.fromarray(colour).save(tmp_path / "in" / f"8{suffix}", **options)
    Image.fromarray(colour).save(tmp_path / "in" / "8.jpg")
    np.save(tmp_path / "in" / "8.npy", colour)
    np.save(tmp_path / "in" / "float.npy", colour.astype(np.float32))
    for suffix in (".tif", ".npy"):
        write_every_value(tmp_path / "in" / f"16{suffix}")
    dataset_tool_h5.main([f"--input-dir={tmp_path / 'in'}", f"--out={tmp_path / 'shard.h5'}"])
    printed = capsys.readouterr().out
    assert "images written: 8" in printed and "float.npy: pictures of floating-point 32-bit values" in printed
    assert "RGB: 6 images" in printed and "L uint16: 2 images" in printed
    with h5py.File(tmp_path / "shard.h5") as file:
        stored = [pixels.tobytes() for pixels in file["images"]]
    sixteen = np.rint(EVERY_VALUE / 257).astype(np.uint8)
    assert stored.count(colour.transpose(2, 0, 1).tobytes()) == 5  # the JPEG is lossy
    assert stored.count(np.stack([sixteen] * 3).tobytes()) == 2


def test_a_validation_folder_of_arrays(tmp_path):
    """Of several pages the first is the picture."""
    pages = np.stack([smooth_picture(40, 50, i) for i in range(2)])
    np.save(tmp_path / "a.npy", pages)
    found = open_validation_set(str(tmp_path), None, VALIDATION_SETS)
    found.check()
    np.testing.assert_array_equal(found.read(0, 3)[0][:40, :50], to_float(pages[0]))


def test_what_cannot_be_written_again_may_still_be_clean(tmp_path):
    """Animations, and TIFF files in which zero is white."""
    frames = [Image.fromarray(smooth_picture(40, 50, i)) for i in range(2)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), smooth_picture(40, 50))
    grey = smooth_picture(40, 50)[:, :, 0]
    tifffile.imwrite(tmp_path / "a.tif", 255 - grey, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 1)[:, :, 0], grey)
    for name, reason in {"a.png": "an animation of 2 frames", "a.tif": "white is zero"}.items():
        with pytest.raises(UserError, match=f"cannot read .*{name}: .*{reason}"):
            read_picture(tmp_path / name)
