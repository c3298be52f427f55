"""How sure figures are: intervals over pictures, calibration of the std, and what evaluation.json keeps of them."""

import itertools
import json
import math
import re

import numpy as np
import pytest

from dnnlib.denoising.evaluation.metrics import gain
from dnnlib.denoising.judging.calibration import EXPECTED, FEWEST, Reliability, shares_within
from dnnlib.denoising.judging.comparison import compare, compared_json, lines, sentence
from dnnlib.denoising.judging.intervals import Interval, by_picture, interval_of_mean
from dnnlib.denoising.judging.paired import Difference, of_all, p_value
from dnnlib.denoising.judging.record import FILE_NAME, Data, Record, evaluation_json, read_record
from dnnlib.denoising.judging.text import figures
from dnnlib.errors import UserError
from dnnlib.submission.environment import settings_json

DATA = Data("kodak", "f00d" * 16, "gauss25", 3, 2, ["a.png", "b.png", "c.png"])
PSNR = np.array([30.0, 32.0, 34.0, 30.5, 32.5, 34.5])


# --- intervals


def test_repetitions_are_no_further_pictures():
    """Ten repetitions whose noise cancels out leave the interval as it is; counted as pictures they would narrow it."""
    values = np.random.default_rng(5).normal(30.0, 2.0, 24)
    offsets = np.linspace(-0.1, 0.1, 10)
    repeated = (values + offsets[:, np.newaxis]).ravel()
    once, ten = interval_of_mean(values), interval_of_mean(by_picture(repeated, 24))
    assert ten == pytest.approx(once, abs=1e-9)
    assert once.low < once.mean < once.high
    narrow = interval_of_mean(repeated)
    assert narrow.high - narrow.low < 0.5 * (once.high - once.low)  # sqrt(10) less


def test_an_interval_of_few_or_odd_values():
    assert interval_of_mean(np.array([30.0])).mean == 30 and not interval_of_mean(np.array([30.0])).known
    assert interval_of_mean(np.array([30.0, 30.0])) == Interval(30.0, 30.0, 30.0)
    with_unknown = np.array([29.0, math.nan, 31.0, 30.0, 33.0])
    assert interval_of_mean(with_unknown) == interval_of_mean(with_unknown[[0, 2, 3, 4]])
    assert math.isnan(interval_of_mean(np.array([math.nan])).mean)
    perfect = interval_of_mean(np.array([30.0, math.inf]))
    assert perfect.mean == math.inf and not perfect.known


def test_the_gain_of_perfect_pictures_is_not_known():
    assert np.array_equal(gain(np.array([30.0, np.inf]), np.array([20.0, np.inf])), [10.0, np.nan], equal_nan=True)


# --- calibration


def test_shares_are_of_all_values_of_all_channels():
    std = np.array([[1.0, 2.0]])
    error = np.array([[[1.0, -1.5, 3.5], [-2.0, 4.0, 6.5]]])  # in units of std: 1, 1.5, 3.5; 1, 2, 3.25
    assert shares_within(error, std) == pytest.approx({"within_1": 2 / 6, "within_2": 4 / 6, "within_3": 4 / 6})
    assert list(EXPECTED.values()) == pytest.approx([0.6827, 0.9545, 0.9973], abs=5e-5)


def test_the_curve_of_a_std_that_is_right_and_of_one_that_is_twice_too_small():
    """A root mean square of n normal values is right to a share of 1 / sqrt(2 n), one standard error."""
    random = np.random.default_rng(3)
    std = np.repeat([0.005, 0.02, 0.08], 20_000).reshape(3, -1)
    error = random.standard_normal((*std.shape, 3)) * std[..., np.newaxis]
    for factor in (1.0, 2.0):
        found = Reliability()
        for half in (slice(0, 10_000), slice(10_000, None)):
            found.add(factor * error[:, half], std[:, half])
        curve = found.curve()
        assert [point.std for point in curve] == pytest.approx([0.005, 0.02, 0.08])
        assert [point.share for point in curve] == pytest.approx([1 / 3] * 3)
        for point in curve:
            assert abs(point.error / point.std / factor - 1) < 5 / math.sqrt(2 * 60_000)


