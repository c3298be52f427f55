"""A picture that a network can denoise: all of it is checked, and it is known how it is cut."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from dnnlib.denoising.inference.coarse_noise import without_coarse_noise
from dnnlib.denoising.inference.ensemble import SYMMETRIES, denoise_ensemble
from dnnlib.denoising.inference.kept_means import KeptMeans
from dnnlib.denoising.inference.noise_level import NoiseLevel, learned_level, shared_noise_doubt, told_level
from dnnlib.denoising.inference.std_file import STDS
from dnnlib.denoising.inference.tiling import PaddedPicture, Region, tiles
from dnnlib.denoising.pictures.scale import Scale

if TYPE_CHECKING:
    from dnnlib.denoising.inference.denoiser import Denoiser

PutStd = Callable[[tuple[slice, slice], np.ndarray], None]


@dataclass
class PreparedPicture:
    """Holds a picture that a network can denoise: all of it is checked. `Denoiser.prepare` makes it.

    denoiser: with the network.
    pixels: [H,W,1 or 3].
    padded: the pixels as the network is to see them.
    scale: of the pixels.
    side: of the tiles, in pixels; 0: one tile.
    given: the noise level, as far as the user gave it.
    strength: how much of the noise is removed, from 0 to 1.
    ensemble: whether the mean over flips and turns is taken.
    holes: where there is no value, see `Denoiser.prepare`.
    """

    denoiser: "Denoiser"
    pixels: np.ndarray
    padded: PaddedPicture
    scale: Scale
    side: int
    given: Mapping[str, float | None]
    strength: float
    ensemble: bool
    holes: np.ndarray | None
    _level: NoiseLevel | None = field(default=None, init=False)

    @property
    def steps(self) -> int:
        """Counts how often `run` calls `done`."""
        passes = SYMMETRIES if self.ensemble else 1
        passes += self.denoiser.configuration.noise_params == "per_image" and not self._is_told
        return passes * len(tiles(self.padded.height, self.padded.width, self.side))

    @property
    def _is_told(self) -> bool:
        """Tells whether the network is told the level, as given or estimated, and does not use its own."""
        given = any(value is not None for value in self.given.values())
        return given or self.denoiser.configuration.noise_params == "known" or self.denoiser.sees_less_than_trained

    def level(self, done: Callable[[], None] = lambda: None) -> NoiseLevel:
        """Returns the noise level, one for the whole picture: as it was given, estimated, or learned by the network.

        done() is called after each tile that a network of sigma_per_image looks at. Raises UserError where the level cannot
        be estimated.
        """
        if self._level is None:
            self._level = self._find_level(done)
        return self._level

    def run(
        self,
        result: np.ndarray,
        put_stds: Mapping[str, PutStd] = MappingProxyType({}),
        done: Callable[[], None] = lambda: None,
    ) -> NoiseLevel:
        """Denoises the picture into `result`, of the shape and type of the pixels, and returns its noise level.

        put_stds: of the stds of `STDS` that are wanted, what takes them: it is called with (rows, columns) and std float32
            [h,w], in parts of white, for parts that make up the picture.
        done(): is called after each tile.

        Raises UserError as `level`.
        """
        height, width, colours = self.pixels.shape
        level = self.level(done)
        maps = [STDS[name] for name in put_stds]
        pixels, scale, padded = self.pixels, self.scale, self.padded
        if self.strength > 0 and self.denoiser.sees_less_than_trained and self.denoiser.configuration.noise.row.keeps_mean:
            pixels = without_coarse_noise(self.pixels, self.scale, partial(self._denoise_half, level))
            scale = Scale(0.0, 1.0)
            padded = PaddedPicture(pixels, scale, self.denoiser.configuration.channels)
        kept = KeptMeans(result, self.pixels, self.scale, self.strength, self.holes)

        def put(region: Region, mean: np.ndarray, *stds: np.ndarray) -> None:
            """Writes what the network gives for a region into the result."""
            rows = slice(region.top, min(region.bottom, height))
            columns = slice(region.left, min(region.right, width))
            inside = self.pixels[rows, columns].shape[:2]  # without the padding
            mean, *stds = (x[: inside[0], : inside[1]] for x in (mean, *stds))
            if colours < mean.shape[2]:
                mean = mean.mean(axis=2, keepdims=True)
            if self.strength > 0:
                kept.put((rows, columns), self.scale.to_values(mean))
            for put_std, std in zip(put_stds.values(), stds, strict=True):
                put_std((rows, columns), std)

        network = self.denoiser.tiled_network
        if self.ensemble:
            denoise_ensemble(network, pixels, scale, level.parameter, self.side, put, done, maps)
        else:
            network.denoise(padded, level.parameter, self.side, put, done, maps)
        if self.strength == 0:
            result[...] = self.pixels  # bit for bit
        elif self.denoiser.configuration.noise.row.keeps_mean:
            kept.finish()
        return level

    def _denoise_half(self, level: NoiseLevel, half: np.ndarray) -> np.ndarray:
        """Denoises the picture of half the size, float32 [h,w,C] on the scale [0, 1], with the hole of the training.

        Its noise counts as strong as that of the whole: of noise that neighbours share, means of four have nearly as much.
        """
        network, result = self.denoiser.as_trained, np.empty_like(half)

        def put(region: Region, mean: np.ndarray) -> None:
            """Writes a region, as far as it is no padding."""
            here = result[region.top : region.bottom, region.left : region.right]
            mean = mean[: here.shape[0], : here.shape[1]]
            here[...] = mean if mean.shape[2] == here.shape[2] else mean.mean(axis=2, keepdims=True)

        padded = PaddedPicture(half, Scale(0.0, 1.0), network.configuration.channels)
        network.denoise(padded, level.parameter, self.side, put, lambda: None)
        return result

    def _find_level(self, done: Callable[[], None]) -> NoiseLevel:
        """Finds the noise level in the way of the network's configuration, or takes what was given."""
        configuration = self.denoiser.configuration
        kind = configuration.noise_params if self.denoiser.has_std else None
        if kind is None:
            return NoiseLevel([0.0])
        doubts = shared_noise_doubt(configuration, self.pixels, self.scale)
        if self._is_told:
            level = told_level(configuration, self.given, self.pixels, self.scale, self.holes)
        elif kind == "global":
            level = learned_level(configuration, self.denoiser.raw_global)
        elif kind == "per_image":
            height, width, _ = self.pixels.shape
            network = self.denoiser.tiled_network
            raw = network.mean_raw_parameter(self.padded, height, width, self.side, done, self.holes)
            level = learned_level(configuration, raw)
        else:
            raise ValueError(f"a network of {configuration.name} knows its noise as {kind}")
        return level._replace(doubts=level.doubts + doubts)
