"""Pixels that are no picture: which they are, what is seen in their place, and that they stay as they are."""

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from graphs import random_variables
from hypothesis import given, settings
from hypothesis import strategies as st
from material import smooth_picture
from PIL import Image

import dataset_tool_h5
import selfsupervised_denoising
from dnnlib.denoising import Denoiser
from dnnlib.denoising.adapting.pages import read_pages
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.noisy_pictures import held_out_pictures, open_noisy_pictures
from dnnlib.denoising.data.noisy_shard import HELD_OUT, NoisyShard
from dnnlib.denoising.inference.noise_level import told_level
from dnnlib.denoising.network.architecture import shapes_of
from dnnlib.denoising.network.network_file import to_network
from dnnlib.denoising.noise.estimation import intact_patches
from dnnlib.denoising.pictures.decided_scale import decide
from dnnlib.denoising.pictures.files import read_filled, read_picture
from dnnlib.denoising.pictures.holes import filled, holes_in, rectangles_without
from dnnlib.denoising.pictures.images import read_image
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError
from dnnlib.tflib.network import save_network

KNOWN, PER_IMAGE = "gauss25-blindspot-sigma_known-mono", "gauss5_50-blindspot-sigma_per_image-mono"
RNG = np.random.default_rng(8)


def noisy(height: int, width: int, sigma: float = 0.1) -> np.ndarray:
    """float32 [H,W] of 0..1."""
    return (smooth_picture(height, width)[:, :, 0] / 255 + sigma * RNG.standard_normal([height, width])).astype(np.float32)


def border(height: int, width: int, rows: int = 9, columns: int = 20) -> np.ndarray:
    """bool [H,W]: rows at the top, columns at the left."""
    mask = np.zeros([height, width], bool)
    mask[:rows], mask[:, :columns] = True, True
    return mask


def call(arguments: str, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["selfsupervised_denoising.py", *shlex.split(arguments)])
    selfsupervised_denoising.main()


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    for file, name in {"known.pickle": KNOWN, "per_image.pickle": PER_IMAGE}.items():
        configuration = Configuration.from_name(name)
        save_network(to_network(configuration, random_variables(shapes_of(configuration), 2)), folder / file)
    return folder


# --- which pixels they are


@pytest.mark.parametrize(
    ("dtype", "stored", "nodata", "expected"),
    [
        (np.uint8, [0, 0, 0], 0, True), (np.uint8, [0, 0, 1], 0, False), (np.uint8, [7, 7, 7], -9999, False),
        (np.uint16, [65535] * 3, 65535, True), (np.uint8, [0, 0, 0], None, False), (np.uint8, [0, 0, 0], np.nan, False),
        (np.float32, [0.5, -9999, 0.5], -9999, True), (np.float32, [0.5, -9999, 0.5], None, False),
        (np.float32, [0.5, np.nan, 0.5], None, True), (np.float64, [0.5, np.inf, 0.5], -9999, True),
        (">f4", [-3.4028234663852886e38] * 3, -3.40282e38, True),  # as some programs write it into the tag
        (np.float16, [0.5] * 3, 1e30, False), (np.float32, [1e-30, 0.5, 0.5], 0, False),
    ],
)  # fmt: skip
def test_which_pixels_have_no_value(dtype, stored, nodata, expected):
    pixels = np.full([300, 4, 3], 0.25 if np.dtype(dtype).kind == "f" else 3, dtype)  # more rows than are looked at together
    pixels[270, 2] = stored
    holes = holes_in(pixels, nodata)
    assert (holes is not None) == expected
    if expected:
        assert np.argwhere(holes.mask).tolist() == [[270, 2]]
        changed = np.zeros_like(pixels)
        holes.put_back(changed)
        assert changed[270, 2].tobytes() == pixels[270, 2].tobytes() and np.count_nonzero(changed[:270]) == 0
        assert holes.with_value(pixels).shape == (1199, 1, 3)


def test_nothing_but_holes_is_refused():
    with pytest.raises(UserError, match="no pixel has a value"):
        holes_in(np.full([4, 4, 1], np.nan), None)


@pytest.mark.parametrize(
    ("text", "expected"), [("-9999", -9999.0), ("nan", np.nan), (" 0 ", 0.0), ("none", None), ("1e+30", 1e30), (None, None)]
)
def test_the_tag_of_a_tiff(tmp_path, text, expected):
    tags = [] if text is None else [(42113, "s", 0, text, True)]
    stack = np.ones([2, 5, 5], np.float32)
    tifffile.imwrite(tmp_path / "a.tif", stack, extratags=tags, metadata=None, photometric="minisblack")
    assert read_picture(tmp_path / "a.tif").nodata == pytest.approx([expected] * 2, nan_ok=True)


