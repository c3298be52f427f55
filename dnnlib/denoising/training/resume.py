"""Finds the run that `--resume` means, and makes sure that it can go on under the options given."""

import json
import os
from pathlib import Path

from dnnlib.denoising.options import AUTO, NEWEST, TrainingOptions
from dnnlib.denoising.training.state import TrainingState, has_states, load_newest_state
from dnnlib.errors import UserError
from dnnlib.tflib import precision


def find_run(resume: str, result_dir: str, configuration: str) -> Path | None:
    """The run directory that was named, or, for NEWEST, the newest run of the configuration in `result_dir`; for AUTO the
    newest that is not finished, None if there is none.

    Raises UserError where there is none, or where it is finished.
    """
    settings = Path(result_dir).glob("[0-9]*-*/training_options.json")
    if resume == AUTO:
        runs = (path.parent for path in settings if _trains(path, configuration))
        return max(filter(has_states, runs), default=None)
    if resume != NEWEST:
        run_dir = Path(resume)
        if not os.path.isdir(run_dir):
            raise UserError(f"--resume {resume}: no such run directory")
    else:
        runs = [path.parent for path in settings if _trains(path, configuration)]
        if not runs:
            raise UserError(f"--resume: no run of {configuration} in {result_dir}; name its directory")
        run_dir = max(runs)
    if any(run_dir.glob("network-final-*.pickle")) and not has_states(run_dir):
        raise UserError(f"--resume {run_dir}: this run is finished, there is nothing left to do")
    return run_dir


def load_resumable(run_dir: Path, options: dict) -> TrainingState:
    """The newest state of a run. Raises UserError listing the options that would change its result. A precision that was
    left to the program now is what it was then, whatever the program would choose today."""
    state = load_newest_state(run_dir)
    saved = {"hole_size": TrainingOptions.hole_size, "precision": precision.FLOAT32}  # of before there were those options
    saved |= state.options
    if options["precision"] == precision.AUTO:
        options = options | {"precision": saved["precision"]}
    changed = [name for name in options if saved.get(name) != options[name]]
    if changed:
        texts = [f"--{name.replace('_', '-')} was {saved.get(name)} and is {options[name]}" for name in changed]
        raise UserError(f"--resume {run_dir}: give the options of the run; these would change it: {', '.join(texts)}")
    return state._replace(options=saved)


def _trains(path: Path, configuration: str) -> bool:
    try:
        return json.loads(path.read_text("utf-8"))["options"]["train"] == configuration
    except (OSError, ValueError, KeyError, TypeError):
        return False