def test_few_values_are_no_point_and_extreme_ones_belong_to_the_ends():
    found = Reliability()
    found.add(np.ones((1, FEWEST - 1, 1)), np.full((1, FEWEST - 1), 0.02))
    assert found.curve() == []
    for std in (0.0, 7.0):
        found.add(np.ones((1, FEWEST, 1)), np.full((1, FEWEST), std))
    assert [(point.std, point.error) for point in found.curve()] == [(0.0, 1.0), (7.0, 1.0)]


# --- differences


@pytest.mark.parametrize("n", [2, 5, 9])
def test_a_p_value_is_the_share_of_signs_that_give_as_much(n):
    differences = np.random.default_rng(n).normal(0.5, 1.0, n)
    signs = np.array(list(itertools.product((-1, 1), repeat=n)))
    means = np.abs((signs * differences).mean(axis=1))
    expected = np.mean(means >= abs(differences.mean()) * (1 - 1e-12))
    assert p_value(differences) == pytest.approx(expected)
    assert p_value(np.abs(differences)) == pytest.approx(2 / 2**n)


def test_a_p_value_of_many_pictures():
    random = np.random.default_rng(1)
    assert p_value(random.normal(0.0, 1.0, 100) + 2.0) <= 2 / 10_000 + 1e-12  # the fewest that random signs can tell
    assert p_value(np.repeat([1.0, -1.0], 50)) == 1
    assert p_value(np.zeros(5)) == p_value(np.ones(1)) == 1 and math.isnan(p_value(np.ones(0)))


def test_several_comparisons_make_each_less_sure():
    found = of_all([Difference(1.0, 0.5, 1.5, p, p, 24) for p in (0.01, 0.04, 0.03, math.nan)])
    assert [round(each.p_of_all, 9) for each in found[:3]] == [0.03, 0.06, 0.06] and math.isnan(found[3].p_of_all)
    assert [each.holds for each in found] == [True, False, False, False]


def rival(name: str, shift: np.ndarray, measure: str = "psnr_pme") -> Record:
    return Record(name, {}, {measure: np.linspace(20, 40, 24) + shift})


SHIFT = np.linspace(0.03, 0.07, 24)[np.random.default_rng(2).permutation(24)]


def test_what_is_the_same_for_both_drops_out():
    """Pictures of 20 to 40 dB, of which no interval is below 3 dB wide: 0.05 dB in each of them are seen, nevertheless."""
    ours = rival("a", np.zeros(24))
    assert interval_of_mean(ours.values["psnr_pme"]).high - interval_of_mean(ours.values["psnr_pme"]).low > 3
    (worse,), (better,) = (compare(ours, [rival("b", shift)], 24) for shift in (-SHIFT, SHIFT))
    found = worse.differences["psnr_pme"]
    assert found.holds and found.mean == pytest.approx(0.05) and 0.03 < found.low < 0.05 < found.high < 0.07
    assert sentence(ours, worse).startswith("a is 0.050 dB better than b (95 % interval 0.0")
    assert sentence(ours, better).startswith("b is 0.050 dB better than a (95 % interval 0.0")


def test_nothing_is_said_that_does_not_hold():
    ours = rival("a", np.zeros(24))
    (unsure,) = compare(ours, [rival("b", SHIFT * np.resize([3, -2.5], 24))], 24)
    assert sentence(ours, unsure).startswith("No difference between a and b can be told: -0.0085 dB (95 % int")
    small = Record("a", {}, {"psnr_pme": np.array([30.0, 31.0, 32.0])})
    (few,) = compare(small, [Record("b", {}, {"psnr_pme": np.array([28.0, 28.9, 30.1])})], 3)
    assert lines(small, [few], 3)[-1] == "Of 3 pictures no difference can be told: p is never below 0.25"
    assert "No difference between a and b can be told: 2.0 dB" in sentence(small, few).replace("2.00", "2.0")
    assert "no figure in common" in sentence(small, compare(small, [rival("b", np.zeros(24), "nll")], 3)[0])


def test_of_a_likelihood_less_is_better():
    ours = rival("a", np.zeros(24), "nll")
    (found,) = compare(ours, [rival("b", SHIFT, "nll")], 24)
    said = sentence(ours, found)
    assert said.startswith("a is 0.050 nats in negative log-likelihood better than b (95 % interval 0.0")


