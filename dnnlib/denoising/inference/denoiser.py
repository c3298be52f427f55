"""Denoises pictures as they are, of any size and type, with one network. For the command line and for use from Python."""

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.hole import Hole, HoleSize
from dnnlib.denoising.inference.memory import network_budget
from dnnlib.denoising.inference.noise_level import check_given
from dnnlib.denoising.inference.prepared_picture import PreparedPicture
from dnnlib.denoising.inference.tiled_network import TiledNetwork, fitting_tile
from dnnlib.denoising.inference.tiling import PaddedPicture
from dnnlib.denoising.inference.trained_scale import trained_source
from dnnlib.denoising.network.architecture import NOISE_VARIABLE, STRIDE
from dnnlib.denoising.network.network_file import load_configured, trained_hole
from dnnlib.denoising.network.shipped import network_path
from dnnlib.denoising.pictures.axes import arrangement_of, doubt_of
from dnnlib.denoising.pictures.decided_scale import decide
from dnnlib.denoising.pictures.holes import filled, holes_in
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError
from dnnlib.tflib.network import Network
from dnnlib.tflib.precision import AUTO, for_results


class Denoiser:
    """A network, ready for use; its session is kept from call to call, until `close` (or the end of a `with` block).

        denoiser = Denoiser.load("network-final-gauss25-blindspot-sigma_known.pickle")
        clean, std = denoiser(noisy, sigma=25)

    To import it imports TensorFlow, and switches its eager mode off in this process.
    """

    def __init__(self, network: Network, configuration: Configuration, precision: str = AUTO):
        """Takes what `load_configured` gives. precision: as for `load`."""
        self.configuration = configuration
        self._network, self._precision = network, for_results(precision)
        self.raw_global = network.variables.get(NOISE_VARIABLE)
        self.tiled_network = TiledNetwork(configuration, network.variables, self._precision)

    @classmethod
    def load(
        cls, path: str | os.PathLike, hole_size: HoleSize | None = None, precision: str = AUTO
    ) -> "Denoiser":
        """Reads a network file (.pickle) of this program or of the 2019 one.

        path: of the file, or the name of a network that comes with the program.
        hole_size: of the blind spot, see `Hole`; None: that of the training. A larger one is for noise that neighbours
            share.
        precision: what convolutions compute in: 'float32', which 'auto' is, too, or 'bf16', which is faster where the CPU
            or GPU has instructions for it, and not as exact.

        Raises UserError, naming the file and what is wrong with it, and for a hole size that the network cannot have, and
        for another precision.
        """
        if not os.path.isfile(path):
            from config.networks import NETWORKS  # late: who names a file may have another package `config`

            path = network_path(path, "network", NETWORKS)
        return cls(*load_configured(path, "network", hole_size, larger=True), precision)

    def __enter__(self) -> "Denoiser":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Frees the network's memory."""
        self.tiled_network.close()
        if "as_trained" in vars(self):
            self.as_trained.close()

    @cached_property
    def as_trained(self) -> TiledNetwork:
        """Makes the same network with the hole of its training, when it is first asked for."""
        configuration = replace(self.configuration, hole_size=trained_hole(self._network).size)
        return TiledNetwork(configuration, self._network.variables, self._precision)

    @property
    def has_std(self) -> bool:
        """Tells whether the network knows how sure it is: those of `blindspot` do."""
        return self.configuration.pipeline == "blindspot"

    @property
    def sees_less_than_trained(self) -> bool:
        """Tells whether the blind spot is larger than in the training, on added noise: what that has learned of the level is
        that of single pixels' noise."""
        c = self.configuration
        return not c.noise.real and not Hole.of(c.hole_size).within(trained_hole(self._network))

    def __call__(
        self,
        image: np.ndarray,
        sigma: float | None = None,
        *,
        axes: str | None = None,
        lam: float | None = None,
        alpha: float | None = None,
        white: float | None = None,
        black: float | None = None,
        tile: int | None = None,
        strength: float = 1.0,
        ensemble: bool = False,
        prior_std: bool = False,
        nodata: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Denoises one picture, or all of an array, and returns it and the predicted standard deviation.

        image: [H,W], [H,W,1] or [H,W,3] (RGB), or an array of other `axes`, uint8, uint16, int16 or float; any H and W. A
            grey one is repeated for an RGB network, and the results are averaged.
        axes: of the image, a letter each, as tifffile has them: Y and X; S, samples of a pixel, grey or RGB, and one more
            is alpha, which is kept; C, channels that are no RGB, each denoised by itself, as are those along T, Z and any
            other letter. YXS: RGB or RGB and alpha. If it is left out, two or four channels at the end are C.
        sigma, lam, alpha: the noise level, in the unit of the noise that the network is for: sigma of 255, whatever the
            type; the count of photons that white stands for; the share of the pixels replaced, 0..1. If it is not given, it
            is what the network has learned; for networks of sigma_known, and for a larger hole than that of the training,
            it is estimated, for which H and W must be 64 or more. A sigma or alpha of 0 is no noise: the result is the
            image, bit for bit.
        white: the value that stands for white; if it is not given, the one that a network of real noise was trained with on
            pictures of the type, or else the largest of an integer type, or 1.0. Say 4095 for 12 bits in uint16.
        black: the value that stands for black, the black level of raw data; if it is not given, likewise, or else 0.
        tile: side of the tiles in pixels, 0: none; None: as the memory at hand allows. It changes the result by rounding
            only.
        strength: how much of the noise is removed, from 0, none (the result is the image, bit for bit), to 1, all:
            noisy + strength * (denoised - noisy).
        ensemble: whether the result is the mean over the eight flips and turns of the picture, which takes eight times as
            long. The std is then the root mean square of theirs.
        prior_std: whether the std shall be what the network expects of the pixel from its surroundings alone, before it
            has seen the pixel's own noisy value.
        nodata: the value that stands for no value, e.g. -9999. Of integers all channels of a pixel must have it, of floats
            one. Such pixels, and those of NaN or infinity, stay as they are, bit for bit, and their std is NaN. The network
            sees what is around them in their place, and they do not count for the noise level.

        The picture has the image's shape and type; integers are rounded and clipped to their type, floats are neither (and
        are computed in float32). std is float32 [H,W] in the image's own units, one value for all samples of a pixel (of
        other axes: of the image's shape, without S): how far the result (of strength 1, whatever the strength) may be from
        the clean picture; None for networks without (`has_std`).

        Raises UserError for images of another type, of no pixels, whose axes are not known or do not fit, without any
        value, in colour where the network is for one channel, for floats far above 1 without `white`, for a noise level
        that does not go with the network or cannot be estimated, and for a strength that is not from 0 to 1. Warns, by the
        module `warnings`, of values that use little of their type's range, as 12 bits in uint16 do without `white`, and of
        channels that may be alpha.
        """
        image = np.asarray(image)
        arranged = arrangement_of(image.shape, axes)
        pages = [page[:, :, : arranged.colours] for page in arranged.views(image)]
        given = {"sigma": sigma, "lambda": lam, "alpha": alpha}
        holes = [holes_in(page, nodata) for page in pages]
        valued = [page if here is None else here.with_value(page) for page, here in zip(pages, holes, strict=True)]
        found = decide(valued, Scale(black or 0.0, white), trained=trained_source(self._network, black))
        doubt = doubt_of(arranged, "axes=") if axes is None else None
        if doubt and self.configuration.channels == 3:
            asked = f"an array of shape {list(image.shape)}, which does not say what its channels are"
            raise UserError(f"{asked}: {doubt}; if it is not: axes={arranged.axes}")
        for warning in filter(None, (found.warning, doubt)):
            warnings.warn(warning, stacklevel=2)
        masks = [None if here is None else here.mask for here in holes]
        pages = [page if mask is None else filled(page, mask) for page, mask in zip(pages, masks, strict=True)]
        prepared = [
            self.prepare(page, given, found.scale, tile, strength, ensemble, mask)
            for page, mask in zip(pages, masks, strict=True)
        ]
        result = image.copy()
        of_std = arranged.without_samples()
        std = np.empty(of_std.shape, np.float32)

        def keep_std(page: np.ndarray, region: tuple[slice, slice], values: np.ndarray) -> None:
            page[region] = found.scale.spread(values)[:, :, np.newaxis]

        views = zip(prepared, holes, arranged.views(result), of_std.views(std), strict=True)
        for ready, here, page, std_page in views:
            put_std = {"prior-std" if prior_std else "std": partial(keep_std, std_page)} if self.has_std else {}
            ready.run(page[:, :, : arranged.colours], put_std)
            if here is not None:
                here.put_back(page[:, :, : arranged.colours])
                std_page[here.mask] = np.nan
        return result, std if self.has_std else None

    def prepare(
        self,
        pixels: np.ndarray,
        given: Mapping[str, float | None],
        scale: Scale,
        tile: int | None = None,
        strength: float = 1.0,
        ensemble: bool = False,
        holes: np.ndarray | None = None,
    ) -> PreparedPicture:
        """Checks a picture and all that is told of it, and decides how it is cut; `run` of what this returns denoises it.

        pixels: [H,W,1 or 3], of any type of pictures.
        given: the noise level, as for `check_given`.
        scale: the values of black and white; white None: that of the type.
        tile: side of the tiles in pixels, 0: none; None: as the memory at hand allows.
        strength: how much of the noise is removed, from 0 to 1.
        ensemble: whether the mean over flips and turns is taken.
        holes: bool [H,W], true for pixels that have no value, and have been filled; None: there are none.

        Raises UserError where this network cannot denoise the picture, and for what cannot be told of it.
        """
        # What is given.
        check_given(self.configuration, given)
        if not 0 <= strength <= 1:
            raise UserError(f"--strength {strength:g}: must be from 0 to 1")
        if pixels.size == 0:
            raise UserError("the picture has no pixels")
        if pixels.shape[2] == 3 and self.configuration.channels == 1:
            raise UserError("a colour picture, but a network for one channel: convert it to grey, or take an RGB network")
        if 0 in given.values():
            strength = 0.0  # there is no noise
        scale = scale.of(pixels.dtype)
        scale.check()
        # The values.
        if pixels.dtype.kind == "f":
            for row in range(0, len(pixels), 256):  # not at once: large pictures would need large masks
                if not np.isfinite(pixels[row : row + 256]).all():
                    raise UserError("the picture has values that are NaN or infinite: replace them first")
        padded = PaddedPicture(pixels, scale, self.configuration.channels)
        return PreparedPicture(self, pixels, padded, scale, self._tile_side(padded, tile), given, strength, ensemble, holes)

    def _tile_side(self, padded: PaddedPicture, tile: int | None) -> int:
        """Returns the side of the tiles, a multiple of 32, or 0: not cut. tile: as for `prepare`."""
        if tile is None:
            return fitting_tile(padded.height, padded.width, network_budget(), self.configuration.hole_size)
        if tile < 0:
            raise UserError(f"--tile {tile}: must be 0 or more pixels")
        return -(-tile // STRIDE) * STRIDE
