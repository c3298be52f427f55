"""What `--train` and `--eval` do, in order: look at all inputs, then make a run directory, then work in it.

TensorFlow is imported for the work only, so that wrong input is reported within a second.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.resume import find_run, load_resumable
from dnnlib.denoising.run_name import describe_evaluation, describe_training
from dnnlib.denoising.shard import Shard
from dnnlib.denoising.validation_set import open_validation_set
from dnnlib.errors import UserError
from dnnlib.submission.run_context import RunContext
from dnnlib.submission.run_dir import check_result_dir, create_run_dir
from dnnlib.tflib import precision
from dnnlib.tflib.layout import Layout


@dataclass(frozen=True)
class Place:
    """Where inputs are and results go, as given on the command line."""

    dataset_dir: str | None
    validation_set: str  # a name, or a folder of pictures
    result_dir: str
    dry_run: bool

    def __post_init__(self):
        if not self.result_dir:
            raise UserError("--result-dir is empty: name a folder, or leave the option out")


def train(
    configuration: Configuration, options: TrainingOptions, train_h5: str, resume: str | None, place: Place,
    layout: Layout, known: Mapping,
) -> None:
    """Trains. resume: None, or the directory of a run to go on with (NEWEST and AUTO: see `find_run`); known: the
    table of named validation sets. Of several workers only the chief has a run directory. Raises UserError for
    whatever is wrong with what was given."""
    if layout.workers and options.precision == precision.AUTO:
        options = replace(options, precision=precision.FLOAT32)  # all workers must compute alike, and no one knows them all
    validation_set = open_validation_set(place.validation_set, place.dataset_dir, known)
    shard = Shard(train_h5, options.train_resolution)
    fixed = options.determining(configuration.name, shard.fingerprint(), Path(place.validation_set).name)
    run_dir = None
    if resume is not None and layout.chief:
        run_dir = find_run(resume, place.result_dir, configuration.name)
        if run_dir:
            load_resumable(run_dir, fixed)  # so that wrong options are refused at once
    schedule = ("num_iter", "minibatch_size", "learning_rate", "train_resolution")
    description = describe_training(**_name(configuration, place), **{key: getattr(options, key) for key in schedule})
    resolved = {"train": configuration.name, "train_h5": train_h5, **_paths(place), **asdict(options), **asdict(layout)}

    def work(run: RunContext | None, replicas) -> None:
        from dnnlib.denoising.training_loop import train as training_loop
        from dnnlib.tflib.workers import Watch

        with Watch(layout.workers, layout.task, layout.worker_timeout) as watch:
            if run is None:
                training_loop(configuration, options, shard, validation_set, None, replicas)
                watch.wait_for_the_chief_to_end()
                return
            # Only now is the directory locked: another process may have saved a newer state until then.
            state = load_resumable(run_dir, fixed) if run_dir else None
            (run.run_dir / "abort.txt").unlink(missing_ok=True)  # of the time before; to resume is to want it to go on
            beginning = f", from image {state.images}" if state else ""
            print(f"Training {configuration.name} on {len(shard)} images, in {run.run_dir}{beginning}")
            path = training_loop(configuration, options, shard, validation_set, run, replicas, fixed, state)
            print(f"Network written to {path}")

    task, inputs = f"train {configuration.name}", [validation_set, shard]
    _carry_out(task, place.result_dir, run_dir, description, resolved, place.dry_run, inputs, layout, options, work)


def evaluate(
    path: str, schedules: Mapping[str, int], place: Place, layout: Layout, known: Mapping, computing: str | None
) -> None:
    """Evaluates a network file. schedules: length of the published training by configuration, for the run's name; computing:
    one of PRECISIONS; AUTO and None mean FLOAT32 here."""
    from dnnlib.denoising.network_configuration import load_configured

    computing = precision.FLOAT32 if computing in (None, precision.AUTO) else computing
    precision.check_precision(computing)
    validation_set = open_validation_set(place.validation_set, place.dataset_dir, known)
    network, configuration = load_configured(path)
    num_iter = schedules.get(configuration.name, TrainingOptions.num_iter)
    description = describe_evaluation(configuration=configuration.name, **_name(configuration, place), num_iter=num_iter)
    devices = {"num_gpus": layout.num_gpus, "cpu_devices": layout.cpu_devices}
    resolved = {"eval": path, "configuration": configuration.name, **_paths(place), **devices, "precision": computing}

    def work(run: RunContext, replicas) -> None:
        from dnnlib.denoising.evaluation_loop import evaluate as evaluation_loop

        print(f"Evaluating {path} ({configuration.name}) on {place.validation_set}, in {run.run_dir}")
        evaluation_loop(network, configuration, validation_set, run, replicas, computing)
        print(f"Pictures written to {run.run_dir / 'img'}")

    result_dir = f"{place.result_dir}/_eval"
    _carry_out(f"eval {path}", result_dir, None, description, resolved, place.dry_run, [validation_set], layout, None, work)


def _carry_out(
    task: str, result_dir: str, run_dir: Path | None, description: str, resolved: dict, dry_run: bool,
    inputs: list, layout: Layout, training: TrainingOptions | None, work: Callable[..., None],
) -> None:
    """run_dir: of a run to go on with; None: a new one is made. work: gets the run (None unless chief) and the replicas."""
    if run_dir is None and layout.chief:
        check_result_dir(result_dir)
    if dry_run:
        print(json.dumps(resolved, indent=2))
        print(f"Would run in {run_dir or f'{result_dir}/<id>-{description}'}")
        return
    for data in inputs:
        data.check()
    from dnnlib.tflib.replicas import Replicas

    replicas = Replicas(layout)
    if training:
        layout.check_minibatch(training.minibatch_size, training.microbatch_size, replicas.count)
    if not layout.chief:
        work(None, replicas)
        return
    with RunContext(run_dir or create_run_dir(result_dir, description), task, resolved) as run:
        run.write_options()
        work(run, replicas)


def _name(configuration: Configuration, place: Place) -> dict:
    return {"validation_set": place.validation_set, **asdict(configuration)}


def _paths(place: Place) -> dict:
    return {"dataset_dir": place.dataset_dir, "validation_set": place.validation_set, "result_dir": place.result_dir}
