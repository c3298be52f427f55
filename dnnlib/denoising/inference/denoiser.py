"""Denoises pictures as they are, of any size and type, with one network. For the command line and for use from Python."""

import os
from collections.abc import Callable, Mapping

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference.memory import network_budget
from dnnlib.denoising.inference.noise_level import NoiseLevel, check_given, known_level, learned_level
from dnnlib.denoising.inference.tiled_network import TiledNetwork, fitting_tile
from dnnlib.denoising.inference.tiling import PaddedPicture, Region, cores
from dnnlib.denoising.network.architecture import NOISE_VARIABLE, STRIDE
from dnnlib.denoising.network.network_file import load_configured
from dnnlib.denoising.pictures.scale import check_white, largest_of, white_of
from dnnlib.errors import UserError
from dnnlib.tflib.network import Network


class Denoiser:
    """A network, ready for use; its session is kept from call to call, until `close` (or the end of a `with` block).

        denoiser = Denoiser.load("network-final-gauss25-blindspot-sigma_known.pickle")
        clean, std = denoiser(noisy, sigma=25)

    To import it imports TensorFlow, and switches its eager mode off in this process.
    """

    def __init__(self, network: Network, configuration: Configuration):
        """Takes what `load_configured` gives."""
        self.configuration = configuration
        self._raw_global = network.variables.get(NOISE_VARIABLE)
        self._network = TiledNetwork(configuration, network.variables)

    @classmethod
    def load(cls, path: str | os.PathLike, hole_size: int | None = None) -> "Denoiser":
        """Reads a network file (.pickle) of this program or of the 2019 one.

        hole_size: side of the blind spot in pixels, odd, at most that of the training, which is the default. Raises
        UserError, naming the file and what is wrong with it, and for a hole size that the network cannot have.
        """
        return cls(*load_configured(path, "network", hole_size))

    def __enter__(self) -> "Denoiser":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Frees the network's memory."""
        self._network.close()

    @property
    def has_std(self) -> bool:
        """Whether the network tells how sure it is: those of `blindspot` do."""
        return self.configuration.pipeline == "blindspot"

    def __call__(
        self,
        image: np.ndarray,
        sigma: float | None = None,
        *,
        lam: float | None = None,
        alpha: float | None = None,
        white: float | None = None,
        black: float = 0.0,
        tile: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Denoises one picture -> (the picture, the predicted standard deviation).

        image: [H,W], [H,W,1], [H,W,3] (RGB) or [H,W,4] (RGB and alpha, which is kept), uint8, uint16 or float; any H and W.
        A grey one is repeated for an RGB network, and the results are averaged.
        sigma (of 255, whatever the type), lam (the count of photons that white stands for), alpha (share of the pixels
        replaced, 0..1): the noise level, for networks of sigma_known, each for the noise that the network is for. If it is
        not given, it is estimated, for which H and W must be 64 or more.
        white: the value that stands for white; the largest of an integer type, or 1.0. Say 4095 for 12 bits in uint16.
        black: the value that stands for black, the black level of raw data.
        tile: side of the tiles in pixels, 0: none; by default as the memory at hand allows. It does not change the result.

        The picture has the image's shape and type; integers are rounded and clipped to their type, floats are neither (and
        are computed in float32). std is float32 [H,W] in the image's own units, one value for all channels: what the network
        knows of the pixel from its surroundings alone; None for networks without (`has_std`).

        Raises UserError for images of another shape or type, of zero area, with NaN or infinity, in colour where the network
        is for one channel, and for a noise level that does not go with the network or cannot be estimated.
        """
        given = {"sigma": sigma, "lambda": lam, "alpha": alpha}
        check_given(self.configuration, given)
        image = np.asarray(image)
        colours = colour_channels(image.shape)
        pixels = image if image.ndim == 3 else image[:, :, np.newaxis]
        result = pixels.copy()
        std = np.empty(pixels.shape[:2], np.float32) if self.has_std else None
        white = self.check(pixels[:, :, :colours], white, black)
        side = self.tile_side(*image.shape[:2], tile)
        level = self.level(pixels[:, :, :colours], given, white, side, black=black)

        def keep_std(region: tuple[slice, slice], values: np.ndarray) -> None:
            std[region] = values * np.float32(white - black)

        keep = keep_std if self.has_std else None
        self.denoise(pixels[:, :, :colours], result[:, :, :colours], level, white, side, keep, black=black)
        return result.reshape(image.shape), std

    def check(self, pixels: np.ndarray, white: float | None, black: float = 0.0) -> float:
        """The value of white in pixels [H,W,1 or 3]. Raises UserError if this network cannot denoise them."""
        if pixels.size == 0:
            raise UserError("the picture has no pixels")
        if pixels.shape[2] == 3 and self.configuration.channels == 1:
            raise UserError("a colour picture, but a network for one channel: convert it to grey, or take an RGB network")
        white = white_of(pixels.dtype, white)
        check_white(white, black)
        if pixels.dtype.kind == "f":
            for row in range(0, len(pixels), 256):  # not at once: large pictures would need large masks
                if not np.isfinite(pixels[row : row + 256]).all():
                    raise UserError("the picture has values that are NaN or infinite: replace them first")
        return white

    def tile_side(self, height: int, width: int, tile: int | None) -> int:
        """The side of the tiles for a picture, a multiple of 32, or 0: not cut. tile: as given, None: as memory allows."""
        if tile is not None:
            if tile < 0:
                raise UserError(f"--tile {tile}: must be 0 or more pixels")
            return -(-tile // STRIDE) * STRIDE
        padded = height + -height % STRIDE, width + -width % STRIDE
        return fitting_tile(*padded, network_budget(), self.configuration.hole_size)

    def steps(self, height: int, width: int, side: int) -> int:
        """How often `level` and `denoise` together call `done` for one picture."""
        passes = 2 if self.configuration.noise_params == "per_image" else 1
        return passes * len(cores(height + -height % STRIDE, width + -width % STRIDE, side))

    def level(
        self, pixels: np.ndarray, given: Mapping[str, float | None], white: float, side: int,
        done: Callable[[], None] = lambda: None, black: float = 0.0,
    ) -> NoiseLevel:  # fmt: skip
        """The noise level of pixels [H,W,1 or 3]: one for the whole picture.

        given: as for `check_given`; side: of `tile_side`.
        """
        kind = self.configuration.noise_params if self.has_std else None
        if kind is None:
            return NoiseLevel([0.0])
        if kind == "known":
            return known_level(self.configuration, given, pixels, white, black)
        if kind == "global":
            return learned_level(self.configuration, self._raw_global)
        height, width = pixels.shape[:2]
        picture = PaddedPicture(pixels, white, self.configuration.channels, black)
        return learned_level(self.configuration, self._network.mean_raw_parameter(picture, height, width, side, done))

    def denoise(
        self, pixels: np.ndarray, result: np.ndarray, level: NoiseLevel, white: float, side: int,
        put_std: Callable[[tuple[slice, slice], np.ndarray], None] | None = None, done: Callable[[], None] = lambda: None,
        black: float = 0.0,
    ) -> None:  # fmt: skip
        """Denoises pixels [H,W,1 or 3] that have been through `check` into `result` of the same shape and type.

        put_std((rows, columns), std float32 [h,w] in parts of white) is called for parts that make up the picture;
        done() after each tile.
        """
        height, width, colours = pixels.shape
        largest = largest_of(result.dtype)

        def put(region: Region, mean: np.ndarray, std: np.ndarray) -> None:
            rows = slice(region.top, min(region.bottom, height))
            columns = slice(region.left, min(region.right, width))
            part = result[rows, columns]  # without the padding
            mean, std = (x[: part.shape[0], : part.shape[1]] for x in (mean, std))
            if colours < mean.shape[2]:
                mean = mean.mean(axis=2, keepdims=True)
            mean = mean * np.float32(white - black) + np.float32(black)
            part[...] = mean if largest is None else np.clip(np.rint(mean), 0, largest)
            if put_std:
                put_std((rows, columns), std)

        picture = PaddedPicture(pixels, white, self.configuration.channels, black)
        self._network.denoise(picture, level.parameter, side, put, done)


def colour_channels(shape: tuple[int, ...]) -> int:
    """How many of the channels of [H,W] or [H,W,C] are to be denoised: 1 or 3. Raises UserError for other shapes."""
    channels = 1 if len(shape) == 2 else shape[2] if len(shape) == 3 else 0
    if channels not in (1, 3, 4):
        wanted = "[H,W], or [H,W,C] with C of 1 (grey), 3 (RGB) or 4 (RGB and alpha)"
        raise UserError(f"an array of shape {list(shape)} is no picture: expected {wanted}")
    return min(channels, 3)
