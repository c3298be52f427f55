"""The blind spot that noise needs whose correlation is known."""

from collections.abc import Sequence

from dnnlib.denoising.hole import Hole, HoleSize
from dnnlib.denoising.noise.correlation import LAGS, SHARED, NoiseCorrelation


def needed_hole(correlation: NoiseCorrelation) -> HoleSize:
    """Names the smallest blind spot that hides all pixels which share more than SHARED of a pixel's noise.

    1, 3, 5, 7 or 9, or where noise is shared farther along rows than along columns, or the other way round, e.g. '5x1'.
    """
    horizontally, vertically = map(_reach, correlation)
    return Hole(2 * horizontally + 1, 2 * vertically + 1).size


def _reach(correlations: Sequence[float]) -> int:
    """Returns the farthest lag at which noise is shared, in pixels; 0 where it is not."""
    return max((lag for lag, value in zip(LAGS, correlations, strict=True) if value > SHARED), default=0)
