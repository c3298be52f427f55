"""The options of the commands, each declared once: type, default, bounds, help, for which commands, and what a resumed run
may change of them. Those of data and runs are in `data_options`, those of the devices in `dnnlib.tflib.layout`.

No NumPy at the top, so that `--help` and wrong command lines are answered at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from dnnlib.denoising.configuration import Configuration, check_hole_size
from dnnlib.denoising.data_options import DENOISE, EVAL, EXPORT, LEARN, TRAIN, DataOptions, RunOptions
from dnnlib.denoising.hole import WANTED, HoleSize, parse_hole_size
from dnnlib.denoising.judging.options import JudgingOptions
from dnnlib.denoising.pictures.auto_white import AUTO_WHITE
from dnnlib.errors import UserError
from dnnlib.option_fields import REQUIRED, check_values, fixed_on_resume, flag_named, option, shared
from dnnlib.tflib.layout import DEVICES, Layout
from dnnlib.tflib.precision import AUTO, FLOAT32, PRECISIONS

if TYPE_CHECKING:
    from dnnlib.denoising.pictures.scale import Scale

DEFAULT_NETWORKS = "the defaults"  # stands for `--network` left out: a shipped one, by the kind of picture
NOISE_INIT_ESTIMATE = "estimate"
LARGEST_INTEGER = 2**63 - 1  # counts and seeds become int64
LARGEST_MINIBATCH = 1024  # each image has ops of its own in the graph

_command = partial(option, None, group="what to do (one of)")
_denoising_option = partial(option, group="denoising", commands=(DENOISE,))
_training_option = partial(option, group="training (counts are of images, not steps)", commands=(TRAIN,))
_recipe_option = partial(_training_option, default_text="the recipe's")
_DECAY = {"at_least": 0.0, "at_most": 0.999999, "must_be": "from 0 to below 1"}
_count = partial(_training_option, metavar="N", at_least=1, at_most=LARGEST_INTEGER)


@dataclass(frozen=True)
class CommandOptions:
    """Holds what the program is asked to do: one of these is given, and names what it is done with."""

    train: str | None = _command("train one of the configurations listed below", metavar="CONFIG", commands=(TRAIN,))
    eval: str | None = _command(
        "evaluate a network file (.pickle), of which no code is run, or a shipped network by its name", metavar="NETWORK",
        commands=(EVAL,),
    )
    denoise: Sequence[str] | None = _command(
        "denoise pictures: files, folders, patterns; PNG, JPEG, TIFF, WebP, .npy, each written back as it was",
        metavar="INPUT", nargs="+", parse=str, commands=(DENOISE,),
    )  # fmt: skip
    learn: str | None = _command(
        "learn from a folder of noisy pictures, and denoise them: chooses how, and prints the commands that it runs",
        metavar="FOLDER", commands=(LEARN,),
    )  # fmt: skip
    export: str | None = _command("write the network as a SavedModel into a new folder", metavar="DIR", commands=(EXPORT,))


@dataclass(frozen=True)
class TrainingOptions:
    """Holds the settings of a training. Defaults are the published ones (SPEC section 2), but for the precision."""

    num_iter: int = _count(
        2_000_000, "images to train on, the length of the schedule", default_text="the configuration's, 2000000 for most"
    )
    recipe: str = _training_option(
        "published", "how steps are taken: one of the recipes listed below; other options count more",
        metavar="NAME", in_older_runs="published",
    )  # fmt: skip
    minibatch_size: int = _recipe_option(4, "images in each step", metavar="N", at_least=1, at_most=LARGEST_MINIBATCH)
    microbatch_size: int = _count(
        0, "images that go through the network at a time; fewer need less memory", at_least=0,
        default_text="1 on a CPU, all on a GPU", free_on_resume=True,  # it moves the last digits only
    )  # fmt: skip
    optimizer: str = _recipe_option(
        "adam", "what makes steps of gradients", metavar="NAME", choices=("adam", "soap"), in_older_runs="adam"
    )
    beta1: float = _recipe_option(
        0.9, "the optimizer's decay of the mean of gradients, per step", metavar="B", in_older_runs=0.9, **_DECAY
    )
    beta2: float = _recipe_option(
        0.99, "the same of the mean of their squares", metavar="B", in_older_runs=0.99, **_DECAY
    )
    learning_rate: float = _recipe_option(3e-4, "learning rate of the optimizer at its peak", metavar="RATE", positive=True)
    rate_shape: str = _recipe_option(
        "ramps", "shape of the rate: ramps, up over the first 10 % of the images and down over the last 30 %; or linear, up "
        "over the first 5 % and then down to 0 in a straight line",
        metavar="SHAPE", choices=("ramps", "linear"), in_older_runs="ramps",
    )  # fmt: skip
    clip_norm: float = _recipe_option(
        0.0, "norm to which larger gradients are scaled down; 0: none", metavar="NORM", at_least=0.0, at_most=1e30,
        must_be="0 or more", in_older_runs=0.0,
    )  # fmt: skip
    noise_rate: float = _recipe_option(
        1.0, "factor of the learning rate for the learned noise of sigma_global", metavar="FACTOR", positive=True,
        in_older_runs=1.0,
    )  # fmt: skip
    train_resolution: int = _training_option(256, "side of the square crops; below 128 whole pictures suffer", metavar="PX")
    end_resolution: int = _recipe_option(
        0, "side of the crops of the last tenth of the images, where that is larger; 0: the same to the end", metavar="PX",
        at_least=0, in_older_runs=0,
    )  # fmt: skip
    print_interval: int = _count(1_000, "images between printed lines of statistics", free_on_resume=True)
    eval_interval: int = _count(10_000, "images between validations", free_on_resume=True)
    snapshot_every: int = _count(
        0, "images between network files; 0: only the final one", at_least=0, default_text="the configuration's",
        free_on_resume=True,
    )  # fmt: skip
    init: str | None = _training_option(
        None, "network file (.pickle), or name of one that comes with the program, whose weights the training starts from: "
        "of any noise and hole size, for mono also of RGB",
        metavar="FILE|NAME", default_text="fresh weights", in_older_runs=None,
    )  # fmt: skip
    noise_init: str = _training_option(
        "zero", "where the learned noise starts: zero, but with --init where it was there; or estimate, which is made from "
        "noisy crops, for sigma_global and for real noise",
        metavar="HOW", choices=("zero", NOISE_INIT_ESTIMATE),
    )  # fmt: skip
    precision: str = _training_option(
        AUTO, "what convolutions compute in: float32, bf16, or auto, which for --train is bf16 where that is faster and as "
        "good, in a resumed run what it began with, and else float32",
        metavar="P", choices=PRECISIONS, group=DEVICES, commands=(TRAIN, EVAL, DENOISE), in_older_runs=FLOAT32,
    )  # fmt: skip
    hole_size: HoleSize = _training_option(
        1, "side of the blind spot: 3 to 9 for noise that neighbours share; or its width and height, e.g. 9x1 for noise "
        "that rows share", metavar="PX|WxH", parse=parse_hole_size, must_be=WANTED,
        default_text="1; for --eval, --denoise and --export as trained, or smaller, and for --denoise also larger",
        commands=(TRAIN, EVAL, DENOISE, EXPORT), in_older_runs=1,
    )  # fmt: skip
    seed: int = _count(1, "seed of weights, order, crops and noise", at_least=0)
    max_skips: int = _count(100, "steps in a row without finite gradients that end the run", free_on_resume=True)
    state_interval: int = _count(10_000, "images between states to resume from", free_on_resume=True)
    state_minutes: float = _training_option(
        10.0, "minutes between states, where that is sooner", metavar="MIN", positive=True, free_on_resume=True
    )

    @property
    def largest_crop(self) -> int:
        """Returns the side of the largest crops, in pixels."""
        return max(self.train_resolution, self.end_resolution)

    def check(self) -> None:
        """Raises UserError naming the first option that cannot be."""
        check_values(self)
        if self.init == "":
            raise UserError("--init is empty: name a network file, or leave the option out")
        from dnnlib.denoising.network.architecture import STRIDE  # late: they import NumPy
        from dnnlib.denoising.noise.estimation import PATCH_SIDE

        if self.noise_init == NOISE_INIT_ESTIMATE and self.train_resolution < PATCH_SIDE:
            raise UserError(f"--train-resolution {self.train_resolution}: --noise-init estimate needs {PATCH_SIDE} or more")
        for side, at_least in ((self.train_resolution, STRIDE), (self.end_resolution, 0)):
            if side < at_least or side % STRIDE:
                flag = "--train-resolution" if at_least else "--end-resolution"
                raise UserError(f"{flag} {side}: must be a multiple of {STRIDE}, e.g. 128 or 256")

    def check_for(self, configuration: Configuration) -> None:
        """Raises UserError naming the first option that cannot be, or not in a training of the configuration."""
        if self.noise_init == NOISE_INIT_ESTIMATE and not configuration.noise_can_be_estimated:
            raise UserError(
                f"--noise-init estimate is for real noise, and for Gaussian of sigma_global, not for {configuration.name}"
            )
        self.check()
        check_hole_size(configuration, self.hole_size)

    def fixed_on_resume(self, configuration: str, shard: str, validation_set: str) -> dict[str, Any]:
        """Returns what must be the same for a resumed run to end with the same results, by the names of options.

        configuration: the name of what is trained.
        shard: a fingerprint of the training shard.
        validation_set: its name, without folders.
        """
        return {"train": configuration, "train_h5": shard, "validation_set": validation_set, **fixed_on_resume(self)}


@dataclass(frozen=True)
class DenoisingOptions:
    """Holds how pictures are denoised, and where the results go."""

    network: str = _denoising_option(
        REQUIRED, "network file (.pickle), or the name of a shipped network, for --denoise and --export", metavar="NETWORK",
        default_text="for --denoise the shipped one for RGB or grey pictures, where there is one",
        missing="name the network file (.pickle)", commands=(DENOISE, EXPORT),
    )  # fmt: skip
    out: str = _denoising_option(
        REQUIRED, "folder for the results, which keep their names; made if it is missing", metavar="DIR",
        missing="name the folder for the results", commands=(DENOISE, LEARN),
    )  # fmt: skip
    sigma: float | None = _denoising_option(
        None, "level of Gaussian noise, of 255 whatever the type", metavar="S",
        default_text="as the network has learned it; for sigma_known, and for a larger --hole-size than trained, estimated "
        "from each picture",
    )  # fmt: skip
    lam: float | None = _denoising_option(
        None, "level of Poisson noise: the count that white stands for", metavar="L", flag="--lambda"
    )
    alpha: float | None = _denoising_option(
        None, "level of impulse noise: share of the pixels replaced, 0 to 1", metavar="A"
    )
    white: float | str | None = shared(DataOptions, "white", default=None)
    black: float | None = shared(DataOptions, "black", default=None)
    nodata: float | None = _denoising_option(
        None, "the value that stands for no value, e.g. -9999: such pixels stay as they are, and count for nothing. NaN is "
        "none anyway, and nan given here says that nothing else is",
        metavar="V", default_text="as the GDAL_NODATA of a TIFF says", commands=(DENOISE, LEARN),
    )  # fmt: skip
    as_float: bool = _denoising_option(
        False, "write float32, in the units of the picture, where that has integers: for steps that are too coarse for what "
        "denoising finds, as counts of few photons; TIFF and .npy only", flag="--float",
    )  # fmt: skip
    axes: str | None = _denoising_option(
        None, "what the axes of arrays (.npy) and TIFF files are, a letter each, as tifffile has them: Y and X; S, samples "
        "of RGB; C, channels that are denoised each by itself; T, Z, ... of many pictures",
        metavar="AXES", default_text="as the file says; of .npy YX, YXC or PYXC", commands=(DENOISE, LEARN),
    )  # fmt: skip
    tile: int | None = _denoising_option(
        None, "denoise in tiles of this side; 0: in one piece; the result is the same but for rounding", metavar="PX",
        default_text="as memory allows", at_least=0, at_most=2**31 - 1, must_be="a number of pixels, or 0 for no tiles",
    )  # fmt: skip
    strength: float = _denoising_option(
        1.0, "how much of the noise is removed, from 0 (the picture as it is) to 1 (all)", metavar="X",
        at_least=0.0, at_most=1.0, must_be="from 0 to 1",
    )  # fmt: skip
    ensemble: bool = _denoising_option(
        False, "take the mean over the eight flips and turns of each picture: some 0.1 dB better, and eight times as slow"
    )
    std: bool = _denoising_option(False, "also write the predicted standard deviation of each pixel of the result")
    prior_std: bool = _denoising_option(
        False, "also write the one that is expected from the surroundings alone, without the pixel's own noisy value"
    )
    compare: bool = _denoising_option(False, "also write noisy and denoised side by side")
    adapt: int | None = _denoising_option(
        None, "first the network learns from the given pictures themselves, from so many random crops of them, as long as a "
        "part that is held out becomes more likely; for networks of Gaussian, Poisson or real noise",
        metavar="N", at_least=1, at_most=LARGEST_INTEGER, must_be="1 or more", default_text="it stays as it is",
    )  # fmt: skip
    distill: int | None = _denoising_option(
        None, "afterwards a plain network without a blind spot learns to do the same to such pictures, from so many random "
        "crops of them and the results; it is written to --save-network, and is four to five times as fast",
        metavar="N", at_least=1, at_most=LARGEST_INTEGER, must_be="1 or more", default_text="none is made",
    )  # fmt: skip
    save_network: str | None = _denoising_option(
        None, "file for the network that --adapt or --distill came to, written where that is better than what it began "
        "with, for --network; any name that ends in .pickle will do, for the file itself says its configuration",
        metavar="FILE",
    )  # fmt: skip
    max_pixels: int | None = _denoising_option(
        None, "how many pixels a picture file may hold, in all its pages, so that a small one cannot take all memory",
        metavar="N", at_least=1, at_most=LARGEST_INTEGER, must_be="1 or more",
        default_text="178956970; more in pages that are stored uncompressed", commands=(DENOISE, LEARN, EVAL),
    )  # fmt: skip
    hole_size: HoleSize | None = shared(TrainingOptions, "hole_size", default=None)  # None: as trained
    precision: str = shared(TrainingOptions, "precision", default=AUTO)  # which is FLOAT32 here

    @property
    def stds(self) -> list[str]:
        """Returns the names of the standard deviations that are to be written, by which their files' names end, too."""
        wanted = {"std": self.std, "prior-std": self.prior_std}
        return [name for name, given in wanted.items() if given]

    @property
    def given(self) -> dict[str, float | None]:
        """Returns the noise level by the names of the command line."""
        return {"sigma": self.sigma, "lambda": self.lam, "alpha": self.alpha}

    @property
    def told(self) -> "Scale":
        """Returns black and white, as far as they are told; of --white auto nothing."""
        return _told(self.black, self.white)

    def check(self) -> None:
        """Raises UserError naming the first option that cannot be."""
        check_values(self)
        levels = {f"--{name}": value for name, value in self.given.items() if value is not None}
        if len(levels) > 1:
            raise UserError(f"{' and '.join(levels)} do not go together: give the one of the network's noise")
        if self.adapt is not None and self.distill is not None:
            raise UserError("--adapt and --distill do not go together: adapt first, then distil with --network and the file")
        if self.distill is not None and self.save_network is None:
            raise UserError("--distill: needs --save-network FILE, for the network that is made")
        if self.distill is not None and self.strength == 0:
            raise UserError("--strength 0 and --distill do not go together: there is nothing to learn")
        if self.adapt is None and self.distill is None and self.save_network is not None:
            what = "--adapt and --distill, which make another network; give one of them, too"
            raise UserError(f"--save-network {self.save_network}: is for {what}")
        for name in levels if self.adapt is not None else ():
            raise UserError(f"{name} and --adapt do not go together: the network learns the noise; leave {name} out")
        from dnnlib.denoising.pictures.axes import check_axes  # late: it imports NumPy

        check_axes(self.axes)
        self.told.check()


