"""The charts of a report, as SVG files in memory: lines that are told apart without colour, letters that a phone shows."""

import base64
import io
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from dnnlib.denoising.judging.calibration import Class

_STYLE = {"svg.hashsalt": "report", "svg.fonttype": "none", "font.size": 11, "font.family": "sans-serif",
          "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "0.9"}  # fmt: skip
_LINES = (("#0b5394", "-"), ("#c1272d", "--"), ("#38761d", ":"), ("#674ea7", "-."))  # colour and dashes, by turns
_MOST_POINTS = 2_000  # of a line: a page is to stay small


class Chart(NamedTuple):
    """Holds a chart: what it shows, in words too, and the picture as a data URI."""

    title: str
    text: str
    uri: str


class Transfer(NamedTuple):
    """Holds how noise depends on brightness: points (mean, std), of 255, of flat patches and of the learned curve."""

    points: Sequence[tuple[float, float]]
    learned: Sequence[tuple[float, float]]


def lines(title: str, text: str, series: Mapping[str, Sequence[tuple[float, float]]], unit: str = "") -> Chart | None:
    """Draws figures over the images trained on. None where there is nothing to draw.

    series: points (images, figure) by what they are.
    unit: of the figures.
    """
    series = {name: _thinned(points) for name, points in series.items() if points}
    if not series:
        return None
    from matplotlib.ticker import EngFormatter  # late: it takes a while to import

    def draw(axes: Any) -> None:
        for (name, points), (colour, dashes) in zip(series.items(), _LINES, strict=False):
            marker = "o" if len(points) < 40 else ""
            axes.plot(*zip(*points, strict=True), dashes, color=colour, label=name, marker=marker, markersize=3.5)
        axes.set_xlabel("images")
        axes.set_ylabel(unit)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 500k, 2M
        if len(series) > 1:
            axes.legend(frameon=False)

    return _chart(title, text, draw)


def dots(title: str, text: str, values: Sequence[float], marked: Sequence[int], noisy: Sequence[float] | None) -> Chart:
    """Draws a figure of each picture, in order of size.

    values: PSNR in dB.
    marked: numbers of the pictures that are shown on the page; they get another mark, and their number.
    noisy: the same of the noisy pictures, None where unknown.
    """
    order = sorted((i for i, value in enumerate(values) if math.isfinite(value)), key=lambda i: values[i])

    def draw(axes: Any) -> None:
        if noisy is not None:
            axes.plot(range(len(order)), [noisy[i] for i in order], "x", color="0.45", label="noisy", markersize=5)
        axes.plot(range(len(order)), [values[i] for i in order], "o", color="#0b5394", label="denoised", markersize=4)
        for rank, i in enumerate(order):
            if i in marked:
                axes.plot([rank], [values[i]], "s", color="#c1272d", markersize=8, fillstyle="none")
                axes.annotate(f"{i + 1}", (rank, values[i]), xytext=(0, 9), textcoords="offset points", ha="center")
        axes.set_xlabel("pictures, the worst first")
        axes.set_ylabel("dB")
        axes.set_xticks([])
        axes.legend(frameon=False, loc="best")

    return _chart(title, text, draw)


def calibration(curve: Sequence[Class]) -> Chart | None:
    """Draws the errors over the predicted std, in grey levels of 255. None where there is no curve."""
    if not curve:
        return None
    points = [(255 * point.std, 255 * point.error) for point in curve if point.std > 0 and point.error > 0]
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter  # late, as above

    def draw(axes: Any) -> None:
        ends = [min(map(min, points)), max(map(max, points))]
        axes.plot(ends, ends, "--", color="0.45", label="as it should be")
        axes.plot(*zip(*points, strict=True), "-o", color="#0b5394", markersize=4, label="found")
        for axis in (axes.xaxis, axes.yaxis):
            axis.axes.set(**{f"{axis.axis_name}scale": "log"})
            axis.set_major_locator(LogLocator(2.0))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.set_xlabel("predicted std, of 255")
        axes.set_ylabel("error (root mean square)")
        axes.legend(frameon=False)

    text = "Where the line is above the dashes, errors are larger than the network thinks."
    return _chart("Is the predicted std right?", text, draw) if points else None


def transfer(found: Transfer | None) -> Chart | None:
    """Draws the learned std of the noise over brightness, beside that of flat patches. None where there is none."""
    if found is None or not found.points:
        return None
    # A patch that is not flat after all must not squeeze the rest.
    stds = sorted(std for _, std in found.points)
    top = 1.2 * max(stds[int(0.98 * (len(stds) - 1))], max(std for mean, std in found.learned if math.isfinite(std)))

    def draw(axes: Any) -> None:
        axes.plot(*zip(*found.points, strict=True), ".", color="0.6", label="flat patches", markersize=3)
        axes.plot(*zip(*found.learned, strict=True), "-", color="#0b5394", label="learned")
        axes.set_xlim(min(0.0, *(mean for mean, _ in found.points)), max(255.0, *(mean for mean, _ in found.points)))
        axes.set_ylim(0.0, top or 1.0)
        axes.set_xlabel("brightness, of 255")
        axes.set_ylabel("std of the noise, of 255")
        axes.legend(frameon=False)

    text = "If the line misses the dots at some brightness, another family of noise may fit (real-noise.md)."
    return _chart("Noise over brightness", text, draw)


def _chart(title: str, text: str, draw: Callable[[Any], None]) -> Chart:
    """Draws a chart. draw: is given Matplotlib's axes."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its font cache, which is no concern of a training
    from matplotlib import rc_context  # late: it takes a while to import
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(4.4, 2.9), facecolor="white", layout="constrained")
        draw(figure.subplots())
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return Chart(title, text, f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}")


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Returns some of very many points: evenly spaced, with the last one."""
    step = -(-len(points) // _MOST_POINTS)
    return [*points[:-1:step], points[-1]]