# --- what is seen in their place


def test_the_surroundings_are_mirrored_into_the_holes():
    pixels = np.arange(30.0).reshape(3, 10, 1)
    mask = np.zeros([3, 10], bool)
    mask[:, :3] = mask[1, 7] = True
    result = filled(pixels, mask)
    np.testing.assert_array_equal(result[:, :3, 0], pixels[:, [6, 5, 4], 0])
    assert result[1, 7, 0] in pixels[~mask]
    np.testing.assert_array_equal(result[~mask], pixels[~mask])
    mask[:, :9] = True  # nothing to mirror: what is left is repeated
    np.testing.assert_array_equal(filled(pixels, mask)[:, :, 0], pixels[:, [9] * 10, 0])


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 0.95), st.integers(0, 10**6))
def test_all_that_is_seen_has_a_value(height, width, share, seed):
    random = np.random.default_rng(seed)
    mask = random.random([height, width]) < share
    mask[random.integers(height), random.integers(width)] = False
    pixels = np.where(mask[:, :, np.newaxis], np.nan, random.random([height, width, 2]))
    result = filled(pixels, mask)
    assert np.isin(result, pixels[~mask]).all()
    np.testing.assert_array_equal(result[~mask], pixels[~mask])


# --- what is denoised


@pytest.mark.parametrize("file", ["known.pickle", "per_image.pickle"])
def test_holes_are_kept_and_not_seen(networks, file):
    """Whatever stands for no value, and wherever it is: the results are the same, bit for bit."""
    pixels, mask = noisy(150, 170), border(150, 170)
    mask[100:110, 60] = True
    results = []
    with Denoiser.load(networks / file) as denoiser:
        for value, nodata in ((-9999, -9999), (np.nan, None), (1e30, 1e30)):
            image = np.where(mask, np.float32(value), pixels)
            level = {} if "per_image" in file else {"sigma": 25}
            result, std = denoiser(image, nodata=nodata, tile=64, **level)
            assert result[mask].tobytes() == image[mask].tobytes()
            assert np.isnan(std[mask]).all() and np.isfinite(std[~mask]).all() and np.isfinite(result[~mask]).all()
            results.append(result[~mask])
        assert all(np.array_equal(results[0], other) for other in results)
        seen = filled(pixels[:, :, np.newaxis], mask)[:, :, 0]  # a network of sigma_known sees just that
        assert "per_image" in file or np.array_equal(results[0], denoiser(seen, sigma=25, tile=64)[0][~mask])
        weak, _ = denoiser(image, nodata=1e30, strength=0)
        assert weak.tobytes() == image.tobytes()


def test_the_networks_estimate_is_that_of_the_pixels_with_a_value(networks):
    """The mean over all pixels is that of two parts, each with the other as holes (of equal pixels)."""
    with Denoiser.load(networks / "per_image.pickle") as denoiser:
        pixels, half = noisy(96, 128)[:, :, np.newaxis], np.zeros([96, 128], bool)
        half[:, :50] = True

        def raw(holes):
            prepared = denoiser.prepare(pixels, {}, Scale(), tile=64, holes=holes)
            return denoiser.tiled_network.mean_raw_parameter(prepared.padded, 96, 128, 64, lambda: None, holes)

        parts = 78 / 128 * raw(half) + 50 / 128 * raw(~half)
        assert raw(None) == pytest.approx(parts, rel=1e-4) and raw(half) != pytest.approx(raw(~half), rel=1e-4)


@pytest.mark.parametrize("shape", ["border", "dots"])
def test_the_estimate_of_the_noise_is_that_of_the_pixels_with_a_value(shape):
    """Filled without noise, the holes would pull it to zero: half of the patches are such, or a tenth of the pixels."""
    pixels = noisy(320, 320)[:, :, np.newaxis]
    mask = border(320, 320, 200, 0) if shape == "border" else RNG.random([320, 320]) < 0.1
    smooth = np.where(mask[:, :, np.newaxis], np.float32(0.5), pixels)
    seen = smooth if shape == "border" else filled(pixels, mask)
    level = told_level(Configuration.from_name(KNOWN), {}, seen, Scale().of(pixels.dtype), mask)
    assert level.values["sigma"] == pytest.approx(25.5, rel=0.08)
    if shape == "border":  # the patches begin where the values do
        assert intact_patches(smooth, mask).shape == (5 * 64, 64, 1) and not np.any(intact_patches(smooth, mask) == 0.5)


