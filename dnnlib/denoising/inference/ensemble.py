"""The mean over the eight flips and turns of a picture. A network errs a little differently in each of them."""

from collections.abc import Callable, Sequence

import numpy as np

from dnnlib.denoising.inference.tiled_network import TiledNetwork
from dnnlib.denoising.inference.tiling import PaddedPicture, Region
from dnnlib.denoising.pictures.scale import Scale

SYMMETRIES = 8  # four turns, and the same of the mirrored picture


def turned(x: np.ndarray, number: int) -> np.ndarray:
    """Returns a view of x [H,W,...], turned by number % 4 quarters and, from number 4 on, mirrored."""
    view = np.rot90(x, number % 4)
    return view[:, ::-1] if number >= 4 else view


def denoise_ensemble(
    network: TiledNetwork,
    pixels: np.ndarray,
    scale: Scale,
    parameter: Sequence[float],
    side: int,
    put: Callable[..., None],
    done: Callable[[], None],
    maps: Sequence[str] = (),
) -> None:
    """Denoises a picture eight times, each tile by tile.

    network: what denoises.
    pixels: [H,W,1 or 3], of any type of pictures.
    scale: the values of black and white.
    parameter, side, done, maps: as for `TiledNetwork.denoise`; maps are stds.
    put(region, posterior mean [H,W,C], *maps [H,W]): is called once, with the means; of stds they are root mean squares.
    """
    height, width, _ = pixels.shape
    channels = network.configuration.channels
    total = np.zeros([height, width, channels], np.float32)
    squares = [np.zeros([height, width], np.float32) for _ in maps]
    for number in range(SYMMETRIES):
        padded = PaddedPicture(turned(pixels, number), scale, channels)
        views = [turned(x, number) for x in (total, *squares)]

        def add(region: Region, mean: np.ndarray, *stds: np.ndarray, views: list[np.ndarray] = views) -> None:
            """Adds what the network gives for a region, but for the padding."""
            for view, part in zip(views, (mean, *(std**2 for std in stds)), strict=True):
                here = view[region.top : region.bottom, region.left : region.right]
                here += part[: here.shape[0], : here.shape[1]]

        network.denoise(padded, parameter, side, add, done, maps)
    put(Region(0, 0, height, width), total / SYMMETRIES, *(np.sqrt(x / SYMMETRIES) for x in squares))
