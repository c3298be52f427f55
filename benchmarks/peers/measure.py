"""Measures what methods made of real noisy pictures, all in the same way, and keeps it in results.csv.

  python benchmarks/peers/measure.py --noisy noisy --clean clean --result results/n2v2 --method "N2V2" --machine "..."
  python benchmarks/peers/measure.py --table

The first measures a folder of results, which have the names of the noisy pictures, whatever the suffix, and puts a row into
the table, in place of an older one of that method; without --result it measures the noisy pictures. Results should be PNG: a
JPEG is compressed anew, and loses by that. The processor's seconds are those of seconds.json in the folder, which
the scripts beside this one leave there; those of others are told. The second prints the table as the docs have it.
"""

import argparse
import datetime
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from benchmarks.peers.measuring import NOISY, as_markdown, measure, read_rows, row_of, write_row  # noqa: E402
from dnnlib.errors import UserError, run_script  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results.csv"


def main(argv: list[str] | None = None) -> None:
    """Measures a folder, or prints the table."""
    args = command_line().parse_args(argv)
    if not args.table:
        if None in (args.noisy, args.clean):
            raise UserError("give --noisy and --clean, or --table")
        if args.result and not args.method:
            raise UserError("give --method, the name of the row")
        method = args.method or NOISY
        found = measure(args.noisy, args.clean, args.result or args.noisy)
        write_row(args.out, row_of(method, found, seconds_of(args), args.machine, args.date))
    print(as_markdown(read_rows(args.out)))


def command_line() -> argparse.ArgumentParser:
    """Makes the parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noisy", type=Path, metavar="DIR", help="the noisy pictures")
    parser.add_argument("--clean", type=Path, metavar="DIR", help="the clean ones, of the same names")
    parser.add_argument("--result", type=Path, metavar="DIR", help="what a method made of them (default: the noisy ones)")
    parser.add_argument("--method", metavar="NAME", help="the name of the row")
    parser.add_argument("--train-seconds", type=float, metavar="S", help="of a processor (default: of seconds.json)")
    parser.add_argument("--denoise-seconds", type=float, metavar="S", help="likewise")
    parser.add_argument("--machine", default="", metavar="TEXT", help="what the seconds are of")
    parser.add_argument("--date", default=datetime.date.today().isoformat(), metavar="DAY", help="(default: today)")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="CSV", help="the table (default: beside this script)")
    parser.add_argument("--table", action="store_true", help="print the table, and measure nothing")
    return parser


def seconds_of(args) -> dict[str, float]:
    """Returns the processor's seconds for training and denoising, as far as they are known."""
    seconds, kept = {}, args.result and args.result / "seconds.json"
    if kept and kept.exists():
        seconds |= json.loads(kept.read_text("utf-8"))
    told = {"train": args.train_seconds, "denoise": args.denoise_seconds}
    return seconds | {name: value for name, value in told.items() if value is not None}


if __name__ == "__main__":
    run_script(main)
