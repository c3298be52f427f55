"""Shards of noisy pictures: what the tool keeps, which pictures it holds out, what the reader gives and refuses."""

import os
import re

import h5py
import numpy as np
import pytest
import tifffile
from material import random_images, smooth_picture, write_bare_shard, write_picture
from PIL import Image

import dataset_tool_h5
from dnnlib.denoising.data import noisy_pages, noisy_shard_parts, noisy_shard_writer
from dnnlib.denoising.data.crops import NoisyCrops
from dnnlib.denoising.data.noisy_pictures import held_out_pictures, open_noisy_pictures
from dnnlib.denoising.data.noisy_shard import HELD_OUT, NoisyShard
from dnnlib.denoising.data.shard import Shard
from dnnlib.denoising.pictures import png
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError

RNG = np.random.default_rng(4)


def values16(height=64, width=70, channels=3):
    return RNG.integers(1, 65535, (height, width, channels), np.uint16)


def write16(path, pixels):
    """16 bits, as PNG, TIFF or .npy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        path.write_bytes(png.encode16(pixels))
    elif path.suffix == ".npy":
        np.save(path, pixels)
    else:
        tifffile.imwrite(path, pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return pixels


def tool(folder, *options):
    out = folder.parent / "shard.h5"
    dataset_tool_h5.main(["--noisy", "--input-dir", str(folder), "--out", str(out), "--min-size", "32", *map(str, options)])
    return out


def all_of(path, channels=3):
    """Stored arrays to train on, and those held out by name."""
    training, held_out = NoisyShard(path, 1, channels), NoisyShard(path, 1, channels, HELD_OUT)
    apart = {name: held_out.read(i) for i, name in enumerate(held_out.names)}
    return [training.read(i) for i in range(len(training))], apart


# --- what is written


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_kept_as_they_are(tmp_path, suffix, channels):
    pictures = {f"{i}{suffix}": write16(tmp_path / "in" / f"{i}{suffix}", values16(channels=channels)) for i in range(5)}
    training, held_out = all_of(tool(tmp_path / "in", "--black", 100, "--white", 4095, "--holdout", 0.4), channels)
    assert len(training) + len(held_out) == 5 and training and held_out
    for name, stored in held_out.items():
        assert stored.dtype == np.uint16
        np.testing.assert_array_equal(stored, pictures.pop(name).transpose(2, 0, 1))
    left = {picture.transpose(2, 0, 1).tobytes() for picture in pictures.values()}
    assert {stored.tobytes() for stored in training} == left


def test_8_bits_alpha_and_folders(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for i in range(3):
        rgba = RNG.integers(0, 256, (40, 50, 4), np.uint8)
        Image.fromarray(rgba).save(tmp_path / "in" / "sub" / f"{i}.png")
    write_picture(tmp_path / "in" / "a.jpg", 40, 50)
    path = tool(tmp_path / "in", "--holdout", 0.5)
    training, held_out = all_of(path)
    assert {p.dtype for p in training} == {np.dtype(np.uint8)} and all(p.shape == (3, 40, 50) for p in training)
    assert all(name == "a.jpg" or name.startswith("sub/") for name in held_out)
    assert len(training) + len(held_out) == 4
    with h5py.File(path) as file:
        attributes = dict(file.attrs)
        assert len(attributes.pop("checksum")) == 64
        source = {"source_dtype": "uint8", "source_black": 0, "source_white": 255}
        assert attributes == {"noisy": True, "black": 0, "white": 255, "complete": True} | source


def test_the_same_pictures_are_held_out_each_time_and_at_least_one(tmp_path):
    for i in range(8):
        write16(tmp_path / "in" / f"{i}.png", values16())
    first = set(all_of(tool(tmp_path / "in", "--holdout", 0.01))[1])
    assert len(first) == 1 and set(all_of(tool(tmp_path / "in", "--holdout", 0.01, "--workers", 1))[1]) == first
    third = set(all_of(tool(tmp_path / "in", "--holdout", 0.5))[1])
    assert first < third
    training, held_out = all_of(tool(tmp_path / "in", "--holdout", 0.999))
    assert len(training) == 1 and len(held_out) == 7
    write16(tmp_path / "in" / "new.png", values16())
    (tmp_path / "in" / "new.txt").touch()
    assert set(all_of(tool(tmp_path / "in", "--holdout", 0.5))[1]) - {"new.png"} == third


def test_of_few_pictures_among_many_others_one_is_held_out(tmp_path):
    for i in range(30):
        write16(tmp_path / "in" / f"small{i}.png", values16(20, 20, 1))
    for name in ("a.png", "b.png"):
        write16(tmp_path / "in" / name, values16())
    training, held_out = all_of(tool(tmp_path / "in"))
    assert len(training) == len(held_out) == 1
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).unlink()
    with pytest.raises(UserError, match="--input-dir: none of the 30 files looked at can be used"):
        tool(tmp_path / "in")


def test_floats_need_a_white_and_keep_what_is_outside(tmp_path, capsys):
    pixels = (RNG.standard_normal((40, 40, 1)) * 500 + 1000).astype(np.float32)
    for i in range(2):
        write16(tmp_path / "in" / f"{i}.npy", pixels)
    with pytest.raises(UserError, match="none of the 2 files"):
        tool(tmp_path / "in")
    assert "holds floats: give --white (and --black)" in capsys.readouterr().out
    shard = NoisyShard(tool(tmp_path / "in", "--white", 2000, "--black", 500), 1, 1)
    expected = (pixels - 500) / 1500
    assert expected.min() < -0.1 and expected.max() > 1
    np.testing.assert_allclose(shard.to_float(shard.read(0))[0], expected[..., 0], atol=3e-5)


def test_sizes_and_pieces(tmp_path, monkeypatch, capsys):
    """Large pictures are cut for training, into parts that make up the whole; held-out ones are not."""
    monkeypatch.setattr(noisy_pages, "LARGEST_PIECE", 64)
    write16(tmp_path / "in" / "small.png", values16(31, 100))
    for i in range(2):
        write16(tmp_path / "in" / f"{i}.png", values16(100, 150))
    training, held_out = all_of(tool(tmp_path / "in"))
    assert [p.shape for p in held_out.values()] == [(3, 100, 150)]
    assert [p.shape for p in training] == [(3, 50, 50)] * 6
    rest = next(name for name in ("0.png", "1.png") if name not in held_out)
    rows = [np.concatenate(training[i : i + 3], axis=2) for i in (0, 3)]
    stored = png.decode16((tmp_path / "in" / rest).read_bytes()).transpose(2, 0, 1)
    np.testing.assert_array_equal(np.concatenate(rows, axis=1), stored)
    assert "small.png: 100 x 31 pixels, outside --min-size 32" in capsys.readouterr().out
    with pytest.raises(UserError, match="none of the 3 files"):
        tool(tmp_path / "in", "--max-size", 99)


def test_pages_of_one_file_stay_together(tmp_path):
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, RNG.integers(1, 999, (3, 40, 40), np.uint16), photometric="minisblack")
    os.mkdir(tmp_path / "in")
    for name in ("a.tif", "b.tif"):
        os.rename(tmp_path / name, tmp_path / "in" / name)
    path = tool(tmp_path / "in")
    held_out = NoisyShard(path, 1, 1, HELD_OUT)
    assert len(set(held_out.names)) == 1 and held_out.pages.tolist() == [0, 1, 2] and len(NoisyShard(path, 1, 1)) == 3


def test_names_that_are_no_text(tmp_path):
    odd = [os.fsdecode(name) for name in (b"a\xff.npy", b"b\xfe.npy")]
    for name in odd:
        os.makedirs(tmp_path / "in", exist_ok=True)
        np.save(tmp_path / "in" / name, values16())
    (name,) = NoisyShard(tool(tmp_path / "in"), 1, 3, HELD_OUT).names
    assert name in odd


def test_clipped_noise_is_warned_of(tmp_path, capsys):
    pixels = values16()
    pixels[:8] = 65535
    for i in range(2):
        write16(tmp_path / "in" / f"{i}.png", pixels)
    tool(tmp_path / "in")
    assert "noise that was clipped" in capsys.readouterr().out
    tool(tmp_path / "in", "--max-files", 2, "--white", 65535)
    for i in range(2):
        write16(tmp_path / "in" / f"{i}.png", values16())
    capsys.readouterr()
    tool(tmp_path / "in")
    assert "noise that was clipped" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("other", "message", "kind"),
    [
        (values16(channels=1), "is grey, and .* is RGB", "RGB uint16"),
        (values16().astype(np.uint8), "is uint8, and .* is uint16", "RGB uint16"),
        (np.stack([values16(), values16()]).astype(np.float32), "is float, and .* is uint16", "RGB uint16"),
    ],
    ids=["grey", "8 bits", "floats"],
)
def test_an_odd_file_is_left_out_and_named(tmp_path, capsys, monkeypatch, other, message, kind):
    monkeypatch.setattr(noisy_shard_writer, "shuffled", sorted)
    for i in range(3):
        write16(tmp_path / "in" / f"{i}.npy", values16())
    np.save(tmp_path / "in" / "1odd.npy", other)
    training, held_out = all_of(tool(tmp_path / "in", "--white", 65535))
    assert len(training) == 2 and len(held_out) == 1
    printed = capsys.readouterr().out
    assert re.search(f"^skipped: .*1odd.npy {message}$", printed, re.MULTILINE), printed
    assert f"files skipped: 1\n  of them of another kind than the first ({kind}): 1\n" in printed.split("Statistics:")[1]


def test_where_the_first_file_is_the_odd_one_it_is_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(noisy_shard_writer, "shuffled", sorted)
    monkeypatch.setattr(noisy_shard_writer, "_MOST_DIFFERENT", 2)
    write16(tmp_path / "in" / "0.npy", values16(channels=1))
    for i in range(1, 5):
        write16(tmp_path / "in" / f"{i}.npy", values16())
    with pytest.raises(UserError, match="3.npy is RGB, and .*0.npy is grey, as most are: put each kind"):
        tool(tmp_path / "in")
    assert not (tmp_path / "shard.h5").exists()


def test_few_whole_files_wait_in_memory(tmp_path, monkeypatch):
    for i in range(30):
        write16(tmp_path / "in" / f"{i}.npy", values16(32, 32, 1))
    read, ahead = [], []
    old_read, old_add = noisy_shard_writer.read_pages, noisy_shard_parts.Parts.add
    monkeypatch.setattr(noisy_shard_writer, "read_pages", lambda *given: read.append(1) or old_read(*given))

    def add(self, *given, **more):
        self.added = getattr(self, "added", 0) + 1
        ahead.append(len(read) - self.added)
        old_add(self, *given, **more)

    monkeypatch.setattr(noisy_shard_parts.Parts, "add", add)
    tool(tmp_path / "in", "--workers", 2)
    assert len(ahead) == 30 and max(ahead) <= 5  # two that wait for the draw, and one more than there are workers


def test_floats_clipped_at_black_are_warned_of(tmp_path, capsys):
    for black, clipped in ((0, True), (-1, False)):
        for i in range(2):
            write16(tmp_path / "in" / f"{i}.npy", np.maximum(RNG.standard_normal((40, 40, 1)) + 0.5, 0).astype(np.float32))
        tool(tmp_path / "in", "--white", 9, "--black", black)
        printed = capsys.readouterr().out
        assert ("noise that was clipped" in printed) == clipped and "values at black or white: " in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--holdout", "1"], "--holdout 1: must be a share"), (["--holdout", "0"], "--holdout 0: .*above 0"),
        (["--holdout", "-0.1"], "--holdout -0.1"),
        (["--min-size", "0"], "--min-size must be at least 1"), (["--max-size", "20"], "--max-size 20 is below --min-size"),
        (["--white", "nan"], "--white nan"), (["--max-files", "0"], "--max-files"),
        (["--white", "5", "--black", "9"], "--white 5: must be a number above --black 9"),
    ],
)  # fmt: skip
def test_wrong_options(tmp_path, options, message):
    write16(tmp_path / "in" / "0.png", values16())
    with pytest.raises(UserError, match=message):
        tool(tmp_path / "in", *options)


def test_an_option_that_is_for_noisy_pictures(tmp_path):
    with pytest.raises(UserError, match="--holdout is for --noisy"):
        dataset_tool_h5.main(["--input-dir", "in", "--out", str(tmp_path / "a.h5"), "--holdout=0.1"])


# --- what is read


@pytest.fixture
def shard(tmp_path):
    """Six RGB pictures of 64 x 70, one held out."""
    for i in range(6):
        write16(tmp_path / "in" / f"{i}.png", values16())
    return tool(tmp_path / "in", "--black", 1000, "--white", 21000)


def test_crops_are_floats_that_are_not_clipped(shard):
    opened = NoisyShard(shard, 64, 3)
    crop = NoisyCrops(opened, 64, 3, seed=1)[0]
    assert crop.dtype == np.float32 and crop.shape == (64, 64, 3) and crop.min() < 0 and crop.max() > 3
    stored = np.rint(crop * 20000 + 1000).transpose(2, 0, 1)
    wholes = [opened.read(i) for i in range(len(opened))]
    assert any((whole[:, :, x : x + 64] == stored).all() for whole in wholes for x in range(7))


def change(path, **attributes):
    with h5py.File(path, "r+") as file:
        for name, value in attributes.items():
            if value is None:
                del file.attrs[name]
            else:
                file.attrs[name] = value


def test_what_the_reader_refuses(shard, tmp_path):
    def refused(message, *arguments):
        with pytest.raises(UserError, match=message) as caught:
            NoisyShard(*arguments)
        assert "\n" not in str(caught.value)

    refused("--train-h5 .*pictures are RGB, and the configuration is for grey ones; take the one without -mono", shard, 1, 1)
    refused("smaller than the crop of 96", shard, 96, 3)
    clean = write_bare_shard(tmp_path / "clean.h5", random_images([(64, 64)]))
    refused("holds clean pictures .*--noisy", clean, 32, 3)
    change(shard, white=None)
    refused("does not say which values are black and white", shard, 32, 3)
    change(shard, white=1000.0)
    refused("its black 1000 is not below its white 1000", shard, 32, 3)
    change(shard, white=21000.0, checksum=None)
    refused("does not say its checksum: .*make it anew", shard, 32, 3)


def test_a_clean_configuration_refuses_noisy_pictures(shard):
    with pytest.raises(UserError, match="holds noisy pictures .*real_gauss-blindspot-sigma_global"):
        Shard(shard, 32)


def test_the_fingerprint_tells_other_pictures_of_the_same_sizes(shard, tmp_path):
    scale = "--black", 1000, "--white", 21000
    before = NoisyShard(shard, 32, 3).fingerprint()
    assert NoisyShard(tool(tmp_path / "in", *scale, "--workers", 1), 32, 3).fingerprint() == before
    write16(tmp_path / "in" / "0.png", values16())
    assert NoisyShard(tool(tmp_path / "in", *scale), 32, 3).fingerprint() != before


def test_the_limits_are_the_values_that_clipped_ones_have(tmp_path):
    """Bit for bit: 4095 of --black 256 --white 4095 is 0.99999994."""
    pixels = values16(40, 40) % 4000 + 50
    pixels[0, 0], pixels[0, 1], pixels[0, 2] = 0, 4095, 65535
    for i in range(2):
        write16(tmp_path / "in" / f"{i}.png", pixels)
    shard = NoisyShard(tool(tmp_path / "in", "--black", 256, "--white", 4095), 1, 3)
    assert np.isin(shard.to_float(shard.read(0)), shard.limits).sum() == 9 and 1 not in shard.limits
    for i in range(2):
        np.save(tmp_path / "in" / f"{i}.npy", np.clip(pixels.astype(np.float32), 256, 4095))
        (tmp_path / "in" / f"{i}.png").unlink()
    shard = NoisyShard(tool(tmp_path / "in", "--black", 256, "--white", 4095), 1, 3)
    clipped = (pixels <= 256) | (pixels >= 4095)
    assert abs(np.isin(shard.to_float(shard.read(0)), shard.limits).sum() - clipped.sum()) <= 2


def test_references_of_floats_are_on_the_scale_that_was_given(tmp_path):
    """Stored are 21845 and more; an integer reference is on its own scale, and no matter what the shard stores."""
    (tmp_path / "clean").mkdir()
    for i in range(2):
        write16(tmp_path / "in" / f"{i}.npy", np.full((40, 40, 1), 500, np.float32))
        np.save(tmp_path / "clean" / f"{i}.npy", np.full((40, 40), 400, np.float64))
    shard = NoisyShard(tool(tmp_path / "in", "--white", 1000, "--black", 100), 1, 1, HELD_OUT)
    noisy, reference = held_out_pictures(shard, str(tmp_path / "clean")).read(0)
    np.testing.assert_allclose([noisy[0, 0, 0], reference[0, 0, 0]], [4 / 9, 3 / 9], atol=3e-5)
    for i in range(2):
        np.save(tmp_path / "clean" / f"{i}.npy", np.full((40, 40), 32768, np.uint16))
    np.testing.assert_allclose(held_out_pictures(shard, str(tmp_path / "clean")).read(0)[1], 0.5, atol=1e-4)


def test_the_fingerprint_tells_scale_and_parts(shard):
    before = NoisyShard(shard, 32, 3).fingerprint()
    assert NoisyShard(shard, 32, 3).fingerprint() == before
    change(shard, white=21001.0)
    assert NoisyShard(shard, 32, 3).fingerprint() != before


# --- with references


@pytest.fixture
def references(shard, tmp_path):
    (tmp_path / "clean").mkdir()
    for i in range(6):
        Image.fromarray(smooth_picture(64, 70, i)).save(tmp_path / "clean" / f"{i}.png")
    return tmp_path / "clean"


def test_references_of_held_out_pictures(shard, references):
    """8-bit references are on their own scale; those of the noisy pictures' type are on theirs."""
    opened = NoisyShard(shard, 1, 3, HELD_OUT)
    pictures = held_out_pictures(opened, str(references))
    pictures.check()
    noisy, reference = pictures.read(0)
    np.testing.assert_array_equal(noisy, opened.to_float(opened.read(0)).transpose(1, 2, 0))
    number = int(opened.names[0][0])
    np.testing.assert_allclose(reference, smooth_picture(64, 70, number) / 255, atol=1e-6)
    write16(references / opened.names[0], np.full((64, 70, 3), 11000, np.uint16))
    np.testing.assert_allclose(pictures.read(0)[1], 0.5, atol=1e-6)
    assert held_out_pictures(opened, None).read(0)[1] is None


