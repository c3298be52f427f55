#!/usr/bin/env python3
"""Measures the training step of any recipe on the device that there is: time, images a second, memory.

    python benchmarks/step.py --recipe fast --train-resolution 256 --precision bf16
    python benchmarks/step.py --minibatch-size 4 --precision float32

It is what tools/gpu/run.sh measures on a GPU; `make bench` compares with a yardstick, and knows CPUs only. The pictures are
noise.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.recipe import options_of, with_precision  # noqa: E402
from dnnlib.command_line import CommandLine  # noqa: E402
from dnnlib.denoising.configuration import Configuration  # noqa: E402
from dnnlib.denoising.options import TrainingOptions  # noqa: E402
from dnnlib.errors import run_script  # noqa: E402

WARM_UP = 25  # steps that plan the graph and choose kernels, and refresh the bases of SOAP each time


def main(arguments: list[str] | None = None) -> None:
    """Times the steps, and prints one line."""
    given = given_options(__doc__, arguments, steps=(100, "steps to time"))
    started = time.monotonic()
    with open_step(Configuration.from_name(given["config"]), options_of(given)) as step:
        step.run()
        first = time.monotonic() - started
        for _ in range(WARM_UP):
            step.run()
        seconds = [timed(step.run) for _ in range(given["steps"])]
        o, memory = step.options, f", {step.peak_memory() / 1e9:.2f} GB" if step.on_gpu else ""
    print(
        f"{given['config']} --recipe {o.recipe} --minibatch-size {o.minibatch_size} --train-resolution {o.train_resolution} "
        f"--precision {o.precision}: {1e3 * np.median(seconds):.1f} ms a step (median; {1e3 * min(seconds):.1f} to "
        f"{1e3 * max(seconds):.1f}), {o.minibatch_size / np.mean(seconds):.1f} images/s{memory}, first after {first:.0f} s"
    )


def given_options(description: str, arguments: list[str] | None, **counts: tuple[int, str]) -> dict:
    """Reads a command line with a configuration, the options of a training, and counts, each with its default and help."""
    parser = CommandLine(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="gauss25-blindspot-sigma_known", help="configuration (default: %(default)s)")
    for name, (default, text) in counts.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} (default: %(default)s)")
    parser.add_options((TrainingOptions,))
    return {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}


class Step(NamedTuple):
    """Holds a training step that is ready to run, on the same minibatch each time."""

    session: object
    fetches: dict
    feed: dict
    options: TrainingOptions  # with the precision that it has
    on_gpu: bool

    def run(self, **arguments) -> dict:
        """Takes the step. arguments: of the session's run."""
        return self.session.run(self.fetches, self.feed, **arguments)

    def peak_memory(self) -> int:
        """Returns the bytes of the first GPU that were in use at most."""
        import tensorflow as tf2  # late: TensorFlow

        return tf2.config.experimental.get_memory_info("GPU:0")["peak"]


@contextlib.contextmanager
def open_step(configuration: Configuration, options: TrainingOptions) -> Iterator[Step]:
    """Builds the step of a training, with its first values. Precision AUTO is resolved as the program does."""
    from dnnlib.denoising.training.graph import build_training_graph, initial_training_values  # late: TensorFlow
    from dnnlib.tflib.replicas import Replicas
    from dnnlib.tflib.runtime import initialize, tf

    replicas = Replicas()
    o = with_precision(options, replicas.on_gpu)
    side, count = o.train_resolution, o.minibatch_size
    pictures = np.random.default_rng(1).integers(0, 256, [count, side, side, configuration.channels], np.uint8)
    with tf.Graph().as_default(), replicas.session() as session:
        graph = build_training_graph(configuration, o, replicas)
        initialize(session, initial_training_values(configuration, o))
        yield Step(session, graph.step, graph.feed(np.arange(count), pictures), o, replicas.on_gpu)


def timed(function) -> float:
    """Returns the seconds that a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    run_script(main)
