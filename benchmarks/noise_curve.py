"""What a free curve of the noise's variance gains over `gauss` and `poissongauss`, on noise whose truth is known.

Noise is added to clean pictures, which are stored as 16 bits, and a part of them is held out:

  gamma         counted photons, a = 0.01, then x ** (1 / 2.2), clipped to 0 and 1: as of processed pictures
  poissongauss  variance a x + b with a = 0.02, b = 0.0004, not clipped, not processed: as of raw ones
  tone          as gamma, with Gaussian noise of variance 0.0001 among the photons, and then 3 y^2 - 2 y^3 of the result: a
                camera's curve that is steep in the middle, so that black and white have the least noise

The three configurations are trained on each for the same number of images, from the network that comes with the program and
from the estimate of the noise, and measured on what was held out. What is finished is not made again.
"""

import argparse
import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dnnlib.denoising.noise.transfer import fitting_model  # noqa: E402
from dnnlib.denoising.pictures import png  # noqa: E402
from dnnlib.denoising.pictures.images import read_image, to_float  # noqa: E402
from dnnlib.denoising.pictures.search import pictures_in  # noqa: E402
from dnnlib.errors import run_script  # noqa: E402
from dnnlib.files import atomic_write  # noqa: E402

GAMMA = 2.2
UNCLIPPED, CLIPPED = (8192, 49152), (0, 65535)  # black and white of the stored values: raw noise needs room beyond them
SIDE = 256
FAMILIES = ("gauss", "poissongauss", "curve")
MEASURES = ("valid_nll", "valid_psnr_noisy", "valid_psnr_pme")


def main() -> None:
    """Trains what is asked for, and prints the table."""
    args = command_line().parse_args()
    if args.choose:
        print(choices(args))
        return
    print("| noise | configuration | " + " | ".join(MEASURES) + " |\n| --- | --- |" + " --- |" * len(MEASURES))
    for kind in args.only:
        shard = shard_of(args, kind)
        for family in args.families:
            found = trained(args, kind, family, shard)
            print(f"| {kind} | real_{family} | " + " | ".join(f"{found[name]:.4f}" for name in MEASURES) + " |", flush=True)