def test_too_few_pixels_to_estimate_from(networks):
    mask = ~border(100, 100, 5, 0)
    with Denoiser.load(networks / "known.pickle") as denoiser, pytest.raises(UserError, match="too few .* --sigma .*sigma="):
        denoiser(np.where(mask, np.float32(np.nan), noisy(100, 100)))


def test_the_command(networks, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    pixels, mask = noisy(100, 130), border(100, 130)
    values = {"tag": -9999, "told": -1e30, "nan": np.nan}
    images = {name: np.where(mask, np.float32(value), pixels) for name, value in values.items()}
    tags = {"extratags": [(42113, "s", 0, "-9999", True)], "metadata": None}
    tifffile.imwrite("in/tag.tif", np.stack([images["tag"], pixels]), photometric="minisblack", **tags)
    np.save("in/told.npy", images["told"])
    np.save("in/nan.npy", images["nan"])
    Image.fromarray(np.where(mask, 0, np.clip(255 * pixels, 1, 255)).astype(np.uint8)).save("in/zero.png")
    network = f"--network {networks / 'known.pickle'} --sigma 25"
    call(f"--denoise in/tag.tif in/nan.npy {network} --out out --std --compare", monkeypatch)
    call(f"--denoise in/told.npy {network} --out out --nodata=-1e30", monkeypatch)
    call(f"--denoise in/zero.png {network} --out out --nodata 0", monkeypatch)
    tag, plain = tifffile.imread("out/tag.tif")
    assert tag[mask].tobytes() == images["tag"][mask].tobytes() and not np.any(plain == pixels)
    with tifffile.TiffFile("out/tag.tif") as written:
        assert written.pages[0].tags[42113].value == "-9999"
    results = {"nan": np.load("out/nan.npy"), "told": np.load("out/told.npy"), "tag": tag}
    for name, result in results.items():
        assert result[mask].tobytes() == images[name][mask].tobytes()
        np.testing.assert_array_equal(result[~mask], tag[~mask])
    zero = np.asarray(Image.open("out/zero.png"))
    assert not zero[mask].any() and zero[~mask].any()
    assert not tifffile.imread("out/tag-std.tif", key=0)[mask].any() and tifffile.imread("out/tag-std.tif", key=1).all()
    assert not np.asarray(Image.open("out/tag-compare.png"))[:9].any()
    lines = capsys.readouterr().out
    share = 100 * mask.mean()
    for words in (f"{share / 2:.1f} % of its pixels have no value (GDAL_NODATA -9999) and stay", "(NaN or infinite)",
                  f"{share:.1f} % of its pixels have no value (--nodata -1e+30)", "(--nodata 0)"):  # fmt: skip
        assert words in lines


def test_a_tag_that_is_wrong_is_overruled(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.eye(5, dtype=np.uint8), extratags=[(42113, "s", 0, "0", True)], metadata=None)
    assert len(read_filled(tmp_path / "a.tif", None).holes) == 1 and not read_filled(tmp_path / "a.tif", np.nan).holes


# --- what is warned of


@pytest.mark.parametrize(
    ("values", "named"),
    [([-9999], "-9999 stands"), ([1e30], "1e+30 stands"), ([-9999, 1e30], "1e+30, -9999 stand"), ([1.9], None),
     ([-0.9], None)],
)  # fmt: skip
@pytest.mark.parametrize("told", [Scale(), Scale(0.0, 1.0)])
def test_values_far_beyond_all_others_are_named(values, named, told):
    pixels = RNG.random([200, 200, 1]).astype(np.float32)
    pixels[0, : len(values), 0] = values
    warning = decide([pixels], told).warning
    assert (named is None) == (warning is None)
    assert named is None or (named in warning and "nodata" in warning and "\n" not in warning)


def test_a_border_of_them_is_named_before_white():
    pixels = np.where(border(100, 100)[:, :, np.newaxis], -9999.0, RNG.random([100, 100, 1]))
    with pytest.raises(UserError, match="if -9999 stands for .*, give --nodata=-9999; else white cannot be 1"):
        decide([pixels], Scale())
    bits = np.where(border(100, 100)[:, :, np.newaxis], 65535, RNG.integers(0, 4096, [100, 100, 1])).astype(np.uint16)
    assert "give --nodata=65535" in decide([bits], Scale(0, 4095)).warning


# --- what is learned from


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 40), st.integers(1, 12), st.integers(0, 10**6))
def test_rectangles_have_no_holes(height, width, holes, least, seed):
    random = np.random.default_rng(seed)
    mask = np.zeros([height, width], bool)
    mask[random.integers(0, height, holes), random.integers(0, width, holes)] = True
    count = np.zeros([height, width], int)
    areas = []
    for rows, columns in rectangles_without(mask, least):
        assert not mask[rows, columns].any() and min(mask[rows, columns].shape) >= least
        count[rows, columns] += 1
        areas.append(mask[rows, columns].size)
    assert count.max() <= 1 and areas == sorted(areas, reverse=True)
    if not areas:  # there is none: no square of the least side is without
        corners = ((y, x) for y in range(height - least + 1) for x in range(width - least + 1))
        assert all(mask[y : y + least, x : x + least].any() for y, x in corners)


