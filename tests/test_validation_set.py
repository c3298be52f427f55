"""Validation sets: which pictures, in which order, padded to which square, and what is said where something is wrong."""

import os

import numpy as np
import pytest
import tifffile
from material import smooth_picture, write_picture
from PIL import Image

from config.validation_sets import VALIDATION_SETS
from dnnlib.denoising.data.validation_set import LARGEST_SIDE, open_validation_set
from dnnlib.denoising.pictures.images import pad_to_square, read_image, to_float
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError


def opened(name, dataset_dir=None):
    return open_validation_set(str(name), None if dataset_dir is None else str(dataset_dir), VALIDATION_SETS)


def refusal(name, dataset_dir=None) -> str:
    with pytest.raises(UserError) as caught:
        opened(name, dataset_dir)
    text = str(caught.value)
    assert "\n" not in text
    return text


# ---- The three named sets

NAMED = [
    ("kodak", "kodak", "png", 10),
    ("bsd300", "BSDS300/images/test", "jpg", 3),
    ("set14", "Set14", "png", 20),
]


@pytest.mark.parametrize(("name", "folder", "suffix", "repeats"), NAMED)
def test_named_set(tmp_path, name, folder, suffix, repeats):
    for other in ("png", "jpg"):  # those of the other kind are not of the set
        for stem in ("b", "a10", "a2", "B"):
            write_picture(tmp_path / folder / f"{stem}.{other}", 40 if other == suffix else 200, 33)
    (tmp_path / folder / f"folder.{suffix}").mkdir()
    (tmp_path / folder / "notes.txt").write_text("not a picture")
    found = opened(name, tmp_path)
    assert [path.name for path in found.paths] == [f"{stem}.{suffix}" for stem in ("B", "a10", "a2", "b")]
    assert (found.name, found.side, found.repeats) == (name, 64, repeats)
    found.check()


@pytest.mark.parametrize(("name", "folder", "suffix", "repeats"), NAMED)
def test_a_named_set_that_is_not_there(tmp_path, name, folder, suffix, repeats):
    source = VALIDATION_SETS[name]["source"]
    text = refusal(name, tmp_path)
    assert text.startswith(f"--validation-set {name}: ") and str(tmp_path / folder) in text and source in text
    (tmp_path / folder).mkdir(parents=True)
    text = refusal(name, tmp_path)
    assert str(tmp_path / folder) in text and f"*.{suffix}" in text and source in text


def test_a_named_set_needs_a_dataset_dir(tmp_path):
    assert refusal("kodak").startswith("--dataset-dir is missing")
    assert refusal("kodak", "").startswith("--dataset-dir is missing")
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "none", tmp_path / "file", tmp_path / ("x" * 300)):
        assert refusal("kodak", wrong).startswith(f"--dataset-dir {wrong}: no such folder")


def test_the_sources_are_named():
    """SPEC section 9."""
    assert list(VALIDATION_SETS) == ["kodak", "bsd300", "set14"]
    assert "download_kodak.py" in VALIDATION_SETS["kodak"]["source"]
    assert "BSDS300-images.tgz" in VALIDATION_SETS["bsd300"]["source"]
    assert "SR_testing_datasets.zip" in VALIDATION_SETS["set14"]["source"]


# ---- A folder of one's own


def test_own_folder_of_many_kinds(tmp_path):
    names = ["C.PNG", "a.png", "b.jpg", "d.JPG", "e.jpeg", "f.bmp", "g.tif", "h.webp", "i.TIFF", "j.JPEG"]
    for i, name in enumerate(names):
        write_picture(tmp_path / name, 30 + i, 20, seed=i)
    (tmp_path / "a.txt").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "sub").mkdir()
    write_picture(tmp_path / "sub" / "z.png", 300, 300)
    found = opened(tmp_path)
    assert [path.name for path in found.paths] == sorted(names)
    assert (found.repeats, found.side) == (1, 64)
    found.check()


def test_grey_and_alpha_and_palette(tmp_path):
    grey = write_picture(tmp_path / "grey.png", 40, 50, grey=True)
    colour = smooth_picture(40, 50, seed=1)
    alpha = np.full((40, 50, 1), 99, np.uint8)
    Image.fromarray(np.concatenate([colour, alpha], axis=2)).save(tmp_path / "rgba.png")
    found = opened(tmp_path)
    pictures = {path.name: found.read(i, 3)[0][:40, :50] for i, path in enumerate(found.paths)}
    np.testing.assert_array_equal(pictures["grey.png"], to_float(np.repeat(grey[:, :, np.newaxis], 3, axis=2)))
    np.testing.assert_array_equal(pictures["rgba.png"], to_float(colour))
    mono = found.read(1, 1)[0][:40, :50]
    np.testing.assert_array_equal(mono, to_float(np.floor(colour.mean(axis=2, keepdims=True) + 0.5).astype(np.uint8)))


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ([(32, 32)], 32),
        ([(33, 1)], 64),
        ([(1, 1)], 32),
        ([(64, 20), (20, 30)], 64),
        ([(20, 65), (64, 64)], 96),
        ([(512, 768), (768, 512)], 768),  # Kodak
        ([(321, 481), (481, 321)], 512),  # BSD300
        ([(10, LARGEST_SIDE)], LARGEST_SIDE),
    ],
)
def test_the_side_is_the_largest_rounded_up(tmp_path, sizes, side):
    for i, size in enumerate(sizes):
        Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / f"{i}.png")
    assert opened(tmp_path).side == side


