"""What learning from noisy pictures reaches, on noise whose truth is known.

Clean pictures are corrupted once, and stored as 16 bits with room below black and above white, so that no noise is clipped.
From then on nothing clean is used but to measure the results on other pictures, corrupted in the same way:

  gauss          Gaussian noise, sigma 25 (of 255)
  poissongauss   variance a x + b with a = 0.02, b = 0.0004
  blurred        the noise of `gauss`, blurred by (1, 2, 1) in both directions and brought back to sigma 25

Each is trained on as it is stored, `blurred` with several sizes of the blind spot, and, at the same budget, with fresh
noise, to see what is lost by having each picture only once: `gauss` by gauss25-blindspot-sigma_global, which adds its noise
anew in each step. There is no published style for `poissongauss`; for it each picture is stored --realisations times with
other noise, which a budget of so many times the number of pictures does not exhaust.

All of them train on the same pictures of 256 to 1024 pixels a side: those that the shard of noisy ones holds out are left
out of the clean ones, too.

What is finished is not made again, and a training that was cut off is resumed: start it again with the same options.
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

from dnnlib.denoising.configuration import Configuration  # noqa: E402
from dnnlib.denoising.data.noisy_pages import FLOAT_BLACK as BLACK  # noqa: E402
from dnnlib.denoising.data.noisy_pages import FLOAT_WHITE as WHITE  # noqa: E402
from dnnlib.denoising.data.noisy_pages import LARGEST_PIECE  # noqa: E402
from dnnlib.denoising.data.noisy_shard import HELD_OUT, NoisyShard  # noqa: E402
from dnnlib.denoising.evaluation.whiteness import Whiteness  # noqa: E402
from dnnlib.denoising.network.network_file import load_configured, to_network  # noqa: E402
from dnnlib.denoising.pictures import png  # noqa: E402
from dnnlib.denoising.pictures.images import read_image, to_float, write_image  # noqa: E402
from dnnlib.denoising.pictures.search import pictures_in  # noqa: E402
from dnnlib.errors import UserError, run_script  # noqa: E402
from dnnlib.files import atomic_write, write_text  # noqa: E402
from dnnlib.tflib.network import save_network  # noqa: E402

SIGMA, A, B = 25.0, 0.02, 4e-4
TRUTH = {"gauss": {"sigma": SIGMA}, "poissongauss": {"a": A, "b": B}, "blurred": {"sigma": SIGMA}}
REAL_GAUSS, REAL_POISSONGAUSS = "real_gauss-blindspot-sigma_global", "real_poissongauss-blindspot-sigma_global"
FRESH_GAUSS = "gauss25-blindspot-sigma_global"


def main() -> None:
    """Trains and evaluates all that is asked for, and prints the table."""
    args = command_line().parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = [evaluated(args, *run) for run in runs(args)]
    print(table(rows))


def command_line() -> argparse.ArgumentParser:
    """Makes the parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=Path, required=True, metavar="DIR", help="clean pictures to corrupt and train on")
    parser.add_argument("--test", type=Path, required=True, metavar="DIR", help="clean pictures to measure on, e.g. Kodak")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where everything goes")
    parser.add_argument("--only", nargs="+", default=list(TRUTH), choices=list(TRUTH), help="kinds of noise (default: all)")
    parser.add_argument("--holes", nargs="+", type=int, default=[1, 3], metavar="PX", help="for blurred (default: 1 3)")
    parser.add_argument("--realisations", type=int, default=8, metavar="N", help="of poissongauss (default: 8)")
    parser.add_argument("--num-iter", type=int, default=5000, metavar="N", help="images of each training (default: 5000)")
    parser.add_argument("--train-resolution", type=int, default=128, metavar="PX", help="side of the crops (default: 128)")
    parser.add_argument("--minibatch-size", type=int, default=4, metavar="N", help="images a step (default: 4)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of each training (default: 1)")
    parser.add_argument("--num-gpus", type=int, metavar="N", help="0: the CPU (default: all GPUs there are)")
    return parser


def runs(args) -> list[tuple]:
    """Returns all trainings: kind of noise, what it is trained on, configuration, size of the blind spot."""
    found = []
    if "gauss" in args.only:
        found += [("gauss", "stored", REAL_GAUSS, 1), ("gauss", "fresh", FRESH_GAUSS, 1)]
    if "poissongauss" in args.only:
        found += [("poissongauss", "stored", REAL_POISSONGAUSS, 1)]
        found += [("poissongauss", f"x{args.realisations}", REAL_POISSONGAUSS, 1)]
    if "blurred" in args.only:
        found += [("blurred", "stored", REAL_GAUSS, hole) for hole in args.holes]
    return found


