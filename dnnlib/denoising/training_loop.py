"""Trains one configuration: the loop, what it prints, and what it leaves in the run directory (SPEC 6 and 11)."""

import contextlib
import itertools
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dnnlib.denoising.architecture import NOISE_VARIABLE, initial_variables
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network_configuration import to_network
from dnnlib.denoising.noise_estimate import estimate_sigma, raw_noise_parameter
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.run_name import network_file_name
from dnnlib.denoising.schedule import learning_rate, loss_exponent
from dnnlib.denoising.shard import Shard
from dnnlib.denoising.training_data import Crops, Prefetch, batches
from dnnlib.denoising.training_graph import TrainingGraph, build_training_graph
from dnnlib.denoising.validation import EvaluationGraph, Scores
from dnnlib.denoising.validation_set import ValidationSet
from dnnlib.submission.run_context import RunContext
from dnnlib.tflib.network import save_network
from dnnlib.tflib.runtime import create_session, fetch_variables, initialize
from dnnlib.tflib.summaries import EventWriter

ESTIMATE_FROM = 64  # crops


def train(
    configuration: Configuration, options: TrainingOptions, shard: Shard, validation_set: ValidationSet, run: RunContext
) -> Path:
    """Trains in an entered run and returns the path of the network file at the end: the final one, or, where abort.txt
    ended the training early, one of the images seen so far.

    Raises UserError for what the user can mend (a shard that cannot be read on, a full disk).
    """
    o = options
    graph = build_training_graph(configuration, o.minibatch_size, o.train_resolution, o.seed, o.precision)
    evaluation = EvaluationGraph(configuration, reuse=True)
    crops = Crops(shard, o.train_resolution, configuration.channels, o.seed)
    last = o.num_iter // o.minibatch_size * o.minibatch_size
    images_dir = run.run_dir / "img"
    images_dir.mkdir(exist_ok=True)

    def due(n: int, interval: int) -> bool:
        return n % interval < o.minibatch_size  # the first step at or past a multiple

    with (
        create_session() as session,
        contextlib.closing(EventWriter(run.run_dir)) as events,
        Prefetch(batches(crops, o.minibatch_size, 0, last)) as feed,
        tqdm(total=last, unit="image", disable=None, leave=False) as bar,
    ):
        values = initial_variables(configuration.variable_shapes(), o.seed)
        if o.noise_init == "estimate":
            values[NOISE_VARIABLE][:] = _estimated_noise(session, graph, crops, o.minibatch_size)
        initialize(session, values)
        report = _Report(run, events)
        for batch in feed:
            n = int(batch.numbers[0])
            rate = learning_rate(n, o.num_iter, o.learning_rate)
            feed_dict = {
                graph.numbers: batch.numbers, graph.images: batch.images,
                graph.learning_rate: rate, graph.exponent: loss_exponent(n, o.num_iter),
            }
            _, statistics = session.run([graph.train_op, graph.statistics], feed_dict)
            report.add(statistics)
            bar.update(n - bar.n)

            scores = None
            if n == last or due(n, o.eval_interval):
                scores = _validate(session, evaluation, validation_set, images_dir, n)
            if scores is not None or due(n, o.print_interval):
                report.line(n, rate, scores)
                if n < last and run.abort_requested():
                    print("Stopped early, because of abort.txt.")
                    return _save(session, configuration, run.run_dir, n)
            if o.snapshot_every and 0 < n < last and due(n, o.snapshot_every):
                _save(session, configuration, run.run_dir, n)
        return _save(session, configuration, run.run_dir, None)


def _estimated_noise(session, graph: TrainingGraph, crops: Crops, minibatch_size: int) -> float:
    """Where the noise variable starts: sigma as estimated from the first noisy crops, in the variable's own scale."""
    first = itertools.islice(batches(crops, minibatch_size, 0, ESTIMATE_FROM), -(-ESTIMATE_FROM // minibatch_size))
    noisy = [session.run(graph.noisy, {graph.numbers: b.numbers, graph.images: b.images}) for b in first]
    sigma = estimate_sigma(np.concatenate(noisy))
    print(f"Estimated sigma to start from: {255 * sigma:.2f}")
    return raw_noise_parameter(sigma)


def _validate(session, evaluation: EvaluationGraph, validation_set: ValidationSet, images_dir: Path, n: int) -> Scores:
    """One pass over the set; the last picture is exported under the number n."""

    def export_last(index: int, denoised) -> None:
        if index == len(validation_set.paths) - 1:
            denoised.export(images_dir, n, "jpg")

    return evaluation.validate(session, validation_set, on_picture=export_last)


def _save(session, configuration: Configuration, folder: Path, n: int | None) -> Path:
    path = folder / network_file_name(n, configuration.name)
    save_network(to_network(configuration, fetch_variables(session)), path)
    return path


class _Report:
    """Averages the statistics of the steps since the last line; prints and records a line."""

    def __init__(self, run: RunContext, events: EventWriter):
        self._run, self._events = run, events
        self._steps: list[dict] = []
        self._skipped = 0
        self._since = time.monotonic()

    def add(self, statistics: dict) -> None:
        finite = statistics.pop("finite")
        if finite:
            self._steps.append(statistics)
        else:
            self._skipped += 1

    def line(self, n: int, rate: float, scores: Scores | None) -> None:
        """Prints the line that SPEC 6.3 fixes, and writes the same to stats.jsonl and TensorBoard."""
        seconds = time.monotonic() - self._since
        keys = ("loss", "train_psnr", "train_psnr_pme", "std_net", "std_noise")
        means = {key: float(np.mean([step[key] for step in self._steps])) if self._steps else float("nan") for key in keys}
        if scores is not None:
            means["valid_psnr_mu"] = float(np.mean(scores.mean))
            means["valid_psnr_pme"] = float(np.mean(scores.posterior_mean))
        text = f"{n:8d}: time={seconds:6.2f}, " + ", ".join(f"{key}={value:8.4f}" for key, value in means.items())
        if self._skipped:
            text += f", skipped={self._skipped}"
        tqdm.write(text)
        record = {**means, "learning_rate": rate, "skipped": self._skipped}
        self._run.append_stats({"n": n, "time": seconds, **record})
        self._events.scalars(n, record)
        self._steps.clear()
        self._since = time.monotonic()
