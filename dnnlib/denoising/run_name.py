"""The names of run directories and network files (SPEC 1.1 and 11). Pure functions of text and numbers."""

import os
import re
from pathlib import PurePath

from dnnlib.denoising.options import TrainingOptions

_LONGEST_SET_NAME = 100  # leaves room for the rest in a file name of 255 bytes
_NETWORK_FILE = re.compile(r"network-(?:[0-9]+|final)-(.+)\.pickle")


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


def network_file_name(n: int | None, configuration: str) -> str:
    """`network-<8-digit n>-<configuration>.pickle`, n images into the training, or `network-final-...` for None."""
    return f"network-{'final' if n is None else format(n, '08d')}-{configuration}.pickle"


def configuration_name_in(file_name: str | os.PathLike) -> str | None:
    """The configuration that a network file's name carries, or None where the name is not of that form.

    file_name: with or without folders. Whether there is a configuration of that name is not looked at.
    """
    match = _NETWORK_FILE.fullmatch(os.path.basename(os.fspath(file_name)))
    return match[1] if match else None


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
