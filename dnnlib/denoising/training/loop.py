"""Trains one configuration: the loop, what it prints, and what it leaves in the run directory (SPEC 6 and 11)."""

import contextlib
import dataclasses
import time
from pathlib import Path

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.crops import Batch, Crops, NoisyCrops, Prefetch, batches
from dnnlib.denoising.data.noisy_pictures import NoisyPictures
from dnnlib.denoising.data.shard import Shard
from dnnlib.denoising.data.validation_set import ValidationSet
from dnnlib.denoising.evaluation.added_noise import Scores, Validation
from dnnlib.denoising.evaluation.graph import Denoised
from dnnlib.denoising.evaluation.real_noise import RealScores, RealValidation
from dnnlib.denoising.network.architecture import NOISE_VARIABLE, hole_shift, initial_variables, shapes_of
from dnnlib.denoising.network.network_file import network_file_name, to_network
from dnnlib.denoising.noise.estimation import PATCH_SIDE, estimate_parameters
from dnnlib.denoising.noise.families import in_user_units
from dnnlib.denoising.noise.learned_parameter import raw_from_parameter
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.training.graph import build_training_graph, statistics_of
from dnnlib.denoising.training.report import Report
from dnnlib.denoising.training.schedule import RAMP_UP, learning_rate, loss_exponent
from dnnlib.denoising.training.state import TrainingState, remove_states, settled_sizes
from dnnlib.errors import Terminated, UserError
from dnnlib.progress import progress_bar, say
from dnnlib.submission.run_context import RunContext
from dnnlib.submission.signals import StopSignals
from dnnlib.tflib.network import save_network
from dnnlib.tflib.optimizer import initial_state
from dnnlib.tflib.precision import AUTO, BF16, cpu_has_bf16, dtype_of, fastest_precision
from dnnlib.tflib.replicas import Replicas, broadcast, sum_over_workers
from dnnlib.tflib.runtime import device_name, fetch_variables, initialize, out_of_memory
from dnnlib.tflib.summaries import EventWriter

ESTIMATE_FROM = 512  # crops; of 64, b of Poisson-Gauss noise came out with a std of 25 %, of these with 4 %
ESTIMATE_SIDE = 256  # pixels of each, for the memory's sake


def train(
    configuration: Configuration,
    options: TrainingOptions,
    shard: Shard,
    validation_set: ValidationSet | NoisyPictures,
    run: RunContext | None,
    replicas: Replicas | None = None,
    fixed_options: dict | None = None,
    state: TrainingState | None = None,
) -> Path | None:
    """Trains in an entered run, from the beginning or from `state`, and returns the path of the network file at the end:
    the final one, or, where abort.txt ended the training early, one of the images seen so far.

    shard, validation_set: of real noise a NoisyShard and NoisyPictures. replicas: the devices to train on; None: the
    first. Of several workers only the chief has a run and a state: the others write nothing, and return None.
    fixed_options: kept in each state, for a later `--resume` to compare with. SIGINT, SIGTERM and SIGHUP finish the step,
    save a state and end in KeyboardInterrupt or Terminated. Raises UserError for what the user can mend (a shard that
    cannot be read on, a full disk, too little memory).
    """
    replicas = replicas or Replicas()
    if options.precision == AUTO:
        chosen = state.options["precision"] if state else fastest_precision(replicas.on_gpu)
        options = dataclasses.replace(options, precision=chosen)
    if run is not None:
        print(f"Precision: {options.precision}")
    if options.precision == BF16 and not replicas.on_gpu and not cpu_has_bf16():
        print("This CPU has no instructions for bfloat16: --precision float32 is faster")
    fixed_options = (fixed_options or {}) | {"precision": options.precision}
    with contextlib.ExitStack() as opened:
        events = None
        if run is not None:
            (run.run_dir / "img").mkdir(exist_ok=True)
            if state:
                state.restore_files(run.run_dir)
            events = opened.enter_context(contextlib.closing(EventWriter(run.run_dir)))
            run.write_options(device=device_name(), replicas=replicas.count, precision=options.precision)
        opened.enter_context(replicas.scope())
        session = opened.enter_context(replicas.session())
        stop = opened.enter_context(StopSignals())
        setting = (configuration, options, shard, validation_set, run, replicas, fixed_options, session, events, stop)
        return _Training(*setting).carry_out(state)


