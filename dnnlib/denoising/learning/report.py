"""report.html of `--learn`: what was chosen and why, the commands, and some of the pictures before and after."""

import base64
from collections.abc import Sequence
from pathlib import Path

from dnnlib.denoising.learning.look import Facts
from dnnlib.denoising.learning.plan import Plan
from dnnlib.denoising.reports.commands import folder_link
from dnnlib.denoising.reports.page import page
from dnnlib.denoising.reports.run_page import REPORT
from dnnlib.files import write_text

_PICTURES = 4  # that are shown, spread over all


def write_report(out: Path, facts: Facts, plan: Plan, commands: Sequence[str], run: Path | None, results: Path) -> Path:
    """Writes the page, and returns its path.

    out: the folder that it goes into.
    facts, plan: of the pictures.
    commands: that were run.
    run: directory of the training; None: there was none.
    results: the folder with the denoised pictures, and comparisons of them.
    """
    kind = "grey" if facts.colours == 1 else "RGB"
    path = out / REPORT
    values = {
        "title": f"Learned from {facts.files} {kind} picture{'s' if facts.files > 1 else ''}",
        "folder": str(out), "choices": plan.choices, "commands": commands,
        "run": None if run is None else folder_link(run / REPORT, out), "pictures": _comparisons(results),
    }  # fmt: skip
    write_text(path, page("learned.html", **values))
    return path


def _comparisons(results: Path) -> list[tuple[str, str]]:
    """Returns some comparisons, each the picture's name and a data URI."""
    found = sorted(results.glob("*-compare.png"))
    chosen = found[:: max(len(found) // _PICTURES, 1)][:_PICTURES]
    named = [(path.name.removesuffix("-compare.png"), path) for path in chosen]
    return [(name, f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}") for name, path in named]
