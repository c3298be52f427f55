"""The page over all runs of a result folder, results/index.html: a table that sorts."""

import re
from pathlib import Path
from typing import NamedTuple

from dnnlib.denoising.reports.commands import folder_link
from dnnlib.denoising.reports.page import is_ours, page
from dnnlib.denoising.reports.run_facts import RunFacts, read_run
from dnnlib.files import write_text

INDEX = "index.html"
EVALUATIONS = "_eval"  # the folder of evaluations in a result folder
_RUN = re.compile(r"\d{5}-")


class Row(NamedTuple):
    """Holds a run as the table shows it."""

    name: str
    number: str
    link: str
    what: str
    configuration: str
    validated_on: str
    images: str
    psnr: str
    hours: str
    state: str


def index_folder(run_dir: Path) -> Path:
    """Returns the result folder of a run directory, where the page over all runs is."""
    parent = run_dir.parent
    return parent.parent if parent.name == EVALUATIONS else parent


def write_index(folder: Path) -> None:
    """Writes the page over all runs of a result folder, the newest first.

    Raises OSError as the file system reports it, and where there is a page of that name that is somebody else's.
    """
    if not is_ours(folder / INDEX):
        raise FileExistsError(f"{folder / INDEX} is not of this program, and stays as it is")
    runs = [path for where in (folder, folder / EVALUATIONS) if where.is_dir() for path in where.iterdir()]
    runs = [path for path in runs if _RUN.match(path.name) and path.is_dir() and not path.is_symlink()]
    rows = [_row(read_run(path), folder) for path in sorted(runs, key=lambda path: (path.parent != folder, path.name))]
    write_text(folder / INDEX, page("index.html", title="All runs", folder=str(folder), rows=rows[::-1]))


def _row(facts: RunFacts, folder: Path) -> Row:
    """Returns a run's row."""
    path = facts.folder
    report = path / "report.html"
    psnr, hours = facts.last("valid_psnr_pme"), facts.hours
    return Row(
        name=path.name, number=path.name[:5], link=folder_link(report if report.is_file() else path, folder),
        what="training" if facts.trains else "evaluation", configuration=facts.configuration or path.name[6:],
        validated_on=Path(str(facts.options.get("validation_set") or "")).name,
        images="" if facts.images is None else str(facts.images), psnr="" if psnr is None else f"{psnr:.2f}",
        hours="" if hours is None else f"{hours:.2f}", state=facts.state,
    )  # fmt: skip
