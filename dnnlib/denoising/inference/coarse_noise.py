"""Takes the coarse part of noise that neighbours share out of a picture, before it is denoised at its full size.

A large blind spot hides the pixels that share the most of a pixel's noise. What is shared over longer distances the network
sees as blotches, and keeps. In the picture of half the size it is noise of single pixels again: there it is denoised first
(as in Lebrun, Colom, Morel: The Noise Clinic, IPOL 2015, which begins at the coarsest of its scales).
"""

from collections.abc import Callable

import numpy as np

from dnnlib.denoising.pictures.scale import Scale


def without_coarse_noise(pixels: np.ndarray, scale: Scale, denoise: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Returns a picture as float32 [H,W,C] on the scale [0, 1], without what is found of the noise at half its size.

    pixels: [H,W,C], of any real type.
    scale: the values that become 0 and 1.
    denoise: takes a picture float32 [h,w,C] on the scale [0, 1], and returns it denoised, likewise.
    """
    picture = scale.to_float(pixels)
    half = halved(picture)
    noise = doubled(half - denoise(half))
    picture -= noise[: picture.shape[0], : picture.shape[1]]
    return picture


def halved(picture: np.ndarray) -> np.ndarray:
    """Returns a picture [H,W,C] at half its size, each pixel the mean of four; at odd sides the last ones count twice."""
    even = np.pad(picture, [(0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)], mode="edge")
    height, width, channels = even.shape
    return even.reshape(height // 2, 2, width // 2, 2, channels).mean(axis=(1, 3), dtype=np.float32)


def doubled(picture: np.ndarray) -> np.ndarray:
    """Returns a picture [h,w,C] at twice its size, by cubic splines."""
    from scipy.ndimage import zoom  # late: it takes a while to import

    return zoom(picture, (2, 2, 1), order=3, mode="nearest", grid_mode=True)
