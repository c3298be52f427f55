"""A shard of a single noisy picture: the strip that is held out, what is left to train on, and a training on both."""

import json

import numpy as np
import pytest
import tifffile
from material import smooth_picture
from PIL import Image
from programs import run_here

import dataset_tool_h5
from dnnlib.denoising.data import noisy_pages
from dnnlib.denoising.data.crops import NoisyCrops
from dnnlib.denoising.data.held_out_strip import split
from dnnlib.denoising.data.noisy_pictures import held_out_pictures
from dnnlib.denoising.data.noisy_shard import HELD_OUT, NoisyShard
from dnnlib.errors import UserError


def numbered(height, width, pages=1):
    """uint16 [pages,height,width,1]: no two pixels alike, none at a limit."""
    count = pages * height * width
    assert count < 65000
    return np.arange(1, count + 1, dtype=np.uint16).reshape(pages, height, width, 1)


def tool(place, given, *options):
    arguments = ["--noisy", "--input-dir", str(given), "--out", str(place / "shard.h5"), "--min-size", "1"]
    dataset_tool_h5.main([*arguments, *map(str, options)])
    return place / "shard.h5"


def parts(path, channels=1):
    """Stored arrays [C,H,W] of both parts."""
    shards = NoisyShard(path, 1, channels), NoisyShard(path, 1, channels, HELD_OUT)
    return [[shard.read(i) for i in range(len(shard))] for shard in shards]


# --- the cut


@pytest.mark.parametrize(
    ("height", "width", "share", "strip"),
    [
        (96, 200, 0.05, (96, 64)),  # a share of 10 columns
        (200, 96, 0.05, (64, 96)),
        (96, 96, 0.05, (96, 64)),  # as small as can be; of squares columns
        (32, 96, 0.9, (32, 64)),
        (150, 1000, 0.1, (150, 96)),  # 100 columns are nearest to 96
        (150, 1000, 0.17, (150, 160)),
        (150, 1000, 0.999, (150, 960)),  # 40 are left
        (1000, 150, 0.2, (192, 150)),
    ],
)
def test_a_strip_of_the_share_is_cut_off_the_longer_side(height, width, share, strip):
    pixels = np.random.default_rng(1).integers(0, 65536, (3, height, width), np.uint16)
    rest, found = split(pixels, share)
    assert found.shape == (3, *strip)
    across = 2 if strip[0] == height else 1
    assert rest.shape[3 - across] == pixels.shape[3 - across] and min(rest.shape[1:]) >= 32
    np.testing.assert_array_equal(np.concatenate([rest, found], axis=across), pixels)


@pytest.mark.parametrize(("height", "width"), [(95, 95), (31, 400), (400, 31), (1, 1)])
def test_too_small_for_both(height, width, tmp_path):
    np.save(tmp_path / "a.npy", np.ones((height, width), np.uint16))
    message = rf"^--input-dir: .*a.npy: {width} x {height} pixels are too few .* 64 .* 32 x 32: give a larger picture"
    with pytest.raises(UserError, match=message) as caught:
        tool(tmp_path, tmp_path / "a.npy")
    assert "\n" not in str(caught.value) and not (tmp_path / "shard.h5").exists()


# --- the shard


@pytest.mark.parametrize(("height", "width", "what"), [(160, 200, "64 columns"), (200, 160, "64 rows")])
def test_both_parts_are_the_picture_and_share_no_pixel(tmp_path, monkeypatch, capsys, height, width, what):
    """Also where what is left is cut into pieces."""
    monkeypatch.setattr(noisy_pages, "LARGEST_PIECE", 100)
    (picture,) = numbered(height, width)
    np.save(tmp_path / "a.npy", picture)
    training, held_out = parts(tool(tmp_path, tmp_path / "a.npy"))
    assert len(training) == 4 and len(held_out) == 1
    values = np.concatenate([pixels.ravel() for pixels in (*training, *held_out)])
    np.testing.assert_array_equal(np.sort(values), picture.ravel())
    end = picture[:, -64:] if width > height else picture[-64:]
    np.testing.assert_array_equal(held_out[0][0], end[..., 0])
    lines = capsys.readouterr().out.splitlines()
    assert "  pictures to train on: 1, in 4 pieces of at most 100 x 100 pixels" in lines
    assert f"  held out: a strip of {what} of each picture" in lines


def test_crops_come_from_what_is_left_and_validation_has_the_strip(tmp_path):
    (picture,) = numbered(100, 200)
    np.save(tmp_path / "a.npy", picture)
    path = tool(tmp_path, tmp_path, "--holdout", 0.48)  # 96 columns: 104 are left
    crops = NoisyCrops(NoisyShard(path, 96, 1), 96, 1, seed=1)
    (left,) = parts(path)[0]
    assert left.shape == (1, 100, 104)
    for i in range(20):
        stored = np.rint(crops[i][..., 0] * 65535)
        y, x = np.argwhere(picture[..., 0] == stored[0, 0])[0]
        assert x <= 104 - 96
        np.testing.assert_array_equal(stored, picture[y : y + 96, x : x + 96, 0])
    noisy, _ = held_out_pictures(NoisyShard(path, 1, 1, HELD_OUT), None).read(0)
    np.testing.assert_array_equal(np.rint(noisy * 65535), picture[:, 104:])


