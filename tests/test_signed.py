"""Pictures of int16: values below zero are kept, and those far below a black that nobody told are refused."""

import numpy as np
import pytest
import tifffile
from graphs import random_variables
from material import smooth_picture

import dataset_tool_h5
from dnnlib.denoising import Denoiser
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.noisy_shard import HELD_OUT, NoisyShard
from dnnlib.denoising.network.architecture import shapes_of
from dnnlib.denoising.network.network_file import to_network
from dnnlib.denoising.pictures.decided_scale import decide, decided
from dnnlib.denoising.pictures.files import read_picture
from dnnlib.denoising.pictures.images import read_image
from dnnlib.denoising.pictures.scale import Scale, as_stored
from dnnlib.errors import UserError

RNG = np.random.default_rng(7)
UNTOLD = Scale()


def signed(offset=0.0, sigma=1000.0, side=96):
    """int16 [side,side] of a smooth picture of 0 to 25,500 less an offset, with noise."""
    return np.rint(smooth_picture(side, side)[..., 0] * 100.0 - offset + RNG.normal(0, sigma, (side, side))).astype(np.int16)


@pytest.mark.parametrize("kind", ["<i2", ">i2"])
def test_files_keep_values_below_zero(tmp_path, kind):
    pixels = RNG.integers(-32768, 32768, (20, 30)).astype(kind)
    np.save(tmp_path / "a.npy", pixels)
    tifffile.imwrite(tmp_path / "a.tif", pixels, byteorder=kind[0], compression="lzw")
    for name in ("a.npy", "a.tif"):
        picture = read_picture(tmp_path / name)
        np.testing.assert_array_equal(picture.pages[0][..., 0], pixels)
        picture.write(tmp_path / f"out-{name}", [-1 - picture.pages[0]])
        again = read_picture(tmp_path / f"out-{name}").pages[0]
        assert again.dtype == picture.pages[0].dtype
        np.testing.assert_array_equal(again[..., 0], -1 - pixels)


def test_results_are_rounded_and_clipped_to_the_whole_type():
    values = np.array([-4e4, -32768.4, -1.6, 0.4, 32767.6, 4e4])
    assert as_stored(values, np.dtype(np.int16)).tolist() == [-32768, -32768, -2, 0, 32767, 32767]


def test_a_result_is_that_of_the_same_values_as_floats():
    configuration = Configuration.from_name("gauss25-blindspot-sigma_known-mono")
    image = signed(sigma=4000)
    assert (image < 0).any()
    with Denoiser(to_network(configuration, random_variables(shapes_of(configuration), 2)), configuration) as denoiser:
        result, _ = denoiser(image, sigma=25)
        expected, _ = denoiser(image.astype(np.float32), sigma=25, white=32767)
    assert result.dtype == np.int16
    np.testing.assert_array_equal(result, np.rint(expected.clip(-32768, 32767)))


# --- black and white


@pytest.mark.parametrize("offset", [12000, 16000, 25500])
@pytest.mark.parametrize("told", [UNTOLD, Scale(0.0, 25500.0)])
def test_content_far_below_black_is_refused(offset, told):
    image = signed(offset, side=160)
    words = f"black is 0, which is not below them: give --black.*, e.g. --black {image.min()}$"
    with pytest.raises(UserError, match=words):
        decide([image[..., None]], told)
    assert decide([image[..., None]], Scale(float(image.min()), 25500.0)).origin == "told"


@pytest.mark.parametrize("sigma", [5, 25, 60])
def test_noise_about_black_is_not(sigma):
    """All black, so that half of the values are below; of floats, too."""
    noise = RNG.normal(0, sigma / 255, (128, 128, 1))
    assert decide([np.rint(noise * 32767).astype(np.int16)], UNTOLD).scale == Scale(0.0, 32767.0)
    found = decide([noise.astype(np.float32)], UNTOLD)
    assert "not below them" not in (found.warning or "")


def test_floats_far_below_black_are_warned_of():
    values = smooth_picture(64, 64).astype(np.float32) / 127.5 - 1
    assert "black is 0, which is not below them: give --black" in decide([values], UNTOLD).warning
    assert decide([values], Scale(-1.0, 1.0)).warning is None
    assert "not below" in decide([values.reshape(-1, 1, 3)], UNTOLD).warning  # pixels one after the other


def test_dim_pictures_are_warned_of():
    found = decide([(signed(sigma=9) // 8)[..., None]], UNTOLD)
    assert found.scale == Scale(0.0, 32767.0) and "give --white 4095" in found.warning


# --- shards


def test_a_noisy_shard_holds_them_exactly(tmp_path):
    (tmp_path / "in").mkdir()
    images = [signed(sigma=9), RNG.integers(-32768, 32768, (64, 64)).astype(np.int16)]
    for i, image in enumerate(images):
        tifffile.imwrite(tmp_path / "in" / f"{i}.tif", image)
    out = tmp_path / "shard.h5"
    options = ["--noisy", "--min-size=32", "--black=-40000", "--white=30000"]
    dataset_tool_h5.main([f"--input-dir={tmp_path / 'in'}", f"--out={out}", *options])
    found = []
    for part in ("/", HELD_OUT):
        shard = NoisyShard(out, 1, 1, part)
        assert (shard.scale, shard.source) == (Scale(-7232.0, 62768.0), ("int16", Scale(-40000.0, 30000.0)))
        stored = shard.read(0)[0]
        assert stored.dtype == np.uint16
        np.testing.assert_allclose(shard.to_float(stored), (stored - 32768.0 + 40000) / 70000, atol=1e-6)
        found.append((stored.astype(int) - 32768).tobytes())
    assert set(found) == {image.astype(int).tobytes() for image in images}


def test_a_clean_picture_has_black_at_zero(tmp_path):
    image = signed(sigma=0)
    image[0] = -3
    np.save(tmp_path / "a.npy", image)
    expected = np.clip(np.rint(image / 32767 * 255), 0, 255)
    np.testing.assert_allclose(read_image(tmp_path / "a.npy", 1)[..., 0], expected, atol=1)
    assert (read_image(tmp_path / "a.npy", 1)[0] == 0).all()


def test_a_tag_may_state_white(tmp_path):
    image = signed(sigma=9) // 8
    tifffile.imwrite(tmp_path / "a.tif", image, extratags=[(341, 8, 1, 4095, True), (340, 8, 1, 0, True)])
    (found,) = decided(read_picture(tmp_path / "a.tif"), UNTOLD)
    assert (found.scale, found.origin) == (Scale(0.0, 4095.0), "SMaxSampleValue")
