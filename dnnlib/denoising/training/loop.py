"""Trains one configuration: the loop, and what is due after which step (SPEC 6 and 11)."""

import contextlib
import dataclasses
import time
from functools import partial
from pathlib import Path

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.crops import Batch, Crops, NoisyCrops, Prefetch, batches
from dnnlib.denoising.data.noisy_pictures import NoisyPictures
from dnnlib.denoising.data.shard import Shard
from dnnlib.denoising.data.validation_set import ValidationSet
from dnnlib.denoising.evaluation.added_noise import Scores, Validation
from dnnlib.denoising.evaluation.graph import Denoised
from dnnlib.denoising.evaluation.looked_at import LookedAt
from dnnlib.denoising.evaluation.real_noise import RealScores, RealValidation
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.reports.run_page import RunPage
from dnnlib.denoising.training.first_look import first_look
from dnnlib.denoising.training.graph import build_training_graph, initial_training_values
from dnnlib.denoising.training.job import Job
from dnnlib.denoising.training.noise_curve import NoiseCurve
from dnnlib.denoising.training.noise_start import estimate_noise_start, start_at
from dnnlib.denoising.training.outlook import Outlook, too_few_pictures
from dnnlib.denoising.training.output import TrainingOutput
from dnnlib.denoising.training.report import Report
from dnnlib.denoising.training.schedule import RAMP_UP, crop_side, learning_rate, loss_exponent, work_left
from dnnlib.denoising.training.state import TrainingState
from dnnlib.denoising.training.trouble import Trouble
from dnnlib.errors import UserError
from dnnlib.progress import progress_bar, say
from dnnlib.submission.run_context import RunContext
from dnnlib.submission.signals import StopSignals
from dnnlib.tflib.precision import AUTO, fastest_precision, slow_line
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import device_name, fetch_variables, initialize, out_of_memory, unlike_variables


def train(
    configuration: Configuration,
    options: TrainingOptions,
    shard: Shard,
    validation_set: ValidationSet | NoisyPictures,
    run: RunContext | None,
    replicas: Replicas | None = None,
    fixed_options: dict | None = None,
    state: TrainingState | None = None,
    page: RunPage | None = None,
) -> Path | None:
    """Trains in an entered run, from the beginning or from a state, and returns the path of the network file at the end.

    That is the final one, or, where abort.txt ended the training early, one of the images seen so far.

    configuration, options: what is trained, and how.
    shard, validation_set: what is trained and validated on; of real noise a NoisyShard and NoisyPictures.
    run: where results go. Of several workers only the chief has one; the others write nothing, and return None.
    replicas: the devices to train on; None: the first.
    fixed_options: kept in each state, for a later `--resume` to compare with.
    state: to go on from, of the chief alone; None: from the beginning.
    page: of the run, written anew at each validation.

    SIGINT, SIGTERM and SIGHUP finish the step, save a state and end in KeyboardInterrupt or Terminated. Raises UserError
    for what the user can mend (a shard that cannot be read on, a full disk, too little memory).
    """
    # The precision.
    replicas = replicas or Replicas()
    if options.precision == AUTO:
        chosen = state.options["precision"] if state else fastest_precision(replicas.on_gpu)
        options = dataclasses.replace(options, precision=chosen)
    if run is not None:
        print(f"Precision: {options.precision}")
        if line := slow_line(options.precision, replicas.on_gpu):
            print(line)
    fixed_options = (fixed_options or {}) | {"precision": options.precision}

    # The training, and all that is open during it.
    real = configuration.noise.real
    with contextlib.ExitStack() as opened:
        opened.enter_context(replicas.scope())
        session = opened.enter_context(replicas.session())
        source = shard.source if real else None
        output = TrainingOutput(run, configuration, fixed_options, session, state, page, source)
        opened.enter_context(contextlib.closing(output))
        if run is not None:
            run.write_options(device=device_name(), replicas=replicas.count, precision=options.precision)
        job = Job(replicas, session, opened.enter_context(StopSignals()))
        side = partial(crop_side, options=options)
        crops = (NoisyCrops if real else Crops)(shard, side, configuration.channels, options.seed)
        return _Training(configuration, options, crops, validation_set, output, job).run(state)