# --- the data


def corrupted(clean: np.ndarray, kind: str, random: np.random.Generator) -> np.ndarray:
    """Adds noise of a kind to a clean picture, float [H,W,C] in [0, 1], and does not clip it."""
    if kind == "poissongauss":
        return A * random.poisson(clean / A) + np.sqrt(B) * random.standard_normal(clean.shape)
    noise = random.standard_normal(clean.shape)
    if kind == "blurred":
        noise = _blurred(_blurred(noise, 0), 1) / (6 / 16)  # the std of white noise after (1, 2, 1) / 4 both ways
    return clean + SIGMA / 255 * noise


def _blurred(noise: np.ndarray, axis: int) -> np.ndarray:
    """Blurs by (1, 2, 1) / 4 along an axis, as if the noise went on around the edges."""
    return (np.roll(noise, 1, axis) + 2 * noise + np.roll(noise, -1, axis)) / 4


def stored(path: Path, kind: str, realisation: int = 0) -> np.ndarray:
    """Reads a clean picture, and returns it with noise, uint16 [H,W,C].

    The noise depends on the picture's name and on the number of the realisation alone.
    """
    random = np.random.default_rng([zlib.crc32(path.name.encode()), realisation])
    values = BLACK + (WHITE - BLACK) * corrupted(to_float(read_image(path)).astype(np.float64), kind, random)
    return np.clip(np.rint(values), 0, 65535).astype(np.uint16)


def corrupted_folder(args, kind: str) -> Path:
    """Makes the noisy test pictures, as 16-bit PNG, and returns their folder."""
    folder = args.out / "pictures" / f"{args.test.name}-{kind}"
    folder.mkdir(parents=True, exist_ok=True)
    for path in pictures(args.test):
        if not (folder / f"{path.stem}.png").exists():
            with atomic_write(folder / f"{path.stem}.png") as file:
                file.write(png.encode16(stored(path, kind)))
    return folder


def corrupted_stacks(args, kind: str, realisations: int) -> Path:
    """Makes the noisy pictures to train on, each a stack of realisations, and returns their folder.

    A stack is a file, which is held out as a whole; always the same ones are, as their names are the same.
    """
    folder = args.out / "pictures" / f"{args.clean.name}-{kind}-x{realisations}"
    folder.mkdir(parents=True, exist_ok=True)
    for path in pictures(args.clean):
        if not (folder / f"{path.stem}.npy").exists():
            with atomic_write(folder / f"{path.stem}.npy") as file:
                np.save(file, np.stack([stored(path, kind, i) for i in range(realisations)]))
    return folder


def clean_folder(args, noisy_shard: Path) -> Path:
    """Makes a folder of the clean pictures of those that `noisy_shard` trains on, and returns it."""
    folder = args.out / "pictures" / f"{args.clean.name}-fresh"
    folder.mkdir(parents=True, exist_ok=True)
    held_out = {Path(name).stem for name in NoisyShard(noisy_shard, 1, 3, HELD_OUT).names}
    for path in pictures(args.clean):
        if path.stem not in held_out:
            write_image(folder / f"{path.stem}.png", read_image(path))
    return folder


def pictures(folder: Path) -> list[Path]:
    """Returns the pictures in a folder. Raises UserError where there is none."""
    found = [Path(path) for path in pictures_in(folder)]
    if not found:
        raise UserError(f"no picture in {folder}")
    return found


def shard_of(args, kind: str, source: str) -> Path:
    """Makes the shard that is trained on, and returns its path.

    All are of the same pictures: large ones, which only a noisy shard cuts, are left out of each.
    """
    out = args.out / f"{kind}-{source}.h5"
    if not out.exists():
        sizes = [f"--out={out}", f"--max-size={LARGEST_PIECE}"]
        if source == "fresh":
            folder = clean_folder(args, shard_of(args, kind, "stored"))
            call("dataset_tool_h5.py", f"--input-dir={folder}", *sizes)
        else:
            folder = corrupted_stacks(args, kind, 1 if source == "stored" else args.realisations)
            scale = [f"--black={BLACK}", f"--white={WHITE}"]
            call("dataset_tool_h5.py", "--noisy", f"--input-dir={folder}", *sizes, *scale)
    return out


# --- trainings and their evaluations