def test_a_folder_and_a_shard_give_the_same(shard, references, tmp_path):
    from_shard = open_noisy_pictures(str(shard), 3, Scale(), str(references))
    from_folder = open_noisy_pictures(str(tmp_path / "in"), 3, Scale(1000.0, 21000.0), str(references))
    i = list(from_folder.names).index(from_shard.names[0])
    for one, other in zip(from_shard.read(0), from_folder.read(i), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(UserError, match="is RGB, and the network is for grey pictures"):
        open_noisy_pictures(str(tmp_path / "in"), 1, Scale(), None).check()
    with pytest.raises(UserError, match="--validation-set nowhere: is neither a folder"):
        open_noisy_pictures("nowhere", 3, Scale(), None)


def test_wrong_references(shard, references):
    opened = NoisyShard(shard, 1, 3, HELD_OUT)
    name = opened.names[0]

    def refused(message):
        with pytest.raises(UserError, match=message):
            held_out_pictures(opened, str(references)).check()

    Image.fromarray(smooth_picture(64, 71)).save(references / name)
    refused(f"{name} is 71 x 64 RGB, but the noisy picture is 70 x 64 RGB")
    Image.fromarray(smooth_picture(64, 70)[..., 0]).save(references / name)
    refused(f"{name} is 70 x 64 grey, but")
    (references / name).unlink()
    refused(f"--reference-dir .*has no {name}.*1 of 1 are missing")
    with pytest.raises(UserError, match="--reference-dir nowhere: no such folder"):
        held_out_pictures(opened, "nowhere")


def test_of_large_pictures_the_middle_is_measured(tmp_path):
    pixels = values16(40, 1100, 1)
    write16(tmp_path / "in" / "a.png", pixels)
    noisy, reference = open_noisy_pictures(str(tmp_path / "in"), 1, Scale(), str(tmp_path / "in")).read(0)
    np.testing.assert_array_equal(noisy, reference)
    np.testing.assert_allclose(noisy, pixels[:, 38:1062] / 65535, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "black", "white", "message"),
    [
        (np.uint8, 255.0, None, "--black 255: must be below white, which is 255 for uint8"),
        (np.uint8, 300.0, None, "--black 300: .*give --white too"),
        (np.uint16, 65535.0, None, "--black 65535"),
        (np.float32, 1.0, None, "--black 1: must be below white, which is 1 for float32"),
        (np.float32, 0.0, None, r"0.npy: it has pixels without a value \(NaN or infinite\): crop them away"),
    ],
)
def test_a_folder_that_cannot_be_evaluated(tmp_path, dtype, black, white, message):
    pixels = np.ones((40, 40), dtype)
    if "value" in message:
        pixels[3, 4] = np.nan
    np.save(tmp_path / "0.npy", pixels)
    with pytest.raises(UserError, match=message) as caught:
        open_noisy_pictures(str(tmp_path), 1, Scale(black, white), None).check()
    assert "0.npy" in str(caught.value) and "\n" not in str(caught.value)