class _Training:
    """Holds the graph of one training, and knows what happens in each step and after it.

    A step is known by n, the images seen before it; `images` counts those seen after it.
    """

    def __init__(
        self, configuration: Configuration, options: TrainingOptions, crops: Crops,
        validation_set: ValidationSet | NoisyPictures, output: TrainingOutput, job: Job,
    ):  # fmt: skip
        """Builds the graph in the job's session.

        configuration, options: as in `train`, but for the precision, which is not AUTO.
        crops: of which the minibatches are made.
        validation_set: as in `train`.
        output: where results go.
        job: this process among the others.
        """
        self._configuration, self._options, self._crops = configuration, options, crops
        self._validation_set, self._output, self._job = validation_set, output, job
        self._graph = build_training_graph(configuration, options, job.replicas)
        validation = RealValidation if configuration.noise.real else Validation
        self._validation = validation(configuration, job.replicas, reuse=True)
        self._outlook, self._trouble = Outlook(options.minibatch_size), Trouble(configuration, options)
        self._report = Report(output.run, output.events, configuration)
        looks = configuration.noise.real and output.has_page
        self._look = first_look(crops, configuration.hole_size) if looks else None
        self._noise_curve = NoiseCurve(configuration.noise, self._look.points) if looks else None
        self._last = options.num_iter // options.minibatch_size * options.minibatch_size  # the n of the last step

    def run(self, state: TrainingState | None) -> Path | None:
        """Takes all steps that are left, and saves the network at the end."""
        # Where to begin.
        o, replicas = self._options, self._job.replicas
        first, reported = self._load(state)
        if not reported and not self._after_step(first - o.minibatch_size):
            return self._output.save_network(first - o.minibatch_size)

        # The steps.
        feed = batches(self._crops, o.minibatch_size, first, self._last, replicas.task, replicas.workers)
        bar = progress_bar(self._last, "image", first) if replicas.chief else contextlib.nullcontext()
        if warning := too_few_pictures(self._crops.pictures, o.num_iter):
            self._output.warn(warning)
        with Prefetch(feed) as ahead, bar as bar:
            started = time.monotonic()
            for batch in ahead:
                statistics = self._step(batch)
                if self._outlook.add(time.monotonic() - started):
                    self._say_what_to_expect(batch.n)
                if bar is not None:
                    psnr = {"psnr": statistics["train_psnr_pme"]} if "train_psnr_pme" in statistics else {}
                    bar.set_postfix(loss=statistics["loss"], **psnr, refresh=False)
                    bar.update(batch.n - bar.n)
                if not self._after_step(batch.n):
                    return self._output.save_network(batch.n)
                started = time.monotonic()

        # The end.
        path = self._output.save_network(None)
        self._output.remove_states()
        return path

    def _load(self, state: TrainingState | None) -> tuple[int, bool]:
        """Loads the initial values or the chief's state on all workers.

        Returns the number of images seen, and whether the last line is out.
        """
        # Each worker by itself.
        session = self._job.session
        images, reported = 0, True
        if state is None:
            # All of them: left to themselves, variables of several workers would wait for each other here.
            initialize(session, self._initial_values())
            if self._look is not None and self._look.advice:
                print(self._look.advice)
            self._output.save_state(images, reported, self._report.as_json())
        else:
            if problem := unlike_variables(session, state.variables):
                raise UserError(
                    f"--resume {self._output.run.run_dir}: its state has {problem}, as one of another version of this "
                    "program may have; start the run anew without --resume (--init takes the weights of its network files)"
                )
            initialize(session, state.variables)
            self._report.restore(state.report)
            images, reported = state.images, state.reported
        # All as the chief has it.
        progress = {"images": images, "reported": reported, "skipped_in_a_row": self._report.skipped_in_a_row}
        progress = self._job.from_chief({name: np.int64(value) for name, value in progress.items()})
        if self._job.replicas.workers > 1:
            initialize(session, self._job.from_chief(fetch_variables(session, trainable=False)))
        self._output.saved_images = int(progress["images"])
        self._report.skipped_in_a_row = int(progress["skipped_in_a_row"])
        return int(progress["images"]), bool(progress["reported"])

    def _initial_values(self) -> dict[str, np.ndarray]:
        """Returns the values that all variables start from. (Of several workers the chief's count.)"""
        chief = self._job.replicas.chief
        # The others need not have the file.
        options = self._options if chief else dataclasses.replace(self._options, init=None)
        values = initial_training_values(self._configuration, options)
        if options.noise_init == "estimate" and chief:
            points = self._look.points if self._look is not None else None
            raw = estimate_noise_start(self._configuration, self._crops, self._graph, self._job.session, points)
            start_at(self._configuration, values, raw)
        return values

    def _step(self, batch: Batch) -> dict[str, float]:
        """Trains on one minibatch, and returns what the step tells."""
        o = self._options
        feed = self._graph.feed(
            batch.numbers, batch.images,
            learning_rate=learning_rate(batch.n, o),
            exponent=loss_exponent(batch.n, o.num_iter),
            stop=self._job.wants_to_stop,
        )  # fmt: skip
        with out_of_memory("give --microbatch-size 1, or lower --train-resolution and --end-resolution"):
            statistics = {name: float(value) for name, value in self._job.session.run(self._graph.step, feed).items()}
        self._job.hear_of_stop(statistics)
        self._report.add(statistics)
        if self._report.skipped_in_a_row >= o.max_skips:
            where = f" in {self._output.run.run_dir}" if self._output.run is not None else ""
            raise UserError(
                f"the training has diverged: {o.max_skips} steps in a row had no finite gradients (--max-skips); "
                f"the last state{where} is of {self._output.saved_images} images; "
                "start anew with a lower --learning-rate, another --seed, or a larger --minibatch-size"
            )
        return statistics

    def _after_step(self, n: int) -> bool:
        """Sees to line, validation, snapshot and state, each when it is due. False: abort.txt wants the training to end."""
        o = self._options
        images = n + o.minibatch_size
        self._stop_if_requested(n, reported=False)
        # Validation and line.
        scores = self._validate(n) if n == self._last or self._due(n, o.eval_interval) else None
        if scores is not None or self._due(n, o.print_interval):
            line = self._report.line(n, learning_rate(n, o), scores)
            for warning in self._trouble.warnings(line):
                self._output.warn(warning)
            if scores is not None:
                if self._noise_curve is not None:
                    self._output.show_noise(self._noise_curve.transfer(self._job.session, line.means))
                self._output.write_page()
            if isinstance(scores, RealScores) and self._output.run is not None and n > RAMP_UP * o.num_iter:
                self._say_advice(scores)  # before, the residual is of the picture and not of the noise
            if n < self._last and self._job.any_worker(self._output.abort_requested()):
                self._output.save_state(images, True, self._report.as_json())
                return False
        # Snapshot.
        if o.snapshot_every and 0 < n < self._last and self._due(n, o.snapshot_every):
            self._output.save_network(n)
        # State.
        if self._output.state_due(images, o):
            self._output.save_state(images, True, self._report.as_json())
        self._stop_if_requested(n, reported=True)
        return True

    def _say_what_to_expect(self, n: int) -> None:
        """Prints what follows from the first steps, of which the last is that at image n."""
        interval = self._options.eval_interval
        validations = self._last // interval - n // interval + (self._last % interval >= self._options.minibatch_size)
        if self._output.run is not None:
            say(self._outlook.line(work_left(n, self._last, self._options), validations, self._output.state_bytes))

    def _due(self, n: int, interval: int) -> bool:
        """Tells whether something is due at step n that is so every `interval` images."""
        return n % interval < self._options.minibatch_size  # the first step at or past a multiple

    def _stop_if_requested(self, n: int, reported: bool) -> None:
        """Saves a state and ends the training, if all workers are to stop. reported: whether the step's line is out."""
        if self._job.must_stop:
            images = n + self._options.minibatch_size
            self._output.save_state(images, reported, self._report.as_json())
            if self._output.run is not None:
                print(f"Stopped after {images} images; go on with --resume {self._output.run.run_dir}")
            self._job.raise_stop()

    def _validate(self, n: int) -> Scores | RealScores:
        """Evaluates once over the set; the last picture is exported under the number n, and shown in TensorBoard.

        A signal ends it at once; it is done again on resuming.
        """
        started, last = time.monotonic(), len(self._validation_set) - 1
        looked_at = LookedAt(self._validation_set.labels) if self._output.has_page else None

        def on_picture(index: int, denoised: Denoised) -> None:
            self._stop_if_requested(n, reported=False)
            if looked_at is not None:
                looked_at.add(index, denoised)
            if index == last:
                self._output.export_picture(n, denoised)

        scores = self._validation.validate(self._job.session, self._validation_set, on_picture=on_picture)
        if looked_at is not None:
            self._output.show(dataclasses.replace(looked_at.validated(scores.pictures), image=n))
        self._outlook.validation_seconds = time.monotonic() - started
        return scores

    def _say_advice(self, scores: RealScores) -> None:
        """Prints what is wrong with real noise, and what helps, if anything is.

        The noisy pictures themselves count more than what the network leaves over: it learns to tell shared noise.
        """
        surely = self._look.advice if self._look is not None and self._look.enough else None
        if advice := surely or scores.advice():
            say(advice)
