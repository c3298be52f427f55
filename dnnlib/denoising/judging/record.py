"""What an evaluation came to, as `evaluation.json` keeps it: on which data, and each measure of each picture and pass.

A file may come from anybody, and another version of this program: what is used of it is looked at first.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dnnlib.denoising.judging.calibration import EXPECTED, WITHIN, Class
from dnnlib.denoising.judging.intervals import LEVEL, METHOD, RESAMPLES, SEED, Interval, by_picture, interval_of_mean
from dnnlib.denoising.judging.measures import MEASURES
from dnnlib.errors import UserError, one_line
from dnnlib.files import is_own_file

FILE_NAME = "evaluation.json"
FORMAT = 1
_LARGEST = 64 << 20  # bytes of a file: some hundred thousand pictures
_MOST_VALUES = 1_000_000
SSIM_MEANS = {
    "window": "Gaussian, sigma 1.5, 11 x 11 pixels", "data_range": 255, "constants": [0.01, 0.03],
    "colour": "mean over the channels", "pictures": "rounded to 8 bits",
}  # fmt: skip


@dataclass(frozen=True)
class Data:
    """Says what was evaluated on; two evaluations of the same data have the same noise, picture by picture."""

    validation_set: str  # as the user named it
    sha256: str  # of the pixels, in their order
    noise: str  # as in a configuration's name
    channels: int
    repetitions: int
    pictures: Sequence[str]  # names, for people; what they are called does not matter

    def difference(self, other: "Data") -> str | None:
        """Returns in what another one is other data, in words, None where it is the same."""
        texts = {"channels": "number of channels", "noise": "noise", "repetitions": "number of repetitions"}
        for name, text in texts.items():
            mine, others = getattr(self, name), getattr(other, name)
            if mine != others:
                return f"another {text} ({others}, not {mine})"
        if self.sha256 == other.sha256:
            return None
        if self.validation_set == other.validation_set:
            return f"another data set (other pictures than {self.validation_set} has now)"
        return f"another data set ({other.validation_set}, not {self.validation_set})"


@dataclass(frozen=True)
class Record:
    """Holds what one network, or one other method, came to on the data."""

    name: str  # as the user knows it
    about: Mapping[str, Any]  # of a network: sha256, configuration, hole_size, precision
    values: Mapping[str, np.ndarray]  # by the names of MEASURES, [repetitions * pictures], pass after pass, NaN if unknown
    curve: Sequence[Class] = ()  # of the std's reliability

    def of_pictures(self, measure: str, pictures: int) -> np.ndarray:
        """Returns a measure of each picture, averaged over repetitions; all NaN where it was not measured."""
        unknown = np.full(pictures, np.nan)
        return by_picture(self.values[measure], pictures) if measure in self.values else unknown

    def intervals(self, pictures: int) -> dict[str, Interval]:
        """Returns mean and interval over the pictures of each measure that there is, in the order of MEASURES."""
        found = {name: interval_of_mean(self.of_pictures(name, pictures)) for name in MEASURES if name in self.values}
        return {name: interval for name, interval in found.items() if not math.isnan(interval.mean)}

    def as_json(self, pictures: int) -> dict:
        """Returns what is kept of it; what is not finite becomes null."""
        means = {name: interval._asdict() for name, interval in self.intervals(pictures).items()}
        shares = {str(k): means[name]["mean"] for k, name in WITHIN.items() if name in means}
        calibration = {"within": shares, "if_gaussian": {str(k): share for k, share in EXPECTED.items()},
                       "curve": [point._asdict() for point in self.curve]}  # fmt: skip
        return {
            "name": self.name, **self.about, "measures": means, **({"calibration": calibration} if shares else {}),
            "values": {name: values.tolist() for name, values in self.values.items()},
        }  # fmt: skip


def evaluation_json(record: Record, data: Data, others: Sequence[Mapping], facts: Mapping[str, Any]) -> dict:
    """Returns the content of evaluation.json, for `settings_json`.

    record: of the network that was evaluated.
    data: what on.
    others: what it was compared with, each as `compared_json` gives it.
    facts: versions, command, and the like.
    """
    how = {"level": LEVEL, "method": METHOD, "resamples": RESAMPLES, "seed": SEED}
    compared = {"compared_with": list(others)} if others else {}
    return {
        "format": FORMAT, "data": asdict(data), **record.as_json(len(data.pictures)), **compared,
        "intervals": how, "ssim": SSIM_MEANS, **facts,
    }  # fmt: skip


def is_record(path: str | os.PathLike) -> bool:
    """Tells whether a file is meant to be an evaluation.json, and no network: by the end of its name."""
    return Path(path).suffix.lower() == ".json"


def read_record(path: str | os.PathLike, option: str) -> tuple[Record, Data]:
    """Reads an evaluation.json. Raises UserError, naming option and file, for what is none. option: what a message says."""
    try:
        if not is_own_file(path) or os.path.getsize(path) > _LARGEST:
            raise ValueError("it is no file, or too large")
        content = json.loads(Path(path).read_text("utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {str(content['format'])[:20]}, and {FORMAT} is known")
        data = _data(content["data"])
        count = data.repetitions * len(data.pictures)
        values = {name: _numbers(content["values"][name], count) for name in MEASURES if name in content["values"]}
        if not values:
            raise ValueError("it has no figures of each picture")
        about = {"sha256": str(content.get("sha256"))[:64], "configuration": str(content.get("configuration"))[:100]}
        return Record(_text(content["name"]), about, values), data
    except KeyError as error:
        raise _unreadable(option, path, f"it has no {error}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(option, path, one_line(error)) from error


def _unreadable(option: str, path: str | os.PathLike, reason: str) -> UserError:
    """Returns the one line for a file that is no evaluation.json."""
    return UserError(f"{option} {path}: is no {FILE_NAME} of an evaluation ({reason}); name one, or a network file")


def _data(content: Mapping) -> Data:
    """Returns what a file says of its data. Raises ValueError or the like where that cannot be."""
    pictures = [_text(name) for name in content["pictures"]]
    numbers = {name: content[name] for name in ("channels", "repetitions")}
    if not all(type(number) is int and number >= 1 for number in numbers.values()) or not pictures:
        raise ValueError("it says nothing of its pictures")
    if len(pictures) * numbers["repetitions"] > _MOST_VALUES:
        raise ValueError("it has too many pictures")
    texts = {name: _text(content[name]) for name in ("validation_set", "sha256", "noise")}
    return Data(**texts, **numbers, pictures=pictures)


def _text(value: Any) -> str:
    """Returns a text of bearable length. Raises ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError("a name in it is no text")
    return value[:4096]


def _numbers(values: Any, count: int) -> np.ndarray:
    """Returns so many numbers; null, for what is not finite, becomes NaN. Raises ValueError for anything else."""
    if not isinstance(values, list) or len(values) != count:
        raise ValueError("it does not have a figure for each picture")
    if not all(value is None or type(value) in (int, float) for value in values):
        raise ValueError("a figure in it is no number")
    return np.array([math.nan if value is None else value for value in values], np.float64)
