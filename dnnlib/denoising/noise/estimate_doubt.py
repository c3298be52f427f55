"""Tells when an estimate of the level of noise cannot be trusted: the noise was clipped away, lies between two values, or is
shared by neighbours."""

import numpy as np

from dnnlib.denoising.noise.estimation import ENOUGH_PATCHES, PATCH_SIDE, is_correlated, level_in_patches, of_patches
from dnnlib.denoising.noise.families import family_of

_MUCH = 0.3  # of the values of a patch
_EVEN = 2.0  # times as strong is noise in the median patch as in the least of ten; texture differs by more
_LEAST_SHARED = 0.5 / 255  # of white; weaker noise is that of rounding
_ENDS = {"least": np.min, "greatest": np.max}


def _shares_noise(pixels: np.ndarray) -> bool:
    """Tells whether neighbours seem to share the noise of a picture [H,W,C], of any real type; of small ones False."""
    height, width = (size // PATCH_SIDE * PATCH_SIDE for size in pixels.shape[:2])
    return bool(height and width) and is_correlated(pixels[np.newaxis, :height, :width])


def surely_shares_noise(pixels: np.ndarray, white: float, black: float) -> bool:
    """Tells the same where it is likely to be noise and no texture: it is about as strong everywhere.

    Of 100 camera JPEGs (PolyU) it says so of 59, of their clean ones, as of Kodak's, of one in 20.

    pixels: [H,W,C], of any real type.
    white, black: the values that stand for 1 and 0.
    """
    if not _shares_noise(pixels):
        return False
    least, median = np.quantile(level_in_patches(pixels, white, black), [0.1, 0.5])
    return bool(least > _LEAST_SHARED and median < _EVEN * least)


def doubt_about(family: str, pixels: np.ndarray, std: float) -> str:
    """Returns in a few words why an estimate for the picture cannot be trusted, or nothing.

    It cannot where in nearly all patches many values are the least or the greatest of their patch, whatever these values
    are: noise that was neither clipped nor rounded away has one of each. Nor can one of Gaussian noise that is less than
    half the distance between neighbouring values.

    family: that is estimated.
    pixels: [H,W,C], of any real type, neither side below 64.
    std: that was estimated, of Gaussian noise, in the pixels' own units; of other noise anything.
    """
    ends = family_of(family).spoiled_at
    if not ends:
        return ""

    def share_at_the_ends(patch: np.ndarray) -> float:
        """Returns the share of values [side,side,C] that are at an end of their channel's."""
        at_end = np.zeros(patch.shape, bool)
        for end in ends:
            at_end |= patch == _ENDS[end](patch, axis=(0, 1), keepdims=True)
        return np.mean(at_end)

    shares = of_patches(pixels, PATCH_SIDE, share_at_the_ends)
    if np.mean(shares <= _MUCH) < ENOUGH_PATCHES:
        which = f"{np.mean(shares):.0%} of the values are the {' or the '.join(ends)}"
        return f"{which} of their surroundings, as if clipped or coarsely rounded"
    step = float(np.median(of_patches(pixels, PATCH_SIDE, _least_step)))
    if family == "gauss" and std < step / 2:
        return f"the values are {step:g} apart, and the noise lies between them"
    return ""


def _least_step(patch: np.ndarray) -> float:
    """Returns the smallest distance between values of a patch, 0 where all are the same."""
    return float(np.diff(np.unique(patch)).min()) if patch.max() > patch.min() else 0.0