def test_the_table_of_a_comparison():
    ours, others = rival("a", np.zeros(24)), [rival("b" * 90, -SHIFT), rival("c", np.zeros(24))]
    compared = compare(ours, others, 24)
    _, head, first, second, third, *said = lines(ours, compared, 24)
    assert head.split() == ["PSNR,", "dB", "difference", "p"] and len(said) == 2
    assert first.split()[:2] == ["a", "30.00"] and second.split()[0] == "..." + "b" * 45
    assert [line.index("30.00") for line in (first, third)] == [head.index("PSNR")] * 2
    assert re.search(r"  0.05 \(0.0[45] to 0.0[56]\)  0.0004$", second) and third.endswith("  0.00 (0.00 to 0.00)  1")
    kept = compared_json(compared, 24)
    assert [each["differences"]["psnr_pme"]["holds"] for each in kept] == [True, False]


# --- evaluation.json


def record(**values) -> Record:
    return Record("mine.pickle", {"sha256": "a1" * 32, "configuration": "gauss25-n2c"}, {"psnr_pme": PSNR, **values})


def write(path, content) -> str:
    path.write_text(settings_json(content))
    return str(path)


def test_what_is_written_is_read_again(tmp_path):
    measured = record(ssim_pme=np.array([0.5, 0.6, np.nan] * 2))
    path = write(tmp_path / FILE_NAME, evaluation_json(measured, DATA, [], {"command_line": ["x"]}))
    found, data = read_record(path, "--compare-with")
    assert data == DATA and found.name == "mine.pickle" and found.about["configuration"] == "gauss25-n2c"
    np.testing.assert_array_equal(found.values["psnr_pme"], PSNR)
    np.testing.assert_array_equal(found.of_pictures("psnr_pme", 3), [30.25, 32.25, 34.25])
    content = json.loads((tmp_path / FILE_NAME).read_text())
    assert content["measures"]["psnr_pme"]["mean"] == 32.25 and content["command_line"] == ["x"]
    assert content["measures"]["ssim_pme"]["mean"] == pytest.approx(0.55)  # of the pictures that it is known of
    assert content["values"]["ssim_pme"][2] is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.clear(), "it has no 'format'"),
        (lambda c: c.update(format=2), "its format is 2"),
        (lambda c: c["values"]["psnr_pme"].pop(), "it does not have a figure for each picture"),
        (lambda c: c["values"].update(psnr_pme=["30"] * 6), "a figure in it is no number"),
        (lambda c: c["values"].clear(), "it has no figures"),
        (lambda c: c["data"].update(pictures=[]), "it says nothing of its pictures"),
        (lambda c: c["data"].update(pictures=[{}]), "a name in it is no text"),
        (lambda c: c["data"].update(repetitions=10**9), "it has too many pictures"),
        (lambda c: c["data"].update(repetitions=True), "it says nothing of its pictures"),
        (lambda c: c.update(data=[]), ""),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path, change, reason):
    content = json.loads(settings_json(evaluation_json(record(), DATA, [], {})))
    change(content)
    path = write(tmp_path / FILE_NAME, content)
    with pytest.raises(UserError) as caught:
        read_record(path, "--compare-with")
    assert str(caught.value).startswith(f"--compare-with {path}: is no {FILE_NAME}") and "\n" not in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", "\xff"])
def test_a_file_that_is_no_json(tmp_path, text):
    path = tmp_path / FILE_NAME
    path.write_text(text, "latin-1")
    with pytest.raises(UserError, match="is no evaluation.json"):
        read_record(path, "--compare-with")
    with pytest.raises(UserError, match="is no evaluation.json"):
        read_record(tmp_path / "none.json", "--compare-with")


# --- lines


def test_the_lines_say_how_sure_the_figures_are():
    within = {f"within_{k}": np.full(6, share) for k, share in ((1, 0.7), (2, 0.95), (3, 0.99))}
    head, psnr, calibration = figures(record(**within).intervals(3), 3)
    assert head == "With 95 % intervals over 3 pictures:"
    low, high = interval_of_mean(np.array([30.25, 32.25, 34.25]))[1:]
    assert psnr == f"  PSNR, dB  32.25 ({low:.2f} to {high:.2f})" and low < 32.25 < high
    assert "70.0, 95.0, 99.0 % (68.3, 95.4, 99.7" in calibration
    assert figures(Record("x", {}, {"psnr_pme": PSNR[:1]}).intervals(1), 1) == [
        "One picture has no interval:", "  PSNR, dB  30.00"
    ]