def command_line() -> argparse.ArgumentParser:
    """Returns the parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=Path, required=True, metavar="DIR", help="clean pictures")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where everything goes")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="kinds of noise (default: all)")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES, help="to train (default: all)")
    parser.add_argument("--pictures", type=int, default=60, metavar="N", help="of the folder (default: 60)")
    parser.add_argument("--num-iter", type=int, default=400, metavar="N", help="images to train on (default: 400)")
    parser.add_argument("--train-resolution", type=int, default=64, metavar="N", help="of the crops (default: 64)")
    parser.add_argument("--choose", type=int, default=0, metavar="N", help="train nothing, and tell N times what fits")
    parser.add_argument("--crops", type=int, nargs="+", default=[5, 30], help="of 256 x 256, to tell from (default: 5 30)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the trainings (default: 1)")
    return parser


def photons(clean: np.ndarray, a: float, b: float, random: np.random.Generator) -> np.ndarray:
    """Returns noisy values of variance a x + b at clean ones x, float, of any shape."""
    return a * random.poisson(clean / a) + np.sqrt(b) * random.standard_normal(clean.shape)


def shown(light: np.ndarray) -> np.ndarray:
    """Returns what a screen is sent for light of any power: float, clipped to [0, 1]."""
    return np.clip(light, 0.0, 1.0) ** (1 / GAMMA)


def toned(y: np.ndarray) -> np.ndarray:
    """Returns values of [0, 1] through a curve that is steepest in the middle."""
    return y * y * (3 - 2 * y)


# The clean picture, as a screen is sent it, and random numbers -> the noisy one, and the clean one that goes with it.
KINDS = {
    "gamma": lambda x, random: (shown(photons(x**GAMMA, 0.01, 0.0, random)), x),
    "poissongauss": lambda x, random: (photons(x, 0.02, 4e-4, random), x),
    "tone": lambda x, random: (toned(shown(photons(x**GAMMA, 0.01, 1e-4, random))), toned(x)),
}


def gaussian(sigma: float, clipped: bool = False):
    """Returns an entry of KINDS: Gaussian noise of a sigma of 255, clipped to 0 and 1 or not."""

    def noisy(x, random):
        y = x + sigma / 255 * random.standard_normal(x.shape)
        return (np.clip(y, 0.0, 1.0) if clipped else y), x

    return noisy


def choices(args) -> str:
    """Returns a table of what `fitting_model` says of random crops of the clean pictures, with noise."""
    kinds = {"gauss 10": gaussian(10), "gauss 25": gaussian(25), "gauss 25, clipped": gaussian(25, True), **KINDS}
    paths = list(pictures_in(args.clean))
    rows = ["| noise | crops | " + " | ".join(FAMILIES) + " |", "| --- | --- |" + " --- |" * len(FAMILIES)]
    for kind, noisy in kinds.items():
        for count in args.crops:
            found = []
            for trial in range(args.choose):
                random = np.random.default_rng([args.seed, trial])
                some = [random_crop(paths[i], random) for i in random.permutation(len(paths))[:count]]
                crops = np.stack([noisy(x, random)[0] for x in some]).astype(np.float32)
                found.append(fitting_model(crops, (0.0, 1.0))[0])
            rows.append(f"| {kind} | {count} | " + " | ".join(str(found.count(name)) for name in FAMILIES) + " |")
            print(rows[-1], file=sys.stderr, flush=True)
    return "\n".join(rows)


def random_crop(path, random: np.random.Generator) -> np.ndarray:
    """Returns SIDE x SIDE pixels of a picture, float in [0, 1]."""
    x = to_float(read_image(Path(path))).astype(np.float64)
    top, left = (int(random.integers(size - SIDE + 1)) for size in x.shape[:2])
    return x[top : top + SIDE, left : left + SIDE]


def shard_of(args, kind: str) -> Path:
    """Makes the noisy pictures and their shard, and returns its path."""
    folder, clean_folder = args.out / kind, args.out / f"{kind}-clean"
    black, white = UNCLIPPED if kind == "poissongauss" else CLIPPED
    for path in [Path(found) for found in pictures_in(args.clean)][: args.pictures]:
        x = middle(to_float(read_image(path)).astype(np.float64))
        random = np.random.default_rng(zlib.crc32(path.name.encode()))
        noisy, clean = KINDS[kind](x, random)
        store(folder / f"{path.stem}.png", noisy, black, white)
        store(clean_folder / f"{path.stem}.png", clean, black, white)
    shard = args.out / f"{kind}.h5"
    if not shard.exists():
        options = [f"--black={black}", f"--white={white}", "--holdout=0.1"]
        call("dataset_tool_h5.py", "--noisy", f"--input-dir={folder}", f"--out={shard}", *options)
    return shard


def middle(picture: np.ndarray) -> np.ndarray:
    """Returns the middle of a picture [H,W,C], SIDE pixels a side at most: so that more pictures are held out in a time."""
    y, x = (max(size - SIDE, 0) // 2 for size in picture.shape[:2])
    return picture[y : y + SIDE, x : x + SIDE]


def store(path: Path, pixels: np.ndarray, black: int, white: int) -> None:
    """Writes pixels of [0, 1], and beyond, as 16 bits, of which these stand for 0 and 1, unless they are there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        values = np.clip(np.rint(black + (white - black) * pixels), 0, 65535).astype(np.uint16)
        with atomic_write(path) as file:
            file.write(png.encode16(values))


def trained(args, kind: str, family: str, shard: Path) -> dict[str, float]:
    """Trains, unless that is done, and returns the last line of stats.jsonl."""
    results = args.out / "results" / f"{kind}-{family}-{args.num_iter}-{args.train_resolution}-{args.seed}"
    if not list(results.glob("[0-9]*/network-final-*.pickle")):
        call(
            "selfsupervised_denoising.py", f"--train=real_{family}-blindspot-sigma_global", f"--train-h5={shard}",
            f"--result-dir={results}", f"--reference-dir={args.out / kind}-clean", "--recipe=fast", "--noise-init=estimate",
            "--init=gauss25-blindspot-sigma_known", f"--num-iter={args.num_iter}", f"--seed={args.seed}",
            f"--train-resolution={args.train_resolution}", f"--eval-interval={args.num_iter}",
        )  # fmt: skip
    (stats,) = results.glob("[0-9]*/stats.jsonl")
    return json.loads(stats.read_text("utf-8").splitlines()[-1])


def call(script: str, *arguments: str) -> None:
    """Runs one of the program's scripts."""
    subprocess.run([sys.executable, str(ROOT / script), *arguments], check=True, stdout=sys.stderr)


if __name__ == "__main__":
    run_script(main)
