"""The names of run directories (SPEC 11). Pure functions of text and numbers."""

import os
import re
from pathlib import PurePath

from dnnlib.denoising.options import TrainingOptions

_LONGEST_SET_NAME = 100  # leaves room for the rest in a file name of 255 bytes


def describe_training(
    *,
    validation_set: str | os.PathLike,
    channels: int,
    noise_style: str,
    pipeline: str,
    noise_params: str | None,
    diagonal: bool,
    num_iter: int,
    minibatch_size: int = TrainingOptions.minibatch_size,
    learning_rate: float = TrainingOptions.learning_rate,
    train_resolution: int = TrainingOptions.train_resolution,
    hole_size: int = TrainingOptions.hole_size,
) -> str:
    """The description in a training run's directory name, e.g. `train-ilsvrc-kodak-3c-gauss25-iter2m-blindspot-known`.

    validation_set: its name, or a folder, of which the last component appears; noise_params: `known`, `global`,
    `per_image`, or nothing; num_iter: images in the schedule. The last four appear when they are not the defaults.
    """
    parts = ["train-ilsvrc", _set_name(validation_set), f"{channels}c", noise_style]
    if minibatch_size != TrainingOptions.minibatch_size:
        parts.append(f"mb{minibatch_size}")
    if learning_rate != TrainingOptions.learning_rate:
        parts.append(f"lr{learning_rate:g}")
    parts.append(f"iter{_short(num_iter)}")
    parts.append(pipeline + ("Diag" if diagonal else ""))
    if noise_params:
        parts.append(noise_params)
    if train_resolution != TrainingOptions.train_resolution:
        parts.append(f"res{train_resolution}")
    if hole_size != TrainingOptions.hole_size:
        parts.append(f"hole{hole_size}")
    return "-".join(parts)


def describe_evaluation(*, configuration: str, **settings) -> str:
    """The description in an evaluation run's directory name: `eval-ilsvrc-...-EVAL_<configuration>`.

    settings: as for `describe_training`, with the same defaults.
    """
    return "eval" + describe_training(**settings).removeprefix("train") + f"-EVAL_{_clean(configuration)}"


def _short(count: int) -> str:
    """2000000 as `2m`, 160000 as `160k`, 1500 as `1500`."""
    if count and count % 1_000_000 == 0:
        return f"{count // 1_000_000}m"
    if count and count % 1_000 == 0:
        return f"{count // 1_000}k"
    return str(count)


def _set_name(validation_set: str | os.PathLike) -> str:
    name = _clean(PurePath(validation_set).name)[:_LONGEST_SET_NAME]
    return name if name.strip(".") else "folder"  # `.` and `..` name nothing


def _clean(name: str) -> str:
    """Any other character than ASCII letters, digits, `_`, `.` and `-` becomes `_`."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
