"""`make demo-train`: a whole training on the sample pictures, through the command line, in a few minutes on a CPU.

A shard from img/samples/train, a short training in which the network learns sigma too, and an evaluation on pictures
it has never seen. The settings are not the published ones but what gets furthest in that time: the recipe `fast`, and a
start of sigma that is estimated from the noisy crops, for there are too few steps to come there from zero. How many
steps there are depends on how long one takes here.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from config.recipes import RECIPES
from dnnlib.demo import ROOT, call, grid, shown
from dnnlib.denoising.pictures.images import read_image, write_image
from dnnlib.denoising.pictures.search import pictures_in
from dnnlib.denoising.training.speed import seconds_per_image
from dnnlib.errors import run_script

SAMPLES = ROOT / "img" / "samples"
RESULTS = ROOT / "results" / "demo-train"
CONFIGURATION = "gauss25-blindspot-sigma_global"
CROP = 128
MINUTES, FEWEST, MOST = 4, 200, 2_000  # what the training is to take, and its images: of fewer nobody would see anything
TRAINING = ["--recipe=fast", f"--train-resolution={CROP}", "--noise-init=estimate"]
SHOWN = ("c_cln", "a_nsy", "b_out2", "b_std")  # clean, noisy, denoised, std


def main() -> None:
    """Makes the shard, trains, evaluates, and shows what came of it."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    shard = RESULTS / "samples.h5"
    call("dataset_tool_h5.py", f"--input-dir={SAMPLES / 'train'}", f"--out={shard}")
    from dnnlib.tflib.replicas import one_gpu  # late: TensorFlow

    gpus = one_gpu()
    validation = [f"--validation-set={SAMPLES / 'eval'}", f"--result-dir={RESULTS}", f"--num-gpus={gpus}"]
    images, seconds = affordable(seconds_per_image(CONFIGURATION, RECIPES["fast"], CROP, gpus))
    print(f"\nThe training of {images} images takes about {max(1, round(seconds / 60))} min on this machine.", flush=True)
    train = ["selfsupervised_denoising.py", f"--train={CONFIGURATION}", f"--train-h5={shard}", *TRAINING, *validation]
    counts = f"--num-iter={images}", f"--print-interval={max(1, images // 20)}"
    with ended_after(2 * seconds):
        call(*train, *counts)
    network = max(newest_run(RESULTS).glob("network-*.pickle"))
    call("selfsupervised_denoising.py", f"--eval={network}", *validation)
    evaluated = newest_run(RESULTS / "_eval")
    scores = json.loads((evaluated / "stats.jsonl").read_text().splitlines()[-1])
    picture = RESULTS / "comparison.png"
    compare(evaluated / "img", picture)
    print(f"\nDone in {(time.monotonic() - started) / 60:.1f} minutes; the network never saw a clean picture.")
    print(f"PSNR on new pictures: {scores['noisy_psnr']:.2f} dB noisy, {scores['valid_psnr_pme']:.2f} dB denoised")
    print(f"Clean, noisy, denoised and predicted std side by side: {shown(picture)}")


def affordable(seconds: float) -> tuple[int, float]:
    """Returns how many images to train on, and the seconds that takes. seconds: for one."""
    images = min(max(round(60 * MINUTES / seconds, -2), FEWEST), MOST)
    return int(images), images * seconds


@contextlib.contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Has the newest training end early (abort.txt) where it is still running then: the machine has got other work."""
    timer = threading.Timer(seconds, lambda: (newest_run(RESULTS) / "abort.txt").touch())
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def newest_run(folder: Path) -> Path:
    """Returns the newest run directory in a folder."""
    return max(folder.glob("[0-9]*-*"))


def compare(exported: Path, path: Path) -> None:
    """Writes one row for each picture of an evaluation, of the pictures named in SHOWN."""
    cleans = pictures_in(exported, pattern="*-c_cln.png")
    write_image(path, grid([[read_image(clean.replace("c_cln", tag)) for tag in SHOWN] for clean in cleans]))


if __name__ == "__main__":
    run_script(main)
