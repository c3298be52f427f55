"""Recipes: rows of a table, over which single options count; how they are named, refused and remembered."""

import dataclasses
import json

import numpy as np
import pytest
from material import smooth_picture, write_bare_shard, write_picture

import selfsupervised_denoising as program
from config.recipes import RECIPES
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.architecture import initial_variables, shapes_of
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.training.graph import OPTIMIZERS, build_training_graph, optimizer_of
from dnnlib.denoising.training.schedule import RATE_SHAPES, learning_rate
from dnnlib.errors import UserError
from dnnlib.option_fields import resolved, values_in_older_runs
from dnnlib.tflib.precision import FLOAT32
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import create_session, fetch_variables, initialize, tf

TRAIN = ["--train=gauss25-blindspot-sigma_known", "--train-h5=shard.h5"]


def options_of(*arguments: str) -> TrainingOptions:
    given = program.command_line().parse_given([*TRAIN, *arguments])
    recipe = program.named_recipe(given.get("recipe", TrainingOptions.recipe))
    return resolved(TrainingOptions, given, recipe)


def test_each_row_makes_options_that_can_be():
    for name, row in RECIPES.items():
        options = TrainingOptions(recipe=name, **row)
        options.check()
        assert options.optimizer in OPTIMIZERS and options.rate_shape in RATE_SHAPES


def test_published_is_the_default_in_every_column():
    defaults = dataclasses.asdict(TrainingOptions())
    assert RECIPES["published"] == {name: defaults[name] for name in RECIPES["published"]}
    assert defaults["recipe"] == "published"
    assert options_of() == options_of("--recipe=published") == TrainingOptions()


def test_a_single_option_counts_more_than_the_recipe():
    fast = options_of("--recipe=fast")
    assert dataclasses.asdict(fast) == dataclasses.asdict(TrainingOptions()) | RECIPES["fast"] | {"recipe": "fast"}
    changed = options_of("--recipe=fast", "--learning-rate=0.5", "--minibatch-size=8")
    assert changed == dataclasses.replace(fast, learning_rate=0.5, minibatch_size=8)


@pytest.mark.parametrize(("name", "hint"), [("fats", "did you mean fast?"), ("qqq", "there are published and fast")])
def test_an_unknown_recipe_is_one_line(name, hint):
    with pytest.raises(UserError, match=f"--recipe {name}: there is no such recipe; {hint}"):
        options_of(f"--recipe={name}")


@pytest.mark.parametrize(
    "bad", ["--beta1=1", "--beta2=-0.1", "--beta1=nan", "--optimizer=sgd", "--rate-shape=flat", "--clip-norm=-1",
            "--clip-norm=inf", "--noise-rate=0"]
)  # fmt: skip
def test_what_cannot_be_is_refused(bad):
    with pytest.raises(UserError, match=bad.split("=")[0]):
        options_of("--recipe=fast", bad).check()


def test_the_recipes_are_in_the_help():
    text = program.command_line().format_help()
    for name, row in RECIPES.items():
        (line,) = (line for line in text.splitlines() if line.strip().startswith(f"{name} ") and "optimizer=" in line)
        assert f"minibatch_size={row['minibatch_size']}" in line and f"optimizer={row['optimizer']}" in line


def test_states_of_before_there_were_recipes_are_of_the_published_one():
    older = values_in_older_runs(TrainingOptions)
    new = {"recipe", "optimizer", "beta1", "beta2", "rate_shape", "clip_norm", "noise_rate", "end_resolution"}
    assert new <= set(older)
    assert {name: older[name] for name in new} == {name: getattr(TrainingOptions(), name) for name in new}


class Trained:
    """A few steps on one crop."""

    def __init__(self, name: str, steps: int, **changes):
        configuration = Configuration.from_name(name)
        options = TrainingOptions(
            recipe="fast", **RECIPES["fast"] | {"train_resolution": 32, "num_iter": steps, "precision": FLOAT32} | changes
        )
        picture = smooth_picture(32, 32, 1)[None]
        self.lines = []
        with tf.Graph().as_default(), create_session() as session:
            graph = build_training_graph(configuration, options, Replicas())
            self.first = initial_variables(shapes_of(configuration), 1)
            initialize(session, self.first | optimizer_of(options).initial_state(self.first))
            for n in range(steps):
                feed = graph.feed([n], picture, learning_rate=learning_rate(n, options))
                self.lines.append(session.run(graph.step, feed))
            self.variables = fetch_variables(session, trainable=False)


def test_fast_learns():
    trained = Trained("gauss25-blindspot-sigma_known", 12)
    losses = [line["loss"] for line in trained.lines]
    assert all(line["finite"] for line in trained.lines)
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    bases = trained.variables["soap_3x3x96x96/input_basis"]
    for basis in bases:
        np.testing.assert_allclose(basis.T @ basis, np.eye(len(basis)), atol=1e-4)
    assert trained.variables["soap_steps"] == 12


def test_the_noise_parameter_has_a_rate_of_its_own():
    name = "gauss25-blindspot-sigma_global"
    slow, quick = (Trained(name, 1, noise_rate=factor) for factor in (1.0, 10.0))
    for variable in slow.first:
        moved = [float(np.abs(t.variables[variable] - t.first[variable]).max()) for t in (slow, quick)]
        # Adam's first step is the rate whatever the gradient.
        assert moved[1] == pytest.approx(10 * moved[0] if variable == "noise_data" else moved[0], rel=1e-4), variable


def test_the_resolved_recipe_is_printed(tmp_path, monkeypatch, capsys):
    write_bare_shard(tmp_path / "shard.h5", [smooth_picture(64, 64, 0).transpose(2, 0, 1)] * 2)
    write_picture(tmp_path / "own" / "a.png", 64, 64)
    monkeypatch.chdir(tmp_path)
    arguments = [*TRAIN, "--validation-set=own", "--train-resolution=64", "--recipe=fast", "--beta2=0.97", "-n"]
    monkeypatch.setattr("sys.argv", ["selfsupervised_denoising.py", *arguments])
    program.main()
    text, name = capsys.readouterr().out.rsplit("\n}\n", 1)
    assert {**RECIPES["fast"], "recipe": "fast", "beta2": 0.97}.items() <= json.loads(text + "}").items()
    assert "-fast-mb1-" in name
