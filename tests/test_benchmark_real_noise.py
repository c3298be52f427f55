"""The benchmark of real noise: what it compares is trained on the same pictures."""

import argparse
import importlib.util

import numpy as np
from material import write_picture
from programs import FOLDER

from dnnlib.denoising.data.noisy_shard import HELD_OUT, NoisyShard
from dnnlib.denoising.data.shard import Shard


def test_stored_fresh_and_repeated_noise_are_of_the_same_pictures(tmp_path):
    spec = importlib.util.spec_from_file_location("real_noise_benchmark", FOLDER / "benchmarks" / "real_noise.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    for i, suffix in enumerate(["png", "jpg", "png", "png", "JPEG", "png"]):
        write_picture(tmp_path / "clean" / f"{i}.{suffix}", 256 + i, 600, i)  # wider than a clean shard has by default
    write_picture(tmp_path / "clean" / "small.png", 100, 300)
    write_picture(tmp_path / "clean" / "sub" / "deeper.png", 300, 300)
    args = argparse.Namespace(clean=tmp_path / "clean", out=tmp_path, realisations=2)
    fresh = Shard(benchmark.shard_of(args, "gauss", "fresh"), 1)
    stored, twice = (benchmark.shard_of(args, "gauss", source) for source in ("stored", "x2"))
    heights = sorted(fresh.shapes[:, 1])
    assert heights == sorted(NoisyShard(stored, 1, 3).shapes[:, 1])
    assert sorted([*heights, *heights]) == sorted(NoisyShard(twice, 1, 3).shapes[:, 1])
    held_out = NoisyShard(stored, 1, 3, HELD_OUT)
    assert set(held_out.names) == set(NoisyShard(twice, 1, 3, HELD_OUT).names) and len(held_out) + len(fresh) == 6
    assert not set(heights) & set(held_out.shapes[:, 1])
    noisy = NoisyShard(stored, 1, 3)
    pairs = {int(shape[1]): fresh.read(i) / 255 for i, shape in enumerate(fresh.shapes)}
    noise = [noisy.to_float(noisy.read(i)) - pairs[int(shape[1])] for i, shape in enumerate(noisy.shapes)]
    assert abs(255 * np.std(np.concatenate([x.ravel() for x in noise])) - 25) < 0.2