def test_hidden_files_of_a_folder_are_left_out(tmp_path):
    write16(tmp_path / "a.png", values16(40, 40))
    (tmp_path / "._a.png").write_bytes(b"what another system keeps about a.png")
    assert list(open_noisy_pictures(str(tmp_path), 3, Scale(), None).names) == ["a.png"]


def test_names_of_what_a_pattern_matches_tell_the_pictures_apart(tmp_path):
    for folder in "abcd":
        for name in "01":
            write16(tmp_path / "in" / folder / f"{name}.png", values16())
    everything = all_of(tool(tmp_path / "in"))[1]
    assert list(all_of(tool(tmp_path / "in" / "*"))[1]) == list(everything)
    assert all(name.count("/") == 1 for name in everything)


def test_all_pages_of_a_folder_are_evaluated(tmp_path):
    stack = values16(3, 40, 40)[..., None].astype(np.uint16)
    np.save(tmp_path / "a.npy", stack)
    tifffile.imwrite(tmp_path / "b.tif", stack[:2, ..., 0], photometric="minisblack")
    write16(tmp_path / "c.png", stack[0])
    pictures = open_noisy_pictures(str(tmp_path), 1, Scale(), str(tmp_path))
    assert pictures.labels == [*(f"a.npy page {i}" for i in (1, 2, 3)), "b.tif page 1", "b.tif page 2", "c.png"]
    assert list(pictures.names) == ["a.npy"] * 3 + ["b.tif"] * 2 + ["c.png"] and list(pictures.pages) == [0, 1, 2, 0, 1, 0]
    for i, page in enumerate([*stack, *stack[:2], stack[0]]):
        for found in pictures.read(i):
            np.testing.assert_allclose(found, page / 65535, rtol=1e-6)
    (tmp_path / "b.tif").write_bytes((tmp_path / "b.tif").read_bytes()[:50])
    with pytest.raises(UserError, match="b.tif"):
        open_noisy_pictures(str(tmp_path), 1, Scale(), None).check()


