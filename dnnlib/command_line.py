"""The scripts' argument parser: wrong use is one line and exit status 1, as for every other mistake of a user."""

import argparse
import dataclasses
import difflib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from dnnlib.errors import UserError
from dnnlib.option_fields import declared_fields, default_text, flag_of, kind_of, option_of


class CommandLine(argparse.ArgumentParser):
    """Parses as ArgumentParser does, but raises UserError instead of printing its usage and exiting with status 2.

    Options cannot be abbreviated: a later option would silently change what an abbreviation means.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def add_options(self, classes: Iterable[type]) -> None:
        """Adds the options that dataclasses declare, in groups by their titles, which come in the order of their first use.

        What is not given is None in the result, whatever the field's default.
        """
        groups: dict[str, argparse._ArgumentGroup] = {}
        for field in declared_fields(classes):
            title = option_of(field).group
            if title not in groups:
                groups[title] = self.add_argument_group(title)
            option = option_of(field)
            flags = [flag_of(field)] if option.short is None else [option.short, flag_of(field)]
            groups[title].add_argument(*flags, dest=field.name, default=None, help=_help(field), **_value(field))

    def parse_given(self, arguments: Sequence[str] | None = None) -> dict[str, Any]:
        """Returns what is given on the command line, by the names of the fields; what is left out is not in it.

        arguments: the words after the program's name; None: those of this process.
        """
        return {name: value for name, value in vars(self.parse_args(arguments)).items() if value is not None}

    def error(self, message: str) -> NoReturn:
        """Raises UserError with the message, and a suggestion where there is one."""
        raise UserError(f"{message}{self._suggestion(message)} (see --help)")

    def _suggestion(self, message: str) -> str:
        """Returns `; did you mean --out?` where the message is about an option that looks like one we have."""
        words = message.removeprefix("unrecognized arguments:").split() if message.startswith("unrecognized") else []
        options = [word.split("=")[0] for word in words if word.startswith("--")]
        close = difflib.get_close_matches(options[0], self._option_string_actions, n=1) if options else []
        return f"; did you mean {close[0]}?" if close else ""


def _help(field: dataclasses.Field) -> str:
    """Returns the help text of an option, with its default, for argparse, to which a percent sign is special."""
    default = default_text(field)
    return (option_of(field).help + (f" (default: {default})" if default else "")).replace("%", "%%")


def _value(field: dataclasses.Field) -> dict[str, Any]:
    """Returns what argparse is to be told of an option's value."""
    option = option_of(field)
    if option.parse is None and kind_of(field) is bool:
        return {"action": "store_true"}
    more = {"nargs": option.nargs, "const": option.const} if option.nargs is not None else {}
    return {"type": option.parse or kind_of(field), "metavar": option.metavar, **more}
