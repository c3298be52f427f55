"""What a training says of itself: what to expect after some steps, and early warnings, each with its remedy."""

import re

import numpy as np
import pytest
from material import smooth_picture, write_bare_shard, write_picture
from programs import run_here

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.training import outlook
from dnnlib.denoising.training.outlook import STEPS, Outlook, duration, too_few_pictures
from dnnlib.denoising.training.schedule import work_left
from dnnlib.denoising.training.trouble import Line, Trouble, largest_std

TOTAL = 100_000
OPTIONS = TrainingOptions(num_iter=TOTAL, learning_rate=3e-4)


# --- what to expect


def measured(seconds: float, slow: float = 60.0) -> Outlook:
    """After its steps, of which the first ten took long."""
    found = Outlook(minibatch_size=4)
    assert [found.add(slow if i < 10 else seconds) for i in range(STEPS)] == [False] * (STEPS - 1) + [True]
    return found


def test_what_to_expect():
    found = measured(0.5)
    found.validation_seconds = 60.0
    line = found.line(left=57_600, validations=30, state_bytes=45_400_000)  # 7,200 s of steps, and 1,800 s
    expected = "To expect: 8 images/s, 2.5 hours to the end, of it 30 min for 30 validations; "
    assert line == f"{expected}the two states that are kept take 91 MB"
    assert not found.add(0.5)  # it is said once
    assert measured(0.5).line(left=800, validations=2, state_bytes=None) == (
        "To expect: 8 images/s, 100 s to the end, without 2 validations"
    )
    assert measured(0.001).line(left=4, validations=0, state_bytes=None) == "To expect: 4e+03 images/s, 1 s to the end"


def test_larger_crops_at_the_end_take_longer():
    options = TrainingOptions(num_iter=1000, minibatch_size=1, train_resolution=128, end_resolution=256)
    assert work_left(100, 1000, options) == 800 + 100 * 4
    assert work_left(950, 1000, options) == 50  # they are measured with these
    assert work_left(100, 1000, TrainingOptions(num_iter=1000, minibatch_size=1, train_resolution=128)) == 900


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (119, "119 s"), (121, "2 min"), (5399, "90 min"), (5400, "1.5 hours"), (3600 * 47, "47.0 hours"),
     (3600 * 60, "2.5 days")],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_too_few_pictures():
    assert too_few_pictures(400, 40_000) is None  # 100 times
    line = too_few_pictures(400, 60_000)
    assert "each of the 400 training pictures will be seen 150 times" in line and line.endswith("--num-iter 40000")


# --- trouble


def said(name: str, losses, options=OPTIONS, interval: int = 1000, **means) -> dict[int, list[str]]:
    """What is said at which line. losses: one a line; means: other figures, each a sequence."""
    trouble = Trouble(Configuration.from_name(name), options)
    found = {}
    for i, loss in enumerate(losses):
        line = {"loss": loss, **{key: values[i] for key, values in means.items() if values[i] is not None}}
        if texts := trouble.warnings(Line(i * interval, line, 0.02)):
            found[i] = texts
    return found


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_said_of_chance(seed):
    """A loss that has come to its end, of 2,000 lines: each is normal, with the standard error that it has."""
    random = np.random.default_rng(seed)
    assert said("gauss25-n2c", random.normal(-3.0, 0.02, 2_000), interval=50) == {}


