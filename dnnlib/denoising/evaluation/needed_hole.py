"""The blind spot that noise needs whose correlation is known."""

from collections.abc import Iterable

import numpy as np

from dnnlib.denoising.hole import Hole, HoleSize
from dnnlib.denoising.noise.correlation import LAGS, SHARED, NoiseCorrelation


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


def _reach(correlations: Iterable[float]) -> int:
    """Returns the farthest lag at which noise is shared, in pixels; 0 where it is not."""
    return max((lag for lag, value in zip(LAGS, correlations, strict=True) if value > SHARED), default=0)
