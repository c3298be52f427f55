"""Memory of `--denoise` on large pictures stays bounded: minutes of work, so among the slow tests."""

import os
import subprocess
import sys

import numpy as np
import pytest
from material import write_network
from PIL import Image
from programs import FOLDER

GIB = 1 << 20  # in KiB, as Linux counts ru_maxrss


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is counted in other units elsewhere")
@pytest.mark.parametrize(
    ("height", "width", "limit"),
    [(1024, 4096, 4.5)],  # (10000, 10000, 6) holds, too, with 5.14 GiB, but takes an hour
)
def test_peak_memory(tmp_path, height, width, limit):
    write_network(tmp_path / "network.pickle", "gauss25-blindspot-sigma_known")
    noisy = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noisy).save(tmp_path / "in.png", compress_level=1)
    command = [sys.executable, FOLDER / "selfsupervised_denoising.py", "--denoise", "in.png", "--network", "network.pickle"]
    process = subprocess.Popen([*command, "--out", "out", "--sigma", "25"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    with Image.open(tmp_path / "out" / "in.png") as image:
        assert image.size == (width, height)
    assert usage.ru_maxrss < limit * GIB, f"{usage.ru_maxrss / GIB:.2f} GiB"
