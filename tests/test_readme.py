"""What the README says of the command line is so."""

import re
from pathlib import Path

import pytest

import dataset_tool_h5
import download_kodak
import selfsupervised_denoising

PROGRAM = Path(__file__).resolve().parent.parent
README = (PROGRAM / "README.md").read_text("utf-8")


def test_every_option_exists(capsys):
    known = set(selfsupervised_denoising.command_line()._option_string_actions)
    for script in (dataset_tool_h5, download_kodak):
        with pytest.raises(SystemExit):
            script.main(["--help"])
    known |= set(re.findall(r"--[a-z][a-z0-9-]+", capsys.readouterr().out))
    known |= set(re.findall(r'"(--[a-z-]+)"', (PROGRAM / "tools" / "launch.py").read_text()))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", README)) - known - {"--logdir"} == set()


def test_every_file_it_links_to_exists():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (PROGRAM / target).exists(), target


def test_nothing_was_left_to_fill_in():
    assert not re.search(r"@[A-Z_]+@|TODO|XXX", README)
