"""The pages in a real browser: no error on its console, nothing loaded, the slider moves, the table sorts, a phone is wide
enough."""

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from test_reports import HOSTILE, STATS, TRAINING, gallery, write_run

from dnnlib.denoising.judging.calibration import Class
from dnnlib.denoising.reports.run_page import RunPage, Validated

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (apt install chromium)")]
SIZES = {"desktop": (1280, 900, False), "phone": (360, 740, True)}
SEEN = "[...document.querySelectorAll('.viewer')[0].querySelectorAll('.stack img')].map((x) => getComputedStyle(x).clipPath)"
TOLD = "document.querySelector('.viewer output').textContent"


@pytest.fixture(scope="module")
def browser():
    with Browser() as found:
        yield found


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A result folder with a training, of whose validation pictures have names as strangers give them, and two more."""
    folder = tmp_path_factory.mktemp("results")
    labels = [HOSTILE, *(f"{i}-{'long' * 40}.png" for i in range(5))]
    psnr = np.array([27.0, 28.5, 29.5, 31.0, 24.0, 30.0])
    run = RunPage(write_run(folder / "00000-a", TRAINING, stats=STATS))
    curve, within = [Class(s, 1.2 * s, 0.2) for s in (0.01, 0.02, 0.04)], {1: 0.6, 2: 0.9, 3: 0.99}
    run.validated = Validated(labels, gallery(labels, list(psnr), 300), psnr, psnr - 8, curve, 2000, within=within)
    for number, images in ((1, 900), (2, 10_000)):
        stats = [{"n": images, "time": 1.0, "loss": 1.0}]
        write_run(folder / f"0000{number}-b", {**TRAINING, "train": f"c{number}"}, stats=stats)
    run.write()
    return folder


def opened(browser, path, size="desktop"):
    browser.problems.clear()
    browser.requests.clear()
    browser.open(path, *SIZES[size])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["00000-a/report.html", "index.html"])
def test_a_page_opens_without_an_error_and_loads_nothing(browser, results, name, size, tmp_path):
    opened(browser, results / name, size)
    assert browser.evaluate("[...document.images].every((x) => x.complete && x.naturalWidth > 0)")
    assert browser.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    assert browser.evaluate("document.documentElement.classList.contains('js')")
    assert browser.problems == [] and browser.requests == [(results / name).resolve().as_uri()]


def test_the_slider_goes_from_noisy_over_denoised_to_clean(browser, results):
    opened(browser, results / "00000-a" / "report.html")
    seen = []
    browser.evaluate("document.querySelector('.viewer input').focus()")
    hidden, whole = "inset(0px 100% 0px 0px)", "inset(0px 0% 0px 0px)"
    assert (browser.evaluate(SEEN), browser.evaluate(TOLD)) == (["none", whole, hidden], "denoised")
    for key, code in (("Home", 36), ("ArrowRight", 39), ("End", 35), ("ArrowLeft", 37)):
        browser.press(key, code)
        seen.append((browser.evaluate(SEEN)[1:], browser.evaluate(TOLD)))
    assert seen == [
        ([hidden, hidden], "noisy"),
        (["inset(0px 99% 0px 0px)", hidden], "denoised (left 1 %), noisy (right)"),
        ([whole, whole], "clean"),
        ([whole, "inset(0px 1% 0px 0px)"], "clean (left 99 %), denoised (right)"),
    ]
    assert browser.problems == []


def test_the_slider_follows_a_finger(browser, results):
    """A touch at a quarter of its width, on a phone."""
    opened(browser, results / "00000-a" / "report.html", "phone")
    place = browser.evaluate(
        "(() => { const s = document.querySelector('.viewer input'); s.scrollIntoView({block: 'center'});"
        " const r = s.getBoundingClientRect(); return [r.left + r.width / 4, r.top + r.height / 2]; })()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)
    assert 40 <= browser.evaluate("Number(document.querySelector('.viewer input').value)") <= 60
    assert browser.evaluate(TOLD).endswith("noisy (right)")


def test_what_strangers_write_is_text(browser, results):
    opened(browser, results / "00000-a" / "report.html")
    assert browser.evaluate("document.scripts.length") == 1
    assert browser.evaluate("document.body.textContent.includes('<script>alert(1)</script>')")


def test_a_heading_sorts_the_table(browser, results):
    opened(browser, results / "index.html")
    column = "[...document.querySelectorAll('tbody tr')].map((x) => x.cells[4].textContent)"
    click = "document.querySelectorAll('th button')[4].click()"
    assert browser.evaluate(column) == ["10000", "900", "2000"]
    for expected in (["10000", "2000", "900"], ["900", "2000", "10000"]):
        browser.evaluate(click)
        assert browser.evaluate(column) == expected
    assert browser.evaluate("document.querySelectorAll('th')[4].getAttribute('aria-sort')") == "ascending"
    assert browser.problems == []


def test_without_scripts_all_pictures_are_seen(browser, results):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        opened(browser, results / "00000-a" / "report.html")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    tops = browser.evaluate("[...document.querySelector('.stack').children].map((x) => x.getBoundingClientRect().top)")
    assert tops[0] < tops[1] < tops[2]
    assert browser.evaluate("getComputedStyle(document.querySelector('.viewer label')).display") == "none"
