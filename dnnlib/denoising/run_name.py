"""The names of run directories (SPEC 11). Pure functions of text and numbers."""

import os
import re
from pathlib import PurePath

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.options import TrainingOptions

_LONGEST_SET_NAME = 100  # leaves room for the rest in a file name of 255 bytes


def describe_training(configuration: Configuration, options: TrainingOptions, validation_set: str | os.PathLike) -> str:
    """Returns the description in a training run's name, e.g. `train-ilsvrc-kodak-3c-gauss25-iter2m-blindspot-known`.

    configuration: what is trained, with its hole size, which appears when it is not the default.
    options: of which recipe, minibatch size, learning rate and resolution appear when they are not the defaults.
    validation_set: its name, or a folder, of which the last component appears.
    """
    parts = ["train-ilsvrc", _set_name(validation_set), f"{configuration.channels}c", configuration.noise_style]
    if options.recipe != TrainingOptions.recipe:
        parts.append(_clean(options.recipe))
    if options.minibatch_size != TrainingOptions.minibatch_size:
        parts.append(f"mb{options.minibatch_size}")
    if options.learning_rate != TrainingOptions.learning_rate:
        parts.append(f"lr{options.learning_rate:g}")
    parts.append(f"iter{_short(options.num_iter)}")
    parts.append(configuration.pipeline + ("Diag" if configuration.diagonal else ""))
    if configuration.noise_params:
        parts.append(configuration.noise_params)
    if options.train_resolution != TrainingOptions.train_resolution:
        parts.append(f"res{options.train_resolution}")
    if options.end_resolution > options.train_resolution:
        parts.append(f"end{options.end_resolution}")
    if configuration.hole_size != TrainingOptions.hole_size:
        parts.append(f"hole{configuration.hole_size}")
    return "-".join(parts)


def describe_evaluation(configuration: Configuration, options: TrainingOptions, validation_set: str | os.PathLike) -> str:
    """Returns the description in an evaluation run's name: `eval-ilsvrc-...-EVAL_<configuration>`.

    configuration, validation_set: as for `describe_training`; options: of the training, as far as they are known.
    """
    training = describe_training(configuration, options, validation_set)
    return f"eval{training.removeprefix('train')}-EVAL_{_clean(configuration.name)}"


def _short(count: int) -> str:
    """Returns 2000000 as `2m`, 160000 as `160k`, 1500 as `1500`."""
    if count and count % 1_000_000 == 0:
        return f"{count // 1_000_000}m"
    if count and count % 1_000 == 0:
        return f"{count // 1_000}k"
    return str(count)


def _set_name(validation_set: str | os.PathLike) -> str:
    """Returns the last component of a set's name or folder, fit for a file name."""
    name = _clean(PurePath(validation_set).name)[:_LONGEST_SET_NAME]
    return name if name.strip(".") else "folder"  # `.` and `..` name nothing


def _clean(name: str) -> str:
    """Replaces any other character than ASCII letters, digits, `_`, `.` and `-` by `_`."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
