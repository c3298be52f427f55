"""`make bench`: the program's speed as a ratio to a yardstick, timed in turn in the same processes.

The yardstick is two dense 3x3 convolutions of 96 channels, forward and backward, on 16 maps of 128x128, in float32:
what the machine makes of plain work at that moment. U = nominal operations of a training step / its time / the
yardstick's rate; nominal are those of the plain graph, some of which can be saved, so U may pass 1. Each round runs
every measurement in a process of its own; the table has medians over the rounds, and their spread.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

NAME = "gauss25-blindspot-sigma_known"
MAC_PER_PIXEL = 81.9e9 / 256**2  # of the plain blind-spot network, forward
TRAINING = [f"train-{crop}{form}" for crop in (64, 128, 256) for form in ("", "-bf16")]
WHAT = [*TRAINING, "train-128-plain", "train-256-plain", "head-128", "eval", "eval-bf16", "eval-plain"]


def main() -> None:
    """Measures everything, each time in a process of its own, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    parser.add_argument("--only", choices=WHAT, action="append", help="leave out the others")
    parser.add_argument("--one", choices=WHAT, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(run_one(args.one)))
        return
    found: dict[str, list[dict]] = {}
    for _ in range(args.rounds):
        for what in args.only or WHAT:
            output = subprocess.run([sys.executable, __file__, "--one", what], check=True, stdout=subprocess.PIPE, text=True)
            found.setdefault(what, []).append(json.loads(output.stdout.splitlines()[-1]))
            print(what, found[what][-1], file=sys.stderr, flush=True)
    found["dataset tool"] = [dataset_tool(workers) for workers in (1, None) for _ in range(args.rounds)]
    found["feed"] = [row for gigabytes in (1, 2, 4) for row in feed(gigabytes)]
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=2) + "\n")
    print(f"{platform.platform()}, {os.cpu_count()} cores; medians of {args.rounds} rounds (minimum, maximum)\n")
    report(found)


def run_one(what: str) -> dict:
    """Times yardstick and program in turn, and returns the medians and the peak memory.

    what: one of WHAT.
    """
    import numpy as np

    from dnnlib.denoising.configuration import Configuration
    from dnnlib.denoising.network.architecture import initial_variables, shapes_of
    from dnnlib.tflib.runtime import create_session, initialize, tf

    kind, _, rest = what.partition("-")
    with tf.Graph().as_default():
        step, names = {"train": training, "head": head, "eval": evaluation}[kind](rest)
        yard_feed, yard = yardstick()
        with create_session() as session:
            shapes = shapes_of(Configuration.from_name(NAME))
            initialize(session, {} if kind == "head" else initial_variables(shapes, 1))
            for _ in range(2):
                session.run(step, names)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            session.run(yard, yard_feed)
            times = np.array([[timed(session, yard, yard_feed), timed(session, step, names)] for _ in range(5)])
    yard_seconds, seconds = np.median(times, axis=0)
    return {"seconds": seconds, "yardstick": 1e-9 * YARDSTICK / yard_seconds, "peak_memory": before}


YARDSTICK = 2 * 3 * 2 * 9 * 96 * 96 * 16 * 128 * 128  # operations: layers, forward and twice backward, multiply and add


def timed(session, fetches, feed) -> float:
    """Returns the seconds of one run."""
    began = time.perf_counter()
    session.run(fetches, feed)
    return time.perf_counter() - began


def yardstick():
    """Builds the yardstick, and returns what to feed and to fetch."""
    from dnnlib.tflib.runtime import tf

    x = tf.ones([16, 128, 128, 96]) + tf.random.normal([1, 1, 1, 96])
    w = [tf.random.normal([3, 3, 96, 96], stddev=0.03) for _ in range(2)]
    y = tf.nn.conv2d(tf.nn.conv2d(x, w[0], 1, "SAME"), w[1], 1, "SAME")
    # The results are fetched: what nobody looks at is pruned, and would cost nothing.
    return {}, [tf.reduce_sum(g) for g in tf.gradients(y, [x, *w])]


