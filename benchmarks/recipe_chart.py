#!/usr/bin/env python3
"""Draws the chart of docs/recipe.md: PSNR against the images that were trained on, Gaussian noise of sigma 25.

    python benchmarks/recipe_chart.py --out img/recipe.svg

reads benchmarks/recipe.csv, which says where each figure is from. A row without images (0) is another method: a line.
"""

import argparse
import csv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "benchmarks" / "recipe.csv"
PANELS = {"kodak": "Kodak", "bsd300": "BSD300"}
OURS = ("fast", "published recipe")  # what is drawn boldly, and in colour
STYLE = {"svg.hashsalt": "recipe", "svg.fonttype": "none"}  # the same file from the same figures; text as text
MARKERS, COLOURS = "osD^vP*X", ("#c1272d", "#0b5394")


def main(arguments: list[str] | None = None) -> None:
    """Draws, and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", type=Path, default=FIGURES, metavar="FILE", help="CSV (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="SVG to write")
    args = parser.parse_args(arguments)
    with args.figures.open(newline="") as file:
        rows = list(csv.DictReader(file))
    from matplotlib import rc_context  # late: --help does without it

    with rc_context(STYLE):
        drawn(rows).savefig(args.out, format="svg", metadata={"Date": None}, bbox_inches="tight")


def drawn(rows: list[dict]):
    """Returns the figure. rows: of the CSV."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), facecolor="white")
    others = dict.fromkeys(row["who"] for row in rows if int(row["images"]) and row["who"] not in OURS)
    markers = dict(zip([*OURS, *others], MARKERS, strict=False))
    for axes, (name, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        panel(axes, title, [row for row in rows if row["data set"] == name], markers)
    return figure


def panel(axes, title: str, rows: list[dict], markers: dict[str, str]) -> None:
    """Draws a data set.

    axes: of Matplotlib.
    title: name of the data set.
    rows: its rows of the CSV.
    markers: by the names of the series, the same in all panels.
    """
    series: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        series.setdefault(row["who"], []).append((int(row["images"]), float(row["db"])))
    for who, points in sorted(series.items(), key=lambda item: (item[0] not in OURS, item[0] != OURS[0])):
        if points[0][0] == 0:
            axes.axhline(points[0][1], color="0.6", linestyle=":", linewidth=1)
            axes.annotate(f"{who} {points[0][1]:.2f}", (0.02, points[0][1]), xycoords=("axes fraction", "data"),
                          va="bottom", color="0.35", fontsize=8)  # fmt: skip
        elif who in OURS:
            color = COLOURS[OURS.index(who)]
            axes.plot(*zip(*points, strict=True), marker=markers[who], color=color, linewidth=2, label=f"{who}, here")
        else:
            axes.plot(*zip(*points, strict=True), marker=markers[who], color="0.4", linewidth=1, markersize=5, label=who)
    axes.set(title=title, xlabel="images", ylabel="PSNR, dB", xscale="log")
    axes.grid(visible=True, which="major", color="0.9")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=8)


if __name__ == "__main__":
    main()
