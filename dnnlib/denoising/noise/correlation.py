"""How much of their noise neighbours share, told from noisy pictures alone, before any network has seen them.

The double difference of four pixels that are the corners of a rectangle, y(0, 0) - y(0, L) - y(F, 0) + y(F, L), holds
little of a smooth picture, nothing of one that varies along rows or along columns alone, and all of the noise. Pixels F
apart, farther than noise is shared, give it the variance 4 sigma^2 (1 - r), r being the noise's correlation at L pixels. So
r is 1 minus what rectangles of width L have of the variance of those of width F. Texture only makes the wider ones differ
more, which looks like shared noise; so the flattest patches are asked.
"""

from typing import NamedTuple

import numpy as np

from dnnlib.denoising.noise.estimation import of_patches

LAGS = (1, 2, 3, 4)  # pixels
SHARED = 0.3  # beyond it neighbours share noise; docs/real-noise.md has what white and correlated noise measured
_FAR = 6  # pixels; noise that is shared so far is beyond the largest blind spot
CORRELATION_PATCH = 32  # side of the patches: large ones are rarely flat, small ones tell little each
_FLAT = 0.1  # share of the patches, those in which far pixels differ least


class NoiseCorrelation(NamedTuple):
    """Holds correlations of the noise at LAGS, of its variance: 1 would be the same noise in both pixels."""

    horizontal: tuple[float, ...]
    vertical: tuple[float, ...]


_NONE = NoiseCorrelation((0.0,) * len(LAGS), (0.0,) * len(LAGS))


def noise_correlation(images: np.ndarray) -> NoiseCorrelation:
    """Measures the correlation of noise in noisy pictures; 0 where they have none, or are smaller than a patch.

    images: [N,H,W,C], of any scale and real type; H and W multiples of 32, or N is 1.
    """
    stacked = images.reshape(-1, *images.shape[2:])  # no patch lies in two of them
    variances = of_patches(stacked, CORRELATION_PATCH, _variances)
    if len(variances):
        variances = variances[variances.min(axis=1) > 0]  # cut off at black or white, a patch has no noise
    if not len(variances):
        return _NONE
    far, *near = variances[variances[:, 0] <= np.quantile(variances[:, 0], _FLAT)].T
    r = [float(1 - np.median(variance / far)) for variance in near]
    return NoiseCorrelation(tuple(r[: len(LAGS)]), tuple(r[len(LAGS) :]))


def _variances(patch: np.ndarray) -> list[float]:
    """Returns the variance of double differences in a patch [H,W,C]: of squares of _FAR pixels, then of rectangles as wide,
    then as high, as LAGS."""
    patch = patch.astype(np.float64)
    shapes = [(_FAR, _FAR), *((_FAR, lag) for lag in LAGS), *((lag, _FAR) for lag in LAGS)]
    return [float(np.mean(_double_difference(patch, *shape) ** 2)) for shape in shapes]


def _double_difference(patch: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns y(0, 0) - y(0, width) - y(height, 0) + y(height, width) for the pixels of a patch that have all four."""
    down = patch[height:] - patch[:-height]
    return down[:, width:] - down[:, :-width]
