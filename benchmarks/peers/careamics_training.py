"""What `n2v2.py` has CAREamics do: a training that ends by the processor's time, and the denoising of whole pictures."""

import json
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from careamics import CAREamist
from careamics.config.factories import create_advanced_n2v_config
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback

from dnnlib.files import write_text

LEARNING_RATE = 1e-3  # CAREamics' own, of Adam
STEPS = 100  # of an epoch, after which the validation loss is measured
QUARTERS = 4


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

    @property
    def last(self) -> Path:
        """Returns the checkpoint of the end."""
        return self._checkpoint(QUARTERS)

    def on_train_start(self, trainer: Trainer, pl_module) -> None:
        """Starts the clock, with the channels of a pixel side by side, which is 1.5 times as fast."""
        pl_module.to(memory_format=torch.channels_last)
        self._start = time.process_time()

    def on_train_batch_start(self, trainer: Trainer, pl_module, batch, batch_idx: int) -> None:
        """Sets the learning rate."""
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, max(0.0, 2 * (1 - self.used / self._seconds)))

    def on_train_batch_end(self, trainer: Trainer, pl_module, outputs, batch, batch_idx: int) -> None:
        """Looks at the clock after a step."""
        while self._quarters < QUARTERS and self.used >= self._seconds * (self._quarters + 1) / QUARTERS:
            self._quarters += 1
            path = self._checkpoint(self._quarters)
            trainer.save_checkpoint(path)
            write_text(path.with_suffix(".json"), json.dumps({"seconds": self.used, "steps": trainer.global_step}) + "\n")
        trainer.should_stop = self._quarters == QUARTERS

    def on_train_epoch_end(self, trainer: Trainer, pl_module) -> None:
        """Says how it goes."""
        losses = ", ".join(f"{name} {float(value):.5f}" for name, value in trainer.callback_metrics.items())
        print(f"step {trainer.global_step}: {self.used:.0f} s of the processor, {losses}", flush=True)

    def _checkpoint(self, quarter: int) -> Path:
        """Returns the path of a checkpoint."""
        return self._folder / f"{quarter}-of-{QUARTERS}.ckpt"


def train(args: Namespace, pictures: np.ndarray) -> Path:
    """Trains on one core, and returns the checkpoint; beside it a .json has the processor's seconds.

    args: of `n2v2.py`.
    pictures: float32 [N,3,H,W].
    """
    torch.set_num_threads(1)
    seed_everything(args.seed, workers=True)
    config = create_advanced_n2v_config(
        "n2v2", data_type="array", axes="SCYX", patch_size=[args.patch, args.patch], batch_size=args.batch, n_channels=3,
        num_epochs=1_000_000, num_steps=STEPS, use_n2v2=True, num_workers=0, seed=args.seed,
        augmentations=[] if args.struct else None,  # CAREamics does not turn structN2V's patches
        struct_n2v_axes=args.struct or "none", struct_n2v_span=args.span,
        trainer_params={"accelerator": "cpu", "devices": 1, "precision": args.precision},
        checkpoint_params={"every_n_epochs": 100_000, "save_top_k": 0, "save_last": False},
    )  # fmt: skip
    folder = args.out / "checkpoints"
    folder.mkdir(exist_ok=True)
    budget = Budget(args.minutes, folder)
    careamist = CAREamist(config, work_dir=args.out, callbacks=[budget], enable_progress_bar=False)
    print(careamist.config.algorithm_config, flush=True)
    careamist.train(train_data=pictures)
    return budget.last


def denoise(checkpoint: Path, pictures: np.ndarray, folder: Path) -> tuple[list[np.ndarray], float]:
    """Denoises pictures, float32 [N,3,H,W], one by one; returns them, float [3,H,W], and the processor's seconds.

    folder: where CAREamics may leave things.
    """
    torch.set_num_threads(1)
    start = time.process_time()
    careamist = CAREamist(checkpoint_path=checkpoint, work_dir=folder, enable_progress_bar=False)
    found = []
    for picture in pictures:
        (pixels, *_), _ = careamist.predict(picture[None], batch_size=1, num_workers=0, checkpoint=checkpoint)
        found.append(np.squeeze(pixels))
    return found, time.process_time() - start
