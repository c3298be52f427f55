"""The options of a training run: their one list of defaults and what they may be. The command line takes both from here."""

import math
from dataclasses import asdict, dataclass

from dnnlib.denoising.network.architecture import STRIDE
from dnnlib.denoising.noise.estimation import PATCH_SIDE
from dnnlib.errors import UserError
from dnnlib.tflib import precision

LARGEST_MINIBATCH = 1024  # each image has ops of its own in the graph
NEWEST = "the newest"  # stands for `--resume` without a directory
AUTO = "auto"  # the newest that is not finished, or else a new run
NOISE_INITS = ("zero", "estimate")
FREE_ON_RESUME = (
    "microbatch_size", "max_skips",
    "print_interval", "eval_interval", "snapshot_every", "state_interval", "state_minutes",
)  # fmt: skip


@dataclass(frozen=True)
class TrainingOptions:
    """Defaults are the published settings (SPEC section 2), but for the precision. All counts are of images, not steps."""

    num_iter: int = 2_000_000  # length of the schedule; each configuration has its published one
    minibatch_size: int = 4  # images a step
    microbatch_size: int = 0  # images that go through the network together; 0: 1 on a CPU, all of the device on a GPU
    learning_rate: float = 3e-4  # Adam's, between ramp-up and ramp-down
    train_resolution: int = 256  # side of the square crops in pixels, a multiple of 32
    print_interval: int = 1_000  # a line of statistics every so many images
    eval_interval: int = 10_000  # a validation pass every so many images
    snapshot_every: int = 0  # a network file every so many images; 0: only the final one
    noise_init: str = "zero"  # of the parameter of sigma_global: near zero as published, or an estimate from the data
    precision: str = precision.AUTO  # of the convolutions: float32, bf16, or auto: the faster, and in a resumed run its own
    hole_size: int = 1  # side of the blind spot in pixels: 1 as published; 3, 5, 7 for noise that neighbours share
    seed: int = 1  # of initial weights, order, crops and noise

    max_skips: int = 100  # so many steps in a row without finite gradients end the run
    state_interval: int = 10_000  # a state to resume from every so many images,
    state_minutes: float = 10.0  # or every so many minutes, whichever comes first

    def determining(self, configuration: str, shard: str, validation_set: str) -> dict:
        """What must be the same for a resumed run to end with the same results: all but intervals, paths,
        and what goes through the network together, which moves the last digits only."""
        values = {name: value for name, value in asdict(self).items() if name not in FREE_ON_RESUME}
        return {"train": configuration, "train_h5": shard, "validation_set": validation_set, **values}

    def check(self) -> None:
        """Raises UserError naming the first option that cannot be."""
        at_least = {"num_iter": 1, "minibatch_size": 1, "print_interval": 1, "eval_interval": 1}
        at_least |= {"microbatch_size": 0, "snapshot_every": 0, "seed": 0, "state_interval": 1, "max_skips": 1}
        for name, least in at_least.items():
            value = getattr(self, name)
            most = LARGEST_MINIBATCH if name == "minibatch_size" else 2**63 - 1
            if not least <= value <= most:
                raise UserError(f"--{name.replace('_', '-')} {value}: must be from {least} to {most}")
        precision.check_precision(self.precision)
        if self.noise_init not in NOISE_INITS:
            raise UserError(f"--noise-init {self.noise_init}: must be {' or '.join(NOISE_INITS)}")
        if self.noise_init == "estimate" and self.train_resolution < PATCH_SIDE:
            raise UserError(f"--train-resolution {self.train_resolution}: --noise-init estimate needs {PATCH_SIDE} or more")
        for name in ("learning_rate", "state_minutes"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be a positive number")
        if self.train_resolution < STRIDE or self.train_resolution % STRIDE:
            raise UserError(f"--train-resolution {self.train_resolution}: must be a multiple of {STRIDE}, e.g. 128 or 256")
