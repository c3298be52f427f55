"""Trains one configuration: the loop, what it prints, and what it leaves in the run directory (SPEC 6 and 11)."""

import contextlib
import time
from pathlib import Path

import numpy as np

from dnnlib.denoising.architecture import NOISE_VARIABLE, initial_variables
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network_configuration import to_network
from dnnlib.denoising.noise_estimate import estimate_sigma, raw_noise_parameter
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.report import Report
from dnnlib.denoising.run_name import network_file_name
from dnnlib.denoising.schedule import learning_rate, loss_exponent
from dnnlib.denoising.shard import Shard
from dnnlib.denoising.training_data import Batch, Crops, Prefetch, batches
from dnnlib.denoising.training_graph import build_training_graph
from dnnlib.denoising.training_state import TrainingState, remove_states, settled_sizes
from dnnlib.denoising.validation import Denoised, EvaluationGraph, Scores
from dnnlib.denoising.validation_set import ValidationSet
from dnnlib.errors import UserError
from dnnlib.progress import progress_bar
from dnnlib.submission.run_context import RunContext
from dnnlib.submission.signals import StopSignals
from dnnlib.tflib.network import save_network
from dnnlib.tflib.runtime import create_session, device_name, fetch_variables, initialize, out_of_memory
from dnnlib.tflib.summaries import EventWriter

ESTIMATE_FROM = 64  # crops


def train(
    configuration: Configuration,
    options: TrainingOptions,
    shard: Shard,
    validation_set: ValidationSet,
    run: RunContext,
    fixed_options: dict | None = None,
    state: TrainingState | None = None,
) -> Path:
    """Trains in an entered run, from the beginning or from `state`, and returns the path of the network file at the end:
    the final one, or, where abort.txt ended the training early, one of the images seen so far.

    fixed_options: kept in each state, for a later `--resume` to compare with. SIGINT, SIGTERM and SIGHUP finish the
    step, save a state and end in KeyboardInterrupt or Terminated. Raises UserError for what the user can mend (a shard
    that cannot be read on, a full disk, too little memory).
    """
    (run.run_dir / "img").mkdir(exist_ok=True)
    if state:
        state.restore_files(run.run_dir)
    with create_session() as session, contextlib.closing(EventWriter(run.run_dir)) as events, StopSignals() as stop:
        run.write_options(device=device_name())
        training = _Training(configuration, options, shard, validation_set, run, fixed_options, session, events, stop)
        return training.carry_out(state)