def training(rest: str):
    """Builds a step as `--train` takes it on a CPU, and returns what to fetch and to feed.

    rest: side of the crops; with -bf16: in bfloat16; with -plain: by the plain network, all images in one batch.
    """
    import numpy as np

    from dnnlib.denoising.configuration import Configuration
    from dnnlib.denoising.network import model
    from dnnlib.denoising.options import TrainingOptions
    from dnnlib.denoising.training.graph import build_training_graph
    from dnnlib.tflib.replicas import Replicas

    crop, _, form = rest.partition("-")
    if form == "plain":
        from benchmarks.plain import plain_blind_spot_unet

        model.blind_spot_unet = plain_blind_spot_unet
    crop = int(crop)
    options = TrainingOptions(
        train_resolution=crop, microbatch_size=4 if form == "plain" else 1, precision="bf16" if form == "bf16" else "float32"
    )
    graph = build_training_graph(Configuration.from_name(NAME), options, Replicas())
    random = np.random.default_rng(1)
    images = random.integers(0, 256, [4, crop, crop, 3], dtype=np.uint8)
    return graph.step, graph.feed(np.arange(4), images)


def evaluation(rest: str):
    """Builds the evaluation of a picture of 768x512, padded to a square, and returns what to fetch and to feed.

    rest: empty, or bf16 or plain, as for `training`.
    """
    import numpy as np

    from dnnlib.denoising.configuration import Configuration
    from dnnlib.denoising.network import model
    from dnnlib.tflib.runtime import tf

    if rest == "plain":
        from benchmarks.plain import plain_blind_spot_unet

        model.blind_spot_unet = plain_blind_spot_unet
    noisy = tf.placeholder(tf.float32, [1, None, None, 3])
    window = None if rest == "plain" else tf.constant([0, 0, 512, 768])
    dtype = tf.bfloat16 if rest == "bf16" else tf.float32
    sigma = tf.fill([1, 1, 1, 1], 25 / 255)
    result = model.build_model(Configuration.from_name(NAME), noisy, sigma, window=window, dtype=dtype)
    return [result.posterior_mean, result.net_std], {noisy: np.random.default_rng(1).random([1, 768, 768, 3], np.float32)}


def head(rest: str):
    """Builds the Bayesian head of a training step alone, forward and backward, and returns what to fetch and to feed.

    rest: side of the crops.
    """
    import numpy as np

    from dnnlib.denoising.network.posterior import posterior
    from dnnlib.tflib.runtime import tf

    crop, random = int(rest), np.random.default_rng(1)
    outputs = tf.placeholder(tf.float32, [4, crop, crop, 9])
    noisy = tf.placeholder(tf.float32, [4, crop, crop, 3])
    result = posterior(outputs, noisy, "gauss", tf.fill([4, 1, 1, 1], 25 / 255), learned=False, diagonal=False)
    (gradient,) = tf.gradients(tf.reduce_mean(result.loss), [outputs])
    arrays = [random.random(x.shape.as_list(), np.float32) for x in (outputs, noisy)]
    return [tf.reduce_sum(gradient), tf.reduce_mean(result.posterior_mean)], dict(zip((outputs, noisy), arrays, strict=True))


def dataset_tool(workers: int | None) -> dict:
    """Measures how many pictures a second go into a shard, of 800 PNG of 481x321 made of the samples."""
    import numpy as np

    from dnnlib.denoising.data.shard_writer import write_shard
    from dnnlib.denoising.pictures.images import read_image, write_image
    from dnnlib.denoising.pictures.search import pictures_in
    from dnnlib.parallel import cores

    with tempfile.TemporaryDirectory() as folder:
        sources = [read_image(path) for path in pictures_in(ROOT / "img/samples/train")]
        for i in range(800):
            write_image(Path(folder, f"{i}.png"), np.resize(np.roll(sources[i % len(sources)], i, axis=0), (321, 481, 3)))
        began = time.perf_counter()
        with open(os.devnull, "w") as nowhere:
            stdout, sys.stdout = sys.stdout, nowhere
            try:
                write_shard(folder, Path(folder, "shard.h5"), workers=workers)
            finally:
                sys.stdout = stdout
        return {"workers": workers or cores(), "images_per_second": 800 / (time.perf_counter() - began)}