def trained(args, kind: str, source: str, configuration: str, hole: int) -> Path:
    """Trains, unless that is done already, and returns the network file.

    args: of the command line.
    kind: of the noise.
    source: what it is trained on: 'stored', 'fresh', or 'x' and the number of realisations.
    configuration: its name.
    hole: side of the blind spot in pixels.
    """
    results = args.out / "results" / f"{kind}-{source}-hole{hole}-iter{args.num_iter}-res{args.train_resolution}-{args.seed}"
    if not (found := list(results.glob("[0-9]*/network-final-*.pickle"))):
        options = [f"--validation-set={args.test}"] if source == "fresh" else []
        options += [f"--{name}={getattr(args, name.replace('-', '_'))}" for name in ("num-iter", "train-resolution", "seed")]
        options += [f"--minibatch-size={args.minibatch_size}", f"--hole-size={hole}", "--noise-init=estimate"]
        options += [f"--eval-interval={args.num_iter}"] + devices(args)
        shard = shard_of(args, kind, source)
        train = [f"--train={configuration}", f"--train-h5={shard}", f"--result-dir={results}", "--resume=auto"]
        call("selfsupervised_denoising.py", *train, *options)
        found = list(results.glob("[0-9]*/network-final-*.pickle"))
    return found[0]


def evaluated(args, kind: str, source: str, configuration: str, hole: int) -> dict:
    """Trains and evaluates, and returns the figures of a row by the side of the blind spot.

    A network that was trained with a larger one is also evaluated with a blind spot of 1.

    args, kind, source, configuration, hole: as for `trained`.
    """
    network = trained(args, kind, source, configuration, hole)
    results = network.parent.parent
    if source == "fresh":  # the same variables; under the name of real noise, no noise is added in the evaluation
        same, _ = load_configured(network)
        network = results / "as-real.pickle"
        save_network(to_network(Configuration.from_name(REAL_GAUSS), same.variables), network)
    row = {"kind": kind, "source": source, "hole": hole}
    for used in sorted({hole, 1}, reverse=True):
        figures = results / f"figures-{used}.json"
        if not figures.exists():
            folder = results / f"evaluation-{used}"
            noisy = [f"--validation-set={corrupted_folder(args, kind)}", f"--reference-dir={references(args)}"]
            scale = [f"--black={BLACK}", f"--white={WHITE}", f"--hole-size={used}", f"--result-dir={folder}"]
            call("selfsupervised_denoising.py", f"--eval={network}", *noisy, *scale, *devices(args))
            last = max((folder / "_eval").glob("[0-9]*/stats.jsonl")).read_text().splitlines()[-1]
            write_text(figures, last + "\n")
        row[used] = json.loads(figures.read_text())
    return row


def references(args) -> Path:
    """Makes the clean test pictures as PNG, named as the noisy ones, and returns their folder."""
    folder = args.out / "pictures" / f"{args.test.name}-clean"
    folder.mkdir(parents=True, exist_ok=True)
    for path in pictures(args.test):
        if not (folder / f"{path.stem}.png").exists():
            write_image(folder / f"{path.stem}.png", read_image(path))
    return folder


def devices(args) -> list[str]:
    """Returns the options of the devices."""
    return [] if args.num_gpus is None else [f"--num-gpus={args.num_gpus}"]


def call(script: str, *options: str) -> None:
    """Runs one of our scripts, shown as one would type it."""
    print(f"$ python {script} {' '.join(options)}", flush=True)
    status = subprocess.run([sys.executable, ROOT / script, *options], check=False).returncode
    if status:
        raise UserError(f"{script} ended with status {status}; what it printed says why")


def table(rows: list[dict]) -> str:
    """Returns the table in Markdown, with a line for each network and blind spot that it was used with."""
    lines = [
        "| noise | trained on | hole, trained / used | learned | truth | noisy, dB | mean, dB | posterior mean, dB | SSIM "
        "| correlations at 1, 2, 3 pixels | said |",
        "| " + " | ".join(["---"] * 11) + " |",
    ]
    for row in rows:
        for used in (key for key in row if isinstance(key, int)):
            found, truth = row[used], TRUTH[row["kind"]]
            cells = [row["kind"], row["source"], f"{row['hole']} / {used}"]
            cells += [", ".join(f"{name} {values[name]:.3g}" for name in truth) for values in (found, truth)]
            cells += [f"{found[f'valid_psnr_{of}']:.2f}" for of in ("noisy", "mu", "pme")]
            cells.append(f"{found['valid_ssim_pme']:.3f}")
            white = Whiteness.of(found)
            farthest = [max(pair, key=abs) for pair in zip(*white, strict=True)]  # of the two directions
            cells.append(", ".join(f"{value:.2f}" for value in farthest) if white.judged else "")
            cells.append(said(white, used) if used == row["hole"] else "")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def said(white: Whiteness, hole: int) -> str:
    """Returns the remedy at the end of the line that the program prints."""
    advice = white.advice(hole)
    return "" if advice is None else advice.rpartition(": ")[2]


if __name__ == "__main__":
    run_script(main)
