#!/usr/bin/env python3
"""What is said of noise whose correlation is known: short trainings on white and on correlated noise, a row of figures each.

    python benchmarks/whiteness.py --clean FOLDER --out FOLDER --csv benchmarks/whiteness.csv

corrupts the middle 256x256 pixels of twenty clean pictures for each case, by the noise of NOISES, and packs them as a user
would. A network that comes with the program is trained on them for minutes with a blind spot of one pixel, and what it
leaves over of those that are held out is judged. A case is a folder in --out, and a row of --csv; what is there is
not made again. The limits of `evaluation/whiteness.py` were learned from the cases of LEARNED; those of HELD_OUT, of other
pictures, levels and seeds, tell how often they are right. docs/real-noise.md has the figures.
"""

import argparse
import csv
import io
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import convolve1d

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dnnlib.denoising.evaluation.needed_hole import needed_hole  # noqa: E402
from dnnlib.denoising.evaluation.whiteness import NAMES, Whiteness  # noqa: E402
from dnnlib.denoising.noise.correlation import NoiseCorrelation, noise_correlation  # noqa: E402
from dnnlib.denoising.noise.estimation import of_patches  # noqa: E402
from dnnlib.denoising.pictures.images import read_image, to_float  # noqa: E402
from dnnlib.denoising.pictures.search import pictures_in  # noqa: E402
from dnnlib.errors import UserError, run_script  # noqa: E402
from dnnlib.files import atomic_write, write_text  # noqa: E402

SIDE = 256  # pixels of the pictures
PICTURES = 20  # of a case
HOLDOUT = 0.25  # share of them to judge on
NETWORK = "gauss25-blindspot-sigma_known"  # to start from
GAUSS, POISSON = "real_gauss-blindspot-sigma_global", "real_poisson-blindspot-sigma_global"


# --- the noise


