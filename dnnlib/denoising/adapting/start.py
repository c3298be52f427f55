"""What a network becomes before it adapts: which configuration it learns by, and which values that starts from."""

from dataclasses import dataclass, replace

import numpy as np

from dnnlib.denoising.adapting.pages import PageCrops
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.architecture import NOISE_VARIABLE, initial_variables, shapes_of
from dnnlib.denoising.noise.learned_parameter import SMALLEST_REAL, raw_from_parameter
from dnnlib.denoising.training.noise_start import ESTIMATE_FROM, estimate_noise
from dnnlib.denoising.training.warm_start import take_over
from dnnlib.errors import UserError
from dnnlib.tflib.network import Network

LEARNED = "real_poissongauss-blindspot-sigma_global"  # its noise may be Gaussian, or Poisson noise, or both


@dataclass(frozen=True)
class Start:
    """Holds a network that is to adapt.

    network: as it is.
    source: its configuration, with the hole size that it is used with.
    wanted: the configuration that it learns by.
    """

    network: Network
    source: Configuration
    wanted: Configuration

    def values(self, crops: PageCrops, seed: int) -> dict[str, np.ndarray]:
        """Returns the values of the wanted configuration's variables, by name: the network's, as far as they fit.

        A noise that the network has not learned starts at an estimate.

        crops: from which it is estimated.
        seed: of the values that are drawn anew. (Those of a network of `blindspot` all fit.)
        """
        fresh = initial_variables(shapes_of(self.wanted), seed)
        values, stayed = take_over(self.source, self.network.variables, self.wanted, fresh)
        if NOISE_VARIABLE in stayed:
            values[NOISE_VARIABLE][:] = self._estimated_noise(crops)
        return values

    def _estimated_noise(self, crops: PageCrops) -> list[float]:
        """Estimates the noise as `--noise-init estimate` does, on the scale of the variable."""
        noisy = np.stack([crops[number] for number in range(ESTIMATE_FROM)])
        style = self.wanted.noise
        estimated = estimate_noise(style.family, noisy, self.wanted.hole_size, crops.limits)
        return [raw_from_parameter(x, style.learns_root, self.wanted.noise_floor) for x in estimated]


def learned_configuration(source: Configuration, channels: int) -> Configuration:
    """Returns the configuration that a network learns by from noisy pictures, of its own hole size.

    source: of the network. One of real noise goes on with its own.
    channels: of the pictures, 1 or 3. For grey ones it is one for one channel, also of a network for RGB.

    Raises UserError where the network cannot learn from them.
    """
    what = f"--adapt: a network of {source.name}"
    remedy = "name one of Gaussian, Poisson or real noise, of blindspot-sigma_..., or leave --adapt out"
    if source.pipeline != "blindspot":
        raise UserError(f"{what} has no likelihood, by which it could learn from noisy pictures; {remedy}")
    if not source.noise.row.real:
        raise UserError(f"{what} is of a noise that cannot be learned from noisy pictures; {remedy}")
    if source.channels < channels:
        raise UserError(f"{what} is for one channel, and the pictures are RGB: convert them to grey, or take an RGB network")
    fresh = replace(Configuration.from_name(LEARNED), noise_floor=SMALLEST_REAL)
    wanted = source if source.noise.real else fresh
    return replace(wanted, channels=channels, hole_size=source.hole_size)
