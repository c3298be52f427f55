#!/usr/bin/env python3
"""Trains and evaluates self-supervised denoising networks (Laine et al., NeurIPS 2019), and denoises pictures with them."""

import argparse
import difflib
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from config.configurations import CONFIGURATIONS, REAL_CONFIGURATIONS
from config.networks import NETWORKS
from config.recipes import RECIPES
from config.validation_sets import VALIDATION_SETS
from dnnlib.command_line import CommandLine
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.judging.options import JudgingOptions
from dnnlib.denoising.network.shipped import default_networks, network_path
from dnnlib.denoising.options import (
    DEFAULT_NETWORKS,
    OPTION_CLASSES,
    CommandOptions,
    DataOptions,
    DenoisingOptions,
    EvaluationOptions,
    ExportOptions,
    LearningOptions,
    RunOptions,
    TrainingOptions,
)
from dnnlib.errors import UserError, run_script
from dnnlib.option_fields import given_for, refuse_others, resolved
from dnnlib.tflib.layout import layout_from

FIELDS = ("noise_style", "pipeline", "noise_params", "diagonal", "channels")
PUBLISHED, REAL = (
    {Configuration(*map(row.get, FIELDS)).name: row for row in table} for table in (CONFIGURATIONS, REAL_CONFIGURATIONS)
)
DEFAULT_FOR = {"rgb": ", the default for RGB pictures", "grey": ", the default for grey pictures", "none": ""}

EPILOG = """\
examples:
  # train on a shard made by dataset_tool_h5.py, validate on Kodak
  python selfsupervised_denoising.py --train=gauss25-blindspot-sigma_known \\
      --train-h5=imagenet_val.h5 --dataset-dir=datasets

  # evaluate a network file on BSD300
  python selfsupervised_denoising.py --eval=network-final-gauss25-blindspot-sigma_known.pickle \\
      --dataset-dir=datasets --validation-set=bsd300

  # denoise your own pictures; the noise level is estimated where the network must be told it
  python selfsupervised_denoising.py --denoise photo.png scans/ 'raw/*.tif' \\
      --network network-final-gauss25-blindspot-sigma_known.pickle --out denoised

  # a SavedModel for TensorFlow Serving and tf.saved_model.load
  python selfsupervised_denoising.py --export model --network network-final-gauss25-blindspot-sigma_known.pickle

  # learn from pictures that are noisy already, nothing clean exists (docs/real-noise.md)
  python dataset_tool_h5.py --noisy --input-dir camera --out camera.h5
  python selfsupervised_denoising.py --train=real_poissongauss-blindspot-sigma_global \\
      --train-h5=camera.h5 --noise-init=estimate
"""


def main() -> None:
    """Reads the command line, and does what it says."""
    given = command_line().parse_given()
    command = chosen_command(given)
    refuse_others(OPTION_CLASSES, given, command)
    {"train": train, "eval": evaluate, "denoise": denoise, "learn": learn, "export": export}[command](given)


