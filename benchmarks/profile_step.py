#!/usr/bin/env python3
"""Shows what a training step spends its time on: seconds of each kind of operation, added up over the threads.

    python benchmarks/profile_step.py --train-resolution 128 --precision float32
    python benchmarks/profile_step.py --train-resolution 128 --recipe fast

The pictures are noise. Tracing makes a step slower; the shares count, not the seconds.
"""

import collections
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.recipe import options_of  # noqa: E402
from benchmarks.step import given_options, open_step  # noqa: E402
from dnnlib.denoising.configuration import Configuration  # noqa: E402
from dnnlib.denoising.options import TrainingOptions  # noqa: E402
from dnnlib.errors import run_script  # noqa: E402

WARM_UP, STEPS = 8, 4  # the first steps plan the graph, and refresh the bases of SOAP each time


def main(arguments: list[str] | None = None) -> None:
    """Traces some steps, and prints the table."""
    given = given_options(__doc__, arguments, rows=(15, "kinds of operations to show"))
    seconds = traced(Configuration.from_name(given["config"]), options_of(given))
    total = sum(seconds.values())
    print("| operation | ms a step | share |\n| --- | --- | --- |")
    for kind, value in seconds.most_common(given["rows"]):
        print(f"| {kind} | {1e3 * value:.1f} | {value / total:.1%} |")
    print(f"| all | {1e3 * total:.1f} | |")


def traced(configuration: Configuration, options: TrainingOptions) -> collections.Counter:
    """Returns the seconds of a step by kind of operation, as TensorFlow calls it, summed over all threads.

    configuration, options: of the training; precision AUTO is resolved as the program does.
    """
    from dnnlib.tflib.runtime import tf  # late: TensorFlow

    seconds: collections.Counter = collections.Counter()
    with open_step(configuration, options) as step:
        for _ in range(WARM_UP):
            step.run()
        trace = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
        for _ in range(STEPS):
            found = tf.RunMetadata()
            step.run(options=trace, run_metadata=found)
            for node in (node for device in found.step_stats.dev_stats for node in device.node_stats):
                seconds[kind_of(node)] += 1e-6 * (node.op_end_rel_micros - node.op_start_rel_micros) / STEPS
    return seconds


def kind_of(node) -> str:
    """Returns the kind of operation of a traced node, whose label is 'name = Kind(inputs)'."""
    _, found, rest = node.timeline_label.partition(" = ")
    return rest.partition("(")[0] if found else node.node_name.partition(":")[2] or node.node_name


if __name__ == "__main__":
    run_script(main)
