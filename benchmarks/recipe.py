#!/usr/bin/env python3
"""Compares recipes of training: trains shortly by one, with any of its options changed, and judges what came out.

    python benchmarks/recipe.py --shard bsds400.h5 --pictures BSDS300/images/test --train-resolution 64 --num-iter 800 \\
        --recipe fast --learning-rate 1e-3 --rate-shape ramps

prints one line of JSON: PSNR of the posterior mean on held-out pictures, and of the loss, the PSNR and the noise that is
assumed or learned, means over each tenth of the training. Trainings in crops below 128 are judged on one crop of that side
from each picture, others on the middle 320x320 pixels; the noise is always the same. Configurations of real noise get
the noise of REAL_NOISE, which the training is not told. docs/recipe.md has the figures.
"""

import argparse
import dataclasses
import json
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.real_noise import SIGMA, A, B, corrupted  # noqa: E402
from dnnlib.command_line import CommandLine  # noqa: E402
from dnnlib.denoising.configuration import Configuration  # noqa: E402
from dnnlib.denoising.data.crops import Crops  # noqa: E402
from dnnlib.denoising.data.shard import Shard  # noqa: E402
from dnnlib.denoising.network.architecture import NOISE_VARIABLE  # noqa: E402
from dnnlib.denoising.noise.learned_parameter import raw_from_parameter  # noqa: E402
from dnnlib.denoising.options import TrainingOptions  # noqa: E402
from dnnlib.denoising.pictures.images import read_image, to_float  # noqa: E402
from dnnlib.denoising.pictures.search import pictures_in  # noqa: E402
from dnnlib.denoising.training.statistics import as_reported, statistic_names  # noqa: E402
from dnnlib.errors import UserError, run_script  # noqa: E402
from dnnlib.option_fields import resolved  # noqa: E402
from dnnlib.tflib.precision import AUTO, fastest_precision  # noqa: E402
from selfsupervised_denoising import named_recipe  # noqa: E402

SMALL_CROP, LARGE_CROP = 128, 320  # below the first, networks fail on whole pictures; of the second are pictures judged
HELD_OUT_SEED = 7
TENTHS = 10
REAL_NOISE = {"gauss": (SIGMA / 255,), "poissongauss": (A, B)}  # what `corrupted` adds, as it is learned


def main(arguments: list[str] | None = None) -> None:
    given = {name: value for name, value in vars(command_line().parse_args(arguments)).items() if value is not None}
    configuration, options = Configuration.from_name(given["config"]), options_of(given)
    print(json.dumps(compare(configuration, options, given["shard"], given["pictures"], given.get("noise_start"))))


def command_line() -> CommandLine:
    """Makes the parser: the options of a training, and what to train and judge on."""
    parser = CommandLine(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="gauss25-blindspot-sigma_known", help="configuration (default: %(default)s)")
    parser.add_argument("--shard", required=True, help="training shard")
    parser.add_argument("--pictures", required=True, help="folder of clean pictures to judge on")
    parser.add_argument("--noise-start", type=float, help="learned noise starts at so many times the true one")
    parser.add_options((TrainingOptions,))
    return parser


def options_of(given: dict) -> TrainingOptions:
    """Returns the options of a training, checked. given: those of the command line, by their names."""
    options = resolved(TrainingOptions, given, named_recipe(given.get("recipe", TrainingOptions.recipe)))
    options.check()
    return options


def with_precision(options: TrainingOptions, on_gpu: bool) -> TrainingOptions:
    """Returns the options with the precision that AUTO stands for here. on_gpu: where the training runs."""
    return dataclasses.replace(options, precision=fastest_precision(on_gpu)) if options.precision == AUTO else options


