"""The photon transfer of pictures: how the variance of their noise depends on brightness, and which family fits.

The points are what flat patches say, variance against mean (Janesick: Photon transfer, 2007). Flat is what varies the least
at twice the scale at which the noise is measured, among patches of its brightness: the coefficients of the two scales are
orthogonal, so that of white noise none is preferred that has less by chance.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.noise.estimation import (
    COARSER,
    FINEST,
    FLAT_QUANTILE,
    SMALL_PATCH_SIDE,
    haar,
    is_correlated,
    of_patches,
)

ENOUGH_POINTS = 5  # of a brightness, to count
_CLASSES = 16  # of brightness, evenly spaced from black to white, beyond which the first and the last go on
_LIKE = 0.1  # of the std: a model that errs by less on average serves as well as any
_LEAST = 1e-12  # a variance
_DARKEST = 1e-3  # of the largest variance: less is what clipping left
_CLIPPED = 0.001  # of the values: a share that is worth a word


class Points(NamedTuple):
    """Holds what flat patches say: mean and variance of each, float [N], on the scale [0, 1], whose white is 1."""

    means: np.ndarray
    variances: np.ndarray


class _Middles(NamedTuple):
    """Holds the medians of the points of some brightnesses, and how many points each is of: float [K]."""

    means: np.ndarray
    variances: np.ndarray
    counts: np.ndarray


def transfer_points(crops: np.ndarray) -> Points:
    """Returns the points of the flattest patches of each brightness, 2,000 patches being looked at.

    Those that are clipped count, too: a network sees them, and whatever is left of their noise.

    crops: float [N,H,W,C] on the scale [0, 1], H and W multiples of 32.
    """
    sight = COARSER if is_correlated(crops) else FINEST
    stacked = crops.reshape(-1, *crops.shape[2:])
    told = of_patches(stacked, SMALL_PATCH_SIDE, partial(_told, sight.step))
    means, variances, texture = told.T
    chosen = []
    for members in _classes(means):
        count = int(FLAT_QUANTILE * len(members))  # of three or fewer none: nobody knows whether they are flat
        chosen.append(members[np.argsort(texture[members], kind="stable")[:count]])
    chosen = np.sort(np.concatenate(chosen))
    return Points(means[chosen], variances[chosen])


def fitting_model(crops: np.ndarray, limits: Sequence[float] = ()) -> tuple[str, str]:
    """Returns the simplest family of noise that fits the pictures' photon transfer, and why, in words, with figures.

    That is `gauss` or `poissongauss`, if the std that it gives is off by less than a tenth, else `curve`: so small an error
    costs next to nothing where the std only weighs a pixel against its surroundings. Off is the root mean square over the
    patches, as a share of the std at their brightness, each family being fitted as well as it can.

    crops: as for `transfer_points`.
    limits: the values at which the noise may have been clipped, of which the words tell: clipping bends the curve.
    """
    name, reason = model_of(transfer_points(crops))
    share = float(np.mean(np.isin(crops, np.asarray(limits, crops.dtype)))) if len(limits) else 0.0
    return name, reason + (f"; {share:.1%} of the values are clipped" if share >= _CLIPPED else "")


def model_of(points: Points) -> tuple[str, str]:
    """Returns what `fitting_model` does, of points that are known."""
    found = _middles(points)
    if not len(found.means):
        return "poissongauss", "they have too few flat patches to tell"
    if not found.variances.any():
        return "gauss", "they have no noise where they are flat"
    errors = {name: _error(found, fit(found)) for name, fit in {"gauss": _constant, "poissongauss": _line}.items()}
    name = next((name for name, error in errors.items() if error < _LIKE), "curve")
    said = " and ".join(f"by {100 * error:.0f} % by {name}" for name, error in errors.items())
    return name, f"the std of flat patches of {len(found.means)} brightnesses is missed {said}"


def _told(step: int, patch: np.ndarray) -> tuple[float, float, float]:
    """Returns of a patch [H,W,C] the mean, the variance of its noise at a scale, and all that varies at twice that."""
    patch = patch.astype(np.float64)
    fine, *_ = haar(patch, step)
    coarse = haar(patch, 2 * step)
    return patch.mean(), np.mean(fine**2), sum(np.mean(band**2) for band in coarse)


def _classes(means: np.ndarray) -> list[np.ndarray]:
    """Returns the numbers of the patches of each brightness, as far as there are any."""
    place = np.clip((means * _CLASSES).astype(int), 0, _CLASSES - 1)
    return [members for k in range(_CLASSES) if len(members := np.flatnonzero(place == k))]


def _middles(points: Points) -> _Middles:
    """Returns the medians of the points of each brightness that has enough of them."""
    classes = [members for members in _classes(points.means) if len(members) >= ENOUGH_POINTS]
    medians = (np.array([np.median(values[members]) for members in classes]) for values in points)
    return _Middles(*medians, np.array([len(members) for members in classes], np.float64))


def _constant(points: _Middles) -> np.ndarray:
    """Returns the variance of Gaussian noise at each brightness: that which is off the least."""
    return _nearest(np.ones(len(points.means)), points)


def _line(points: _Middles) -> np.ndarray:
    """Returns a x + b at the brightnesses x, a and b of 0 or more, by least squares of relative errors."""
    from scipy.optimize import nnls  # late: takes a second to import

    design = np.column_stack([points.means.clip(0.0), np.ones(len(points.means))])
    weights = np.sqrt(points.counts)
    relative = weights / np.maximum(points.variances, _LEAST)
    line = design @ nnls(design * relative[:, None], weights)[0]
    return _nearest(line, points)


def _nearest(line: np.ndarray, points: _Middles) -> np.ndarray:
    """Returns variances [K], multiplied by the factor by which `_error` is the least."""
    ratios = _ratios(points, line)
    return line * (np.sum(points.counts * ratios) / np.sum(points.counts * ratios**2)) ** 2


def _error(points: _Middles, variances: np.ndarray) -> float:
    """Returns by how much the roots of variances miss those of the points, as a share of these: the root mean square."""
    return float(np.sqrt(np.average((_ratios(points, variances) - 1.0) ** 2, weights=points.counts)))


def _ratios(points: _Middles, variances: np.ndarray) -> np.ndarray:
    """Returns the roots of variances [K] over those of the points, where these tell of noise at all; else 1."""
    floor = _DARKEST * points.variances.max()  # where all is clipped there is no noise to miss
    ratios = np.sqrt(np.maximum(variances, _LEAST) / np.maximum(points.variances, max(floor, _LEAST)))
    return np.where(points.variances > floor, ratios, 1.0)
