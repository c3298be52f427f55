"""What a training run needs to go on exactly where it stood: saved every so often, and found again (newest first)."""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dnnlib.errors import UserError, one_line
from dnnlib.files import is_own_file
from dnnlib.tflib.state_file import DamagedState, load_state, save_state

KEPT = 2  # the newest, and one in case that is damaged
_NAME = re.compile(r"training-state-(\d{8,})\.state")


class TrainingState(NamedTuple):
    """Holds what a training needs to go on."""

    images: int  # how many the training has seen
    reported: bool  # whether the last step's line is out
    variables: Mapping[str, np.ndarray]  # the optimiser's too
    report: dict  # the statistics since the last line, as JSON
    options: dict  # those that determine the result
    files: dict[str, int]  # sizes in bytes of the growing files of the run directory, by name, at that time

    def save(self, run_dir: Path) -> None:
        """Writes `training-state-<images>.state`, and removes all but the newest KEPT. Raises UserError if it cannot."""
        path = run_dir / f"training-state-{self.images:08d}.state"
        values = {key: value for key, value in self._asdict().items() if key != "variables"}
        try:
            save_state(path, self.variables, values)
            for old in _states(run_dir)[KEPT:]:
                old.unlink()
        except OSError as error:
            raise UserError(
                f"{path}: cannot be saved ({error.strerror or one_line(error)}); the state before it is intact: "
                f"free some space and go on with --resume {run_dir}"
            ) from error

    def restore_files(self, run_dir: Path) -> None:
        """Cuts the growing files back to where they were, so that nothing stands there twice; what is later is removed.

        Raises UserError where a file cannot be removed or cut back, and as `check_growing_files`.
        """
        check_growing_files(run_dir)
        try:
            for path in run_dir.rglob(".*.tmp"):  # left by a killed process
                if is_own_file(path):
                    path.unlink(missing_ok=True)
            for path in _states(run_dir):
                if int(_NAME.fullmatch(path.name)[1]) > self.images:  # damaged
                    path.unlink(missing_ok=True)
            for path in _growing_files(run_dir):
                if path.name not in self.files:
                    path.unlink()
                elif path.stat().st_size > self.files[path.name]:
                    os.truncate(path, self.files[path.name])
        except OSError as error:
            reason = error.strerror or one_line(error)
            raise UserError(f"--resume {run_dir}: {error.filename} cannot be put back ({reason}); move it away") from error


def settled_sizes(run_dir: Path) -> dict[str, int]:
    """Returns the growing files' sizes in bytes, by name; so much has reached the disk and outlives a power cut."""
    sizes = {}
    for path in _growing_files(run_dir):
        with open(path, "rb") as file:
            sizes[path.name] = os.fstat(file.fileno()).st_size
            os.fsync(file.fileno())
    return sizes


def _growing_files(run_dir: Path) -> list[Path]:
    """Lists the statistics and TensorBoard's events: files in which each step must stand once."""
    names = sorted(os.listdir(run_dir))  # a pattern would pass over links that lead nowhere
    return [run_dir / name for name in names if name == "stats.jsonl" or name.startswith("events.out.tfevents.")]


def check_growing_files(run_dir: Path) -> None:
    """Raises UserError where one of them is a link: to cut it back would cut a file elsewhere."""
    for path in _growing_files(run_dir):
        if not is_own_file(path):
            raise UserError(f"--resume {run_dir}: {path.name} is a link or no file, and must be cut back; move it away")


def load_newest_state(run_dir: Path, quiet: bool = False) -> TrainingState:
    """Loads the newest state of a run that is whole; a damaged one is reported, unless `quiet`, and left aside.

    Raises UserError naming --resume where there is none.
    """
    states = _states(run_dir)
    for path in states:
        try:
            variables, values = load_state(path)
            if problem := _problem(values, int(_NAME.fullmatch(path.name)[1])):
                raise DamagedState(f"its {problem} is nothing that a training saves")
            return TrainingState(variables=variables, **values)
        except (DamagedState, OSError) as error:
            if not quiet:
                print(f"Warning: {path} is left aside: {one_line(error)}")
    found = f"none of its {len(states)} states can be read" if states else "it holds no training state"
    raise UserError(f"--resume {run_dir}: {found}; start the run anew without --resume")


def _problem(values: Any, images: int) -> str | None:
    """Names what is not as `save` writes it of a state's values, whose checksum anyone can make right; None if all is.

    values: from the file. images: as the file's name says.
    """
    if not isinstance(values, dict) or values.keys() != set(TrainingState._fields) - {"variables"}:
        return "content"
    report, files = values["report"], values["files"]
    right = {
        "number of images": type(values["images"]) is int and values["images"] == images,
        "'reported'": values["reported"] is True or (values["reported"] is False and images > 0),
        "'options'": isinstance(values["options"], dict),
        "'files'": isinstance(files, dict) and all(map(_is_count, files.values())),
        "'report'": isinstance(report, dict) and _is_report(**report),
    }
    return next((name for name, is_right in right.items() if not is_right), None)


def _is_report(
    steps: Any = None, skipped: Any = None, in_a_row: Any = None, seconds: Any = None, **unknown: Any
) -> bool:
    """Tells whether these are statistics as `Report.as_json` gives them."""
    numbers = isinstance(seconds, (int, float)) and math.isfinite(seconds) and _is_count(skipped) and _is_count(in_a_row)
    rows = isinstance(steps, list) and all(isinstance(row, list) and len(row) == len(steps[0]) for row in steps)
    return not unknown and numbers and rows and all(type(value) is float for row in steps for value in row)


def _is_count(value: Any) -> bool:
    """Tells whether a value of JSON is a number of bytes, steps or images."""
    return type(value) is int and 0 <= value < 1 << 63


def has_states(run_dir: Path) -> bool:
    """Returns whether there is a state, whole or not."""
    return bool(_states(run_dir))


def newest_state_bytes(run_dir: Path) -> int | None:
    """Returns the size of the newest state, None where there is none, or it cannot be looked at."""
    try:
        return next((path.stat().st_size for path in _states(run_dir)), None)
    except OSError:
        return None


def remove_states(run_dir: Path) -> None:
    """Removes all states at the end of a run: there is nothing left to resume, and they are the largest files."""
    for path in _states(run_dir):
        path.unlink(missing_ok=True)


def _states(run_dir: Path) -> list[Path]:
    """Lists the states, newest first. Raises UserError where the folder cannot be looked at."""
    try:
        with os.scandir(run_dir) as entries:
            matches = [match for match in (_NAME.fullmatch(e.name) for e in entries if not e.is_dir()) if match]
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise UserError(f"--resume {run_dir}: cannot be looked at ({reason}); check its permissions") from error
    return [run_dir / match[0] for match in sorted(matches, key=lambda match: -int(match[1]))]
