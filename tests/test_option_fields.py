"""An option is declared once: parser, checks, refusals and what a resumed run is compared by follow from the field."""

import dataclasses
import math
import re
import shlex
from dataclasses import dataclass

import numpy as np
import pytest

from dnnlib.command_line import CommandLine
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.training.resume import load_resumable
from dnnlib.denoising.training.state import TrainingState
from dnnlib.errors import UserError
from dnnlib.option_fields import (
    REQUIRED,
    check_values,
    declared_fields,
    fixed_on_resume,
    kind_of,
    option,
    option_fields,
    refuse_others,
    resolved,
    shared,
    values_in_older_runs,
)


@dataclass(frozen=True)
class Baking:
    """Holds options of all kinds."""

    dough: str = option(REQUIRED, "what to bake", metavar="NAME", group="oven", commands=("bake",), missing="name a dough")
    heat: float = option(1.5, "power of the oven", metavar="KW", group="oven", commands=("bake", "grill"), positive=True)
    loaves: int = option(2, "loaves at a time", metavar="N", group="bread", commands=("bake",), at_least=1, at_most=9)
    minutes: int | None = option(
        None, "100 % of the time", metavar="N", group="bread", commands=("bake",), default_text="until brown", at_least=1,
        free_on_resume=True,
    )  # fmt: skip
    crust: str = option("thin", "kind of the crust", group="bread", commands=("bake",), choices=("thin", "thick", "none"))
    layers: int = option(1, "how many", group="bread", commands=("bake",), choices=(1, 3, 5), in_older_runs=1)
    light_on: bool = option(False, "see what happens", group="oven", short="-l", commands=("bake",), free_on_resume=True)
    weight: float = 0.0  # no option


@dataclass(frozen=True)
class Grilling:
    """Holds options of which one is declared above, with another default."""

    heat: float | None = shared(Baking, "heat", default=None)
    flame: tuple[str, ...] = option(
        (), "colours", flag="--fire", group="grill", commands=("grill",), parse=lambda text: tuple(text.split("+"))
    )


@pytest.fixture
def parser():
    parser = CommandLine(prog="bakery")
    parser.add_options([Baking, Grilling])
    return parser


def test_the_parser_follows(parser):
    assert parser.parse_given([]) == {}
    words = "--dough rye --heat 2 --loaves 3 --minutes 40 --crust none --layers 3 -l --fire red+blue"
    assert parser.parse_given(shlex.split(words)) == {
        "dough": "rye", "heat": 2.0, "loaves": 3, "minutes": 40, "crust": "none", "layers": 3, "light_on": True,
        "flame": ("red", "blue"),
    }  # fmt: skip
    with pytest.raises(UserError, match="--loaves.*many"):
        parser.parse_given(["--loaves", "many"])


def test_the_help_follows(parser):
    text = parser.format_help()
    groups = dict(re.findall(r"^(\w+):\n((?:  .*\n)+)", text, re.MULTILINE))
    assert list(groups) == ["options", "oven", "bread", "grill"]
    assert re.findall(r"^  (-.*?)(?:  |$)", groups["oven"], re.MULTILINE) == ["--dough NAME", "--heat KW", "-l, --light-on"]
    assert "what to bake\n" in text and "power of the oven (default: 1.5)" in text
    assert "loaves at a time (default: 2)" in text
    assert "100 % of the time (default: until brown)" in text and "see what happens\n" in text and "weight" not in text


