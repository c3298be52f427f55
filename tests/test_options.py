"""The options of the program: each is in `--help`, in one group, and refused by the commands that it is not for."""

import importlib.util
import re
import sys
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest

import selfsupervised_denoising
from dnnlib.denoising.judging.options import JudgingOptions
from dnnlib.denoising.options import (
    OPTION_CLASSES,
    DataOptions,
    DenoisingOptions,
    EvaluationOptions,
    ExportOptions,
    LearningOptions,
    RunOptions,
    TrainingOptions,
)
from dnnlib.errors import UserError
from dnnlib.option_fields import declared_fields, flag_of, option_fields, option_of, refuse_others
from dnnlib.tflib.layout import Layout

COMMANDS = {"train": "gauss25-n2c", "eval": "network.pickle", "denoise": "a.png", "learn": "camera", "export": "model"}
FIELDS = {field.name: field for field in declared_fields(OPTION_CLASSES)}
SETTINGS = [name for name in FIELDS if name not in COMMANDS]


def words(name: str) -> list[str]:
    """An option with a value of its kind, as on the command line."""
    value = [] if option_of(FIELDS[name]).metavar is None else ["3"]
    return [flag_of(FIELDS[name]), *value]


def test_every_field_is_in_help_and_in_one_group():
    parser = selfsupervised_denoising.command_line()
    shown = Counter(action.dest for group in parser._action_groups for action in group._group_actions)
    names = {field.name for owner in OPTION_CLASSES for field in fields(owner)}
    assert shown == dict.fromkeys([*names, "help"], 1) and len(names) > 40
    text = parser.format_help()
    for name, field in FIELDS.items():
        assert re.search(rf"^  (-\w, )?{flag_of(field)}\b", text, re.MULTILINE), name
        assert re.match(r"\w[\w']+ \w.{5}", option_of(field).help), name  # a phrase


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", SETTINGS)
def test_an_option_is_taken_by_its_commands_and_refused_by_others(monkeypatch, name, command):
    given = selfsupervised_denoising.command_line().parse_given([f"--{command}", COMMANDS[command], *words(name)])
    commands = option_of(FIELDS[name]).commands
    assert set(commands) <= set(COMMANDS) and commands
    if command in commands:
        refuse_others(OPTION_CLASSES, given, command)
        return
    monkeypatch.setattr(sys, "argv", ["program", f"--{command}", COMMANDS[command], *words(name)])
    with pytest.raises(UserError) as caught:
        selfsupervised_denoising.main()
    owners = " and ".join(f"--{owner}" for owner in commands)
    assert str(caught.value) == f"{flag_of(FIELDS[name])} is for {owners}, not for --{command}: leave it out"


@pytest.mark.parametrize("one", COMMANDS)
@pytest.mark.parametrize("other", COMMANDS)
def test_one_command_at_a_time(monkeypatch, one, other):
    if one == other:
        assert selfsupervised_denoising.chosen_command({one: COMMANDS[one]}) == one
        return
    monkeypatch.setattr(sys, "argv", ["program", f"--{one}", COMMANDS[one], f"--{other}", COMMANDS[other]])
    with pytest.raises(UserError, match=f"--({one}|{other}) and --({one}|{other}) do not go together: give one of them"):
        selfsupervised_denoising.main()


def names_for(command: str) -> set[str]:
    return {name for name, field in FIELDS.items() if command in option_of(field).commands}


def test_what_a_command_is_told_is_for_it():
    told = {
        "train": (TrainingOptions, DataOptions, RunOptions, Layout),
        "eval": (EvaluationOptions, JudgingOptions, DataOptions, RunOptions, Layout),
        "denoise": (DenoisingOptions,),
        "learn": (LearningOptions,),
        "export": (ExportOptions,),
    }
    not_for_evaluation = {"resume", "workers", "task", "worker_timeout", "open_ports"}
    for command, owners in told.items():
        names = {command} | {field.name for owner in owners for field in option_fields(owner)}
        assert names_for(command) == names - (not_for_evaluation if command == "eval" else set()), command


def test_what_a_resumed_run_is_compared_by():
    """The keys that states have: a state that was written before must still be resumed."""
    keys = set(TrainingOptions().fixed_on_resume("gauss25-n2c", "f00d", "kodak"))
    assert keys == {
        "train", "train_h5", "validation_set", "num_iter", "minibatch_size", "learning_rate", "train_resolution",
        "init", "noise_init", "precision", "hole_size", "seed",
        "recipe", "optimizer", "beta1", "beta2", "rate_shape", "clip_norm", "noise_rate", "end_resolution",
    }  # fmt: skip
    assert keys == {name for name in names_for("train") if not option_of(FIELDS[name]).free_on_resume}


def test_the_list_of_options_is_that_of_the_program():
    root = Path(selfsupervised_denoising.__file__).parent
    spec = importlib.util.spec_from_file_location("list_options", root / "tools" / "list_options.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (root / "docs" / "options.md").read_text("utf-8")
    assert written == module.text(), "run: python tools/list_options.py > docs/options.md"