def test_the_largest_rectangle_comes_first_also_of_large_pages():
    mask = border(100, 130)
    mask[50, 40] = True
    first, *_ = rectangles_without(mask, 30)
    assert first == (slice(9, 100), slice(41, 130))  # 91 x 89, more than 49 x 110 below
    (large,) = rectangles_without(np.kron(border(11, 13, 2, 1), np.ones([100, 100], bool)).astype(bool), 128)
    assert mask_size(large, 1100, 1300) >= (1100 - 200 - 6) * (1300 - 100 - 6)


def mask_size(part, height: int, width: int) -> int:
    return np.empty([height, width])[part].size


def test_crops_to_adapt_to_have_no_holes(tmp_path):
    pixels, mask = noisy(300, 400), border(300, 400)
    mask[150, 200:] = True
    np.save(tmp_path / "a.npy", np.where(mask, np.float32(-9999), pixels))
    pages = read_pages([str(tmp_path / "a.npy")], Scale(), nodata=-9999)
    assert sum(page.pixels.size for page in pages) > 0.8 * np.count_nonzero(~mask)
    assert all(page.pixels.min() > -1 and min(page.pixels.shape[:2]) >= 128 for page in pages)
    np.save(tmp_path / "a.npy", np.where(RNG.random([300, 400]) < 0.01, np.float32(np.nan), pixels))
    with pytest.raises(UserError, match="--adapt: no rectangle of 128 x 128 pixels"):
        read_pages([str(tmp_path / "a.npy")], Scale())


@pytest.mark.parametrize("files", [1, 3])
def test_a_shard_has_no_holes(tmp_path, files, capsys):
    """Of one file a strip is held out, of several a file; a reference is cut as what is held out."""
    (tmp_path / "in").mkdir()
    (tmp_path / "clean").mkdir()
    stored = {}
    for i in range(files):
        mask = border(200, 300, 20 + i, 30 + i)
        mask[100, 200:] = True
        stored[f"{i}.npy"] = np.where(mask, 65535, RNG.integers(1, 4000, [200, 300])).astype(np.uint16)
        np.save(tmp_path / "in" / f"{i}.npy", stored[f"{i}.npy"])
        np.save(tmp_path / "clean" / f"{i}.npy", stored[f"{i}.npy"] // 2 + 1)
    out = str(tmp_path / "shard.h5")
    options = ["--min-size", "64", "--white", "4095", "--nodata", "65535"]
    dataset_tool_h5.main(["--noisy", "--input-dir", str(tmp_path / "in"), "--out", out, *options])
    training, held_out = NoisyShard(out, 64, 1), NoisyShard(out, 1, 1, HELD_OUT)
    assert len(training) >= 2 and all(training.read(i).max() < 4000 for i in range(len(training)))
    assert "left out, to have no pixels without a value (nodata, NaN): " in capsys.readouterr().out
    pictures = held_out_pictures(held_out, str(tmp_path / "clean"))
    pictures.check()
    (top, left), (height, width) = held_out.corners[0], held_out.read(0).shape[1:]
    part = stored[held_out.names[0]][top : top + height, left : left + width]
    np.testing.assert_array_equal(held_out.read(0)[0], part)
    noisy_part, clean = pictures.read(0)
    np.testing.assert_allclose(clean[:, :, 0], (part // 2 + 1) / 4095, rtol=1e-6)
    assert noisy_part.shape == clean.shape and held_out.page_sizes.tolist() == [[200, 300]] * len(held_out)


def test_who_takes_whole_pictures_only_says_so(tmp_path):
    tags = {"extratags": [(42113, "s", 0, "0", True)], "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", np.where(border(64, 64), 0, 99).astype(np.uint8), **tags)
    words = r"a.tif: it has pixels without a value \(GDAL_NODATA 0\): crop them away"
    with pytest.raises(UserError, match=words):
        read_image(tmp_path / "a.tif")
    with pytest.raises(UserError, match=words):
        open_noisy_pictures(str(tmp_path), 1, Scale(), None).check()
    with pytest.raises(UserError, match="--nodata is for --noisy"):
        dataset_tool_h5.main(["--input-dir", str(tmp_path), "--out", str(tmp_path / "a.h5"), "--nodata", "0"])