WRONG_VALUES = [
    ({"heat": 0.0}, "--heat 0.0: must be a positive number"),
    ({"heat": math.inf}, "--heat inf: must be a positive number"),
    ({"heat": math.nan}, "--heat nan: must be a positive number"),
    ({"loaves": 0}, "--loaves 0: must be from 1 to 9"),
    ({"loaves": 10}, "--loaves 10: must be from 1 to 9"),
    ({"minutes": 0}, "--minutes 0: must be at least 1"),
    ({"crust": "Thin"}, "--crust Thin: must be thin, thick or none"),
    ({"layers": 2}, "--layers 2: must be one of 1, 3, 5"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG_VALUES, ids=lambda value: str(value)[:30])
def test_the_check_follows(changes, message):
    check_values(Baking("rye", minutes=1))
    with pytest.raises(UserError) as caught:
        check_values(Baking("rye", **changes))
    assert str(caught.value) == message


def test_the_refusal_follows():
    classes, given = [Baking, Grilling], {"heat": 1.0, "flame": ("red",)}
    refuse_others(classes, given, "grill")
    with pytest.raises(UserError) as caught:
        refuse_others(classes, given, "bake")
    assert str(caught.value) == "--fire is for --grill, not for --bake: leave it out"
    with pytest.raises(UserError, match="^--heat is for --bake and --grill, not for --sell: leave it out$"):
        refuse_others(classes, given, "sell")


def test_what_is_given_goes_over_presets_over_defaults():
    slow, thick = {"heat": 0.5, "minutes": 90}, {"minutes": 80, "crust": "thick"}
    found = resolved(Baking, {"dough": "rye", "crust": "none", "flame": ("red",)}, slow, thick)
    assert found == Baking("rye", heat=0.5, minutes=80, crust="none")
    assert resolved(Grilling, {}) == Grilling(heat=None, flame=())
    with pytest.raises(UserError, match="^--dough is missing: name a dough$"):
        resolved(Baking, {"loaves": 3})
    with pytest.raises(TypeError, match="butter"):  # a preset of what is no option is a mistake of ours
        resolved(Baking, {"dough": "rye"}, {"butter": 1})


def test_a_shared_option_is_declared_once():
    assert [field.name for field in declared_fields([Grilling, Baking])].count("heat") == 1
    assert [field.name for field in option_fields(Grilling)] == ["heat", "flame"]
    with pytest.raises(UserError, match="--heat -1.0: must be a positive number"):
        check_values(Grilling(heat=-1.0))
    with pytest.raises(ValueError):
        shared(Baking, "weight", default=None)


def test_what_is_compared_on_resuming_follows():
    assert fixed_on_resume(Baking("rye")) == {"dough": "rye", "heat": 1.5, "loaves": 2, "crust": "thin", "layers": 1}
    assert values_in_older_runs(Baking) == {"layers": 1}


@dataclass(frozen=True)
class MoreOptions(TrainingOptions):
    """Holds the settings of a training, with two that a later version has."""

    dropout: float = option(0.0, "share of the features left out", at_least=0, at_most=1, in_older_runs=0.0)
    colour_of_bar: str = option("green", "of the progress bar", free_on_resume=True)


def test_a_training_with_a_new_option_resumes_runs_from_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr("dnnlib.denoising.training.resume.TrainingOptions", MoreOptions)
    names = ("gauss25-n2c", "f00d", "kodak")
    before = TrainingOptions().fixed_on_resume(*names)
    report = {"steps": [], "skipped": 0, "in_a_row": 0, "seconds": 0.0}
    TrainingState(4, True, {"w": np.zeros(3, np.float32)}, report, before, {}).save(tmp_path)
    assert load_resumable(tmp_path, MoreOptions(colour_of_bar="red").fixed_on_resume(*names)).images == 4
    with pytest.raises(UserError, match=r"these would change it: --dropout was 0\.0 and is 0\.5$"):
        load_resumable(tmp_path, MoreOptions(dropout=0.5).fixed_on_resume(*names))


@pytest.mark.parametrize("type_", [tuple[str, ...], int | str, list, None | np.ndarray])
def test_a_type_that_the_command_line_cannot_give_must_say_how(type_):
    field = dataclasses.field(default=None)
    field.name, field.type = "flour", type_
    with pytest.raises(TypeError, match="flour: an option of the type .* must say how it is parsed"):
        kind_of(field)


def test_a_bound_without_words_is_a_mistake_of_ours():
    declared = dataclasses.make_dataclass("Declared", [("most", int, option(0, "at most this", at_most=3))])
    with pytest.raises(ValueError, match="at most this"):
        check_values(declared(4))
