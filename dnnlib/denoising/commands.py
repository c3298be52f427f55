"""What `--train` and `--eval` do, in order: look at all inputs, then make a run directory, then work in it.

TensorFlow is imported for the work only, so that wrong input is reported within a second.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.noisy_pictures import held_out_pictures, open_noisy_pictures
from dnnlib.denoising.data.noisy_shard import HELD_OUT, NoisyShard
from dnnlib.denoising.data.shard import Shard
from dnnlib.denoising.data.validation_set import open_validation_set
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.denoising.run_name import describe_evaluation, describe_training
from dnnlib.denoising.training.resume import find_run, load_resumable
from dnnlib.errors import UserError
from dnnlib.submission.run_context import RunContext
from dnnlib.submission.run_dir import check_result_dir, create_run_dir
from dnnlib.tflib import precision
from dnnlib.tflib.layout import Layout


@dataclass(frozen=True)
class Place:
    """Where inputs are and results go, as given on the command line."""

    dataset_dir: str | None
    validation_set: str | None  # a name, or a folder of pictures; None: as the configuration needs it
    result_dir: str
    dry_run: bool
    reference_dir: str | None = None  # clean pictures for real noise

    def __post_init__(self):
        if not self.result_dir:
            raise UserError("--result-dir is empty: name a folder, or leave the option out")

    def validation_name(self, configuration: Configuration) -> str:
        return self.validation_set or (HELD_OUT if configuration.noise.real else "kodak")


def train(
    configuration: Configuration, options: TrainingOptions, train_h5: str, resume: str | None, place: Place,
    layout: Layout, known: Mapping,
) -> None:
    """Trains. resume: None, or the directory of a run to go on with (NEWEST and AUTO: see `find_run`); known: the
    table of named validation sets. Of several workers only the chief has a run directory. Raises UserError for
    whatever is wrong with what was given."""
    if layout.workers and options.precision == precision.AUTO:
        options = replace(options, precision=precision.FLOAT32)  # all workers must compute alike, and no one knows them all
    validation_name = place.validation_name(configuration)
    if configuration.noise.real:
        shard = NoisyShard(train_h5, options.train_resolution, configuration.channels)
        held_out = NoisyShard(train_h5, 1, configuration.channels, HELD_OUT)
        validation_set = held_out_pictures(held_out, place.reference_dir)
    else:
        validation_set = open_validation_set(validation_name, place.dataset_dir, known)
        shard = Shard(train_h5, options.train_resolution)
    fixed = options.determining(configuration.name, shard.fingerprint(), Path(validation_name).name)
    run_dir = None
    if resume is not None and layout.chief:
        run_dir = find_run(resume, place.result_dir, configuration.name)
        if run_dir:
            load_resumable(run_dir, fixed)  # so that wrong options are refused at once
    schedule = ("num_iter", "minibatch_size", "learning_rate", "train_resolution")
    description = describe_training(**_name(configuration, place), **{key: getattr(options, key) for key in schedule})
    paths = _paths(configuration, place)
    resolved = {"train": configuration.name, "train_h5": train_h5, **paths, **asdict(options), **asdict(layout)}

    def work(run: RunContext | None, replicas) -> None:
        from dnnlib.denoising.training.loop import train as training_loop
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
    path: str, schedules: Mapping[str, int], place: Place, layout: Layout, known: Mapping, hole_size: int | None = None,
    scale: Mapping[str, float] | None = None, computing: str | None = None,
) -> None:  # fmt: skip
    """Evaluates a network file. schedules: length of the training by configuration, for the run's name; hole_size: of the
    blind spot, None as trained; scale: 'black' and 'white' of noisy pictures, where given; computing: one of PRECISIONS,
    AUTO and None mean FLOAT32 here. Raises UserError."""
    from dnnlib.denoising.network.network_file import load_configured

    computing = precision.FLOAT32 if computing in (None, precision.AUTO) else computing
    precision.check_precision(computing)
    network, configuration = load_configured(path, hole_size=hole_size)
    validation_set = _pictures_to_evaluate(configuration, place, known, scale or {})
    num_iter = schedules.get(configuration.name, TrainingOptions.num_iter)
    description = describe_evaluation(configuration=configuration.name, **_name(configuration, place), num_iter=num_iter)
    devices = {"num_gpus": layout.num_gpus, "cpu_devices": layout.cpu_devices, "precision": computing}
    resolved = {"eval": path, "configuration": configuration.name, **_paths(configuration, place), **devices}
    resolved |= {"hole_size": configuration.hole_size} if configuration.hole_size != 1 else {}
    resolved |= scale or {}

    def work(run: RunContext, replicas) -> None:
        from dnnlib.denoising.evaluation.loop import evaluate as evaluation_loop

        print(f"Evaluating {path} ({configuration.name}) on {place.validation_name(configuration)}, in {run.run_dir}")
        evaluation_loop(network, configuration, validation_set, run, replicas, computing)
        print(f"Pictures written to {run.run_dir / 'img'}")

    result_dir = f"{place.result_dir}/_eval"
    _carry_out(f"eval {path}", result_dir, None, description, resolved, place.dry_run, [validation_set], layout, None, work)


def _pictures_to_evaluate(configuration: Configuration, place: Place, known: Mapping, scale: Mapping[str, float]):
    """The validation set, or of real noise the noisy pictures. Raises UserError for what does not go with the network."""
    if configuration.noise.real:
        if place.validation_set is None or place.validation_set in known:
            raise UserError(
                f"--eval: a network of {configuration.name} knows real noise, and none is added: name noisy pictures with "
                "--validation-set FOLDER or SHARD, and clean ones of the same names with --reference-dir"
            )
        if scale and Path(place.validation_set).is_file():
            name = next(iter(scale))
            raise UserError(f"--{name}: the shard {place.validation_set} knows its own; leave it out")
        told = Scale(scale.get("black", 0.0), scale.get("white"))
        told.check()
        return open_noisy_pictures(place.validation_set, configuration.channels, told, place.reference_dir)
    for option in (*scale, *(["reference_dir"] if place.reference_dir is not None else [])):
        name = option.replace("_", "-")
        raise UserError(f"--{name} is for networks of real_ configurations, not for {configuration.name}: leave it out")
    return open_validation_set(place.validation_name(configuration), place.dataset_dir, known)


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
    return {"validation_set": place.validation_name(configuration), **asdict(configuration)}


def _paths(configuration: Configuration, place: Place) -> dict:
    paths = {"dataset_dir": place.dataset_dir, "validation_set": place.validation_name(configuration)}
    references = {"reference_dir": place.reference_dir} if configuration.noise.real else {}
    return {**paths, **references, "result_dir": place.result_dir}
