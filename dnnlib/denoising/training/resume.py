"""Finds the run that `--resume` means, and makes sure that it can go on under the options given."""

import json
import os
from pathlib import Path
from typing import Any

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data_options import NEWEST_RUN, NEWEST_UNFINISHED_RUN
from dnnlib.denoising.noise.learned_parameter import SMALLEST, SMALLEST_REAL
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.training.state import TrainingState, check_growing_files, has_states, load_newest_state
from dnnlib.denoising.training.statistics import statistic_names
from dnnlib.errors import UserError, one_line
from dnnlib.files import is_own_file
from dnnlib.option_fields import flag_named, values_in_older_runs
from dnnlib.tflib.layout import Layout
from dnnlib.tflib.precision import AUTO, PRECISIONS

_FLOOR = "noise_floor"  # in the options of a state, beside those that the user gives
_MOST_OPTIONS = 1 << 20  # bytes of a training_options.json


def find_run(resume: str, result_dir: str, configuration: str) -> Path | None:
    """Returns the directory of the run to go on with, or None where a new one is to be made.

    resume: the directory; or NEWEST_RUN, for the newest run of the configuration; or NEWEST_UNFINISHED_RUN, for the newest
        that is not finished and has a state that is whole, if there is one. Broken runs are named and passed over.
    result_dir: the folder in which these two look.
    configuration: the name of what is trained.

    Raises UserError where the run is not there, or is finished.
    """
    settings = Path(result_dir).glob("[0-9]*-*/training_options.json")
    if resume == NEWEST_UNFINISHED_RUN:
        runs = sorted((path.parent for path in settings if _trains(path, configuration)), reverse=True)
        return next(filter(_can_go_on, runs), None)
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
    check_growing_files(run_dir)
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


def noise_floor_of(state: TrainingState | None, layout: Layout) -> float:
    """Returns the floor of the learned noise in a training of real noise: that of the run; of a new one SMALLEST_REAL.

    state: of the run that goes on; None: a new one, or, of a worker that is not the chief, not known.
    layout: the workers of the training.

    Raises UserError for a run of before there was that floor, in several workers: the others would not know.
    """
    if state is None:
        return SMALLEST_REAL
    floor = state.options.get(_FLOOR, SMALLEST)
    if type(floor) is not float or not 0 < floor <= SMALLEST:
        raise UserError(f"--resume: its state has a noise_floor of {_shown(floor)}; start the run anew without --resume")
    if floor != SMALLEST_REAL and layout.workers:
        raise UserError(
            "--resume: the run was begun by an older version of this program, whose noise could not be so weak: go on "
            "with it in one process (without --workers), or start it anew"
        )
    return floor


def with_floor(options: dict, configuration: Configuration) -> dict:
    """Returns the options that a state keeps, with the floor of the learned noise, where it is not the published one."""
    floor = configuration.noise_floor
    return options if floor == SMALLEST else options | {_FLOOR: floor}


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
    """Tells whether the run that has this training_options.json trains the configuration; a broken one is named."""
    try:
        if not is_own_file(path) or path.stat().st_size > _MOST_OPTIONS:
            raise ValueError("it is no file of options")
        return json.loads(path.read_text("utf-8"))["options"]["train"] == configuration
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        print(f"Warning: {path.parent} is passed over: {path.name} cannot be read ({one_line(error)[:100]})")
        return False


def _can_go_on(run_dir: Path) -> bool:
    """Tells whether a run is unfinished and has a state that is whole; one whose states are all broken is named."""
    try:
        if not has_states(run_dir):
            return False
        load_newest_state(run_dir, quiet=True)
        check_growing_files(run_dir)
        return True
    except UserError as error:
        reason = one_line(error).removeprefix(f"--resume {run_dir}: ").partition(";")[0]
        print(f"Warning: {run_dir} is passed over: {reason}")
        return False