@dataclass(frozen=True)
class LearningOptions:
    """Holds which pictures are learned from, and in what time."""

    learn: str = shared(CommandOptions, "learn", default=REQUIRED)
    out: str = shared(DenoisingOptions, "out", default=REQUIRED)
    minutes: float = option(
        60.0, "minutes that --learn may take, about", metavar="MIN", positive=True, group="denoising", commands=(LEARN,)
    )
    white: float | str | None = shared(DataOptions, "white", default=None)
    black: float | None = shared(DataOptions, "black", default=None)
    nodata: float | None = shared(DenoisingOptions, "nodata", default=None)
    axes: str | None = shared(DenoisingOptions, "axes", default=None)
    max_pixels: int | None = shared(DenoisingOptions, "max_pixels", default=None)

    @property
    def told(self) -> "Scale":
        """Returns black and white, as far as they are told; of --white auto nothing."""
        return _told(self.black, self.white)

    @property
    def passed_on(self) -> list[str]:
        """Returns what the commands that read the pictures are to be told, as words of theirs."""
        names = ("white", "black", "nodata", "axes", "max_pixels")
        given = {flag_named(name): getattr(self, name) for name in names if getattr(self, name) is not None}
        return [f"{flag}={value}" for flag, value in given.items()]

    def check(self) -> None:
        """Raises UserError naming the first option that cannot be."""
        check_values(self)
        from dnnlib.denoising.pictures.axes import check_axes  # late: it imports NumPy

        check_axes(self.axes)
        self.told.check()


