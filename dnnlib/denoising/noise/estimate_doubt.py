"""Tells when an estimate of the level of noise cannot be trusted: the noise was clipped away, or lies between two values."""

import numpy as np

from dnnlib.denoising.noise.estimation import ENOUGH_PATCHES, PATCH_SIDE, of_patches
from dnnlib.denoising.noise.families import family_of

_MUCH = 0.3  # of the values of a patch
_ENDS = {"least": np.min, "greatest": np.max}


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
