#!/usr/bin/env python3
"""Downloads the 24 Kodak images, the default validation set."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from config import kodak
from dnnlib.command_line import CommandLine
from dnnlib.download import check_base_url, download_all
from dnnlib.errors import run_script

EPILOG = """example:
  python download_kodak.py --output-dir datasets/kodak

Files that are there and right are kept, so an interrupted download is simply started again."""


def folder(text: str) -> Path:
    """Reads a folder's name off the command line."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name is not a folder")
    return Path(text)


def base_url(text: str) -> str:
    """Reads the address of a folder off the command line."""
    try:
        return check_base_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def tries(text: str) -> int:
    """Reads a number of tries off the command line."""
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, and downloads what is missing."""
    parser = CommandLine(
        description=f"{__doc__} Each file's SHA-256 is checked.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output-dir", type=folder, metavar="DIR", required=True, help="folder for them, made if missing")
    parser.add_argument(
        "--base-url", type=base_url, metavar="URL", default=kodak.BASE_URL, help="where to fetch from (default: %(default)s)"
    )
    parser.add_argument("--retries", type=tries, metavar="N", default=3, help="tries for each file (default: %(default)s)")
    options = parser.parse_args(arguments)
    download_all(options.output_dir, options.base_url, kodak.SHA256, tries=options.retries, remedy=kodak.REMEDY)


if __name__ == "__main__":
    run_script(main)