def _told(black: float | None, white: float | str | None) -> "Scale":
    """Returns the values of black and white, as far as they are given; of --white auto nothing."""
    from dnnlib.denoising.pictures.scale import Scale  # late: it imports NumPy

    return Scale(black or 0.0, None if white == AUTO_WHITE else white)


@dataclass(frozen=True)
class ExportOptions:
    """Holds which network becomes a SavedModel, and where."""

    export: str = shared(CommandOptions, "export", default=REQUIRED)
    network: str = shared(DenoisingOptions, "network", default=REQUIRED)
    hole_size: HoleSize | None = shared(TrainingOptions, "hole_size", default=None)  # None: as trained

    def check(self) -> None:
        """Raises UserError naming the first option that cannot be."""
        check_values(self)


@dataclass(frozen=True)
class EvaluationOptions:
    """Holds which network is evaluated, and how."""

    eval: str = shared(CommandOptions, "eval", default=REQUIRED)
    hole_size: HoleSize | None = shared(TrainingOptions, "hole_size", default=None)  # None: as trained
    precision: str = shared(TrainingOptions, "precision", default=AUTO)  # which is FLOAT32 here
    max_pixels: int | None = shared(DenoisingOptions, "max_pixels", default=None)

    def check(self) -> None:
        """Raises UserError naming the first option that cannot be."""
        check_values(self)


OPTION_CLASSES = (  # of the whole command line, in the order of `--help`
    CommandOptions, DenoisingOptions, LearningOptions, DataOptions, RunOptions, Layout, TrainingOptions, EvaluationOptions,
    ExportOptions, JudgingOptions,
)  # fmt: skip
