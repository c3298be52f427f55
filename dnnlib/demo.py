"""`make demo`: denoises the sample photographs with the networks that come with the program, through its own command line.

Noise is added to them first, as it is in the published tests, and the noisy pictures are written as 8-bit PNG, which is
what anyone has. The networks are told nothing of the noise.
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from dnnlib.denoising.evaluation.metrics import psnr
from dnnlib.denoising.pictures.images import read_image, to_float, to_uint8, write_image
from dnnlib.errors import UserError, run_script

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "img" / "samples" / "eval"
RESULTS = ROOT / "results" / "demo"
SIGMA = 25  # of 255
# Of each sample, upper left corner of the detail that is shown magnified, in pixels.
DETAILS = {"chelsea.png": (80, 104), "camera.png": (160, 200)}
DETAIL, MAGNIFIED = (75, 112), 4  # height and width of the detail; how many times larger it is shown
BORDER = 4  # white pixels around each picture of the comparison


def main() -> None:
    """Adds noise, denoises, and says what came of it."""
    started = time.monotonic()
    noisy, denoised = RESULTS / "noisy", RESULTS / "denoised"
    noisy.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(DETAILS):
        picture = to_float(read_image(SAMPLES / name, channels(name)))
        noise = np.random.default_rng(number).normal(0.0, SIGMA / 255, picture.shape)
        write_image(noisy / name, to_uint8(picture + noise))
    call("selfsupervised_denoising.py", f"--denoise={noisy}", f"--out={denoised}")

    # What came of it.
    print(f"\nGaussian noise of sigma {SIGMA} (of 255), which the networks were not told of:")
    for name in DETAILS:
        clean, before, after = (to_float(read_image(folder / name)) for folder in (SAMPLES, noisy, denoised))
        print(f"  {name:12s} {psnr(before, clean):.2f} dB noisy, {psnr(after, clean):.2f} dB denoised")
    path = RESULTS / "comparison.png"
    write_image(path, comparison([noisy, denoised, SAMPLES]))
    print(f"Done in {time.monotonic() - started:.0f} seconds. Noisy, denoised, clean, and a detail of each: {shown(path)}")
    print("Your own picture: .venv/bin/python selfsupervised_denoising.py --denoise photo.png --out denoised")
    print("How it is learned, from noisy pictures alone: make demo-train")


def call(script: str, *options: str) -> None:
    """Runs one of our scripts, shown as one would type it. Raises UserError where it fails."""
    print(f"\n$ python {script} {' '.join(shown(option) for option in options)}", flush=True)
    status = subprocess.run([sys.executable, ROOT / script, *options], cwd=ROOT, check=False).returncode
    if status:
        raise UserError(f"the demo's step {script} ended with status {status}; what it printed says why")


def shown(text: str | Path) -> str:
    """Returns an option or a path as it is from the checkout."""
    return str(text).replace(f"{ROOT}/", "")


def channels(name: str) -> int:
    """Returns how many channels a sample has: 1 where it is grey."""
    picture = read_image(SAMPLES / name)
    return 1 if (picture == picture[:, :, :1]).all() else 3


def comparison(folders: list[Path]) -> np.ndarray:
    """Returns the samples as they are in each folder, side by side, and below each its detail: uint8 [H,W,3]."""
    height, width = DETAIL
    rows = []
    for name, (top, left) in DETAILS.items():
        pictures = [read_image(folder / name) for folder in folders]
        details = [x[top : top + height, left : left + width].repeat(MAGNIFIED, 0).repeat(MAGNIFIED, 1) for x in pictures]
        rows += [pictures, details]
    return grid(rows)


def grid(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Returns pictures, uint8 [h,w,3], in rows of one height each, on white: uint8 [H,W,3]."""
    widest = max(picture.shape[1] for row in rows for picture in row)

    def framed(picture: np.ndarray) -> np.ndarray:
        around = (BORDER, BORDER), (BORDER, BORDER + widest - picture.shape[1]), (0, 0)
        return np.pad(picture, around, constant_values=255)

    return np.vstack([np.hstack([framed(picture) for picture in row]) for row in rows])


if __name__ == "__main__":
    run_script(main)
