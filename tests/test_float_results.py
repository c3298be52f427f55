"""`--float`: results of integers as float32 in their own units, where the format can hold them."""

import shlex
import sys

import numpy as np
import pytest
import tifffile
from graphs import random_variables
from material import smooth_picture
from PIL import Image

import selfsupervised_denoising
from dnnlib.denoising import Denoiser
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.architecture import shapes_of
from dnnlib.denoising.network.network_file import to_network
from dnnlib.denoising.pictures.decided_scale import decided
from dnnlib.denoising.pictures.files import read_picture
from dnnlib.denoising.pictures.scale import UNTOLD
from dnnlib.errors import UserError
from dnnlib.tflib.network import save_network

NAME = "gauss25-blindspot-sigma_known"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working directory, with a network of random weights."""
    configuration = Configuration.from_name(NAME)
    save_network(to_network(configuration, random_variables(shapes_of(configuration), 2)), tmp_path / "known.pickle")
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def denoise(inputs: str, monkeypatch) -> None:
    arguments = f"--denoise {inputs} --network known.pickle --sigma 25 --out out"
    monkeypatch.setattr(sys, "argv", ["selfsupervised_denoising.py", *shlex.split(arguments)])
    selfsupervised_denoising.main()


def counts(height: int, width: int) -> np.ndarray:
    """uint16 [H,W,3] of 0..7."""
    return np.random.default_rng(3).poisson(smooth_picture(height, width) / 60).clip(0, 7).astype(np.uint16)


def test_results_are_what_integers_round(place, monkeypatch, capsys):
    pixels = counts(40, 50)
    np.save("in/a.npy", np.asfortranarray(np.stack([pixels, pixels[::-1]])))
    tags = {"extratags": [(281, "H", 1, 7, True), (42113, "s", 0, "0", True)], "metadata": None}
    with tifffile.TiffWriter("in/b.tif", byteorder=">") as file:
        for page in (pixels, pixels[::-1]):
            file.write(page, photometric="rgb", compression="zlib", predictor=True, **tags)
    denoise("in --float --white 7 --std --compare", monkeypatch)
    assert capsys.readouterr().out.count("uint16, 2 pages, sigma 25 (given), ") == 2
    with Denoiser.load("known.pickle") as denoiser:
        expected, _ = denoiser(pixels.astype(np.float32), sigma=25, white=7)
        rounded, _ = denoiser(pixels, sigma=25, white=7)
    assert np.abs(np.clip(expected, 0, 65535) - rounded).max() < 0.51  # fractions are kept in 254 parts on the way
    npy = np.load("out/a.npy")
    assert npy.dtype == np.float32 and npy.shape == (2, 40, 50, 3) and npy.flags.f_contiguous
    np.testing.assert_array_equal(npy[0], expected)
    holes = (pixels == 0).all(axis=2)
    assert holes.any()
    first = tifffile.imread("out/b.tif", key=0)
    assert first.dtype == np.dtype(np.float32) and not first[holes].any() and np.any(first != np.rint(first))
    # Read again, the file says what white is.
    again = read_picture("out/b.tif")
    assert [found.scale.white for found in decided(again, UNTOLD)] == [7.0, 7.0] and again.nodata == [0.0, 0.0]
    with tifffile.TiffFile("out/b.tif") as written:
        assert written.byteorder == ">" and {page.compression.name for page in written.pages} == {"ADOBE_DEFLATE"}


def test_no_strength_and_what_is_float_already(place, monkeypatch, capsys):
    pixels = counts(40, 50)
    np.save("in/a.npy", pixels)
    np.save("in/b.npy", pixels / 7)
    denoise("in --float --strength 0", monkeypatch)
    assert np.load("out/a.npy").dtype == np.float32 and np.array_equal(np.load("out/a.npy"), pixels)
    assert np.load("out/b.npy").tobytes() == (pixels / 7).tobytes()
    lines = capsys.readouterr().out.splitlines()
    assert [("written as float32" in line) for line in lines if "-> " in line] == [True, False]


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_a_format_without_floats_is_refused_before_any_work(place, monkeypatch, ending):
    np.save("in/a.npy", counts(40, 50))
    Image.fromarray(smooth_picture(40, 50)).save(f"in/b.{ending}")
    with pytest.raises(UserError, match=rf"--float: in/b.{ending} is a \w+, which holds no floats: convert it to TIFF"):
        denoise("in --float", monkeypatch)
    assert not (place / "out").exists()