class _Training:
    """One run: its graph and session, and what happens after each step."""

    def __init__(
        self, configuration, options, shard, validation_set, run, replicas, fixed_options, session, events, stop
    ):  # fmt: skip
        self._configuration, self._options, self._validation_set = configuration, options, validation_set
        self._run, self._replicas, self._session, self._events = run, replicas, session, events
        self._stop, self._all_stop = stop, False
        self._fixed_options = fixed_options
        o = options
        share = o.minibatch_size // replicas.count
        microbatch_size = o.microbatch_size or (share if replicas.on_gpu else 1)
        self._graph = build_training_graph(
            configuration, o.minibatch_size, o.train_resolution, o.seed, replicas, microbatch_size, dtype_of(o.precision)
        )
        real = configuration.noise.real
        self._evaluation = (RealValidation if real else Validation)(configuration, replicas, reuse=True)
        self._limits = shard.limits if real else ()
        self._crops = (NoisyCrops if real else Crops)(shard, o.train_resolution, configuration.channels, o.seed)
        self._last = o.num_iter // o.minibatch_size * o.minibatch_size  # the n of the last step
        self._statistics = statistics_of(configuration)
        self._report = Report(run, events, self._statistics[:-2], configuration.noise if real else None)
        self._saved_images, self._saved_at = 0, time.monotonic()

    def carry_out(self, state: TrainingState | None) -> Path | None:
        """All steps that are left, and the network file at the end."""
        o, replicas = self._options, self._replicas
        reported = self._begin(state)
        if not reported and not self._after_step(self._saved_images - o.minibatch_size):
            return self._save_network(self._saved_images - o.minibatch_size)
        feed = batches(self._crops, o.minibatch_size, self._saved_images, self._last, replicas.task, replicas.workers)
        bar = progress_bar(self._last, "image", self._saved_images) if replicas.chief else contextlib.nullcontext()
        with Prefetch(feed) as ahead, bar as bar:
            for batch in ahead:
                statistics = self._step(batch)
                if bar is not None:
                    psnr = {"psnr": statistics["train_psnr_pme"]} if "train_psnr_pme" in statistics else {}
                    bar.set_postfix(loss=statistics["loss"], **psnr, refresh=False)
                    bar.update(batch.n - bar.n)
                if not self._after_step(batch.n):
                    return self._save_network(batch.n)
        path = self._save_network(None)
        if self._run is not None:
            remove_states(self._run.run_dir)
        return path

    def _begin(self, state: TrainingState | None) -> bool:
        """Loads the initial values or the state, the chief's on all workers; -> whether the last step's line is out."""
        if state is None:
            values = self._initial_values()
            # All of them: left to themselves, variables of several workers would wait for each other here.
            initialize(self._session, values | initial_state(values))
            images, reported, in_a_row = 0, True, 0
            self._save_state(0, reported=True)
        else:
            initialize(self._session, state.variables)
            self._report.restore(state.report)
            images, reported, in_a_row = state.images, state.reported, self._report.skipped_in_a_row
        if self._replicas.workers > 1:
            mine = np.array([images, reported, in_a_row]) * self._replicas.chief
            images, reported, in_a_row = sum_over_workers(self._replicas, self._session, mine).astype(int)
            values = fetch_variables(self._session, trainable=False)
            initialize(self._session, broadcast(self._replicas, self._session, values))
        self._saved_images, self._report.skipped_in_a_row = int(images), int(in_a_row)
        return bool(reported)

    def _step(self, batch: Batch) -> dict[str, float]:
        o, graph = self._options, self._graph
        feed = {
            graph.numbers: batch.numbers,
            graph.images: batch.images,
            graph.learning_rate: learning_rate(batch.n, o.num_iter, o.learning_rate),
            graph.exponent: loss_exponent(batch.n, o.num_iter),
            graph.stop: self._stop.requested is not None,
        }
        with out_of_memory("give --microbatch-size 1, or lower --train-resolution"):
            statistics = dict(zip(self._statistics, map(float, self._session.run(graph.step, feed)), strict=True))
        # Of several workers all must stop after the same step, so what counts is what they had told each other before it.
        self._all_stop = self._replicas.workers > 1 and statistics["stop"] > 0
        self._report.add(statistics)
        if self._report.skipped_in_a_row >= o.max_skips:
            where = f" in {self._run.run_dir}" if self._run is not None else ""
            raise UserError(
                f"the training has diverged: {o.max_skips} steps in a row had no finite gradients (--max-skips); "
                f"the last state{where} is of {self._saved_images} images; "
                "start anew with a lower --learning-rate, another --seed, or a larger --minibatch-size"
            )
        return statistics

    def _after_step(self, n: int) -> bool:
        """Line, validation, snapshot and state, each when it is due. False: abort.txt wants the training to end."""
        o = self._options
        images = n + o.minibatch_size
        self._stop_if_requested(n, reported=False)
        scores = self._validate(n) if n == self._last or self._due(n, o.eval_interval) else None
        if scores is not None or self._due(n, o.print_interval):
            self._report.line(n, learning_rate(n, o.num_iter, o.learning_rate), scores)
            if isinstance(scores, RealScores) and self._run is not None and n > RAMP_UP * o.num_iter:
                self._say_advice(scores)  # before, the residual is of the picture and not of the noise
            if n < self._last and self._abort_requested():
                self._save_state(images, reported=True)
                return False
        if o.snapshot_every and 0 < n < self._last and self._due(n, o.snapshot_every):
            self._save_network(n)
        minutes = (time.monotonic() - self._saved_at) / 60
        if images - self._saved_images >= o.state_interval or minutes >= o.state_minutes:
            self._save_state(images, reported=True)
        self._stop_if_requested(n, reported=True)
        return True

    def _say_advice(self, scores: RealScores) -> None:
        if advice := scores.advice():
            say(advice)

    def _abort_requested(self) -> bool:
        """Whether the chief has seen abort.txt."""
        seen = self._run is not None and self._run.abort_requested()
        if seen:
            print("Stopped early, because of abort.txt.")
        return bool(sum_over_workers(self._replicas, self._session, [seen])[0])

    def _due(self, n: int, interval: int) -> bool:
        return n % interval < self._options.minibatch_size  # the first step at or past a multiple

    def _stop_if_requested(self, n: int, reported: bool) -> None:
        if self._all_stop or (self._replicas.workers == 1 and self._stop.requested is not None):
            images = n + self._options.minibatch_size
            self._save_state(images, reported)
            if self._run is not None:
                print(f"Stopped after {images} images; go on with --resume {self._run.run_dir}")
            self._stop.raise_if_requested()
            raise Terminated  # it was another worker that got the signal

    def _validate(self, n: int) -> Scores | RealScores:
        """One pass over the set; the last picture is exported under the number n, and shown in TensorBoard. A signal ends
        it at once: it is done again on resuming."""
        last = len(self._validation_set) - 1

        def on_picture(index: int, denoised: Denoised) -> None:
            self._stop_if_requested(n, reported=False)
            if index == last and self._run is not None:
                denoised.export(self._run.run_dir / "img", n, "jpg")
                what = "noisy, mean, posterior mean, std" + (", clean" if denoised.clean is not None else "")
                self._events.image(n, what, denoised.strip())

        return self._evaluation.validate(self._session, self._validation_set, on_picture=on_picture)

    def _save_state(self, images: int, reported: bool) -> None:
        if self._run is None:
            return
        sizes = settled_sizes(self._run.run_dir)
        variables = fetch_variables(self._session, trainable=False)
        report = self._report.as_json()
        TrainingState(images, reported, variables, report, self._fixed_options, sizes).save(self._run.run_dir)
        self._saved_images, self._saved_at = images, time.monotonic()

    def _save_network(self, n: int | None) -> Path | None:
        if self._run is None:
            return None
        path = self._run.run_dir / network_file_name(n, self._configuration.name)
        save_network(to_network(self._configuration, fetch_variables(self._session)), path)
        return path

    def _initial_values(self) -> dict[str, np.ndarray]:
        o = self._options
        values = initial_variables(shapes_of(self._configuration), o.seed)
        if o.noise_init == "estimate" and self._replicas.chief:
            values[NOISE_VARIABLE][:] = self._estimated_noise()
        return values

    def _estimated_noise(self) -> list[float]:
        """Where the noise variable starts: as estimated from the first noisy crops, in the variable's own scale."""
        noisy = []
        for batch in batches(self._crops, self._graph.numbers.shape[0], 0, ESTIMATE_FROM - 1):
            feed = {self._graph.numbers: batch.numbers, self._graph.images: batch.images}
            noisy.append(_apart(self._session.run(self._graph.noisy, feed), self._configuration.hole_size))
        style = self._configuration.noise
        parameters = estimate_parameters(style.family, np.concatenate(noisy), self._limits)
        for name, value in in_user_units(style.family, parameters).items():
            digits = ".2f" if name == "sigma" else ".3g"
            print(f"Estimated {name} to start from: {value:{digits}}")
        return [raw_from_parameter(value, style.learns_root) for value in parameters]


def _apart(crops: np.ndarray, hole_size: int) -> np.ndarray:
    """Every so many pixels of crops [N,H,W,C] as the hole keeps neighbours apart, as far as the crops are large enough: the
    estimates take what neighbours share for the picture's. In whole patches, ESTIMATE_SIDE at most; a copy."""
    step = min(hole_shift(hole_size), crops.shape[1] // PATCH_SIDE)
    crops = crops[:, ::step, ::step]
    side = min(crops.shape[1], ESTIMATE_SIDE) // PATCH_SIDE * PATCH_SIDE
    return crops[:, :side, :side].copy()
