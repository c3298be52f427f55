"""The chart of docs/recipe.md shows what its table of figures has."""

import csv

import pytest

from benchmarks import recipe_chart

HEAD = "data set,who,images,db,source\n"
ROWS = "kodak,fast,5000,31.5,x\nkodak,fast,20000,31.9,x\nkodak,somebody,5000,29,x\nbsd300,Other method,0,30.5,x\n"


@pytest.fixture
def chart(tmp_path):
    """Draws a chart of rows, and returns its text."""

    def draw(rows: str, name: str) -> str:
        (tmp_path / "figures.csv").write_text(HEAD + rows)
        recipe_chart.main(["--figures", str(tmp_path / "figures.csv"), "--out", str(tmp_path / name)])
        return (tmp_path / name).read_text()

    return draw


def test_all_series_are_named(chart):
    text = chart(ROWS, "a.svg")
    assert all(name in text for name in ("Kodak", "BSD300", "fast, here", ">somebody<", "Other method 30.50"))


def test_the_same_figures_make_the_same_chart(chart):
    assert chart(ROWS, "a.svg") == chart(ROWS, "b.svg") != chart(ROWS.replace("31.9", "31.8"), "c.svg")


def test_each_figure_has_its_source():
    with recipe_chart.FIGURES.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["source"] and row["data set"] in recipe_chart.PANELS and 20 < float(row["db"]) < 40 for row in rows)
