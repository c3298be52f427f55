"""What `--train` and `--eval` do, in order: look at all inputs, then make a run directory, then work in it.

TensorFlow is imported for the work only, so that wrong input is reported within a second.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.noisy_pictures import NoisyPictures, held_out_pictures, open_noisy_pictures
from dnnlib.denoising.data.noisy_shard import HELD_OUT, NoisyShard
from dnnlib.denoising.data.shard import Shard
from dnnlib.denoising.data.validation_set import ValidationSet, open_validation_set
from dnnlib.denoising.data_options import DEFAULT_VALIDATION_SET, DataOptions, RunOptions
from dnnlib.denoising.evaluation.rivals import check_baselines, check_data, check_measurable, data_of, open_rivals
from dnnlib.denoising.judging.options import JudgingOptions
from dnnlib.denoising.network.network_file import load_configured
from dnnlib.denoising.network.shipped import network_path
from dnnlib.denoising.options import EvaluationOptions, TrainingOptions
from dnnlib.denoising.pictures.auto_white import AUTO_WHITE, found_white
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.denoising.pictures.search import pictures_in
from dnnlib.denoising.reports.run_page import RunPage
from dnnlib.denoising.run_name import describe_evaluation, describe_training
from dnnlib.denoising.training.resume import find_run, load_resumable, noise_floor_of, with_floor
from dnnlib.denoising.training.warm_start import load_start
from dnnlib.errors import UserError
from dnnlib.files import file_sha256
from dnnlib.option_fields import flag_named
from dnnlib.submission.private_network import check_ports
from dnnlib.submission.run_context import RunContext
from dnnlib.submission.run_dir import check_result_dir, create_run_dir
from dnnlib.tflib.layout import Layout
from dnnlib.tflib.precision import AUTO, FLOAT32, for_results

if TYPE_CHECKING:
    from dnnlib.tflib.replicas import Replicas


def train(
    configuration: Configuration, options: TrainingOptions, data: DataOptions, run_options: RunOptions, layout: Layout,
    validation_sets: Mapping[str, Mapping], networks: Mapping[str, Mapping],
) -> None:  # fmt: skip
    """Trains a network, in a new run or in one that was cut off. Raises UserError for whatever is wrong with what is given.

    configuration: what to train.
    options: the settings of the training, checked for it.
    data: the shard, and what is validated on.
    run_options: where the run's directory is, or goes.
    layout: devices and workers, of which only the chief has a run directory.
    validation_sets: the table of the named ones (config/validation_sets.py).
    networks: the table of the shipped ones (config/networks.py).
    """
    if layout.workers and options.precision == AUTO:
        options = replace(options, precision=FLOAT32)  # all workers must compute alike, and no one knows them all
    _Training(configuration, options, data, run_options, layout, validation_sets, networks).carry_out()


def evaluate(
    options: EvaluationOptions, judging: JudgingOptions, data: DataOptions, run_options: RunOptions, layout: Layout,
    schedules: Mapping[str, int], validation_sets: Mapping[str, Mapping], networks: Mapping[str, Mapping],
) -> None:  # fmt: skip
    """Evaluates a network, in a run of its own. Raises UserError for whatever is wrong with what is given.

    options: which network, and how it is evaluated.
    judging: what it is compared with.
    data: the pictures.
    run_options: where the run's directory goes.
    layout: the devices.
    schedules: images in the training of each configuration, for the run's name.
    validation_sets: as for `train`.
    networks: as for `train`.
    """
    options = replace(options, precision=for_results(options.precision))
    _Evaluation(options, judging, data, run_options, layout, schedules, validation_sets, networks).carry_out()


class _Experiment(ABC):
    """A training or an evaluation whose inputs are open, and all that is to be done before and after its work.

    task: what `run.txt` says is done.
    result_dir, description: of a new run directory.
    resolved: all options, as the run directory keeps them.
    inputs: shards and pictures, to be checked before the work.
    run_dir: of a run to go on with; None: a new one is made.
    """

    task: str
    result_dir: str
    description: str
    resolved: dict
    inputs: Sequence[Shard | NoisyShard | ValidationSet | NoisyPictures]
    run_dir: Path | None = None
    page: RunPage | None = None  # of the run, once there is one

    def __init__(self, data: DataOptions, run_options: RunOptions, layout: Layout):
        self.data, self.run_options, self.layout = data, run_options, layout

    @abstractmethod
    def check_devices(self, replicas: "Replicas") -> None:
        """Raises UserError where the work cannot be dealt out to the devices."""

    @abstractmethod
    def work(self, run: RunContext | None, replicas: "Replicas") -> None:
        """Does what the run is for. run: entered; None for a worker that is not the chief. replicas: the devices."""

    def check_inputs(self) -> None:
        """Looks at all shards and pictures. Raises UserError for what is wrong with them."""
        for shard_or_pictures in self.inputs:
            shard_or_pictures.check()

    def carry_out(self) -> None:
        """Checks everything, makes or enters the run directory and works in it; a dry run only says what it would do."""
        if self.run_dir is None and self.layout.chief:
            check_result_dir(self.result_dir)
        if self.run_options.dry_run:
            print(json.dumps(self.resolved, indent=2))
            print(f"Would run in {self.run_dir or f'{self.result_dir}/<id>-{self.description}'}")
            return
        # Before anything is made.
        self.check_inputs()
        check_ports(self.layout.workers, self.layout.open_ports)
        from dnnlib.tflib.replicas import Replicas  # late: it imports TensorFlow

        replicas = Replicas(self.layout)
        self.check_devices(replicas)
        if not self.layout.chief:
            self.work(None, replicas)
            return
        run_dir = self.run_dir or create_run_dir(self.result_dir, self.description)
        self.page = RunPage(run_dir)
        try:
            with RunContext(run_dir, self.task, self.resolved) as run:
                run.write_options()
                self.page.write()
                self.work(run, replicas)
        finally:
            self.page.write()  # it says how the run ended

    def validation_name(self, configuration: Configuration) -> str:
        """Returns the name of what is validated on, or its folder, also where none was given."""
        return self.data.validation_set or (HELD_OUT if configuration.noise.real else DEFAULT_VALIDATION_SET)

    def told(self) -> Scale:
        """Returns what the user told of black and white. Raises UserError for what cannot be."""
        scale = Scale(**self.data.scale)
        scale.check()
        return scale

    def open_clean(self, configuration: Configuration, validation_sets: Mapping[str, Mapping]) -> ValidationSet:
        """Opens the clean pictures that noise is added to. Parameters as for `train`. Raises UserError."""
        name = self.validation_name(configuration)
        return open_validation_set(name, self.data.dataset_dir, validation_sets, self.told())

    def paths(self, configuration: Configuration) -> dict[str, str | None]:
        """Returns where inputs are and results go, by the names of options."""
        paths = {"dataset_dir": self.data.dataset_dir, "validation_set": self.validation_name(configuration)}
        references = {"reference_dir": self.data.reference_dir} if configuration.noise.real else {}
        return {**paths, **references, "result_dir": self.run_options.result_dir}


class _Training(_Experiment):
    """A training with its shard and validation pictures open."""

    def __init__(self, configuration, options, data, run_options, layout, validation_sets, networks):
        """Opens the inputs, and finds the run to go on with. Parameters as for `train`."""
        super().__init__(data, run_options, layout)
        self.configuration, self.options = configuration, options
        # The inputs.
        self.task, self.result_dir = f"train {configuration.name}", run_options.result_dir
        validation_name = self.validation_name(configuration)
        if configuration.noise.real:
            self.shard = NoisyShard(data.train_h5, options.largest_crop, configuration.channels)
            held_out = NoisyShard(data.train_h5, 1, configuration.channels, HELD_OUT)
            self.pictures = held_out_pictures(held_out, data.reference_dir)
        else:
            self.pictures = self.open_clean(configuration, validation_sets)
            self.shard = Shard(data.train_h5, options.largest_crop)
        self.inputs = [self.pictures, self.shard]
        # The options.
        fingerprint, set_name = self.shard.fingerprint(), Path(validation_name).name
        self.fixed_options = options.fixed_on_resume(configuration.name, fingerprint, set_name)
        self.description = describe_training(configuration, options, validation_name)
        inputs = {"train": configuration.name, "train_h5": data.train_h5, **self.paths(configuration), **data.scale}
        self.resolved = {**inputs, **asdict(options), **asdict(layout)}
        # The run.
        if run_options.resume is not None and layout.chief:
            self.run_dir = find_run(run_options.resume, self.result_dir, configuration.name)
        state = None
        if self.run_dir is not None:
            state = load_resumable(self.run_dir, self.fixed_options)  # so that wrong options are refused at once
        elif options.init is not None and layout.chief:
            path = network_path(options.init, "--init", networks)
            load_start(path, configuration)  # likewise; its weights are taken where all first values are made
            self.options = replace(options, init=str(path))  # what is recorded is what the user gave
        if configuration.noise.real:
            self.configuration = replace(configuration, noise_floor=noise_floor_of(state, layout))

    def check_devices(self, replicas: "Replicas") -> None:
        self.layout.check_minibatch(self.options.minibatch_size, self.options.microbatch_size, replicas.count)

    def work(self, run: RunContext | None, replicas: "Replicas") -> None:
        from dnnlib.denoising.training.loop import train as training_loop
        from dnnlib.tflib.workers import Watch

        with Watch(self.layout.workers, self.layout.task, self.layout.worker_timeout) as watch:
            if run is None:
                training_loop(self.configuration, self.options, self.shard, self.pictures, None, replicas)
                watch.wait_for_the_chief_to_end()
                return
            # Only now is the directory locked: another process may have saved a newer state until then.
            state = load_resumable(self.run_dir, self.fixed_options) if self.run_dir else None
            run.forget_abort()
            beginning = f", from image {state.images}" if state else ""
            print(f"Training {self.configuration.name} on {len(self.shard)} images, in {run.run_dir}{beginning}")
            kept = with_floor(self.fixed_options, self.configuration)
            path = training_loop(
                self.configuration, self.options, self.shard, self.pictures, run, replicas, kept, state, self.page
            )
            print(f"Network written to {path}")


class _Evaluation(_Experiment):
    """An evaluation with its network loaded and its pictures open."""

    def __init__(self, options, judging, data, run_options, layout, schedules, validation_sets, networks):
        """Loads the network and what it is compared with, and opens the pictures. Parameters as for `evaluate`."""
        super().__init__(data, run_options, layout)
        self.options = options
        path = network_path(options.eval, "--eval", networks)
        self.network, configuration = load_configured(path, hole_size=options.hole_size)
        check_measurable(configuration, f"--eval {options.eval}")
        self.configuration = configuration
        self.task, self.result_dir = f"eval {options.eval}", f"{run_options.result_dir}/_eval"
        self.pictures = self.open_pictures(validation_sets)
        self.inputs = [self.pictures]
        self.judging, self.rivals = judging, open_rivals(judging.compare_with or (), configuration, networks)
        if judging.baselines:
            check_baselines(configuration)
        trained = TrainingOptions(num_iter=schedules.get(configuration.name, TrainingOptions.num_iter))
        self.description = describe_evaluation(configuration, trained, self.validation_name(configuration))
        self.resolved = {"eval": options.eval, "network_sha256": file_sha256(path), "configuration": configuration.name}
        self.resolved |= self.paths(configuration)
        self.resolved |= {"num_gpus": layout.num_gpus, "cpu_devices": layout.cpu_devices, "precision": options.precision}
        self.resolved |= {"hole_size": configuration.hole_size} if configuration.hole_size != 1 else {}
        self.resolved |= self.data.scale
        self.resolved |= {name: value for name, value in asdict(judging).items() if value}

    def check_inputs(self) -> None:
        super().check_inputs()
        if any(rival.data for rival in self.rivals):
            check_data(self.rivals, data_of(self.pictures, self.configuration))

    def open_pictures(self, validation_sets: Mapping[str, Mapping]) -> ValidationSet | NoisyPictures:
        """Opens the validation set, or of real noise the noisy pictures.

        validation_sets: as for `evaluate`. Raises UserError for what does not go with the network.
        """
        configuration = self.configuration
        self.data = data = self.with_white(validation_sets)
        # Clean pictures, to which noise is added.
        if not configuration.noise.real:
            if data.reference_dir is not None:
                raise UserError(
                    f"--reference-dir is for networks of real_ configurations, not for {configuration.name}: leave it out"
                )
            return self.open_clean(configuration, validation_sets)
        # Noisy pictures.
        if data.validation_set is None or data.validation_set in validation_sets:
            raise UserError(
                f"--eval: a network of {configuration.name} knows real noise, and none is added: name noisy pictures with "
                "--validation-set FOLDER or SHARD, and clean ones of the same names with --reference-dir"
            )
        if Path(data.validation_set).is_file():
            for name in data.scale:
                raise UserError(f"{flag_named(name)}: the shard {data.validation_set} knows its own; leave it out")
        return open_noisy_pictures(data.validation_set, configuration.channels, self.told(), data.reference_dir)

    def with_white(self, validation_sets: Mapping[str, Mapping]) -> DataOptions:
        """Returns the data options, with the white that is measured, and said, where --white auto is given for pictures."""
        data, named = self.data, self.data.validation_set
        if data.white != AUTO_WHITE:
            return data
        real = self.configuration.noise.real
        if real:
            is_folder = named is not None and named not in validation_sets and Path(named).is_dir()
            paths = pictures_in(named, "--validation-set", writable_only=True) if is_folder else None
        else:
            paths = open_validation_set(self.validation_name(self.configuration), data.dataset_dir, validation_sets).paths
        white = 1.0 if paths is None else found_white(data.white, paths, data.black or 0.0, writable_only=real)
        return replace(data, white=white)  # for what is no folder an error follows

    def check_devices(self, replicas: "Replicas") -> None:
        """Accepts any: pictures are dealt out one by one."""

    def work(self, run: RunContext | None, replicas: "Replicas") -> None:
        from dnnlib.denoising.evaluation.loop import evaluate as evaluation_loop

        where = self.validation_name(self.configuration)
        print(f"Evaluating {self.options.eval} ({self.configuration.name}) on {where}, in {run.run_dir}")
        about = {"name": self.options.eval, "sha256": self.resolved["network_sha256"]}
        others = {"rivals": self.rivals, "baselines": self.judging.baselines, "page": self.page}
        precision = self.options.precision
        evaluation_loop(self.network, self.configuration, self.pictures, run, replicas, precision, about, **others)
        print(f"Pictures written to {run.run_dir / 'img'}")
