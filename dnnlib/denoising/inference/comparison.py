"""Puts noisy, denoised and std side by side, with a detail enlarged below: a picture to look at."""

import numpy as np
from PIL import Image

from dnnlib.denoising.inference.std_file import STD_WHITE
from dnnlib.denoising.pictures.images import STD_SHOWN, to_uint8
from dnnlib.denoising.pictures.scale import Scale

_LARGEST = 1024  # pixels; larger pictures are shown smaller
_ZOOM = 4
_CANDIDATES = 12  # places along each side where the detail may be


def comparison(
    noisy: np.ndarray, denoised: np.ndarray, std: np.ndarray | None, colours: int, scale: Scale,
    holes: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Makes a picture to look at: uint8 RGB [2h, 2w or 3w, 3], h and w being the picture's, or less for a large one.

    noisy, denoised: [H,W,C], of any type.
    std: uint16 [H,W] of `to_std16`, shown with 10/255 of white as 255; None: without.
    colours: how many of the channels are shown.
    scale: the values that are shown as 0 and 255.
    holes: bool [H,W], true where there is no value; they are filled in the pictures, and shown black. None: there are none.
    """
    # The size of the panels, and the detail.
    height, width = noisy.shape[:2]
    shrink = max(1, -(-max(height, width) // _LARGEST))
    height, width = max(height // shrink, 1), max(width // shrink, 1)
    detail = _most_detailed(denoised[:, :, :colours], max(height // _ZOOM, 1), max(width // _ZOOM, 1))

    # From values to what is shown of them.
    def shown(pixels: np.ndarray) -> np.ndarray:
        return np.broadcast_to(to_uint8(scale.to_float(pixels)), (*pixels.shape[:2], 3))

    def shown_std(pixels: np.ndarray) -> np.ndarray:
        return np.broadcast_to(to_uint8(pixels * np.float32(STD_WHITE / 65535 / STD_SHOWN)), (*pixels.shape[:2], 3))

    # Each panel: the whole above, the detail below.
    pictures = [noisy[:, :, :colours], denoised[:, :, :colours]]
    if holes is not None:
        pictures = [np.where(holes[:, :, np.newaxis], scale.black, x).astype(np.float32) for x in pictures]
    panels = [(pixels, shown) for pixels in pictures]
    if std is not None:
        panels.append((std[:, :, np.newaxis], shown_std))
    columns = []
    for pixels, show in panels:
        zoom = Image.fromarray(np.ascontiguousarray(show(pixels[detail])))
        enlarged = np.asarray(zoom.resize((width, height), Image.Resampling.NEAREST))
        columns.append(np.concatenate([show(_shrunk(pixels, height, width, shrink)), enlarged]))
    return np.concatenate(columns, axis=1)


def _shrunk(pixels: np.ndarray, height: int, width: int, factor: int) -> np.ndarray:
    """Shrinks a picture by averaging squares of pixels.

    pixels: [H,W,C], of any type.
    height, width: of the result, float32 [height,width,C].
    factor: of both sides.
    """
    total = np.zeros((height, width, pixels.shape[2]), np.float32)
    for i in range(factor):
        for j in range(factor):
            total += pixels[i::factor, j::factor][:height, :width]
    return total / factor**2


def _most_detailed(pixels: np.ndarray, height: int, width: int) -> tuple[slice, slice]:
    """Finds the rows and columns of a rectangle height x width where neighbours differ most."""
    best = (-1.0, 0, 0)
    for top in np.linspace(0, pixels.shape[0] - height, _CANDIDATES).astype(int):
        for left in np.linspace(0, pixels.shape[1] - width, _CANDIDATES).astype(int):
            part = pixels[top : top + height, left : left + width].astype(np.float32)
            best = max(best, (float(np.abs(np.diff(part, axis=0)).sum() + np.abs(np.diff(part, axis=1)).sum()), top, left))
    _, top, left = best
    return slice(top, top + height), slice(left, left + width)
