"""Options as fields of dataclasses: each is declared once, and parser, checks and comparisons follow from the declaration.

    @dataclass(frozen=True)
    class Settings:
        steps: int = option(100, "length of the run", metavar="N", at_least=1, group="run", commands=("train",))

A field's name, type and default are the option's. No NumPy here: `--help` and wrong command lines are answered at once.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dnnlib.errors import UserError

REQUIRED = dataclasses.MISSING  # the default of an option that must be given
_KEY = "option"  # of the fields' metadata
_KINDS = (str, int, float, bool)

T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """Holds what a field's declaration says of an option beside the field's own name, type and default.

    help: a phrase that says what it is.
    metavar: what stands for the value in `--help`.
    group: title of its group there.
    commands: names of the commands that it is for.
    default_text: what `--help` calls the default, where that is not the field's own.
    choices, at_least, at_most, positive (and finite): what the value may be.
    must_be: a better text for what these say.
    missing: the remedy to name where it is required and not given.
    free_on_resume: whether a resumed run may change it.
    in_older_runs: its value in runs of before there was the option.
    flag, short: on the command line, where it is not the field's name with dashes, or not that alone.
    parse, nargs, const: as argparse has them, where they do not follow from the field's type.
    shared: whether it is declared in another dataclass, and this is a second use of it.
    """

    help: str
    metavar: str | None = None
    group: str = "options"
    commands: tuple[str, ...] = ()
    default_text: str | None = None
    choices: Sequence | None = None
    at_least: float | None = None
    at_most: float | None = None
    positive: bool = False
    must_be: str | None = None
    missing: str = "give it"
    free_on_resume: bool = False
    in_older_runs: Any = None
    flag: str | None = None
    short: str | None = None
    parse: Callable[[str], Any] | None = None
    nargs: str | None = None
    const: Any = None
    shared: bool = False

    def allows(self, value: Any) -> bool:
        """Tells whether the value is among the choices and within the bounds; NaN is within none."""
        if self.choices is not None and value not in self.choices:
            return False
        if self.positive and not 0 < value < math.inf:
            return False
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)

    @property
    def requirement(self) -> str:
        """Returns what the value must be, in words."""
        if self.must_be is not None:
            return self.must_be
        if self.choices is not None and all(isinstance(choice, str) for choice in self.choices):
            *others, last = self.choices
            return f"{', '.join(others)} or {last}"
        if self.choices is not None:
            return f"one of {', '.join(map(str, self.choices))}"
        if self.positive:
            return "a positive number"
        if self.at_least is not None and self.at_most is not None:
            return f"from {self.at_least} to {self.at_most}"
        if self.at_least is not None:
            return f"at least {self.at_least}"
        raise ValueError(f"an option with neither choices, bounds nor must_be: {self.help}")


def option(default: Any, help: str, **declared: Any) -> Any:
    """Declares an option as a field of a dataclass.

    default: what the field is where nothing is given. None: to be found out later. REQUIRED: it must be given.
    help: what the option is.
    declared: the other attributes of Option.
    """
    return dataclasses.field(default=default, metadata={_KEY: Option(help, **declared)})


def shared(owner: type, name: str, default: Any) -> Any:
    """Makes a field of an option that another dataclass declares: the same in all but the default.

    owner, name: the dataclass and the field that declare it; default: as for `option`.
    """
    (found,) = (field for field in option_fields(owner) if field.name == name)
    return dataclasses.field(default=default, metadata={_KEY: dataclasses.replace(option_of(found), shared=True)})


def option_fields(owner: Any) -> list[dataclasses.Field]:
    """Returns the fields of a dataclass, or of an object of one, that are options."""
    return [field for field in dataclasses.fields(owner) if _KEY in field.metadata]


def declared_fields(classes: Iterable[type]) -> list[dataclasses.Field]:
    """Returns the fields of the dataclasses that declare options, each option once."""
    return [field for owner in classes for field in option_fields(owner) if not option_of(field).shared]


def option_of(field: dataclasses.Field) -> Option:
    """Returns the declaration that a field carries."""
    return field.metadata[_KEY]


def flag_of(field: dataclasses.Field) -> str:
    """Returns the name of a field on the command line, e.g. `--num-iter`."""
    return option_of(field).flag or flag_named(field.name)


def flag_named(name: str) -> str:
    """Returns the name on the command line of a field of which only the name is known."""
    return f"--{name.replace('_', '-')}"


def kind_of(field: dataclasses.Field) -> type:
    """Returns the type of a field's values: str, int, float or bool. Raises TypeError for what has no such."""
    union = typing.get_origin(field.type) in (types.UnionType, typing.Union)
    kinds = [kind for kind in typing.get_args(field.type) if kind is not types.NoneType] if union else [field.type]
    if len(kinds) == 1 and kinds[0] in _KINDS:
        return kinds[0]
    raise TypeError(f"{field.name}: an option of the type {field.type} must say how it is parsed")


def default_text(field: dataclasses.Field) -> str | None:
    """Returns what `--help` says of the default; None: nothing."""
    text = option_of(field).default_text
    if text is not None or field.default is REQUIRED or field.default is None or isinstance(field.default, bool):
        return text
    return f"{field.default:g}" if isinstance(field.default, float) else f"{field.default}"


def given_for(owner: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the part of what was given on the command line that is of one dataclass.

    owner: the dataclass; given: values by the names of fields, without those of options that were left out.
    """
    return {field.name: given[field.name] for field in option_fields(owner) if field.name in given}


def resolved(owner: type[T], given: Mapping[str, Any], *presets: Mapping[str, Any]) -> T:
    """Makes the options of a dataclass of what was given, over the presets, over the fields' defaults.

    owner: the dataclass.
    given: as for `given_for`.
    presets: values by the names of fields, a later one over an earlier.

    Raises UserError where an option is missing that must be given.
    """
    values: dict[str, Any] = {}
    for source in (*presets, given_for(owner, given)):
        values |= source
    for field in option_fields(owner):
        if field.default is REQUIRED and field.name not in values:
            raise UserError(f"{flag_of(field)} is missing: {option_of(field).missing}")
    return owner(**values)


def check_values(options: Any) -> None:
    """Raises UserError for the first value of an object's options that its declaration does not allow."""
    for field in option_fields(options):
        value = getattr(options, field.name)
        if value is not None and not option_of(field).allows(value):
            raise UserError(f"{flag_of(field)} {value}: must be {option_of(field).requirement}")


def refuse_others(classes: Iterable[type], given: Mapping[str, Any], command: str) -> None:
    """Raises UserError for the first option that was given and is for other commands.

    classes: the dataclasses that declare the options.
    given: as for `given_for`.
    command: the command that was given.
    """
    for field in declared_fields(classes):
        commands = option_of(field).commands
        if field.name in given and command not in commands:
            owners = " and ".join(f"--{name}" for name in commands)
            raise UserError(f"{flag_of(field)} is for {owners}, not for --{command}: leave it out")


def fixed_on_resume(options: Any) -> dict[str, Any]:
    """Returns the values of an object's options that a resumed run may not change, by the names of the fields."""
    return {f.name: getattr(options, f.name) for f in option_fields(options) if not option_of(f).free_on_resume}


def values_in_older_runs(owner: type) -> dict[str, Any]:
    """Returns what the options of a dataclass were in runs of before there were those options, by the names of fields."""
    found = {field.name: option_of(field).in_older_runs for field in option_fields(owner)}
    return {name: value for name, value in found.items() if value is not None}
