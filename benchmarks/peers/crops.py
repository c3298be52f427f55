"""Makes a picture to look at: details of noisy pictures, of what each method made of them, and of the clean ones, magnified.

  python benchmarks/peers/crops.py --noisy noisy --clean clean --results "N2V2=results/n2v2" "denoised=results/ours" \\
      --crops NAME:200:120 OTHER_NAME:64:300 --out crops.png

Each crop is a row: the picture's name without its suffix, and the left and upper edge in pixels. None is in this repository:
PolyU's licence (the data set's License.txt) lets its pictures be given away for non-commercial purposes only.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from benchmarks.peers.measuring import matched  # noqa: E402
from dnnlib.denoising.pictures.images import read_image, write_image  # noqa: E402
from dnnlib.errors import UserError, run_script  # noqa: E402

SIDE, TIMES, GAP, HEAD = 96, 3, 6, 24  # pixels of a crop, how much larger each is shown, between them, and for the names


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the pictures, and writes their details."""
    args = command_line().parse_args(argv)
    columns = {"noisy": args.noisy} | dict(map(_named, args.results)) | {"clean": args.clean}
    write_image(args.out, sheet(columns, [_crop(text) for text in args.crops]))


def command_line() -> argparse.ArgumentParser:
    """Makes the parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noisy", type=Path, required=True, metavar="DIR", help="the noisy pictures")
    parser.add_argument("--clean", type=Path, required=True, metavar="DIR", help="the clean ones")
    parser.add_argument("--results", nargs="+", default=[], metavar="NAME=DIR", help="what methods made of them")
    parser.add_argument("--crops", nargs="+", required=True, metavar="PICTURE:X:Y", help="which details")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .png or .jpg")
    return parser


def sheet(columns: Mapping[str, Path], crops: Sequence[tuple[str, int, int]]) -> np.ndarray:
    """Returns the picture, uint8 [H,W,3]: a row for each crop, a column for each folder, named above.

    columns: folders of the same pictures, by what stands above them.
    crops: names of pictures without suffix, and the left and upper edge.

    Raises UserError for pictures that are not there, and for crops beyond their edges.
    """
    paths = dict(matched(*columns.values()))
    step = SIDE * TIMES + GAP
    found = np.full((HEAD + step * len(crops), step * len(columns) - GAP, 3), 255, np.uint8)
    for row, (name, x, y) in enumerate(crops):
        if name not in paths:
            raise UserError(f"--crops: there is no picture {name}")
        for column, path in enumerate(paths[name]):
            part = read_image(path)[y : y + SIDE, x : x + SIDE]
            if min(x, y) < 0 or part.shape[:2] != (SIDE, SIDE):
                raise UserError(f"--crops: {name}:{x}:{y} is not all within {path}; a crop has {SIDE} pixels a side")
            top, left = HEAD + row * step, column * step
            larger = part.repeat(TIMES, axis=0).repeat(TIMES, axis=1)
            found[top : top + SIDE * TIMES, left : left + SIDE * TIMES] = larger
    canvas = Image.fromarray(found)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(16)
    for column, name in enumerate(columns):
        draw.text((column * step + 4, 2), name, fill=(0, 0, 0), font=font)
    return np.asarray(canvas)


def _named(text: str) -> tuple[str, Path]:
    """Takes 'NAME=DIR' apart."""
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise UserError(f"--results {text}: give NAME=DIR")
    return name, Path(folder)


def _crop(text: str) -> tuple[str, int, int]:
    """Takes 'PICTURE:X:Y' apart."""
    name, *edges = text.rsplit(":", 2)
    if len(edges) != 2 or not all(edge.isdecimal() for edge in edges):
        raise UserError(f"--crops {text}: give PICTURE:X:Y, of whole numbers")
    return name, int(edges[0]), int(edges[1])


if __name__ == "__main__":
    run_script(main)
