"""`make demo`: the whole program on the sample pictures, through its own command line, in a few minutes on a CPU.

A shard from img/samples/train, a short training in which the network learns sigma too, and an evaluation on pictures
it has never seen. The settings are not the published ones but what gets furthest in that time: the recipe `fast`, and a
start of sigma that is estimated from the noisy crops, for there are too few steps to come there from zero.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from config.recipes import RECIPES
from dnnlib.denoising.network.network_file import network_file_name
from dnnlib.denoising.pictures.images import read_image, write_image
from dnnlib.denoising.pictures.search import pictures_in
from dnnlib.errors import UserError, run_script

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "img" / "samples"
RESULTS = ROOT / "results" / "demo"
CONFIGURATION = "gauss25-blindspot-sigma_global"
CROP, IMAGES = 128, 400
TRAINING = [
    "--recipe=fast", f"--train-resolution={CROP}", f"--num-iter={IMAGES}", "--print-interval=100",
    "--noise-init=estimate",
]
SHOWN = ("c_cln", "a_nsy", "b_out2", "b_std")  # clean, noisy, denoised, std


def main() -> None:
    """Makes the shard, trains, evaluates, and shows what came of it."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    shard = RESULTS / "samples.h5"
    call("dataset_tool_h5.py", f"--input-dir={SAMPLES / 'train'}", f"--out={shard}")
    gpus = available_gpus()
    validation = [f"--validation-set={SAMPLES / 'eval'}", f"--result-dir={RESULTS}", f"--num-gpus={gpus}"]
    minutes = max(1, round(IMAGES * seconds_per_image(gpus) / 60))
    print(f"\nThe training takes about {minutes} min on this machine, the rest one or two more.", flush=True)
    train = ["selfsupervised_denoising.py", f"--train={CONFIGURATION}", f"--train-h5={shard}", *TRAINING, *validation]
    network = call(*train, folder=RESULTS) / network_file_name(None, CONFIGURATION)
    evaluated = call("selfsupervised_denoising.py", f"--eval={network}", *validation, folder=RESULTS / "_eval")
    scores = json.loads((evaluated / "stats.jsonl").read_text().splitlines()[-1])
    picture = compare(evaluated / "img", RESULTS / "comparison.png")
    print(f"\nDone in {(time.monotonic() - started) / 60:.1f} minutes; the network never saw a clean picture.")
    print(f"PSNR on new pictures: {scores['noisy_psnr']:.2f} dB noisy, {scores['valid_psnr_pme']:.2f} dB denoised")
    print(f"Clean, noisy, denoised and predicted std side by side: {picture}")


def available_gpus() -> int:
    """Returns 1 if there is a GPU, else 0: a step of one image is for one device."""
    from dnnlib.tflib.runtime import quiet_start, tf  # late: TensorFlow

    with quiet_start():
        return min(1, len(tf.config.list_physical_devices("GPU")))


def seconds_per_image(gpus: int) -> float:
    """Measures how long a training step takes here, with noise for pictures. gpus: 1 or 0."""
    from dnnlib.denoising.configuration import Configuration  # late: all of these import TensorFlow
    from dnnlib.denoising.options import TrainingOptions
    from dnnlib.denoising.training.graph import build_training_graph, initial_training_values
    from dnnlib.tflib.layout import Layout
    from dnnlib.tflib.precision import fastest_precision
    from dnnlib.tflib.replicas import Replicas
    from dnnlib.tflib.runtime import initialize, tf

    replicas = Replicas(Layout(num_gpus=gpus))
    precision = fastest_precision(replicas.on_gpu)
    options = TrainingOptions(**RECIPES["fast"] | {"train_resolution": CROP, "precision": precision})
    configuration = Configuration.from_name(CONFIGURATION)
    picture = np.random.default_rng(1).integers(0, 256, [1, CROP, CROP, 3], np.uint8)
    # A few of its steps.
    times = []
    with tf.Graph().as_default(), replicas.session() as session:
        graph = build_training_graph(configuration, options, replicas)
        initialize(session, initial_training_values(configuration, options))
        for n in range(12):
            started = time.monotonic()
            session.run(graph.step, graph.feed([n], picture))
            times.append(time.monotonic() - started)
    return float(np.median(times[6:]))  # the first ones plan the graph, and refresh the bases of SOAP each time


def call(script: str, *options: str, folder: Path | None = None) -> Path | None:
    """Runs one of our scripts, shown as one would type it; returns the run directory it made in `folder`."""
    shown = [option.replace(f"{ROOT}/", "") for option in options]
    print(f"\n$ python {script} {' '.join(shown)}", flush=True)
    status = subprocess.run([sys.executable, ROOT / script, *options], cwd=ROOT, check=False).returncode
    if status:
        raise UserError(f"the demo's step {script} ended with status {status}; what it printed says why")
    return max(folder.glob("[0-9]*-*")) if folder else None


def compare(exported: Path, path: Path) -> Path:
    """Writes one row for each picture of an evaluation, of the pictures named in SHOWN; narrower ones on white."""
    cleans = pictures_in(exported, pattern="*-c_cln.png")
    rows = [[read_image(clean.replace("c_cln", tag)) for tag in SHOWN] for clean in cleans]
    width = max(row[0].shape[1] for row in rows)

    def framed(image: np.ndarray) -> np.ndarray:
        return np.pad(image, ((4, 4), (4, 4 + width - image.shape[1]), (0, 0)), constant_values=255)

    write_image(path, np.vstack([np.hstack([framed(image) for image in row]) for row in rows]))
    return path


if __name__ == "__main__":
    run_script(main)
