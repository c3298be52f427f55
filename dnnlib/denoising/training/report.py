"""The statistics of a training: averages since the last line, printed, and recorded for machines and TensorBoard."""

import math
import re
import time
from collections.abc import Mapping

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.evaluation.added_noise import Scores
from dnnlib.denoising.evaluation.real_noise import RealScores
from dnnlib.denoising.noise.families import as_shown
from dnnlib.denoising.training.statistics import as_reported, statistic_names
from dnnlib.denoising.training.trouble import Line
from dnnlib.progress import say
from dnnlib.submission.run_context import RunContext
from dnnlib.tflib.summaries import EventWriter

_DIGITS = {"a": ".3e", "b": ".3e"}  # these are small; of the others four digits after the point, as SPEC 6.3 has it
_HIDDEN = re.compile(r"corr_[hv]\d")  # too many for a line; they are recorded


class Report:
    """Takes the statistics of each step, and puts out a line of their averages when asked to."""

    def __init__(self, run: RunContext | None, events: EventWriter | None, configuration: Configuration):
        """Begins with no steps.

        run, events: None in a worker that writes nothing.
        configuration: says what statistics there are.
        """
        self._run, self._events, self._configuration = run, events, configuration
        self._names = statistic_names(configuration)
        self._steps: list[dict[str, float]] = []  # since the last line
        self._skipped = 0  # since the beginning of the run
        self.skipped_in_a_row = 0
        self._since = time.monotonic()

    def add(self, statistics: Mapping[str, float]) -> None:
        """Takes what a step told, as the training graph gives it."""
        if statistics["finite"]:
            self._steps.append({name: float(statistics[name]) for name in self._names})
            self.skipped_in_a_row = 0
        else:
            self._skipped += 1
            self.skipped_in_a_row += 1

    def line(self, n: int, rate: float, scores: Scores | RealScores | None) -> Line:
        """Prints the line that SPEC 6.3 fixes, and writes the same to stats.jsonl and TensorBoard. Returns what it says."""
        # What there is to report.
        seconds = time.monotonic() - self._since
        means = as_reported(self._configuration, self._means())
        losses = [step["loss"] for step in self._steps]
        self._steps, self._since = [], time.monotonic()
        if scores is not None:
            means |= scores.means()
        line = Line(n, means, float(np.std(losses, ddof=1) / math.sqrt(len(losses))) if len(losses) > 1 else math.inf)
        if self._run is None:
            return line
        # For people.
        shown = {key: value for key, value in as_shown(means).items() if not _HIDDEN.fullmatch(key)}
        text = f"{n:8d}: time={seconds:6.2f}, "
        text += ", ".join(f"{key}={format(value, _DIGITS.get(key, '8.4f'))}" for key, value in shown.items())
        if self._skipped:
            text += f", skipped={self._skipped}"
        say(text)
        # For machines.
        record = {**means, "learning_rate": rate, "skipped": self._skipped}
        self._run.append_stats({"n": n, "time": seconds, **record})
        self._events.scalars(n, record)
        return line

    def as_json(self) -> dict:
        """Returns what `restore` needs in another process to go on in the middle between two lines."""
        return {
            "steps": self._table(),
            "skipped": self._skipped,
            "in_a_row": self.skipped_in_a_row,
            "seconds": time.monotonic() - self._since,
        }

    def restore(self, saved: dict) -> None:
        """Goes on from where `as_json` was asked for."""
        self._steps = [dict(zip(self._names, row, strict=True)) for row in saved["steps"]]
        self._skipped, self.skipped_in_a_row = saved["skipped"], saved["in_a_row"]
        self._since = time.monotonic() - saved["seconds"]

    def _table(self) -> list[list[float]]:
        """Returns the steps since the last line as rows, in the order of the names."""
        return [[step[name] for name in self._names] for step in self._steps]

    def _means(self) -> dict[str, float]:
        """Returns the averages over the steps since the last line, NaN where there is none."""
        if not self._steps:
            return dict.fromkeys(self._names, math.nan)
        return dict(zip(self._names, np.mean(self._table(), axis=0).tolist(), strict=True))