def compare(
    configuration: Configuration, options: TrainingOptions, shard: str, folder: str, noise_start: float | None = None
) -> dict:
    """Trains, and returns the figures: decibels, statistics on the way, seconds of this process, skipped steps.

    configuration, options: what is trained, and how, without validations, states and files.
    shard: path of the training shard; folder: of clean pictures.
    noise_start: where learned noise starts, as a multiple of the true one; None: where the program lets it start.
    """
    from dnnlib.denoising.training.graph import build_training_graph  # late: TensorFlow
    from dnnlib.denoising.training.schedule import crop_side, learning_rate, loss_exponent
    from dnnlib.tflib.replicas import Replicas
    from dnnlib.tflib.runtime import initialize, tf

    replicas = Replicas()
    o = with_precision(options, replicas.on_gpu)
    crops = Crops(Shard(shard, o.largest_crop), partial(crop_side, options=o), configuration.channels, o.seed)
    with tf.Graph().as_default(), replicas.session() as session:
        graph = build_training_graph(configuration, o, replicas)
        judge = Judge(configuration, held_out(folder, o.train_resolution, configuration.channels))
        initialize(session, first_values(configuration, o, noise_start))
        started, lines = time.process_time(), []
        for n in range(0, o.num_iter // o.minibatch_size * o.minibatch_size, o.minibatch_size):
            numbers = np.arange(n, n + o.minibatch_size)
            images = np.stack([crops[int(m)] for m in numbers])
            if configuration.noise.real:
                images = noisy_float(configuration, to_float(images), [o.seed, n])
            feed = graph.feed(numbers, images, learning_rate(n, o), loss_exponent(n, o.num_iter))
            lines.append(session.run(graph.step, feed))
        seconds = time.process_time() - started
        found = judge.psnr(session)
    skipped = sum(not line["finite"] for line in lines)
    figures = {"psnr": round(found, 3), "seconds": round(seconds), "skipped": skipped}
    return figures | in_tenths(configuration, lines) | {"noise_start": noise_start} | vars(o)


def first_values(configuration: Configuration, options: TrainingOptions, noise_start: float | None) -> dict[str, np.ndarray]:
    """Returns the first values of a training's variables. The arguments are those of `compare`."""
    from dnnlib.denoising.training.graph import initial_training_values

    values = initial_training_values(configuration, options)
    if noise_start is not None:
        if NOISE_VARIABLE not in values:
            raise UserError(f"--noise-start: {configuration.name} has no noise parameter that it learns for all pictures")
        raw = [raw_from_parameter(noise_start * x, configuration.noise.learns_root) for x in true_noise(configuration)]
        values[NOISE_VARIABLE] = np.array(raw, values[NOISE_VARIABLE].dtype).reshape(values[NOISE_VARIABLE].shape)
    return values


def true_noise(configuration: Configuration) -> tuple[float, ...]:
    """Returns the noise that there is, as what a network should learn."""
    noise = configuration.noise
    return REAL_NOISE[noise.family] if noise.real else (noise.row.level.learned_from_known(noise.low),)


def noisy_float(configuration: Configuration, clean: np.ndarray, seed: list[int]) -> np.ndarray:
    """Returns clean pictures, float32 [N,H,W,C] of [0, 1], with the noise of REAL_NOISE."""
    return corrupted(clean, configuration.noise.family, np.random.default_rng(seed)).astype(np.float32)


def in_tenths(configuration: Configuration, lines: list[dict]) -> dict[str, list[float]]:
    """Returns the statistics of the steps, by name, averaged over each tenth of them."""
    parts = [part for part in np.array_split(np.arange(len(lines)), TENTHS) if len(part)]
    means = [{name: np.mean([lines[i][name] for i in part]) for name in statistic_names(configuration)} for part in parts]
    reported = [as_reported(configuration, mean) for mean in means]
    return {name: [float(f"{mean[name]:.4g}") for mean in reported] for name in reported[0]}


def held_out(folder: str, crop: int, channels: int) -> np.ndarray:
    """Returns the clean pixels that are judged on: float32 [N,side,side,C] of [0, 1], one crop of each picture."""
    random = np.random.default_rng(HELD_OUT_SEED)
    found = []
    for path in pictures_in(folder, "--pictures"):
        image = to_float(read_image(path, channels))
        height, width, _ = image.shape
        if crop < SMALL_CROP:
            side, y, x = crop, random.integers(0, height - crop), random.integers(0, width - crop)
        else:
            side, y, x = LARGE_CROP, (height - LARGE_CROP) // 2, (width - LARGE_CROP) // 2
        found.append(image[y : y + side, x : x + side])
    return np.stack(found)


class Judge:
    """Measures the network whose variables the default graph has on clean pictures, with noise that is always the same."""

    def __init__(self, configuration: Configuration, clean: np.ndarray):
        """Builds the network once more. clean: float32 [N,H,W,C] of [0, 1]."""
        from dnnlib.denoising.network.model import build_model
        from dnnlib.denoising.noise.training_noise import add_training_noise
        from dnnlib.tflib.runtime import tf

        self._clean = clean
        self._image, self._number = tf.placeholder(tf.float32, [1, *clean.shape[1:]]), tf.placeholder(tf.int64, [1])
        noisy, parameter = self._image, None
        if configuration.noise.real:
            self._fed = noisy_float(configuration, clean, [HELD_OUT_SEED])
        else:
            self._fed = clean
            noisy, parameter = add_training_noise(self._image, configuration.noise, HELD_OUT_SEED, self._number)
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            self._denoised = build_model(configuration, noisy, parameter).posterior_mean

    def psnr(self, session) -> float:
        """Returns the PSNR of the posterior mean in decibels, averaged over the pictures."""
        from dnnlib.denoising.evaluation.metrics import psnr

        pictures = enumerate(self._fed)
        results = (session.run(self._denoised, {self._image: x[None], self._number: [i]}) for i, x in pictures)
        return float(np.mean([psnr(x[0], clean) for x, clean in zip(results, self._clean, strict=True)]))


if __name__ == "__main__":
    run_script(main)
