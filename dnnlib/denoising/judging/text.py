"""The figures of an evaluation as lines to print."""

import math
from collections.abc import Mapping

from dnnlib.denoising.judging.calibration import EXPECTED, WITHIN
from dnnlib.denoising.judging.intervals import LEVEL, Interval
from dnnlib.denoising.judging.measures import MEASURES
from dnnlib.denoising.judging.paired import Difference

_SHOWN = ("psnr_pme", "gain", "ssim_pme", "nll")


def interval_text(name: str, interval: Interval | Difference) -> str:
    """Returns `32.09 (30.91 to 33.30)`, or the mean alone where there are no bounds. name: of the measure."""
    measure = MEASURES[name]
    if not math.isfinite(interval.low + interval.high):
        return measure.text(interval.mean)
    return f"{measure.text(interval.mean)} ({measure.text(interval.low)} to {measure.text(interval.high)})"


def figures(intervals: Mapping[str, Interval], pictures: int) -> list[str]:
    """Returns what to print of an evaluation beside its means: each figure with its interval, and the std's calibration.

    intervals: by the names of MEASURES.
    pictures: how many there are.
    """
    shown = {MEASURES[name].heading: interval_text(name, intervals[name]) for name in _SHOWN if name in intervals}
    if not shown:
        return []
    bounds = any(interval.known for interval in intervals.values())
    head = f"With {100 * LEVEL:.0f} % intervals over {pictures} pictures:" if bounds else "One picture has no interval:"
    head = head if bounds or pictures == 1 else "In figures (no intervals):"
    width = max(map(len, shown))
    lines = [head, *(f"  {title:{width}s}  {text}" for title, text in shown.items())]
    if all(name in intervals for name in WITHIN.values()):
        lines.append(calibration_line({k: intervals[name].mean for k, name in WITHIN.items()}))
    return lines


def figure_rows(intervals: Mapping[str, Interval]) -> list[tuple[str, str, str]]:
    """Returns heading, mean and interval of each measure, as text."""
    rows = []
    for name, (mean, low, high) in intervals.items():
        measure = MEASURES[name]
        bounds = f"{measure.text(low)} to {measure.text(high)}" if math.isfinite(low + high) else ""
        rows.append((measure.heading, measure.text(mean), bounds))
    return rows


def calibration_line(shares: Mapping[int, float]) -> str:
    """Returns one line on how many true values lie within 1, 2 and 3 std. shares: by these numbers."""
    found, wanted = (", ".join(f"{100 * of[k]:.1f}" for k in WITHIN) for of in (shares, EXPECTED))
    return f"  True values within 1, 2, 3 predicted std: {found} % ({wanted} if errors were Gaussian and the std right)"
