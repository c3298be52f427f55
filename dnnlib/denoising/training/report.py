"""The statistics of a training: averages since the last line, printed, and recorded for machines and TensorBoard."""

import re
import time
from collections.abc import Sequence

import numpy as np

from dnnlib.denoising.evaluation.added_noise import Scores
from dnnlib.denoising.evaluation.real_noise import RealScores
from dnnlib.denoising.noise.families import NoiseStyle, in_user_units
from dnnlib.denoising.training.graph import STATISTICS
from dnnlib.progress import say
from dnnlib.submission.run_context import RunContext
from dnnlib.tflib.summaries import EventWriter

_DIGITS = {"a": ".3e", "b": ".3e"}  # these are small; of the others four digits after the point, as SPEC 6.3 has it
_HIDDEN = re.compile(r"corr_[hv]\d")  # too many for a line; they are recorded


class Report:
    """Takes the statistics of each step, and puts out a line of their averages when asked to.

    run, events: None in a worker that writes nothing. names: of the statistics that are averaged and printed. noise: real
    noise, whose parameters are the last of them, before `in_user_units`.
    """

    def __init__(
        self, run: RunContext | None, events: EventWriter | None, names: Sequence[str] = STATISTICS[:-2],
        noise: NoiseStyle | None = None,
    ):  # fmt: skip
        self._run, self._events, self._names, self._noise = run, events, names, noise
        self._steps: list[list[float]] = []  # of the steps since the last line, in the order of the names
        self._skipped = 0  # since the beginning of the run
        self.skipped_in_a_row = 0
        self._since = time.monotonic()

    def add(self, statistics: dict) -> None:
        """statistics: of one step, as the training graph gives them."""
        if statistics["finite"]:
            self._steps.append([float(statistics[key]) for key in self._names])
            self.skipped_in_a_row = 0
        else:
            self._skipped += 1
            self.skipped_in_a_row += 1

    def line(self, n: int, rate: float, scores: Scores | RealScores | None) -> None:
        """Prints the line that SPEC 6.3 fixes, and writes the same to stats.jsonl and TensorBoard."""
        seconds = time.monotonic() - self._since
        steps, self._steps, self._since = self._steps, [], time.monotonic()
        if self._run is None:
            return
        averages = np.mean(steps, axis=0) if steps else [float("nan")] * len(self._names)
        means = dict(zip(self._names, map(float, averages), strict=True))
        if self._noise is not None:
            means |= in_user_units(self._noise.family, list(means.values())[-self._noise.parameter_count :])
        if scores is not None:
            means |= scores.means()
        shown = {key: value for key, value in means.items() if not _HIDDEN.fullmatch(key)}
        text = f"{n:8d}: time={seconds:6.2f}, "
        text += ", ".join(f"{key}={format(value, _DIGITS.get(key, '8.4f'))}" for key, value in shown.items())
        if self._skipped:
            text += f", skipped={self._skipped}"
        say(text)
        record = {**means, "learning_rate": rate, "skipped": self._skipped}
        self._run.append_stats({"n": n, "time": seconds, **record})
        self._events.scalars(n, record)

    def as_json(self) -> dict:
        """What `restore` needs in another process to go on in the middle between two lines."""
        seconds = time.monotonic() - self._since
        return {"steps": self._steps, "skipped": self._skipped, "in_a_row": self.skipped_in_a_row, "seconds": seconds}

    def restore(self, saved: dict) -> None:
        self._steps, self._skipped, self.skipped_in_a_row = saved["steps"], saved["skipped"], saved["in_a_row"]
        self._since = time.monotonic() - saved["seconds"]
