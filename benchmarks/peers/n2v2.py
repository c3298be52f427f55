"""Trains N2V2 on noisy pictures alone, for so much time of one processor core, and denoises them: CAREamics' Noise2Void.

N2V2 (Hoeck, Buchholz, Brachmann, Jug, Freytag: N2V2 - Fixing Noise2Void Checkerboard Artifacts, 2022) has blurred pooling,
no residual and the median of the neighbours in place of the hidden pixel. All settings are CAREamics' own (a U-Net of depth
2 and 32 channels, each colour by itself; Adam at 1e-3) but the end of the learning rate: it falls to zero over the second
half of the time, which is too short for CAREamics' own schedule to see that the validation loss stays. In bf16, and with the
channels of a pixel side by side, it makes 2.7 times as many steps in the time (0.6 instead of 1.6 s, two virtual cores of an
Intel Xeon with amx_bf16, one used, 2026-11-27).

  python -m venv peers && peers/bin/pip install -r benchmarks/peers/requirements.txt
  peers/bin/python benchmarks/peers/n2v2.py --noisy noisy --out results/n2v2 --minutes 40

--struct hides a pixel's neighbours, too (structN2V, Broaddus et al. 2020), for noise that they share. It needs CAREamics
alone, none of this program's packages. Checkpoints are kept in OUT/checkpoints; --checkpoint denoises by one of them.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # one core; before NumPy and torch are imported
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from dnnlib.errors import UserError, run_script  # noqa: E402
from dnnlib.files import atomic_path, write_text  # noqa: E402

SUFFIXES = (".png", ".jpg", ".jpeg")


def main(argv: Sequence[str] | None = None) -> None:
    """Trains, unless there is a checkpoint already, and denoises."""
    args = command_line().parse_args(argv)
    paths = sorted(path for path in args.noisy.glob("*") if path.suffix.lower() in SUFFIXES)
    pictures = read(paths, args.noisy)
    from benchmarks.peers import careamics_training  # late: torch takes a while to import, and has an environment of its own

    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint = args.checkpoint or careamics_training.train(args, pictures)
    trained = json.loads(checkpoint.with_suffix(".json").read_text("utf-8"))["seconds"]
    found, denoised = careamics_training.denoise(checkpoint, pictures, args.out)
    for pixels, path in zip(found, paths, strict=True):
        write(args.out / f"{path.stem}.png", pixels)
    write_text(args.out / "seconds.json", json.dumps({"train": trained, "denoise": denoised}) + "\n")
    print(f"{len(paths)} pictures: {trained:.0f} s of the processor for training, {denoised:.0f} s for denoising")


def command_line() -> argparse.ArgumentParser:
    """Makes the parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noisy", type=Path, required=True, metavar="DIR", help="the noisy pictures, 8-bit RGB of one size")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    parser.add_argument("--minutes", type=float, default=40, metavar="M", help="of one core, for training (default: 40)")
    parser.add_argument("--struct", choices=("horizontal", "vertical", "cross", "square"), help="structN2V's mask")
    parser.add_argument("--span", type=int, default=5, metavar="PX", help="of that mask, odd (default: 5)")
    parser.add_argument("--patch", type=int, default=64, metavar="PX", help="side of the patches (default: 64)")
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="patches a step (default: 16)")
    parser.add_argument("--precision", default="bf16-mixed", help="as Lightning names it (default: bf16-mixed)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="denoise by this one, without training")
    return parser


def read(paths: Sequence[Path], folder: Path) -> np.ndarray:
    """Reads pictures as float32 [N,3,H,W], 0 to 255. Raises UserError where there is none, or they are of several sizes."""
    pictures = [np.asarray(Image.open(path).convert("RGB"), np.float32).transpose(2, 0, 1) for path in paths]
    if not pictures:
        raise UserError(f"--noisy: no picture ({', '.join(SUFFIXES)}) in {folder}")
    if len({picture.shape for picture in pictures}) > 1:
        raise UserError(f"--noisy: the pictures in {folder} are of several sizes: give pictures of one size")
    return np.stack(pictures)


def write(path: Path, pixels: np.ndarray) -> None:
    """Writes a picture, float [3,H,W] of 0 to 255, as PNG, rounded and clipped."""
    rounded = np.clip(np.rint(pixels), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    with atomic_path(path) as temporary:
        Image.fromarray(rounded).save(temporary, format="PNG")


if __name__ == "__main__":
    run_script(main)