# --- black and white that nobody tells


def test_tags_of_noisy_pictures_are_taken_and_must_be_the_same(tmp_path, capsys):
    """One of another scale is left out, and named."""
    pixels, tags = values16(channels=1) % 4096, [(281, 3, 1, 4095, True)]
    (tmp_path / "in").mkdir()
    for i in range(4):
        tifffile.imwrite(tmp_path / "in" / f"{i}.tif", pixels[..., 0], extratags=tags)
    shard = NoisyShard(tool(tmp_path / "in"), 1, 1)
    assert shard.scale == shard.source.scale == Scale(0.0, 4095.0) and len(shard) == 3
    assert "Warning" not in capsys.readouterr().out.replace("Warning: noise that was clipped", "")
    for name in "yz":
        write16(tmp_path / "in" / f"{name}.tif", values16(channels=1))
    tool(tmp_path / "in")
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("skipped: "))
    assert re.search(r"tif has black 0 and white \d+, and \S+tif has black 0 and white \d+; --black and --white", line)


def test_noisy_pictures_of_12_bits_are_warned_of(tmp_path, capsys):
    """A microscope's may be as dark as that. Those of a shard, and of a folder that is validated on."""
    for i in range(3):
        write16(tmp_path / "in" / f"{i}.png", values16(channels=1) % 4000)
    warning = r"Warning: 3 of 3 pictures use little of their range, e\.g\. \S+png: .* if these are 12 bits give --white 4095"
    tool(tmp_path / "in")
    assert re.search(warning, capsys.readouterr().out)
    tool(tmp_path / "in", "--white", 4095)
    open_noisy_pictures(str(tmp_path / "in"), 1, Scale(0.0, 4095.0), None).check()
    assert "use little" not in capsys.readouterr().out
    open_noisy_pictures(str(tmp_path / "in"), 1, Scale(), None).check()
    assert re.search(warning, capsys.readouterr().out)