def test_a_strip_of_each_page_of_the_only_file(tmp_path, capsys):
    """Files that cannot be used do not count."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    pages = numbered(100, 120, 3)
    np.save(tmp_path / "in" / "a.npy", pages)
    path = tool(tmp_path, tmp_path / "in")
    training, held_out = parts(path)
    for page, left, strip in zip(pages[..., 0], training, held_out, strict=True):
        np.testing.assert_array_equal(left[0], page[:, :56])
        np.testing.assert_array_equal(strip[0], page[:, 56:])
    shard = NoisyShard(path, 1, 1, HELD_OUT)
    assert shard.names == ["a.npy"] * 3 and shard.pages.tolist() == [0, 1, 2]
    assert shard.page_sizes.tolist() == [[100, 120]] * 3
    printed = capsys.readouterr().out
    assert "files skipped: 1\n  pictures to train on: 3, in 3 " in printed and "a strip of 64 columns of each" in printed


def test_pages_of_several_shapes(tmp_path, capsys):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for shape in ((100, 120), (120, 100), (100, 130)):
            file.write(np.ones(shape, np.uint16), photometric="minisblack")
    _, held_out = parts(tool(tmp_path, tmp_path / "a.tif"))
    assert [strip.shape for strip in held_out] == [(1, 100, 64), (1, 64, 100), (1, 100, 64)]
    assert "held out: a strip of 64 columns or 64 rows of each picture\n" in capsys.readouterr().out


def test_of_two_files_one_is_held_out_as_a_whole(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for name in "ab":
        np.save(tmp_path / "in" / f"{name}.npy", numbered(100, 120)[0])
    training, held_out = parts(tool(tmp_path, tmp_path / "in", "--holdout", 0.01))
    assert [pixels.shape for pixels in training + held_out] == [(1, 100, 120)] * 2
    assert NoisyShard(tmp_path / "shard.h5", 1, 1, HELD_OUT).page_sizes is None
    printed = capsys.readouterr().out
    assert "  pictures held out: 1\n" in printed and "strip" not in printed
    tool(tmp_path, tmp_path / "in", "--max-files", 1)
    assert "a strip of 64 columns" in capsys.readouterr().out


def test_the_fingerprint_tells_strips_apart(tmp_path):
    np.save(tmp_path / "a.npy", numbered(100, 200)[0])
    found = [NoisyShard(tool(tmp_path, tmp_path, "--holdout", share), 1, 1).fingerprint() for share in (0.1, 0.2, 0.5)]
    assert found[0] == found[1] != found[2]  # 64 columns, 64 and 96


def test_a_clean_shard_still_needs_a_folder(tmp_path):
    np.save(tmp_path / "a.npy", numbered(100, 200)[0])
    with pytest.raises(UserError, match="is not a folder; give the folder"):
        dataset_tool_h5.main(["--input-dir", str(tmp_path / "a.npy"), "--out", str(tmp_path / "shard.h5")])


# --- the whole way


def test_a_training_on_one_picture_is_validated_on_its_strip(tmp_path):
    """Against the clean picture, of which the same strip counts: a wrong one would give another PSNR."""
    clean = smooth_picture(96, 128)
    noise = 20 * np.random.default_rng(1).standard_normal(clean.shape)
    noisy = np.clip(np.rint(clean + noise), 1, 254).astype(np.uint8)
    for folder, pixels in {"noisy": noisy, "clean": clean}.items():
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "a.tif", pixels, photometric="rgb")
    path = tool(tmp_path, tmp_path / "noisy" / "a.tif")
    run_here(
        tmp_path,
        f"--train real_gauss-blindspot-sigma_global --train-h5 {path} --train-resolution 64 --num-iter 2 --minibatch-size 1 "
        "--print-interval 1 --eval-interval 1 --reference-dir clean --num-gpus 0",
    )
    (statistics,) = tmp_path.glob("results/*/stats.jsonl")
    *_, last = map(json.loads, statistics.read_text().splitlines())
    error = (noisy[:, -64:].astype(float) - clean[:, -64:]) ** 2
    assert last["valid_psnr_noisy"] == pytest.approx(10 * np.log10(255**2 / error.mean()), abs=1e-3)
    assert np.isfinite(last["valid_nll"])
    (picture,) = statistics.parent.glob("img/img-0000002-a_nsy.*")
    assert Image.open(picture).size == (64, 96)