def gauss(clean: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    """Adds white noise of sigma `level`, of 255, to a picture [H,W,3] on the scale [0, 1], as all of NOISES do."""
    return clean + level / 255 * random.standard_normal(clean.shape)


def poisson(clean: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    """Counts photons, `level` where it is white."""
    return random.poisson(clean * level) / level


def blurred(*taps: float, axes: tuple[int, ...] = (0, 1)) -> Callable:
    """Returns what adds noise that was blurred by a kernel along rows, columns or both, and has sigma `level` afterwards."""
    kernel = np.array(taps) / np.linalg.norm(taps)

    def corrupt(clean: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
        noise = random.standard_normal(clean.shape)
        for axis in axes:
            noise = convolve1d(noise, kernel, axis, mode="wrap")
        return clean + level / 255 * noise

    return corrupt


def demosaiced(clean: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    """Adds white noise, keeps of each pixel what an RGGB sensor sees, and interpolates the rest bilinearly."""
    return bilinear_rggb(gauss(clean, level, random))


def bilinear_rggb(picture: np.ndarray) -> np.ndarray:
    """Returns a picture [H,W,3], H and W even, as it comes out of an RGGB sensor and bilinear demosaicing."""
    seen = np.zeros(picture.shape[:2] + (3,))
    seen[::2, ::2, 0] = seen[::2, 1::2, 1] = seen[1::2, ::2, 1] = seen[1::2, 1::2, 2] = 1

    def spread(values: np.ndarray) -> np.ndarray:
        return convolve1d(convolve1d(values, [1, 2, 1], 0, mode="mirror"), [1, 2, 1], 1, mode="mirror")

    # A weighted mean of what is seen around: of red and blue the two or four nearest; of green a cross of four.
    mean = spread(seen * picture) / spread(seen)
    green, cross = seen[..., 1] * picture[..., 1], np.array([1.0, 0.0, 1.0])
    mean[..., 1] = (convolve1d(green, cross, 0, mode="mirror") + convolve1d(green, cross, 1, mode="mirror")) / 4
    return np.where(seen > 0, picture, mean)


NOISES = {
    "white Gaussian": gauss,
    "white Poisson": poisson,
    "blurred (1, 4, 1)": blurred(1, 4, 1),
    "blurred (1, 2, 1)": blurred(1, 2, 1),
    "blurred (1, 4, 6, 4, 1)": blurred(1, 4, 6, 4, 1),
    "rows blurred (1, 2, 1)": blurred(1, 2, 1, axes=(1,)),
    "demosaiced": demosaiced,
    "JPEG of quality 90": gauss,  # what comes after is a matter of the file
}


class Case(NamedTuple):
    """Holds what one training is made of."""

    noise: str  # one of NOISES
    level: float  # sigma of 255; of Poisson noise lambda
    pictures: int  # number of the set of clean ones
    seed: int  # of the noise and of the training
    hole: int = 1  # side of the blind spot in pixels

    @property
    def name(self) -> str:
        """Returns the name of the folder of its pictures."""
        words = "".join(c if c.isalnum() else " " for c in self.noise).split()
        return f"{'-'.join(words)}-{self.level:g}-{self.pictures}-{self.seed}"

    @property
    def shared(self) -> bool:
        """Tells whether neighbours share so much noise that a larger blind spot helps.

        In a JPEG of quality 90 they share that of the colours alone; there a blind spot of 3 was worse than one of 1.
        """
        return not self.noise.startswith(("white", "JPEG"))

    @property
    def suffix(self) -> str:
        """Returns that of the files that the pictures are kept in."""
        return ".jpg" if self.noise.startswith("JPEG") else ".npy"


LEARNED = [
    Case("white Gaussian", 10, 5, 12),
    Case("JPEG of quality 90", 10, 4, 5),
    Case("blurred (1, 2, 1)", 10, 1, 2),
    Case("white Poisson", 30, 6, 7),
    Case("demosaiced", 10, 2, 3),
    Case("blurred (1, 4, 1)", 25, 0, 9),
    Case("white Gaussian", 5, 1, 8),
    Case("blurred (1, 4, 6, 4, 1)", 10, 5, 6),
    Case("white Gaussian", 25, 3, 4),
    Case("demosaiced", 25, 4, 10),
]
HELD_OUT = [
    Case("white Gaussian", 7, 7, 21),
    Case("blurred (1, 4, 1)", 15, 9, 29),
    Case("demosaiced", 15, 9, 23),
    Case("white Gaussian", 5, 11, 32),
    Case("blurred (1, 2, 1)", 15, 8, 22),
    Case("white Poisson", 60, 13, 27),
    Case("blurred (1, 4, 6, 4, 1)", 15, 12, 26),
    Case("JPEG of quality 90", 15, 11, 25),
    Case("rows blurred (1, 2, 1)", 15, 7, 31),
    Case("white Gaussian", 20, 10, 24),
]
HOLES = [
    Case("JPEG of quality 90", 10, 4, 5, 3),
    Case("blurred (1, 4, 6, 4, 1)", 10, 5, 6, 3),
    Case("blurred (1, 4, 6, 4, 1)", 10, 5, 6, 5),
    Case("blurred (1, 2, 1)", 10, 1, 2, 3),
    Case("blurred (1, 2, 1)", 10, 1, 2, 5),
]
HALVES = {"learned": LEARNED, "held out": HELD_OUT, "holes": HOLES}
# More of them, for what needs no training: each kind of noise at levels and on pictures of which no half has another's.
LEVELS = {"learned": {"white Poisson": (30, 300)}, "held out": {"white Poisson": (60, 150)}}
OTHER_LEVELS = {"learned": (3, 10, 25), "held out": (5, 15, 40)}
SETS = {"learned": (0, 2, 4), "held out": (7, 9, 13)}
MANY = {
    half: [
        Case(noise, level, pictures, 100 + pictures)
        for noise in NOISES
        for level in LEVELS[half].get(noise, OTHER_LEVELS[half])
        for pictures in SETS[half]
    ]
    for half in SETS
}
WITNESSES = ["noise_h1", "noise_h2", "noise_h3", "noise_h4", "noise_v1", "noise_v2", "noise_v3", "noise_v4"]
BEFORE = [f"start_{name}" for name in NAMES]  # of the network that it begins with
PSNRS = [f"valid_psnr_{of}" for of in ("noisy", "mu", "pme")]
COLUMNS = ["half", *Case._fields, "shared", "haar_ratio", *WITNESSES, *BEFORE, *NAMES, *PSNRS]


def main() -> None:
    """Trains all that is not there yet, and prints how often what is said is right."""
    args = command_line().parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    cases, of = (MANY, witnesses) if args.untrained else (HALVES, figures)
    # A case of each half in turn, so that what was stopped early tells of all.
    chosen = [[(half, case) for case in cases.get(half, [])] for half in args.halves]
    rows = []
    for half, case in filter(None, itertools.chain(*itertools.zip_longest(*chosen))):
        rows.append({"half": half, **rounded(of(args, case))})
        if args.csv:
            write_rows(args.csv, rows)
    print(summary(rows))


def command_line() -> argparse.ArgumentParser:
    """Makes the parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=Path, required=True, metavar="DIR", help="clean pictures, 280 at least")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the cases go")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="where the rows go (default: they are only printed)")
    parser.add_argument("--untrained", action="store_true", help="other cases, many, of what can be told without a training")
    parser.add_argument("--halves", nargs="+", default=list(HALVES), choices=list(HALVES), help="cases (default: all)")
    parser.add_argument("--num-iter", type=int, default=200, metavar="N", help="images of a training (default: 200)")
    parser.add_argument("--train-resolution", type=int, default=64, metavar="PX", help="side of the crops (default: 64)")
    return parser


# --- a case


def clean_pictures(args, number: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the names and the middles of the pictures of a set, float [SIDE,SIDE,3] on the scale [0, 1].

    Raises UserError for a folder of too few.
    """
    found = [Path(path) for path in pictures_in(args.clean)]
    order = np.random.default_rng(0).permutation(len(found))[number * PICTURES :][:PICTURES]
    if len(order) < PICTURES:
        raise UserError(f"--clean {args.clean}: holds {len(found)} pictures, too few for {number + 1} sets of {PICTURES}")
    for index in order:
        picture = to_float(read_image(found[index])).astype(np.float64)
        top, left = ((size - SIDE) // 2 for size in picture.shape[:2])
        yield found[index].stem, picture[top : top + SIDE, left : left + SIDE]


def corrupted(case: Case, clean: np.ndarray, number: int) -> bytes:
    """Returns the file of picture `number` of a case, with its noise: a float array or a JPEG."""
    noisy = NOISES[case.noise](clean, case.level, np.random.default_rng([case.seed, number]))
    file = io.BytesIO()
    if case.suffix == ".jpg":
        Image.fromarray(np.rint(255 * noisy.clip(0, 1)).astype(np.uint8)).save(file, "JPEG", quality=90)
    else:
        np.save(file, noisy.astype(np.float32))
    return file.getvalue()


def folders(args, case: Case) -> tuple[Path, Path]:
    """Makes the noisy and the clean pictures of a case, and returns their folders."""
    noisy, clean = (args.out / case.name / name for name in ("noisy", "clean"))
    for folder in (noisy, clean):
        folder.mkdir(parents=True, exist_ok=True)
    for number, (name, picture) in enumerate(clean_pictures(args, case.pictures)):
        with atomic_write(noisy / f"{name}{case.suffix}") as file:
            file.write(corrupted(case, picture, number))
        with atomic_write(clean / f"{name}{case.suffix}") as file:  # what kind of file it is its first bytes tell
            if case.suffix == ".jpg":
                Image.fromarray(np.rint(255 * picture).astype(np.uint8)).save(file, "PNG")
            else:
                np.save(file, picture.astype(np.float32))
    return noisy, clean


def noisy_pictures(args, case: Case) -> np.ndarray:
    """Returns the noisy pictures of a case, on the scale [0, 1]: [N,H,W,3]."""
    files = [corrupted(case, *picture) for picture in numbered(clean_pictures(args, case.pictures))]
    if case.suffix == ".jpg":
        return np.stack([np.asarray(Image.open(io.BytesIO(file))) / 255 for file in files])
    return np.stack([np.load(io.BytesIO(file)) for file in files])


def numbered(pictures: Iterator[tuple[str, np.ndarray]]) -> Iterator[tuple[np.ndarray, int]]:
    """Yields the pictures with their numbers."""
    return ((picture, number) for number, (_, picture) in enumerate(pictures))


def trained(args, case: Case) -> list[dict]:
    """Trains, unless that is done already, and returns the records of the validations at its start and at its end."""
    folder = args.out / case.name / f"{args.train_resolution}-{args.num_iter}-hole{case.hole}"
    if not list(folder.glob("[0-9]*/network-final-*.pickle")):
        noisy, clean = folders(args, case)
        shard = args.out / case.name / "shard.h5"
        scale = [] if case.suffix == ".jpg" else ["--white=1"]
        if not shard.exists():
            call("dataset_tool_h5.py", "--noisy", f"--input-dir={noisy}", f"--out={shard}", f"--holdout={HOLDOUT}", *scale)
        configuration = POISSON if case.noise == "white Poisson" else GAUSS
        options = ["--noise-init=estimate", "--recipe=fast", "--learning-rate=5e-4", "--num-gpus=0", f"--seed={case.seed}"]
        options += [f"--train-resolution={args.train_resolution}", f"--num-iter={args.num_iter}", f"--init={NETWORK}"]
        options += [f"--hole-size={case.hole}", f"--reference-dir={clean}", f"--eval-interval={args.num_iter}"]
        options += [f"--result-dir={folder}", "--resume=auto"]
        call("selfsupervised_denoising.py", f"--train={configuration}", f"--train-h5={shard}", *options)
    (network,) = folder.glob("[0-9]*/network-final-*.pickle")
    records = map(json.loads, (network.parent / "stats.jsonl").read_text().splitlines())
    validated = [record for record in records if "valid_nll" in record]
    return [validated[0], validated[-1]]


def figures(args, case: Case) -> dict:
    """Trains, and returns the row of a case, without its half."""
    start, end = trained(args, case)
    row = witnesses(args, case)
    row |= {f"start_{name}": start.get(name, "") for name in NAMES} | {name: end.get(name, "") for name in [*NAMES, *PSNRS]}
    return row


def witnesses(args, case: Case) -> dict:
    """Returns what the noisy pictures of a case tell without a training."""
    noisy = noisy_pictures(args, case)
    row = {**case._asdict(), "shared": case.shared, "haar_ratio": haar_ratio(noisy)}
    return row | dict(zip(WITNESSES, itertools.chain(*noise_correlation(noisy)), strict=True))


def rounded(row: dict) -> dict:
    """Returns a row with its figures to three digits after the point."""
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}


def haar_ratio(images: np.ndarray) -> float:
    """Returns how many times as strong as those of one pixel diagonal Haar coefficients of two are, in the flattest three of
    ten patches of 32 x 32: by 2 the program told shared noise before it had `noise_correlation`.

    images: [N,H,W,C].
    """

    def of(patch: np.ndarray, step: int) -> float:
        height, width, channels = patch.shape
        sums = patch.reshape(height // step, step, width // step, step, channels).sum(axis=(1, 3)) / step
        return float(np.mean((sums[::2, ::2] - sums[::2, 1::2] - sums[1::2, ::2] + sums[1::2, 1::2]) ** 2))

    stacked = images.reshape(-1, *images.shape[2:]).astype(np.float64)
    one, two = of_patches(stacked, 32, lambda patch: (of(patch, 1), of(patch, 2))).T
    flat = (two <= np.quantile(two, 0.3)) & (one > 0)
    return float(np.sqrt(np.median(two[flat] / one[flat])))


def call(script: str, *options: str) -> None:
    """Runs one of our scripts, shown as one would type it."""
    print(f"$ python {script} {' '.join(options)}", flush=True)
    status = subprocess.run([sys.executable, ROOT / script, *options], check=False).returncode
    if status:
        raise UserError(f"{script} ended with status {status}; what it printed says why")


def write_rows(path: Path, rows: list[dict]) -> None:
    """Writes the rows as CSV, with the columns that they have."""
    text = io.StringIO()
    columns = [name for name in COLUMNS if any(name in row for row in rows)]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def as_measured(row: dict) -> tuple[NoiseCorrelation, Whiteness]:
    """Returns the correlations of the noise, and those of what the network left over (NaN without a training)."""
    values = [float(row[name]) for name in WITNESSES]
    residual = {name: float(row[name]) for name in NAMES if row.get(name, "") != ""}
    return NoiseCorrelation(tuple(values[:4]), tuple(values[4:])), Whiteness.of(residual)


def verdicts(row: dict) -> dict[str, bool]:
    """Returns what each witness says of a row: whether the noise is correlated."""
    noise, residual = as_measured(row)
    found = {"Haar coefficients": float(row["haar_ratio"]) > 2, "the noisy pictures": needed_hole(noise) != 1}
    if residual.judged:
        said = (residual.advice(row["hole"]) or "").startswith("The noise is correlated")
        found |= {"the residual": said, "one of the last two": said or found["the noisy pictures"]}
    return found


def summary(rows: list[dict]) -> str:
    """Returns a table of the rows in Markdown, and how often each witness is right in each half."""
    lines = [
        "| | noise | level | hole | Haar | noise at 1, 2, 3 pixels: rows; columns | hole it needs "
        "| residual at 1, 2, 3 pixels: rows; columns | psnr: noisy, mean, result |",
        "| " + " | ".join(["---"] * 9) + " |",
    ]
    for row in rows:
        noise, residual = as_measured(row)
        cells = [row["half"], row["noise"], f"{row['level']:g}", str(row["hole"]), f"{float(row['haar_ratio']):.2f}"]
        cells += [of_both(noise), str(needed_hole(noise)), of_both(residual) if residual.judged else ""]
        cells.append(", ".join(f"{row[name]:.2f}" for name in PSNRS if row.get(name, "") != ""))
        lines.append("| " + " | ".join(cells) + " |")
    for half in HALVES:
        judged = [(row["shared"], verdicts(row)) for row in rows if row["half"] == half and row["hole"] == 1]
        for witness in dict.fromkeys(itertools.chain(*(found for _, found in judged))):
            right = [found[witness] == shared for shared, found in judged if witness in found]
            lines.append(f"{half}: {witness} right {sum(right)} of {len(right)}")
    return "\n".join(lines)


def of_both(correlations: NoiseCorrelation | Whiteness) -> str:
    """Returns those at three lags along rows, then along columns."""
    return "; ".join(", ".join(f"{value:.2f}" for value in values[:3]) for values in correlations)


if __name__ == "__main__":
    run_script(main)
