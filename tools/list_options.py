#!/usr/bin/env python3
"""Prints docs/options.md: all options of selfsupervised_denoising.py, as their declarations say them."""

import sys
from dataclasses import Field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dnnlib.denoising.options import OPTION_CLASSES  # noqa: E402
from dnnlib.option_fields import declared_fields, default_text, flag_of, option_of  # noqa: E402

HEAD = """\
# Options of `selfsupervised_denoising.py`

Made by `python tools/list_options.py > docs/options.md` from the declarations in `dnnlib/denoising/options.py`,
`dnnlib/denoising/data_options.py` and `dnnlib/tflib/layout.py`. Given with another command than those in its row, an
option is refused. A run that is resumed must be given the same value again of each option that is marked *fixed*. What is
"listed below" is so at the end of `--help`.
"""


def text() -> str:
    """Returns the page: a table for each group of options."""
    groups: dict[str, list[str]] = {}
    for field in declared_fields(OPTION_CLASSES):
        groups.setdefault(option_of(field).group, []).append(row(field))
    head = "| option | meaning | default | for | resumed |\n| --- | --- | --- | --- | --- |"
    tables = ["\n".join([f"\n## {title[0].upper()}{title[1:]}\n", head, *rows]) for title, rows in groups.items()]
    return "\n".join([HEAD.rstrip("\n"), *tables]) + "\n"


def row(field: Field) -> str:
    """Returns the row of an option."""
    option = option_of(field)
    flags = ", ".join(filter(None, [option.short, flag_of(field)]))
    commands = " ".join(f"`--{command}`" for command in option.commands)
    fixed = "fixed" if "train" in option.commands and not option.free_on_resume else ""
    cells = [f"`{flags}{f' {option.metavar}' if option.metavar else ''}`", option.help, default_text(field), commands, fixed]
    return f"| {' | '.join(cell or '' for cell in cells)} |"


if __name__ == "__main__":
    print(text(), end="")