def command_line() -> CommandLine:
    """Makes the parser: all options, examples, and lists of what can be named."""
    lists = {
        "networks that come with the program (--network NAME, --eval NAME, --init NAME)": [
            f"{name:40s} {row['kodak']:.2f} dB on Kodak{DEFAULT_FOR[row['default']]}" for name, row in NETWORKS.items()
        ],
        "recipes": [f"{name:10s} {', '.join(f'{k}={v:g}' if isinstance(v, float) else f'{k}={v}' for k, v in row.items())}"
                    for name, row in RECIPES.items()],
        "validation sets": [f"{name:8s} {row['source']}" for name, row in VALIDATION_SETS.items()],
        "configurations for pictures that are noisy already": REAL,
        "configurations (noise, network, what it knows of the noise)": PUBLISHED,
    }
    texts = ["\n".join([f"{title}:", *(f"  {line}" for line in lines)]) for title, lines in lists.items() if lines]
    epilog = "\n\n".join([EPILOG, *texts])
    parser = CommandLine(description=__doc__, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_options(OPTION_CLASSES)
    return parser


def chosen_command(given: Mapping[str, Any]) -> str:
    """Returns the name of the command that is given. Raises UserError unless it is exactly one.

    given: the values of the options that are on the command line, by their names.
    """
    commands = given_for(CommandOptions, given)
    if not any(commands.values()):
        commands = "--train CONFIG, --eval NETWORK, --denoise INPUT, --learn FOLDER or --export DIR"
        raise UserError(f"nothing to do: give {commands}; see --help")
    if len(commands) > 1:
        one, other, *_ = commands
        raise UserError(f"--{one} and --{other} do not go together: give one of them")
    (command,) = commands
    return command


def train(given: Mapping[str, Any]) -> None:
    """Trains as the command line says, over the configuration's published schedule, over the defaults.

    given: the values of the options that are on the command line, by their names.
    """
    configuration, schedule = named_configuration(given["train"])
    run_options, data = resolved(RunOptions, given), resolved(DataOptions, given)
    recipe = named_recipe(given.get("recipe", TrainingOptions.recipe))
    options = resolved(TrainingOptions, given, recipe, schedule)
    run_options.check()
    options.check_for(configuration)
    data.check_training(configuration)
    layout = layout_from(os.environ, given)
    from dnnlib.denoising import commands  # late: it imports Pillow

    configuration = replace(configuration, hole_size=options.hole_size)
    commands.train(configuration, options, data, run_options, layout, VALIDATION_SETS, NETWORKS)


def named_configuration(name: str) -> tuple[Configuration, dict[str, int]]:
    """Returns the configuration of that name and its published schedule, by the names of options.

    Raises UserError where there is none of that name.
    """
    table = PUBLISHED | REAL
    if name not in table:
        close = difflib.get_close_matches(name, table, n=3, cutoff=0.3)
        hint = f"did you mean {' or '.join(close)}?" if close else "see --help for their names"
        raise UserError(f"--train {name}: there is no such configuration; {hint}")
    return Configuration.from_name(name), {"num_iter": table[name]["images"], "snapshot_every": table[name]["snapshot"]}


def named_recipe(name: str) -> dict[str, Any]:
    """Returns the recipe of that name, by the names of options. Raises UserError where there is none."""
    if name not in RECIPES:
        close = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.3)
        hint = f"did you mean {close[0]}?" if close else f"there are {' and '.join(RECIPES)}"
        raise UserError(f"--recipe {name}: there is no such recipe; {hint}")
    return RECIPES[name]


def evaluate(given: Mapping[str, Any]) -> None:
    """Evaluates a network as the command line says. given: as for `train`."""
    run_options, data, options = (resolved(owner, given) for owner in (RunOptions, DataOptions, EvaluationOptions))
    judging = resolved(JudgingOptions, given)
    run_options.check()
    options.check()
    judging.check()
    layout = layout_from({}, given)  # without TF_CONFIG, which names the workers of a training
    from dnnlib.denoising import commands  # late: it imports NumPy and Pillow
    from dnnlib.denoising.pictures.limit import allow_pixels

    allow_pixels(options.max_pixels)
    schedules = {name: row["images"] for name, row in (PUBLISHED | REAL).items()}
    commands.evaluate(options, judging, data, run_options, layout, schedules, VALIDATION_SETS, NETWORKS)


def denoise(given: Mapping[str, Any]) -> None:
    """Denoises pictures as the command line says. given: as for `train`."""
    defaults = {"network": DEFAULT_NETWORKS} if default_networks(NETWORKS) else {}
    options = resolved(DenoisingOptions, given, defaults)
    options.check()
    from dnnlib.denoising.pictures.limit import allow_pixels  # late: it imports Pillow

    allow_pixels(options.max_pixels)
    if options.adapt is not None:
        from dnnlib.denoising.adapting.denoise import denoise_adapted  # late: as below

        denoise_adapted(given["denoise"], options, RECIPES["fast"], NETWORKS)
        return
    if options.distill is not None:
        from dnnlib.denoising.distilling.denoise import denoise_and_distil  # late: as below

        denoise_and_distil(given["denoise"], options, RECIPES["fast"], NETWORKS)
        return
    from dnnlib.denoising.inference import denoise_files  # late: it imports NumPy

    denoise_files.denoise(given["denoise"], options, NETWORKS)


def learn(given: Mapping[str, Any]) -> None:
    """Learns from noisy pictures and denoises them, as the command line says. given: as for `train`."""
    options = resolved(LearningOptions, given)
    options.check()
    from dnnlib.denoising.learning.learn import learn as learn_from  # late: it imports NumPy and Pillow
    from dnnlib.denoising.pictures.limit import allow_pixels

    allow_pixels(options.max_pixels)
    learn_from(options, RECIPES["fast"], NETWORKS)


def export(given: Mapping[str, Any]) -> None:
    """Exports a network as the command line says. given: as for `train`."""
    options = resolved(ExportOptions, given)
    options.check()
    from dnnlib.denoising.inference.export import export as export_network  # late: it imports NumPy

    export_network(network_path(options.network, "--network", NETWORKS), options.export, options.hole_size)


if __name__ == "__main__":
    run_script(main)