def test_pictures_are_padded_at_the_bottom_and_right(tmp_path):
    write_picture(tmp_path / "a.png", 50, 33)
    write_picture(tmp_path / "b.png", 90, 96)
    found = opened(tmp_path)
    for i, path in enumerate(found.paths):
        padded, height, width = found.read(i, 3)
        picture = read_image(path)
        assert (height, width) == picture.shape[:2]
        assert padded.shape == (96, 96, 3) and padded.dtype == np.float32
        np.testing.assert_array_equal(padded, pad_to_square(to_float(picture), 96))
        np.testing.assert_array_equal(padded[:height, :width], to_float(picture))
    assert found.read(0, 1)[0].shape == (96, 96, 1)


def test_values_are_scaled_as_the_noise_protocol_wants(tmp_path):
    """All 256 values by multiplication: a last bit makes other Poisson noise."""
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.png")
    scaled = opened(tmp_path).read(0, 1)[0][:16, :16, 0]
    assert scaled.tobytes() == (values.astype(np.float32) * np.float32(1 / 255)).tobytes()
    assert scaled.max() == 1.0


def test_own_folder_needs_no_dataset_dir(tmp_path):
    write_picture(tmp_path / "a.png", 32, 32)
    assert len(opened(tmp_path).paths) == 1


def test_no_such_set_or_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.png").touch()
    for wrong in ("kodack", "KODAK", "file.png", tmp_path / "none", "x" * 300):
        text = refusal(wrong, tmp_path)
        assert text.startswith(f"--validation-set {wrong}: is none of kodak, bsd300, set14")


def test_a_folder_without_pictures(tmp_path):
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.gif").touch()
    text = refusal(tmp_path)
    assert text.startswith(f"--validation-set {tmp_path}: no picture in {tmp_path}") and "*.png" in text and "*.jpg" in text


def test_a_picture_that_is_too_large(tmp_path):
    write_picture(tmp_path / "a.png", 40, 40)
    Image.fromarray(np.zeros((20, LARGEST_SIDE + 1), np.uint8)).save(tmp_path / "b.png")
    text = refusal(tmp_path)
    assert str(tmp_path / "b.png") in text and str(LARGEST_SIDE + 1) in text


@pytest.mark.parametrize("data", [b"", b"a text", b"\x89PNG\r\n\x1a\n"])
def test_no_picture_behind_the_name(tmp_path, data):
    write_picture(tmp_path / "a.png", 40, 40)
    (tmp_path / "b.png").write_bytes(data)
    assert str(tmp_path / "b.png") in refusal(tmp_path)


@pytest.mark.parametrize("name", ["b.png", "b.jpg"])
def test_a_picture_damaged_behind_its_header(tmp_path, name):
    """Found by `check`, so before the training and not after hours of it."""
    write_picture(tmp_path / "a.png", 40, 40)
    write_picture(tmp_path / name, 200, 200)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    found = opened(tmp_path)
    with pytest.raises(UserError) as caught:
        found.check()
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_not_opened(tmp_path):
    write_picture(tmp_path / "a.png", 32, 32)
    os.mkfifo(tmp_path / "b.png")
    assert len(opened(tmp_path).paths) == 1


# ---- Black and white


def test_12_bits_in_16_are_no_black_pictures(tmp_path, capsys):
    """What would be black is refused before anything is measured; white can be told, and may be stated."""
    pixels = np.rint(np.linspace(0, 4000, 40 * 40)).reshape(40, 40).astype(np.uint16)
    for i in range(2):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    with pytest.raises(UserError, match=r"--validation-set .*: 2 of 2 pictures .* nearly black: give --white, 4095 if"):
        opened(tmp_path).check()
    told = open_validation_set(str(tmp_path), None, VALIDATION_SETS, Scale(0.0, 4095.0))
    told.check()
    np.testing.assert_allclose(told.read(0, 1)[0][:40, :40, 0], pixels / 4095, atol=0.5001 / 255)
    for i in range(2):
        (tmp_path / f"{i}.png").unlink()
        tifffile.imwrite(tmp_path / f"{i}.tif", pixels, extratags=[(281, 3, 1, 4095, True)])
    found = opened(tmp_path)
    found.check()
    np.testing.assert_allclose(found.read(0, 1)[0][:40, :40, 0], pixels / 4095, atol=0.5001 / 255)
    assert "Warning" not in capsys.readouterr().out
