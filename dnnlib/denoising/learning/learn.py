"""What `--learn` does: looks at the pictures, chooses, and runs the commands that it prints."""

import json
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from dnnlib.denoising.adapting.held_out import SMALLEST_SIDE
from dnnlib.denoising.inference.output_paths import make_folder
from dnnlib.denoising.learning.look import Facts, look
from dnnlib.denoising.learning.plan import CROP, FEWEST_PICTURES, RATE, Choice, Plan, configuration_for, plan
from dnnlib.denoising.learning.report import write_report
from dnnlib.denoising.learning.steps import PROGRAM, TOOL, Steps, finished_network, newest_run
from dnnlib.denoising.network.shipped import GREY, RGB, default_networks
from dnnlib.denoising.options import LearningOptions
from dnnlib.denoising.pictures.search import find_inputs
from dnnlib.denoising.reports.run_facts import read_run
from dnnlib.denoising.training.outlook import duration
from dnnlib.errors import UserError
from dnnlib.files import write_text
from dnnlib.progress import say

SHARD, RUNS, DENOISED, KEPT_PLAN = "noisy.h5", "runs", "denoised", "plan.json"
TAUGHT, DISTILLED = "learned-from", "fast.pickle"  # what a plain network learns from, and it
_LIKE_DISTILLING = "gauss25-n2c"  # in what a step takes
_AT_MOST = 2  # times what a training should take, after which it ends early: the machine has got other work


def learn(options: LearningOptions, recipe: Mapping[str, Any], networks: Mapping[str, Mapping]) -> None:
    """Learns from noisy pictures, denoises them, and writes report.html, all into one folder.

    Called again with the same options it goes on where it was cut off.

    options: of the command line, checked.
    recipe: how steps are taken, by the names of options (config/recipes.py, 'fast').
    networks: the table of the shipped ones (config/networks.py).

    Raises UserError for pictures that cannot be learned from, where a step fails, and at the end if files were left out.
    """
    # What there is, and what is chosen.
    paths = find_inputs([options.learn], "--learn")
    if not default_networks(networks):
        raise UserError("--learn: no network comes with this program: train one with --train")
    facts = look(paths, options.told, options.axes, options.nodata)
    out = Path(options.out)
    _check_apart(out, Path(options.learn))
    make_folder(options.out)
    chosen = _plan(facts, options, recipe, default_networks(networks)[GREY if facts.colours == 1 else RGB], out)
    for choice in chosen.choices:
        say(f"{choice.what}: {choice.chosen} ({choice.why})")
    # It is done.
    steps = Steps()
    learned, results = _distil if chosen.distil else _train, out / DENOISED
    network = learned(chosen, options, out, steps)
    hole = [] if chosen.hole_size == 1 or chosen.distil else [f"--hole-size={chosen.hole_size}"]
    used = [] if network is None else [f"--network={network}"]
    steps.denoise(results, f"--denoise={options.learn}", f"--out={results}", *used, *hole, "--compare", *options.passed_on)
    if chosen.distil:
        say(f"For more such pictures: --network {network}")
    path = write_report(out, facts, chosen, steps.commands, newest_run(out / RUNS), results)
    say(f"What was chosen and why, and pictures: {path}")
    if steps.left_out is not None:
        raise steps.left_out


def _plan(facts: Facts, options: LearningOptions, recipe: Mapping[str, Any], network: str, out: Path) -> Plan:
    """Returns the plan: the one that an earlier call has left for the same pictures and options, or else a new one."""
    asked = {"facts": facts._asdict(), "minutes": options.minutes, "options": options.passed_on}
    kept = _kept_plan(out / KEPT_PLAN, asked)
    if kept is not None:
        return kept
    learns = facts.hole == 1 or facts.files >= FEWEST_PICTURES
    found = plan(facts, network, _measured(facts, recipe) if learns else 0.0, options.minutes)
    (out / DISTILLED).unlink(missing_ok=True)  # of another plan
    as_json = {**found._asdict(), "choices": [choice._asdict() for choice in found.choices]}
    write_text(out / KEPT_PLAN, json.dumps({"asked": asked, "plan": as_json}, indent=2))
    return found


def _kept_plan(path: Path, asked: Mapping[str, Any]) -> Plan | None:
    """Reads a plan, if it is of the same question; whatever else is there does not count."""
    try:
        kept = json.loads(path.read_text("utf-8"))
        if json.loads(json.dumps(asked)) != kept["asked"]:
            return None
        found = kept["plan"]
        return Plan(**{**found, "choices": tuple(Choice(**choice) for choice in found["choices"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _measured(facts: Facts, recipe: Mapping[str, Any]) -> float:
    """Measures how long an image takes in training or distilling, in a process that then frees the device."""
    from dnnlib.denoising.training.speed import seconds_per_image

    learns = configuration_for(facts) if facts.hole == 1 else _LIKE_DISTILLING
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(seconds_per_image, learns, dict(recipe), CROP).result()


def _train(chosen: Plan, options: LearningOptions, out: Path, steps: Steps) -> Path | None:
    """Packs the pictures and trains, as far as the plan says so and it is not done. Returns the network; None: none."""
    if chosen.configuration is None:
        return None
    done = finished_network(out / RUNS)
    if done is not None and _is_of(done.parent, chosen):
        say(f"Trained already: {done}")
        return done
    shard = out / SHARD
    sizes = f"--min-size={SMALLEST_SIDE}"
    steps.run(TOOL, "--noisy", f"--input-dir={options.learn}", f"--out={shard}", sizes, *options.passed_on)
    seconds = 60 * options.minutes
    say(f"The training is to take less than {duration(seconds)} on this machine.")
    steps.run(
        PROGRAM, f"--train={chosen.configuration}", f"--train-h5={shard}", f"--init={chosen.network}",
        "--noise-init=estimate", "--recipe=fast", f"--learning-rate={RATE:g}", f"--train-resolution={chosen.crop}",
        f"--num-iter={chosen.images}",
        f"--print-interval={max(chosen.images // 20, 1)}", f"--eval-interval={max(chosen.images // 4, 1)}",
        f"--result-dir={out / RUNS}", "--resume=auto",
        at_most=_AT_MOST * seconds, end=out / RUNS,
    )  # fmt: skip
    return finished_network(out / RUNS)


def _distil(chosen: Plan, options: LearningOptions, out: Path, steps: Steps) -> Path:
    """Denoises the pictures, and has a plain network learn from that, if it is not done. Returns the network's file."""
    network = out / DISTILLED
    if network.exists():
        say(f"Distilled already: {network}")
        return network
    steps.denoise(
        network, f"--denoise={options.learn}", f"--out={out / TAUGHT}", f"--hole-size={chosen.hole_size}",
        f"--distill={chosen.distil}", f"--save-network={network}", *options.passed_on,
    )  # fmt: skip
    return network


def _is_of(run: Path, chosen: Plan) -> bool:
    """Tells whether a run is what is planned, and none of another plan before."""
    o = read_run(run).options
    planned = {"train": chosen.configuration, "num_iter": chosen.images, "train_resolution": chosen.crop}
    return all(o.get(name) == value for name, value in planned.items())


def _check_apart(out: Path, pictures: Path) -> None:
    """Raises UserError where results would go among the pictures: they would be learned from the next time."""
    folder = out.resolve()
    if pictures.is_dir() and pictures.resolve() in (folder, *folder.parents):
        raise UserError(f"--out {out}: is in the folder of the pictures, {pictures}; name another one")