def test_scales_of_a_folder_that_is_evaluated(tmp_path):
    """Each file has its own; floats on another scale, noisy or clean, are refused."""
    pixels = values16(40, 40, 1) % 4096
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", pixels[..., 0], extratags=[(281, 3, 1, 4095, True)])
    write16(tmp_path / "in" / "b.tif", pixels * 16)
    pictures = open_noisy_pictures(str(tmp_path / "in"), 1, Scale(), str(tmp_path / "in"))
    pictures.check()
    for i, white in enumerate((4095, 65535 / 16)):
        for found in pictures.read(i):
            np.testing.assert_allclose(found, pixels / white, rtol=1e-6)
    (tmp_path / "clean").mkdir()
    for name in ("a.tif", "b.tif"):
        write16(tmp_path / "clean" / name, pixels.astype(np.float32))
    with pytest.raises(UserError, match=r"--reference-dir: .*a\.tif: values from .* white cannot be 1"):
        open_noisy_pictures(str(tmp_path / "in"), 1, Scale(), str(tmp_path / "clean")).check()
    with pytest.raises(UserError, match=r"a\.tif: values from .* white cannot be 1, .* e\.g\. --white 4095 for 12 bits"):
        open_noisy_pictures(str(tmp_path / "clean"), 1, Scale(), None).check()
