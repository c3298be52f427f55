"""The scripts' argument parser: wrong use is one line and exit status 1, as for every other mistake of a user."""

import argparse
import difflib
from typing import Any, NoReturn

from dnnlib.errors import UserError


class CommandLine(argparse.ArgumentParser):
    """Parses as ArgumentParser does, but raises UserError instead of printing its usage and exiting with status 2.

    Options cannot be abbreviated: a later option would silently change what an abbreviation means.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raises UserError with the message, and a suggestion where there is one."""
        raise UserError(f"{message}{self._suggestion(message)} (see --help)")

    def _suggestion(self, message: str) -> str:
        """Returns `; did you mean --out?` where the message is about an option that looks like one we have."""
        words = message.removeprefix("unrecognized arguments:").split() if message.startswith("unrecognized") else []
        options = [word.split("=")[0] for word in words if word.startswith("--")]
        close = difflib.get_close_matches(options[0], self._option_string_actions, n=1) if options else []
        return f"; did you mean {close[0]}?" if close else ""
