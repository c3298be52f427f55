"""The benchmark of recipes runs, and what it prints can be told apart."""

import json
import re

import numpy as np
import pytest
from material import smooth_picture, write_bare_shard, write_picture

from benchmarks import profile_step, recipe, step
from dnnlib.errors import UserError


@pytest.fixture
def arguments(tmp_path) -> list[str]:
    write_bare_shard(tmp_path / "shard.h5", [smooth_picture(64, 64, seed).transpose(2, 0, 1) for seed in range(2)])
    for seed in range(2):
        write_picture(tmp_path / "own" / f"{seed}.png", 70, 80, seed)
    shared = f"--shard {tmp_path / 'shard.h5'} --pictures {tmp_path / 'own'} --train-resolution 32 --num-iter 4"
    return [*shared.split(), "--precision", "float32"]


def figures(capsys, *arguments: str) -> dict:
    recipe.main(list(arguments))
    return json.loads(capsys.readouterr().out)


def test_a_training_is_judged(arguments, capsys):
    fast = figures(capsys, *arguments, "--recipe", "fast")
    assert fast["recipe"] == "fast" and fast["optimizer"] == "soap" and fast["skipped"] == 0
    assert 0 < fast["psnr"] < 40 and 0 < fast["train_psnr_pme"][-1] < 40 and np.isfinite(fast["seconds"])
    assert figures(capsys, *arguments, "--recipe", "fast")["psnr"] == pytest.approx(fast["psnr"], abs=0.01)
    changed = figures(capsys, *arguments, "--recipe", "fast", "--learning-rate", "1e-6")
    assert changed["learning_rate"] == 1e-6 and changed["psnr"] != fast["psnr"]


def test_an_unknown_recipe_is_one_line(arguments):
    with pytest.raises(UserError, match="--recipe slow: there is no such recipe"):
        recipe.main([*arguments, "--recipe", "slow"])


TRUTHS = {
    "gauss25-blindspot-sigma_global": {"std_noise": 25.0},
    "real_gauss-blindspot-sigma_global": {"sigma": 25.0},
    "real_poissongauss-blindspot-sigma_global": {"a": 0.02, "b": 4e-4},
}


@pytest.mark.parametrize(("name", "truth"), TRUTHS.items())
def test_learned_noise_starts_where_it_is_told_to(arguments, capsys, name, truth):
    still = ["--recipe", "fast", "--learning-rate", "1e-6"]
    found = figures(capsys, *arguments, *still, "--config", name, "--noise-start", "0.8")
    assert np.isfinite(found["psnr"])
    for parameter, value in truth.items():
        assert found[parameter] == pytest.approx([0.8 * value] * 4, rel=1e-3)


def test_noise_that_is_known_has_no_start(arguments):
    with pytest.raises(UserError, match="--noise-start: gauss25-blindspot-sigma_known has no noise parameter"):
        recipe.main([*arguments, "--noise-start", "0.8"])


def test_a_step_is_timed(capsys):
    step.main(["--train-resolution", "32", "--minibatch-size", "2", "--precision", "float32", "--steps", "3"])
    pattern = r"2 .*: ([0-9.]+) ms a step \(median; ([0-9.]+) to ([0-9.]+)\), ([0-9.]+) images/s"
    median, least, most, rate = map(float, re.search(pattern, capsys.readouterr().out).groups())
    assert 0 < least <= median <= most
    # Figures are rounded to 0.05; a mean lies between the least and the most.
    assert 2e3 / (most + 0.05) - 0.05 <= rate <= 2e3 / (least - 0.05) + 0.05


def test_a_step_is_taken_apart(capsys):
    profile_step.main(["--train-resolution", "32", "--minibatch-size", "1", "--precision", "float32", "--rows", "99"])
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()[2:]]
    *kinds, (_, total, _) = ([cell.strip() for cell in row] for row in rows)
    assert any("Conv2DBackpropFilter" in kind for kind, _, _ in kinds)
    # Cells are rounded to 0.05 ms; operations beyond the 99 rows may add to the sum.
    assert 0 < sum(float(ms) for _, ms, _ in kinds) <= float(total) + 0.05 * (len(kinds) + 1)
