"""`--white auto` for shards and evaluations: what it takes, and that it says so. (Of --denoise: test_denoise_command.py.)"""

import shlex
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from material import smooth_picture, write_network
from PIL import Image

import dataset_tool_h5
import selfsupervised_denoising
from dnnlib.denoising.data.shard import Shard
from dnnlib.errors import UserError

SAID = "white is {}, which 99.9 % of the values of all pictures do not exceed (--white auto)"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working directory, with three pictures of about 12 bits under `in`, and what they are up to."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    pictures = [smooth_picture(64, 64, i)[:, :, 0].astype(np.uint16) * (10 + i) for i in range(3)]
    for i, pixels in enumerate(pictures):
        pixels[0, 0] = 65535  # an odd one: of 12,288 values a thousandth are 12
        np.save(f"in/{i}.npy", pixels)
    return f"{np.quantile(pictures, 0.999, method='nearest'):g}"


def tool(arguments: str) -> None:
    dataset_tool_h5.main(shlex.split(f"--input-dir in --out a.h5 --min-size 32 {arguments}"))


def call(arguments: str, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["selfsupervised_denoising.py", *shlex.split(arguments)])
    selfsupervised_denoising.main()


def test_a_noisy_shard(place, capsys):
    tool("--noisy --white auto --black 3")
    assert SAID.format(place) in capsys.readouterr().out.splitlines()
    with h5py.File("a.h5") as file:
        assert (file.attrs["white"], file.attrs["black"]) == (float(place), 3.0)
    for i in range(3):  # floats, which need a white
        np.save(f"in/{i}.npy", np.load(f"in/{i}.npy") / 8)
    tool("--noisy --white auto")
    with h5py.File("a.h5") as file:
        assert file.attrs["source_white"] == pytest.approx(float(place) / 8)


def test_a_noisy_shard_with_holes(place, capsys):
    for i in range(3):
        pixels = np.load(f"in/{i}.npy")
        pixels[:20] = 65535
        np.save(f"in/{i}.npy", pixels)
    tool("--noisy --white auto --nodata 65535")
    white = float(capsys.readouterr().out.split("white is ")[1].split(",")[0])
    assert white < 4000


def test_a_clean_shard(place, capsys):
    tool("--white auto")
    assert SAID.format(place) in capsys.readouterr().out.splitlines()
    shard = Shard("a.h5", 32)
    assert max(shard.read(i).max() for i in range(3)) == 255 and np.mean([shard.read(i).mean() for i in range(3)]) > 60
    Image.fromarray(smooth_picture(64, 64)).save("in/a.bmp")  # of a kind that is only read, and of another type
    with pytest.raises(UserError, match="--white auto: in/./0.npy is uint16|--white auto: .* which have no white in common"):
        tool("--white auto")


@pytest.mark.parametrize("name", ["gauss25-blindspot-sigma_known-mono", "real_gauss-blindspot-sigma_global-mono"])
def test_an_evaluation(place, monkeypatch, capsys, name):
    write_network(Path("a.pickle"), name)
    call("--eval a.pickle --validation-set in --white auto --num-gpus 0 -n", monkeypatch)
    out = capsys.readouterr().out
    assert SAID.format(place) in out.splitlines() and f'"white": {float(place)}' in out


def test_a_shard_to_evaluate_on_knows_its_own(place, monkeypatch):
    write_network(Path("a.pickle"), "real_gauss-blindspot-sigma_global-mono")
    tool("--noisy --white auto")
    with pytest.raises(UserError, match="--white: the shard a.h5 knows its own"):
        call("--eval a.pickle --validation-set a.h5 --white auto --num-gpus 0 -n", monkeypatch)
    with pytest.raises(UserError, match="--validation-set nowhere: is neither"):
        call("--eval a.pickle --validation-set nowhere --white auto --num-gpus 0 -n", monkeypatch)
