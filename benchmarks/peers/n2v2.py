"""Trains N2V2 on noisy pictures alone, for so much time of one processor core, and denoises them: CAREamics' Noise2Void.

N2V2 (Hoeck, Buchholz, Brachmann, Jug, Freytag: N2V2 - Fixing Noise2Void Checkerboard Artifacts, 2022) has blurred pooling,
no residual and the median of the neighbours in place of the hidden pixel. All settings are CAREamics' own (a U-Net of depth
2 and 32 channels, each colour by itself; Adam at 1e-3) but the end of the learning rate: it falls to zero over the second
half of the time, which is too short for CAREamics' own schedule to see that the validation loss stays.

  python -m venv peers && peers/bin/pip install -r benchmarks/peers/requirements.txt
  peers/bin/python benchmarks/peers/n2v2.py --noisy noisy --out results/n2v2 --minutes 40

--struct hides a pixel's neighbours, too (structN2V, Broaddus et al. 2020), for noise that they share. It needs CAREamics
alone, none of this program's packages. Checkpoints are kept in OUT/checkpoints; --checkpoint denoises by one of them.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # one core; before NumPy and torch are imported
    os.environ.setdefault(threads, "1")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from careamics import CAREamist  # noqa: E402
from careamics.config.factories import create_advanced_n2v_config  # noqa: E402
from lightning.pytorch import seed_everything  # noqa: E402
from lightning.pytorch.callbacks import Callback  # noqa: E402
from PIL import Image  # noqa: E402

from dnnlib.errors import UserError, run_script  # noqa: E402
from dnnlib.files import atomic_path, write_text  # noqa: E402

LEARNING_RATE = 1e-3  # CAREamics' own, of Adam
STEPS = 100  # of an epoch, after which the validation loss is measured
SUFFIXES = (".png", ".jpg", ".jpeg")


class Budget(Callback):
    """Ends a training when it has used so much of the processor's time, and keeps a checkpoint of each quarter.

    The learning rate falls to zero over the second half.
    """

    def __init__(self, minutes: float, folder: Path):
        """Takes the minutes, and where the checkpoints go."""
        self._seconds, self._folder, self._quarters = 60 * minutes, folder, 0
        self._start = time.process_time()

    @property
    def used(self) -> float:
        """Returns the seconds that were used."""
        return time.process_time() - self._start

    def on_train_start(self, trainer, pl_module) -> None:
        """Starts the clock."""
        self._start = time.process_time()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        """Sets the learning rate."""
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, max(0.0, 2 * (1 - self.used / self._seconds)))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """Looks at the clock after a step."""
        while self._quarters < 4 and self.used >= self._seconds * (self._quarters + 1) / 4:
            self._quarters += 1
            path = self._folder / f"{self._quarters}-of-4.ckpt"
            trainer.save_checkpoint(path)
            write_text(path.with_suffix(".json"), json.dumps({"seconds": self.used, "steps": trainer.global_step}) + "\n")
        if self._quarters == 4:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        """Says how it goes."""
        losses = ", ".join(f"{name} {float(value):.5f}" for name, value in trainer.callback_metrics.items())
        print(f"step {trainer.global_step}: {self.used:.0f} s of the processor, {losses}", flush=True)


def main() -> None:
    """Trains, unless there is a checkpoint already, and denoises."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noisy", type=Path, required=True, metavar="DIR", help="the noisy pictures, 8-bit RGB of one size")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    parser.add_argument("--minutes", type=float, default=40, metavar="M", help="of one core, for training (default: 40)")
    parser.add_argument("--struct", choices=("horizontal", "vertical", "cross", "square"), help="structN2V's mask")
    parser.add_argument("--span", type=int, default=5, metavar="PX", help="of that mask, odd (default: 5)")
    parser.add_argument("--patch", type=int, default=64, metavar="PX", help="side of the patches (default: 64)")
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="patches a step (default: 16)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="denoise by this one, without training")
    args = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted(path for path in args.noisy.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UserError(f"--noisy: no picture ({', '.join(SUFFIXES)}) in {args.noisy}")
    pictures = np.stack([np.asarray(Image.open(path).convert("RGB"), np.float32).transpose(2, 0, 1) for path in paths])
    args.out.mkdir(parents=True, exist_ok=True)
    if args.checkpoint:
        careamist = CAREamist(checkpoint_path=args.checkpoint, work_dir=args.out, enable_progress_bar=False)
        trained = json.loads(args.checkpoint.with_suffix(".json").read_text())["seconds"]
    else:
        careamist, trained = train(args, pictures)
    denoised = denoise(careamist, pictures, paths, args.out)
    write_text(args.out / "seconds.json", json.dumps({"train": trained, "denoise": denoised}) + "\n")
    print(f"{len(paths)} pictures: {trained:.0f} s of the processor for training, {denoised:.0f} s for denoising")


def train(args, pictures: np.ndarray) -> tuple[CAREamist, float]:
    """Trains, and returns what was trained, and the processor's seconds. pictures: float32 [N,3,H,W]."""
    seed_everything(args.seed, workers=True)
    config = create_advanced_n2v_config(
        "n2v2", data_type="array", axes="SCYX", patch_size=[args.patch, args.patch], batch_size=args.batch, n_channels=3,
        num_epochs=1_000_000, num_steps=STEPS, use_n2v2=True, num_workers=0, seed=args.seed,
        augmentations=[] if args.struct else None,  # CAREamics does not turn structN2V's patches
        struct_n2v_axes=args.struct or "none", struct_n2v_span=args.span,
        trainer_params={"accelerator": "cpu", "devices": 1},
        checkpoint_params={"every_n_epochs": 100_000, "save_top_k": 0, "save_last": False},
    )  # fmt: skip
    folder = args.out / "checkpoints"
    folder.mkdir(exist_ok=True)
    budget = Budget(args.minutes, folder)
    careamist = CAREamist(config, work_dir=args.out, callbacks=[budget], enable_progress_bar=False)
    print(careamist.config.algorithm_config, flush=True)
    careamist.train(train_data=pictures)
    seconds = budget.used
    return careamist, seconds


def denoise(careamist: CAREamist, pictures: np.ndarray, paths: list[Path], out: Path) -> float:
    """Denoises whole pictures, one by one, writes them as PNG, and returns the processor's seconds."""
    start = time.process_time()
    checkpoint = careamist.checkpoint_path or careamist.work_dir / "checkpoints" / "4-of-4.ckpt"
    for picture, path in zip(pictures, paths, strict=True):
        (found, *_), _ = careamist.predict(picture[None], batch_size=1, num_workers=0, checkpoint=checkpoint)
        pixels = np.clip(np.rint(np.squeeze(found)), 0, 255).astype(np.uint8).transpose(1, 2, 0)
        with atomic_path(out / f"{path.stem}.png") as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")
    return time.process_time() - start


if __name__ == "__main__":
    run_script(main)
