"""Several real GPUs train as one does: to 1e-6 after 50 steps."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from material import random_images, write_bare_shard, write_picture

from dnnlib.tflib.network import load_network
from dnnlib.tflib.runtime import tf

PROGRAM = Path(__file__).resolve().parent.parent / "selfsupervised_denoising.py"
GPUS = len(tf.config.list_physical_devices("GPU"))
NAME = "gauss25-blindspot-sigma_known"
OPTIONS = (
    f"--train {NAME} --train-h5 shard.h5 --validation-set own --train-resolution 64 --minibatch-size 4 --microbatch-size 1 "
    "--num-iter 200 --print-interval 100"
)


@pytest.mark.skipif(GPUS < 2, reason=f"needs two GPUs, this machine has {GPUS}")
def test_two_gpus_and_one(tmp_path):
    write_bare_shard(tmp_path / "shard.h5", random_images([(70, 80), (64, 64)]))
    write_picture(tmp_path / "own" / "a.png", 64, 60)
    found = []
    for count in (1, 2):
        command = [sys.executable, PROGRAM, *OPTIONS.split(), "--num-gpus", str(count), "--result-dir", str(count)]
        subprocess.run(command, cwd=tmp_path, check=True, env=os.environ | {"TF_DETERMINISTIC_OPS": "1"})
        (path,) = (tmp_path / str(count)).glob("0*/network-final-*")
        found.append(load_network(path).variables)
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=0, atol=1e-6, err_msg=name)