def feed(gigabytes: int) -> list[dict]:
    """Measures how many crops of 256 a second come out of a shard of that size, in a random order, and the memory it takes.

    That is done with the file in the operating system's page cache, and with it thrown out after every 64 crops.
    """
    import h5py
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shard.h5")
        picture = np.random.default_rng(1).integers(0, 256, 3 * 400 * 440, dtype=np.uint8)
        count = gigabytes * 10**9 // picture.size
        with h5py.File(path, "w") as file:
            images = file.create_dataset("images", (count,), h5py.vlen_dtype(np.uint8))
            for i in range(count):
                images[i] = picture
            file["shapes"] = np.tile(np.int32([3, 400, 440]), (count, 1))
        return [{"gigabytes": gigabytes, "cached": cached, **read_crops(path, cached)} for cached in (True, False)]


def read_crops(path: Path, cached: bool) -> dict:
    """Reads 2048 crops out of a shard, and returns the rate and the memory. cached: whether the file may stay in memory."""
    from dnnlib.denoising.data.crops import Crops
    from dnnlib.denoising.data.shard import Shard

    crops = Crops(Shard(path, 256), 256, 3, 1)
    before, seconds = resident_memory(), 0.0
    for first in range(0, 2048, 64):
        if not cached:
            forget(path)
        began = time.perf_counter()
        for number in range(first, first + 64):
            crops[number]
        seconds += time.perf_counter() - began
    return {"crops_per_second": 2048 / seconds, "memory_grown": resident_memory() - before}


def forget(path: Path) -> None:
    """Takes a file out of the operating system's page cache."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resident_memory() -> int:
    """Returns how many bytes of this process are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def report(found: dict[str, list[dict]]) -> None:
    """Prints the table of what was found, rows by what was measured."""
    print("| | seconds | U or ratio | peak memory, GB | yardstick, GFLOP/s |")
    print("| --- | --- | --- | --- | --- |")
    timed = {what: rows for what, rows in found.items() if what in WHAT}
    medians = {what: statistics.median(r["seconds"] * r["yardstick"] for r in rows) for what, rows in timed.items()}
    for what, rows in timed.items():
        kind, _, rest = what.partition("-")
        if kind == "train":
            operations = 3 * 2 * MAC_PER_PIXEL * 4 * int(rest.partition("-")[0]) ** 2
            ratio = spread([1e-9 * operations / r["seconds"] / r["yardstick"] for r in rows], "{:.2f}")
        elif what == "head-128" and "train-128" in medians:
            ratio = f"{medians[what] / medians['train-128']:.1%} of the step"
        else:
            ratio = f"{medians['eval-plain'] / medians['eval']:.2f}x" if what == "eval" and "eval-plain" in medians else ""
        memory = max(r["peak_memory"] for r in rows) / 1e9
        print(
            f"| {what} | {spread([r['seconds'] for r in rows])} | {ratio} | {memory:.2f} "
            f"| {spread([r['yardstick'] for r in rows], '{:.0f}')} |"
        )
    print()
    for what in ("dataset tool", "feed"):
        for row in found.get(what, []):
            print(f"{what}: " + ", ".join(f"{key} {value:.0f}" for key, value in row.items()))


def spread(values: list[float], form: str = "{:.3f}") -> str:
    """Returns the median, and the minimum and the maximum, as text."""
    middle, low, high = (form.format(x) for x in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low}, {high})"


if __name__ == "__main__":
    main()
