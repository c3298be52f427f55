"""Keeps report.html of a run: written anew at each validation and at the end, with the page over all runs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dnnlib.denoising.judging.calibration import Class
from dnnlib.denoising.judging.text import calibration_line
from dnnlib.denoising.reports import charts
from dnnlib.denoising.reports.charts import Chart, Transfer
from dnnlib.denoising.reports.commands import commands_of, folder_link
from dnnlib.denoising.reports.gallery import Gallery
from dnnlib.denoising.reports.index import INDEX, index_folder, write_index
from dnnlib.denoising.reports.page import page
from dnnlib.denoising.reports.run_facts import RunFacts, read_run
from dnnlib.errors import one_line
from dnnlib.files import remove_abandoned, write_text
from dnnlib.progress import say

REPORT = "report.html"
STD_WHITE = 10  # of 255: what pictures of the std show as white
_MOST_ROWS = 1_000  # of the table of pictures


@dataclass
class Validated:
    """Holds what the page shows of the last validation, or of an evaluation.

    labels: of the pictures.
    psnr, noisy: of each in dB, averaged over repetitions; None where there is nothing clean.
    gallery: some of them.
    curve: of the std's reliability.
    image: the number of images that were trained on; None for an evaluation.
    figures: rows of title, mean and interval; comparison: lines of a table; within: shares within 1, 2, 3 std.
    """

    labels: Sequence[str]
    gallery: Gallery
    psnr: np.ndarray | None = None
    noisy: np.ndarray | None = None
    curve: Sequence[Class] = ()
    image: int | None = None
    figures: Sequence[tuple[str, str, str]] = ()
    comparison: Sequence[str] = ()
    within: Mapping[int, float] = field(default_factory=dict)


class RunPage:
    """Writes the pages of one run. A page that cannot be written ends no training: it is said once, and the work goes on."""

    def __init__(self, run_dir: Path):
        """Takes the run directory, which must exist."""
        self.validated: Validated | None = None
        self.transfer: Transfer | None = None  # of real noise, as it was last learned
        self.notes: list[str] = []  # warnings, shown at the top
        self._run_dir = run_dir
        self._left = (run_dir / REPORT).exists()  # by an earlier process
        remove_abandoned(index_folder(run_dir) / INDEX)
        self._told = False

    def write(self) -> None:
        """Writes both pages anew, from what the run directory says and the last validation.

        Before there was one in this process, what an earlier process has left stays: it shows pictures.
        """
        path = self._run_dir / REPORT
        try:
            if self.validated is not None or not self._left:
                write_text(path, report(read_run(self._run_dir), self.validated, self.notes, self.transfer))
            write_index(index_folder(self._run_dir))
        except (OSError, ImportError) as error:
            if not self._told:
                remedy = " (pip install -r requirements.txt)" if isinstance(error, ImportError) else ""
                say(f"{path} cannot be written, and the work goes on without: {one_line(error)}{remedy}")
            self._told = True


def report(
    facts: RunFacts, validated: Validated | None, notes: Sequence[str] = (), transfer: Transfer | None = None
) -> str:
    """Returns the page of a run.

    facts: what its directory says.
    validated: its last validation, None before there was one.
    notes: warnings.
    transfer: what it has learned of real noise, None where there is none.
    """
    folder = facts.folder.resolve()
    title = f"{'Training' if facts.trains else 'Evaluation'} of {facts.configuration or folder.name}"
    values: dict[str, Any] = {
        "title": title, "folder": str(facts.folder), "index": folder_link(index_folder(folder) / INDEX, folder),
        "facts": _facts(facts), "reason": _reason(facts), "curves": _curves(facts, transfer) if facts.trains else [],
        "commands": commands_of(facts), "options": _flat(facts.options), "versions": _versions(facts.settings),
        "std_white": STD_WHITE, "notes": notes,
    }  # fmt: skip
    return page("report.html", **values, **_of_pictures(validated))


def _of_pictures(validated: Validated | None) -> dict[str, Any]:
    """Returns what the template shows of pictures."""
    if validated is None:
        validated = Validated([], Gallery([]))
    v = validated
    shown = v.gallery.shown()
    psnr, noisy = v.psnr, v.noisy
    rows = range(min(len(v.labels), _MOST_ROWS)) if psnr is not None else ()
    worst = [i for i in v.gallery.worst() if psnr is not None]
    names = list(shown[0].slides) if shown else [""]
    slides = f"{' over '.join(names[:-1])} to {names[-1]}"
    text = "Squares mark the pictures that are shown above, by their numbers."
    return {
        "figures": v.figures, "comparison": v.comparison, "pictures": len(v.labels), "shown": shown, "of_image": v.image,
        "shown_text": _which(len(v.labels), len(shown), psnr is not None), "slides": slides,
        "dots": None if psnr is None else charts.dots("PSNR of each picture", text, psnr, worst, noisy),
        "calibration": charts.calibration(v.curve),
        "calibration_text": calibration_line(v.within).strip() if v.within else "",
        "table": [(i + 1, v.labels[i], _decibels(noisy, i), _decibels(psnr, i)) for i in rows],
    }  # fmt: skip


def _curves(facts: RunFacts, transfer: Transfer | None) -> list[Chart]:
    """Returns the charts of a training, as far as there are figures."""
    noise = [name for name in ("sigma", "lambda", "alpha", "a", "b") if any(name in line for line in facts.stats)]

    def drawn(title: str, unit: str, **names: str) -> Chart | None:
        """Draws figures, each called by what it is in stats.jsonl, under another name."""
        return charts.lines(title, "", {text.replace("_", " "): _points(facts, n) for text, n in names.items()}, unit)

    found = [
        drawn("Loss", "", training="loss"),
        drawn("Negative log-likelihood", "nats", validation="valid_nll"),
        drawn("PSNR", "dB", validation="valid_psnr_pme", training_crops="train_psnr_pme"),
        drawn("Standard deviations", "of 255", noise="std_noise", network="std_net"),
        *(drawn(f"Noise: {name}", "", level=name) for name in noise),
        charts.transfer(transfer),
        drawn("Learning rate", "", rate="learning_rate"),
        charts.lines("Speed", "", {"images a second": _speed(facts)}, "images/s"),
    ]
    return [chart for chart in found if chart is not None]


def _points(facts: RunFacts, name: str) -> list[tuple[float, float]]:
    """Returns a figure over the images, of the lines that have it."""
    return [(line["n"], line[name]) for line in facts.stats if "n" in line and name in line]


def _speed(facts: RunFacts) -> list[tuple[float, float]]:
    """Returns images a second over the images, without the lines that a validation took part of."""
    times = dict(_points(facts, "time"))
    with_validation = {line.get("n") for line in facts.stats if any(key.startswith("valid_") for key in line)}
    numbers = sorted(times)
    pairs = [(n, (n - before) / times[n]) for before, n in zip(numbers, numbers[1:], strict=False) if times[n] > 0]
    return [pair for pair in pairs if pair[0] not in with_validation] or pairs


def _facts(facts: RunFacts) -> list[tuple[str, str]]:
    """Returns what is said at the top: state, images, PSNR, hours."""
    total = facts.options.get("num_iter") if facts.trains else None
    images = "" if facts.images is None else f"{facts.images:,}"
    psnr, hours = facts.last("valid_psnr_pme"), facts.hours
    found = {
        "state": facts.state, "images": f"{images} of {total:,}" if images and isinstance(total, int) else images,
        "PSNR": "" if psnr is None else f"{psnr:.2f} dB", "time": "" if hours is None else _time(hours),
    }  # fmt: skip
    return [(name, text) for name, text in found.items() if text]


def _which(there: int, shown: int, judged: bool) -> str:
    """Returns which pictures are shown: so many of all that there are. judged: whether it is known which are worst."""
    if shown == there:
        return "All of them" + (", the one that came out worst first." if judged and shown > 1 else ".")
    return "The three that came out worst, and the last one." if judged else "Some of them."


def _time(hours: float) -> str:
    """Returns a time as it is best read."""
    return f"{hours:.2f} hours" if hours >= 1 else f"{60 * hours:.1f} min"


def _reason(facts: RunFacts) -> str:
    """Returns how the run ended, where that is more than its state."""
    return "" if facts.reason in ("", "finished", "interrupted") else f"Ended: {facts.reason}"


def _flat(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns options as they are shown."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in options.items()}
    return [(name, "" if text == "null" else text) for name, text in texts.items()]


def _versions(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns versions, commit and machine."""
    packages = settings.get("packages")
    found = dict(packages) if isinstance(packages, Mapping) else {}
    found |= {name: settings.get(name) for name in ("git_commit", "device", "replicas", "precision", "host", "cpu_count")}
    return [(name, str(value)) for name, value in found.items() if value is not None]


def _decibels(values: np.ndarray | None, i: int) -> str:
    """Returns a picture's PSNR as text."""
    return "" if values is None or np.isnan(values[i]) else f"{values[i]:.2f}"
