"""The options that say where shards, pictures and results are, and which values are black and white: see `options`.

No NumPy at the top, as there.
"""

from dataclasses import dataclass
from functools import partial

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.pictures.auto_white import AUTO_WHITE, number_or_auto
from dnnlib.errors import UserError
from dnnlib.option_fields import flag_named, option

TRAIN, EVAL, DENOISE, EXPORT, LEARN = "train", "eval", "denoise", "export", "learn"
NEWEST_RUN = "the newest"  # stands for `--resume` without a directory
NEWEST_UNFINISHED_RUN = "auto"  # `--resume auto`: or else a new run
DEFAULT_VALIDATION_SET = "kodak"
_data_option = partial(option, None, group="data", commands=(TRAIN, EVAL))
_scale_option = partial(
    option, None, group="denoising", commands=(DENOISE, LEARN, TRAIN, EVAL), metavar="V", free_on_resume=True
)
_run_option = partial(option, group="run", free_on_resume=True)


@dataclass(frozen=True)
class DataOptions:
    """Holds where shards and pictures are, of a training or an evaluation, and what is black and white in them."""

    train_h5: str | None = _data_option("training shard, made by dataset_tool_h5.py; --eval needs none", metavar="FILE")
    dataset_dir: str | None = _data_option("folder that holds the validation sets", metavar="DIR", free_on_resume=True)
    validation_set: str | None = _data_option(
        "name of a set listed below, or a folder of your own clean pictures; to evaluate a network of real noise: a folder "
        "of noisy pictures, or a shard",
        metavar="SET", default_text=DEFAULT_VALIDATION_SET,
    )  # fmt: skip
    reference_dir: str | None = _data_option(
        "for real noise: clean pictures, named as the noisy ones to validate on, to measure PSNR and SSIM against",
        metavar="DIR", free_on_resume=True,
    )  # fmt: skip
    white: float | str | None = _scale_option(
        "the value that stands for white in pictures, e.g. 4095 for 12 bits in 16; auto, for --denoise and "
        "--eval: what 99.9 % of the values of all pictures are up to",
        default_text="as the file says, or the type's largest; 1.0 for floats", parse=number_or_auto,
    )  # fmt: skip
    black: float | None = _scale_option("the value that stands for black in pictures, of raw data", default_text="0")

    @property
    def scale(self) -> dict[str, float]:
        """Returns the values that stand for white and black, as far as they are given. Raises UserError for --white auto."""
        if self.white == AUTO_WHITE:
            raise UserError(f"--white {AUTO_WHITE}: is for --denoise, --eval and shards; give the value itself")
        values = {"white": self.white, "black": self.black}
        return {name: value for name, value in values.items() if value is not None}

    def check_training(self, configuration: Configuration) -> None:
        """Raises UserError where these are not the data that the configuration is trained and validated on."""
        real = configuration.noise.real
        if real and self.validation_set is not None:
            raise UserError(
                f"--validation-set is not for {configuration.name}: it is validated on the shard's held-out pictures; "
                "leave it out"
            )
        if not real and self.reference_dir is not None:
            raise UserError(f"--reference-dir is for real_ configurations, not for {configuration.name}: leave it out")
        if not self.train_h5:
            raise UserError("--train-h5 is missing: name the training shard; dataset_tool_h5.py makes one")
        for name in self.scale if real else ():
            raise UserError(f"{flag_named(name)}: the shard {self.train_h5} knows its own; leave it out")


@dataclass(frozen=True)
class RunOptions:
    """Holds where a run keeps its results, and whether it is a new one."""

    result_dir: str = _run_option("results", "where run directories go", metavar="DIR", commands=(TRAIN, EVAL))
    resume: str | None = _run_option(
        None, "with the same command again: go on with a run that was cut off; auto: if there is one, else begin a new one",
        metavar="RUN_DIR", nargs="?", const=NEWEST_RUN, default_text="the newest of the configuration", commands=(TRAIN,),
    )  # fmt: skip
    dry_run: bool = _run_option(
        False, "print the resolved options and the run's name, and stop", short="-n", commands=(TRAIN, EVAL)
    )

    def check(self) -> None:
        """Raises UserError for a name that is empty."""
        if self.resume == "":
            raise UserError("--resume: the name of the run directory is empty")
        if not self.result_dir:
            raise UserError("--result-dir is empty: name a folder, or leave the option out")
