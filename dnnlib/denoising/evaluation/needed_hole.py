"""The blind spot that noise needs whose correlation is known."""

from collections.abc import Iterable

import numpy as np

from dnnlib.denoising.data.noisy_pictures import NoisyPictures
from dnnlib.denoising.hole import Hole, HoleSize
from dnnlib.denoising.noise.correlation import CORRELATION_PATCH, LAGS, SHARED, NoiseCorrelation, noise_correlation

ENOUGH_PICTURES = 20  # to believe what they tell of shared noise: of five, texture is taken for it now and then
_MOST_PICTURES = 100  # that are asked
_SIDE = 256  # pixels of the middle of each


def needed_hole(correlation: NoiseCorrelation) -> HoleSize:
    """Names the smallest blind spot that hides all pixels which share more than SHARED of a pixel's noise.

    A square, 1, 3, 5, 7 or 9, by the average over both directions; but of height or width 1 where neighbours share noise in
    one direction only, e.g. '5x1'.
    """
    across, down = map(_reach, correlation)
    if across and down:
        across = down = _reach(np.mean(correlation, axis=0))
    return Hole(2 * across + 1, 2 * down + 1).size


def hole_advice(correlation: NoiseCorrelation, hole_size: HoleSize) -> str | None:
    """Returns a line that names the blind spot to train with; None where one of hole_size hides what shares noise."""
    needed = Hole.of(needed_hole(correlation))
    if needed.within(Hole.of(hole_size)):
        return None
    across, down = (values[0] for values in correlation)
    value, way = (across, "horizontally") if across >= down else (down, "vertically")
    return (
        f"Neighbours share their noise (correlation {value:.2f} at 1 pixel {way}; beyond {SHARED} it counts), and a network "
        f"that sees them leaves it in the picture: train with --hole-size {needed.size}, or leave the training out (--learn)"
    )


def advice_from_pictures(pictures: NoisyPictures, hole_size: HoleSize) -> str | None:
    """Returns `hole_advice` for noisy pictures; None where they are fewer than ENOUGH_PICTURES, or tell nothing.

    pictures: of any sizes.
    hole_size: of the blind spot that the network was trained with.
    """
    if len(pictures) < ENOUGH_PICTURES:
        return None
    chosen = np.linspace(0, len(pictures) - 1, min(len(pictures), _MOST_PICTURES)).astype(int)
    patches = np.concatenate([_patches(pictures.read(i)[0]) for i in chosen])
    return hole_advice(noise_correlation(patches), hole_size) if len(patches) else None


def _patches(picture: np.ndarray) -> np.ndarray:
    """Cuts the middle of a picture [H,W,C] into patches [N,32,32,C]; of a smaller one there are none."""
    side, channels = CORRELATION_PATCH, picture.shape[2]
    rows, columns = (min(size, _SIDE) // side for size in picture.shape[:2])
    top, left = (picture.shape[0] - rows * side) // 2, (picture.shape[1] - columns * side) // 2
    middle = picture[top : top + rows * side, left : left + columns * side]
    split = middle.reshape(rows, side, columns, side, channels).swapaxes(1, 2)
    return split.reshape(rows * columns, side, side, channels)


def _reach(correlations: Iterable[float]) -> int:
    """Returns the farthest lag at which noise is shared, in pixels; 0 where it is not."""
    return max((lag for lag, value in zip(LAGS, correlations, strict=True) if value > SHARED), default=0)
