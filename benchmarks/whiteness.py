#!/usr/bin/env python3
"""What is said of noise whose correlation is known: short trainings on white and on correlated noise, a row of figures each.

    python benchmarks/whiteness.py --clean FOLDER --out FOLDER

corrupts the middle 256x256 pixels of twenty clean pictures for each case, by the noise of NOISES, and packs them as a user
would. A network that comes with the program is trained on them for minutes with a blind spot of one pixel, and what it
leaves over of those that are held out is judged. A case is a folder in --out, and a row of --csv; what is there is not
made again. The limits of `evaluation/whiteness.py` were learned from the cases of LEARNED; those of HELD_OUT, of other
pictures, levels and seeds, tell how often they are right. docs/real-noise.md has the figures.
"""

import argparse
import csv
import io
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import convolve1d

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dnnlib.denoising.evaluation.whiteness import NAMES  # noqa: E402
from dnnlib.denoising.noise.correlation import noise_correlation  # noqa: E402
from dnnlib.denoising.noise.estimation import of_patches  # noqa: E402
from dnnlib.denoising.pictures.images import read_image, to_float  # noqa: E402
from dnnlib.denoising.pictures.search import pictures_in  # noqa: E402
from dnnlib.errors import UserError, run_script  # noqa: E402
from dnnlib.files import atomic_write, write_text  # noqa: E402

CSV = ROOT / "benchmarks" / "whiteness.csv"
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
    def white(self) -> bool:
        """Tells whether neighbours share nothing."""
        return self.noise.startswith("white")

    @property
    def suffix(self) -> str:
        """Returns that of the files that the pictures are kept in."""
        return ".jpg" if self.noise.startswith("JPEG") else ".npy"


LEARNED = [
    Case("white Gaussian", 10, 5, 12),
    Case("JPEG of quality 90", 10, 4, 5),
    Case("blurred (1, 2, 1)", 10, 1, 2),
    Case("demosaiced", 10, 2, 3),
    Case("white Poisson", 30, 6, 7),
    Case("blurred (1, 4, 1)", 25, 0, 9),
    Case("white Gaussian", 25, 3, 4),
    Case("blurred (1, 4, 6, 4, 1)", 10, 5, 6),
    Case("white Gaussian", 5, 1, 8),
    Case("demosaiced", 25, 4, 10),
]
HELD_OUT = [
    Case("white Gaussian", 7, 7, 21),
    Case("blurred (1, 4, 1)", 15, 9, 29),
    Case("demosaiced", 15, 9, 23),
    Case("blurred (1, 2, 1)", 15, 8, 22),
    Case("white Poisson", 60, 13, 27),
    Case("blurred (1, 4, 6, 4, 1)", 15, 12, 26),
    Case("JPEG of quality 90", 15, 11, 25),
    Case("white Gaussian", 5, 11, 32),
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
WITNESSES = ["noise_h1", "noise_h2", "noise_h3", "noise_h4", "noise_v1", "noise_v2", "noise_v3", "noise_v4"]
BEFORE = [f"start_{name}" for name in NAMES]  # of the network that it begins with
PSNRS = [f"valid_psnr_{of}" for of in ("noisy", "mu", "pme")]
COLUMNS = ["half", *Case._fields, "white", "haar_ratio", *WITNESSES, *BEFORE, *NAMES, *PSNRS]


def main() -> None:
    """Trains all that is not there yet, and prints how often what is said is right."""
    args = command_line().parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    # A case of each half in turn, so that what was stopped early tells of all.
    chosen = [[(half, case) for case in HALVES[half]] for half in args.halves]
    rows = []
    for half, case in filter(None, itertools.chain(*itertools.zip_longest(*chosen))):
        rows.append({"half": half, **figures(args, case)})
        write_rows(args.csv, rows)
    print(summary(rows))


def command_line() -> argparse.ArgumentParser:
    """Makes the parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=Path, required=True, metavar="DIR", help="clean pictures, 280 at least")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the cases go")
    parser.add_argument("--csv", type=Path, default=CSV, metavar="FILE", help="where the rows go (default: %(default)s)")
    parser.add_argument("--halves", nargs="+", default=list(HALVES), choices=list(HALVES), help="cases (default: all)")
    parser.add_argument("--num-iter", type=int, default=200, metavar="N", help="images of a training (default: 200)")
    parser.add_argument("--train-resolution", type=int, default=64, metavar="PX", help="side of the crops (default: 64)")
    return parser


# --- a case


def folders(args, case: Case) -> tuple[Path, Path]:
    """Makes the noisy and the clean pictures of a case, and returns their folders.

    Raises UserError for a folder of too few clean ones.
    """
    noisy, clean = (args.out / case.name / name for name in ("noisy", "clean"))
    found = [Path(path) for path in pictures_in(args.clean)]
    order = np.random.default_rng(0).permutation(len(found))[case.pictures * PICTURES :][:PICTURES]
    if len(order) < PICTURES:
        raise UserError(f"--clean {args.clean}: holds {len(found)} pictures, too few for a set of {PICTURES} for each case")
    for number, index in enumerate(order):
        name = found[index].stem + case.suffix
        if (noisy / name).exists() and (clean / name).exists():
            continue
        picture = to_float(read_image(found[index])).astype(np.float64)
        top, left = ((size - SIDE) // 2 for size in picture.shape[:2])
        picture = picture[top : top + SIDE, left : left + SIDE]
        write(clean / name, picture, quality=100)
        write(noisy / name, NOISES[case.noise](picture, case.level, np.random.default_rng([case.seed, number])), quality=90)
    return noisy, clean


def write(path: Path, picture: np.ndarray, quality: int) -> None:
    """Writes a picture on the scale [0, 1] as floats or, with its suffix, as a JPEG of a quality, of which 100 stands for a
    file without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        if path.suffix == ".npy":
            np.save(file, picture.astype(np.float32))
            return
        image = Image.fromarray(np.rint(255 * picture.clip(0, 1)).astype(np.uint8))
        if quality == 100:
            image.save(file, "PNG")  # which a file is its first bytes tell
        else:
            image.save(file, "JPEG", quality=quality)


def read(folder: Path) -> np.ndarray:
    """Reads the noisy pictures of a case, on the scale [0, 1]: [N,H,W,3]."""
    paths = sorted(folder.iterdir())
    return np.stack([np.load(path) if path.suffix == ".npy" else to_float(read_image(path)) for path in paths])


def trained(args, case: Case) -> list[dict]:
    """Trains, unless that is done already, and returns the records of the validations at its start and at its end."""
    noisy, clean = folders(args, case)
    folder = args.out / case.name / f"{args.train_resolution}-{args.num_iter}-hole{case.hole}"
    if not list(folder.glob("[0-9]*/network-final-*.pickle")):
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
    noisy = read(folders(args, case)[0])
    row = {**case._asdict(), "white": case.white, "haar_ratio": haar_ratio(noisy)}
    row |= dict(zip(WITNESSES, itertools.chain(*noise_correlation(noisy)), strict=True))
    row |= {f"start_{name}": start.get(name, "") for name in NAMES} | {name: end.get(name, "") for name in [*NAMES, *PSNRS]}
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
    """Writes the rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def summary(rows: list[dict]) -> str:
    """Returns how many of each half are judged right, by the network's residual and by Haar coefficients alone."""
    return str(len(rows))


if __name__ == "__main__":
    run_script(main)