class _Training:
    """One run: its graph and session, and what happens after each step."""

    def __init__(self, configuration, options, shard, validation_set, run, fixed_options, session, events, stop):
        self._configuration, self._options = configuration, options
        self._validation_set, self._run, self._session, self._events, self._stop = validation_set, run, session, events, stop
        self._fixed_options = fixed_options or {}
        o = options
        self._graph = build_training_graph(configuration, o.minibatch_size, o.train_resolution, o.seed)
        self._evaluation = EvaluationGraph(configuration, reuse=True)
        self._crops = Crops(shard, o.train_resolution, configuration.channels, o.seed)
        self._last = o.num_iter // o.minibatch_size * o.minibatch_size  # the n of the last step
        self._report = Report(run, events)
        self._saved_images, self._saved_at = 0, time.monotonic()

    def carry_out(self, state: TrainingState | None) -> Path:
        """All steps that are left, and the network file at the end."""
        minibatch_size = self._options.minibatch_size
        if state is None:
            initialize(self._session, self._initial_values())
            self._save_state(0, reported=True)
        else:
            initialize(self._session, state.variables)
            self._report.restore(state.report)
            self._saved_images = state.images
            if not state.reported and not self._after_step(state.images - minibatch_size):
                return self._save_network(state.images - minibatch_size)
        feed = batches(self._crops, minibatch_size, self._saved_images, self._last)
        with Prefetch(feed) as ahead, progress_bar(self._last, "image", self._saved_images) as bar:
            for batch in ahead:
                n = int(batch.numbers[0])
                statistics = self._step(n, batch)
                bar.set_postfix(loss=statistics["loss"], psnr=statistics["train_psnr_pme"], refresh=False)
                bar.update(n - bar.n)
                if not self._after_step(n):
                    return self._save_network(n)
        path = self._save_network(None)
        remove_states(self._run.run_dir)
        return path

    def _step(self, n: int, batch: Batch) -> dict:
        o, graph = self._options, self._graph
        feed = {
            graph.numbers: batch.numbers,
            graph.images: batch.images,
            graph.learning_rate: learning_rate(n, o.num_iter, o.learning_rate),
            graph.exponent: loss_exponent(n, o.num_iter),
        }
        with out_of_memory("lower --minibatch-size or --train-resolution"):
            _, statistics = self._session.run([graph.train_op, graph.statistics], feed)
        self._report.add(statistics)
        if self._report.skipped_in_a_row >= o.max_skips:
            raise UserError(
                f"the training has diverged: {o.max_skips} steps in a row had no finite gradients (--max-skips); "
                f"the last state in {self._run.run_dir} is of {self._saved_images} images; "
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
            if n < self._last and self._run.abort_requested():
                self._save_state(images, reported=True)
                print("Stopped early, because of abort.txt.")
                return False
        if o.snapshot_every and 0 < n < self._last and self._due(n, o.snapshot_every):
            self._save_network(n)
        minutes = (time.monotonic() - self._saved_at) / 60
        if images - self._saved_images >= o.state_interval or minutes >= o.state_minutes:
            self._save_state(images, reported=True)
        self._stop_if_requested(n, reported=True)
        return True

    def _due(self, n: int, interval: int) -> bool:
        return n % interval < self._options.minibatch_size  # the first step at or past a multiple

    def _stop_if_requested(self, n: int, reported: bool) -> None:
        if self._stop.requested is not None:
            images = n + self._options.minibatch_size
            self._save_state(images, reported)
            print(f"Stopped after {images} images; go on with --resume {self._run.run_dir}")
            self._stop.raise_if_requested()

    def _validate(self, n: int) -> Scores:
        """One pass over the set; the last picture is exported under the number n, and shown in TensorBoard. A signal ends
        it at once: it is done again on resuming."""
        last = len(self._validation_set.paths) - 1

        def on_picture(index: int, denoised: Denoised) -> None:
            self._stop_if_requested(n, reported=False)
            if index == last:
                denoised.export(self._run.run_dir / "img", n, "jpg")
                self._events.image(n, "noisy, mean, posterior mean, std, clean", denoised.strip())

        return self._evaluation.validate(self._session, self._validation_set, on_picture=on_picture)

    def _save_state(self, images: int, reported: bool) -> None:
        sizes = settled_sizes(self._run.run_dir)
        variables = fetch_variables(self._session, trainable=False)
        report = self._report.as_json()
        TrainingState(images, reported, variables, report, self._fixed_options, sizes).save(self._run.run_dir)
        self._saved_images, self._saved_at = images, time.monotonic()

    def _save_network(self, n: int | None) -> Path:
        path = self._run.run_dir / network_file_name(n, self._configuration.name)
        save_network(to_network(self._configuration, fetch_variables(self._session)), path)
        return path

    def _initial_values(self) -> dict[str, np.ndarray]:
        o = self._options
        values = initial_variables(self._configuration.variable_shapes(), o.seed)
        if o.noise_init == "estimate":
            values[NOISE_VARIABLE][:] = self._estimated_noise()
        return values

    def _estimated_noise(self) -> float:
        """Where the noise variable starts: sigma as estimated from the first noisy crops, in the variable's own scale."""
        noisy = []
        for batch in batches(self._crops, self._options.minibatch_size, 0, ESTIMATE_FROM - 1):
            feed = {self._graph.numbers: batch.numbers, self._graph.images: batch.images}
            noisy.append(self._session.run(self._graph.noisy, feed))
        sigma = estimate_sigma(np.concatenate(noisy))
        print(f"Estimated sigma to start from: {255 * sigma:.2f}")
        return raw_noise_parameter(sigma)
