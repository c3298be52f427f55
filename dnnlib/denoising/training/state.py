"""What a training run needs to go on exactly where it stood: saved every so often, and found again (newest first)."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnnlib.errors import UserError, one_line
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
        """Cuts the growing files back to where they were, so that nothing stands there twice; what is later is removed."""
        for path in run_dir.rglob(".*.tmp"):  # left by a killed process
            path.unlink(missing_ok=True)
        for path in _states(run_dir):
            if int(_NAME.fullmatch(path.name)[1]) > self.images:  # damaged
                path.unlink(missing_ok=True)
        for path in _growing_files(run_dir):
            if path.name not in self.files:
                path.unlink()
            elif path.stat().st_size > self.files[path.name]:
                os.truncate(path, self.files[path.name])


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
    return sorted([*run_dir.glob("stats.jsonl"), *run_dir.glob("events.out.tfevents.*")])


def load_newest_state(run_dir: Path) -> TrainingState:
    """Loads the newest state of a run that is whole; a damaged one is reported and left aside.

    Raises UserError naming --resume where there is none.
    """
    states = _states(run_dir)
    for path in states:
        try:
            variables, values = load_state(path)
            return TrainingState(variables=variables, **values)
        except (DamagedState, OSError) as error:
            print(f"Warning: {path} is left aside: {one_line(error)}")
    found = f"none of its {len(states)} states can be read" if states else "it holds no training state"
    raise UserError(f"--resume {run_dir}: {found}; start the run anew without --resume")


def has_states(run_dir: Path) -> bool:
    """Returns whether there is a state, whole or not."""
    return bool(_states(run_dir))


def remove_states(run_dir: Path) -> None:
    """Removes all states at the end of a run: there is nothing left to resume, and they are the largest files."""
    for path in _states(run_dir):
        path.unlink(missing_ok=True)


def _states(run_dir: Path) -> list[Path]:
    """Lists the states, newest first."""
    matches = [match for match in map(_NAME.fullmatch, os.listdir(run_dir)) if match]
    return [run_dir / match[0] for match in sorted(matches, key=lambda match: -int(match[1]))]
