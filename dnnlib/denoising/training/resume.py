"""Finds the run that `--resume` means, and makes sure that it can go on under the options given."""

import json
import os
from pathlib import Path
from typing import Any

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.options import NEWEST_RUN, NEWEST_UNFINISHED_RUN, TrainingOptions
from dnnlib.denoising.training.state import TrainingState, has_states, load_newest_state
from dnnlib.denoising.training.statistics import statistic_names
from dnnlib.errors import UserError
from dnnlib.option_fields import flag_named, values_in_older_runs
from dnnlib.tflib.precision import AUTO, PRECISIONS


def find_run(resume: str, result_dir: str, configuration: str) -> Path | None:
    """Returns the directory of the run to go on with, or None where a new one is to be made.

    resume: the directory; or NEWEST_RUN, for the newest run of the configuration; or NEWEST_UNFINISHED_RUN, for the newest
        that is not finished, if there is one.
    result_dir: the folder in which these two look.
    configuration: the name of what is trained.

    Raises UserError where the run is not there, or is finished.
    """
    settings = Path(result_dir).glob("[0-9]*-*/training_options.json")
    if resume == NEWEST_UNFINISHED_RUN:
        runs = (path.parent for path in settings if _trains(path, configuration))
        return max(filter(has_states, runs), default=None)
    if resume != NEWEST_RUN:
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
    """Loads the newest state of a run.

    run_dir: the run.
    options: what is fixed on resuming, as given now. A precision that is left to the program is what it was then, whatever
        the program would choose today.

    Raises UserError listing the options that differ.
    """
    state = load_newest_state(run_dir)
    saved = values_in_older_runs(TrainingOptions) | state.options
    if options["precision"] == AUTO:
        options = options | {"precision": saved["precision"]}
    changed = [name for name in options if saved.get(name) != options[name]]
    if changed:
        texts = [f"{flag_named(name)} was {_shown(saved.get(name))} and is {_shown(options[name])}" for name in changed]
        raise UserError(f"--resume {run_dir}: give the options of the run; these would change it: {', '.join(texts)}")
    if not _is_of(state, options):
        raise UserError(f"--resume {run_dir}: its state is of no such training; start the run anew without --resume")
    return state._replace(options=saved)


def _shown(value: Any) -> str:
    """Returns an option's value as a message shows it."""
    if not isinstance(value, (str, int, float, type(None))):
        return "something else"
    return "not given" if value is None else str(value)[:100]


def _is_of(state: TrainingState, options: dict) -> bool:
    """Tells whether a training with these options can have had such a state."""
    step = options["minibatch_size"]
    last = options["num_iter"] // step * step
    names = statistic_names(Configuration.from_name(options["train"]))
    rows = all(len(row) == len(names) for row in state.report["steps"])
    return state.images % step == 0 and state.images <= last + step and rows and options["precision"] in PRECISIONS


def _trains(path: Path, configuration: str) -> bool:
    """Tells whether the run that has this training_options.json trains the configuration."""
    try:
        return json.loads(path.read_text("utf-8"))["options"]["train"] == configuration
    except (OSError, ValueError, KeyError, TypeError):
        return False