def test_a_loss_that_rises_is_told_once():
    falling = np.linspace(0.0, -3.0, 40)
    found = said("gauss25-n2c", [*falling, -2.5, -2.5, -2.5, -2.0, -1.0])
    assert list(found) == [42]  # the third line that is too high
    (text,) = found[42]
    assert text.startswith("Warning: the loss has risen from -3.000 at 39000 images to -2.500")
    assert "--learning-rate 0.0001" in text and "--seed" in text
    assert said("gauss25-n2c", [*falling, -2.5, -2.5, -3.0, -2.5, -2.5]) == {}
    # In standard errors; of the mean of three it must be 6 * sqrt(1 + 1/3) = 6.93.
    for rise, there in (([7.0, 7.0, 6.9], [42]), ([7.0, 6.9, 6.8], []), ([9.0, 9.0, 2.9], [42]), ([9.5, 9.5, 2.7], [])):
        assert list(said("gauss25-n2c", [*falling, *(-3.0 + 0.02 * np.array(rise))])) == there, rise
    assert said("gauss25-n2c", [0.0, 5.0, 5.0, 5.0, 5.0, 5.0]) == {}  # while the rate still grows
    assert said("gauss25-n2c", [*falling, np.nan, np.nan, np.nan]) == {}  # of skipped steps
    assert said("impulse50-n2n", [*falling, -2.5, -2.5, -2.5]) == {}  # its loss changes by itself
    assert list(said("impulse50-blindspot-sigma_known", [*falling, -2.5, -2.5, -2.5])) == [42]


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("gauss25-blindspot-sigma_global", 50.0), ("gauss5_50-blindspot-sigma_per_image", 100.0),
        ("poisson25-blindspot-sigma_global", 2 * 255 / 5), ("impulse50-blindspot-sigma_global", np.inf),
        ("real_gauss-blindspot-sigma_global", 100.0), ("real_poissongauss-blindspot-sigma_per_image", 100.0),
        ("real_curve-blindspot-sigma_global", 100.0),
    ],
)  # fmt: skip
def test_noise_that_runs_away(name, limit):
    assert largest_std(Configuration.from_name(name)) == pytest.approx(limit)
    for std, there in ((0.99 * limit, False), (1.01 * limit, limit < np.inf)):
        found = said(name, [0.0] * 13, std_noise=[1e9] * 11 + [std] * 2)  # what comes before is of the first images
        assert list(found) == ([11] if there else []), std
        if there:
            assert "runs away" in found[11][0]
            assert ("--noise-init estimate" in found[11][0]) == (name in (
                "gauss25-blindspot-sigma_global", "real_gauss-blindspot-sigma_global", "real_curve-blindspot-sigma_global",
                "real_poissongauss-blindspot-sigma_per_image",
            ))  # fmt: skip
    assert said("gauss25-blindspot-sigma_known", [0.0] * 13, std_noise=[1e9] * 13) == {}


VALIDATION = [None, 27.0, None, 28.0, None, 28.5, None, 28.35, None, 28.3, None, 28.2, None, 28.0]
TRAINED = [26.0, 26.5, 27.0, 27.5, 28.0, 28.2, 28.4, 28.5, 28.6, 28.7, 28.8, 28.9, 29.0, 29.1]


def by_heart(valid, trained, name="gauss25-n2c", keys=("valid_psnr_pme", "train_psnr_pme")):
    """After the first tenth. -> the lines at which it is said."""
    options = TrainingOptions(num_iter=1)
    means = dict(zip(keys, (valid, trained), strict=True))
    return said(name, means.pop("loss", [0.0] * len(valid)), options, **{k: [None, *v][1:] for k, v in means.items()})


def test_pictures_learned_by_heart():
    found = by_heart(VALIDATION, TRAINED)
    assert list(found) == [11]  # the third validation that is more than 0.1 dB below the best
    assert "the validation has become worse by 0.30 dB while the training becomes better" in found[11][0]
    assert "abort.txt" in found[11][0] and "--snapshot-every" in found[11][0]
    assert by_heart(VALIDATION, TRAINED[::-1]) == {}  # both fall: something else is wrong
    recovering = [x if x != 28.3 else 28.45 for x in VALIDATION]
    assert list(by_heart(recovering, TRAINED)) == []


def test_of_real_noise_the_likelihood_tells():
    valid = [None if x is None else -x / 10 for x in VALIDATION]
    loss = [-x for x in TRAINED]
    found = by_heart(valid, loss, "real_gauss-blindspot-sigma_global", ("valid_nll", "loss"))
    assert list(found) == [11] and "worse by 0.03 nats" in found[11][0]


# --- a training


def test_a_training_says_what_to_expect_and_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(outlook, "MOST_PASSES", 10)
    monkeypatch.setattr(outlook, "STEPS", 12)
    write_bare_shard(tmp_path / "shard.h5", [smooth_picture(32, 40, 1).transpose(2, 0, 1)])
    write_picture(tmp_path / "own" / "a.png", 32, 32)
    inputs = "--train gauss25-n2c-mono --train-h5 shard.h5 --validation-set own --num-gpus 0"
    counts = "--num-iter 15 --minibatch-size 1 --train-resolution 32 --eval-interval 4 --print-interval 5"
    done = run_here(tmp_path, f"{inputs} {counts}")
    (expected,) = re.findall(r"^To expect: .*$", done.stdout, re.MULTILINE)
    # After the step at image 11; what is left are validations at 12 and, the last step, 15.
    assert re.fullmatch(r"To expect: \S+ images/s, .* to the end, of it .* for 2 validations; the two .* \d+ MB", expected)
    warning = "Warning: each of the 1 training pictures will be seen 15 times"
    assert done.stdout.count(warning) == 1
    (page,) = tmp_path.glob("results/0*/report.html")
    assert page.read_text().count(warning) == 1
