"""A configuration: which noise, which network, which loss. Plain data, no TensorFlow."""

import re
from dataclasses import dataclass

from dnnlib.denoising.hole import Hole, HoleSize
from dnnlib.denoising.noise.families import NoiseStyle, parse_noise_style
from dnnlib.denoising.noise.learned_parameter import SMALLEST
from dnnlib.errors import UserError

PIPELINES = ("n2c", "n2n", "blindspot_mean", "blindspot")
_NAME = re.compile(
    r"(?P<noise_style>[a-z]+[0-9._]+|real_[a-z]+)-"
    r"(?P<pipeline>n2c|n2n|blindspot_mean|blindspot(?P<diagonal>_diag)?(?=-sigma_))"
    r"(-sigma_(?P<noise_params>known|global|per_image))?(?P<mono>-mono)?"
)


@dataclass(frozen=True)
class Configuration:
    """Holds the settings that a configuration's name stands for (SPEC section 2)."""

    noise_style: str  # 'gauss25', 'poisson5_50', 'real_gauss', ...
    pipeline: str  # one of PIPELINES
    noise_params: str | None = None  # for blindspot: 'known', 'global' or 'per_image'
    diagonal: bool = False  # Sigma_x is diagonal
    channels: int = 3  # 3 (RGB) or 1 (mono)
    hole_size: HoleSize = 1  # of the blind spot, see `Hole`; not in the name
    noise_floor: float = SMALLEST  # of what is learned of the noise, see `learned_parameter`; not in the name

    @classmethod
    def from_name(cls, name: str) -> "Configuration":
        """Returns the configuration that a name stands for, published or not. Raises ValueError if there is none."""
        match = _NAME.fullmatch(name)
        if not match:
            raise ValueError(f"{name!r} is no configuration")
        diagonal, mono = bool(match["diagonal"]), bool(match["mono"])
        pipeline = match["pipeline"].removesuffix("_diag")
        configuration = cls(match["noise_style"], pipeline, match["noise_params"], diagonal, 1 if mono else 3)
        parse_noise_style(configuration.noise_style)
        if configuration.name != name:
            raise ValueError(f"{name!r} is no configuration")
        if mono and pipeline == "blindspot" and not configuration.noise.row.mono:
            raise ValueError(f"{name!r}: the posterior of {configuration.noise.family} noise is not defined for one channel")
        learns = configuration.noise_params in ("global", "per_image")
        if configuration.noise.real and not (learns or configuration.is_distilled):
            raise ValueError(f"{name!r} is no configuration: real noise is learned, by sigma_global or sigma_per_image")
        return configuration

    @property
    def name(self) -> str:
        """Returns the name, which `from_name` reads back; hole size and floor are not in it."""
        diag = "_diag" if self.diagonal else ""
        sigma = f"-sigma_{self.noise_params}" if self.pipeline == "blindspot" else ""
        mono = "-mono" if self.channels == 1 else ""
        return f"{self.noise_style}-{self.pipeline}{diag}{sigma}{mono}"

    @property
    def noise(self) -> NoiseStyle:
        """Returns what the noise style's name stands for."""
        return parse_noise_style(self.noise_style)

    @property
    def blind_spot(self) -> bool:
        """Returns whether the network has a blind spot, and so needs no target."""
        return self.pipeline.startswith("blindspot")

    @property
    def is_distilled(self) -> bool:
        """Returns whether it is that of a network which --distill makes: there are no clean pictures for another n2c."""
        return self.noise_style == "real_gauss" and self.pipeline == "n2c"

    @property
    def noise_can_be_estimated(self) -> bool:
        """Returns whether what is learned of the noise can start at an estimate, which is one for all pictures.

        Noise that is added at a level of its own to each picture has no such level; real noise of several is nearer to it
        than to none.
        """
        if self.noise_params == "global":
            return self.noise.real or self.noise.family == "gauss"
        return self.noise_params == "per_image" and self.noise.real


def check_hole_size(configuration: Configuration, hole_size: HoleSize) -> None:
    """Raises UserError unless the configuration's network can have a blind spot of that size."""
    try:
        Hole.of(hole_size)
    except ValueError as error:
        raise UserError(f"--hole-size {hole_size}: {error}") from None
    if hole_size != 1 and not configuration.blind_spot:
        raise UserError(f"--hole-size {hole_size}: a network of {configuration.name} has no blind spot; leave it out")
