"""Several results on the same noisy pictures: which differences hold, as a table, as sentences, and as JSON."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from dnnlib.denoising.judging.intervals import LEVEL
from dnnlib.denoising.judging.measures import COMPARED, MEASURES
from dnnlib.denoising.judging.paired import Difference, as_json, difference, of_all
from dnnlib.denoising.judging.record import Record
from dnnlib.denoising.judging.text import interval_text

_LONGEST_NAME = 48  # characters, in the table


class Compared(NamedTuple):
    """Holds another result, and how far the evaluated one is above it, by the names of measures that both have."""

    record: Record
    differences: dict[str, Difference]


def compare(ours: Record, others: Sequence[Record], pictures: int) -> list[Compared]:
    """Compares a result with others, picture by picture. pictures: their number."""
    found = [Compared(other, {}) for other in others]
    for name in COMPARED:
        there = [i for i, other in enumerate(others) if name in other.values and name in ours.values]
        values = ours.of_pictures(name, pictures) if there else None
        differences = [difference(values, others[i].of_pictures(name, pictures)) for i in there]
        for i, judged in zip(there, of_all(differences), strict=True):
            if judged.pictures:
                found[i].differences[name] = judged
    return found


def compared_json(compared: Sequence[Compared], pictures: int) -> list[dict]:
    """Returns what evaluation.json keeps of it: each other result, with the differences (evaluated minus other)."""
    return [{**of.record.as_json(pictures), "differences": as_json(of.differences)} for of in compared]


def lines(ours: Record, compared: Sequence[Compared], pictures: int) -> list[str]:
    """Returns the table, with a row for each result, and a sentence for each comparison."""
    # The table.
    records = [ours, *(of.record for of in compared)]
    intervals = [record.intervals(pictures) for record in records]
    measures = [name for name in COMPARED if any(name in of_one for of_one in intervals)]
    rows = [["", *(MEASURES[name].short_heading for name in measures), "difference", "p"]]
    for record, of_one, differences in zip(records, intervals, [{}, *(of.differences for of in compared)], strict=True):
        cells = [interval_text(name, of_one[name]) if name in of_one else "-" for name in measures]
        rows.append([_short(record.name), *cells, *_difference_cells(differences)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(f"{cell:{width}s}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    # What can be said.
    head = f"Compared on the same {pictures} noisy pictures; differences are of the first to each, over pictures:"
    said = [f"Of {pictures} pictures no difference can be told: p is never below {_least_p(pictures):.2g}"]
    if _least_p(pictures) < 1 - LEVEL:
        said = [sentence(ours, of) for of in compared]
    return [head, *(f"  {line}" for line in table), *said]


def sentence(ours: Record, compared: Compared) -> str:
    """Returns what can be said of two results: which one is better and by how much, or that no difference can be told."""
    if not compared.differences:
        return f"{ours.name} and {compared.record.name} have no figure in common."
    name, found = next(iter(compared.differences.items()))
    measure = MEASURES[name]
    unit = f" {measure.unit}" if measure.unit else ""
    sign = -1.0 if found.holds and found.mean < 0 else 1.0  # what is better is said first
    digits = _digits(found)
    bounds = " to ".join(measure.text(sign * bound, digits) for bound in sorted(found[1:3], key=lambda x: sign * x))
    doubt = f"{100 * LEVEL:.0f} % interval {bounds}, p = {_p_text(found)}"
    if not found.holds:
        names = f"{ours.name} and {compared.record.name}"
        return f"No difference between {names} can be told: {measure.text(found.mean, digits)}{unit} ({doubt})."
    better = (found.mean > 0) != measure.lower_is_better
    one, other = (ours, compared.record) if better else (compared.record, ours)
    what = "" if measure.unit == "dB" else f" in {measure.title}"
    return f"{one.name} is {measure.text(abs(found.mean), digits)}{unit}{what} better than {other.name} ({doubt})."


def _difference_cells(differences: dict[str, Difference]) -> list[str]:
    """Returns the cells of the difference and of its p-value, of the first measure that there is."""
    if not differences:
        return ["", ""]
    name, found = next(iter(differences.items()))
    return [interval_text(name, found), _p_text(found)]


def _least_p(pictures: int) -> float:
    """Returns the least p-value that there can be: all differences have one sign."""
    return min(1.0, 2.0 / 2.0**pictures)


def _digits(found: Difference) -> int:
    """Returns how many digits after the point a difference needs to be seen: two that count, and four at most."""
    size = abs(found.mean)
    return min(4, 1 - math.floor(math.log10(size))) if size > 0 else 0


def _p_text(found: Difference) -> str:
    """Returns a p-value, as it counts where several are looked at."""
    return f"{found.p_of_all:.2g}"


def _short(name: str) -> str:
    """Returns a name, or the end of a long one."""
    return name if len(name) <= _LONGEST_NAME else f"...{name[3 - _LONGEST_NAME :]}"
