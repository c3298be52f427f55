"""Estimates the level of noise: of a picture, for networks that must be told it (sigma_known), or of many, to start from."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.noise.families import entry_of, family_of
from dnnlib.errors import UserError

PATCH_SIDE = 64  # pixels; large enough that the estimate in one patch is good to 2 %
_MOST_PATCHES = 2000  # spread over the picture; more tell nothing new
_CLIPPED_SHARES = (0.02, 0.2, 1.0)  # black or white values have lost their noise: of these limits to a patch's share of them
_HOLE_SHARES = (0.0, 0.02, 0.2, 0.5)  # of a patch's pixels that may have no value, likewise
ENOUGH_PATCHES = 0.05  # the first is taken that leaves so large a share of the patches
_LOW_QUANTILE = 0.2  # texture only adds to variances: the low end of what the patches say tells
SMALL_PATCH_SIDE = 32  # where a patch should be of one brightness, or untextured
_DARK = 0.1  # of white; below, there are too few photons to tell
_ALIKE = 24 / 255  # neighbours that differ by no more in any channel are likely to be untouched by impulse noise
_ALIKE_QUANTILE = 0.9  # of the patches' shares of such neighbours
_NO_NOISE = 1e-6  # a variance that is as small as can be learned
_CORRELATED = 2.0  # times as strong are coefficients of two pixels as those of one: white noise has 1, demosaiced 2.5 to 5
FLAT_QUANTILE = 0.3  # of the patches; in the others texture, too, is stronger at two pixels
_STIFFNESS = 0.0015  # a bend of a curve's own size costs as much as 0.75 % of the patches that lie above it by their size
_LEAST_UNSEEN = 0.1  # of a curve's nearest knot that patches were seen at

Limits = Sequence[float] | None  # the values that clipped pixels have; None: 0 and white


class Sight(NamedTuple):
    """Says where noise is looked for, and which of what patches say is believed."""

    step: int  # pixels that the Haar coefficients sum up on each side: at the finest, neighbours' shared noise is weakest
    quantile: float  # of the patches


FINEST = Sight(1, _LOW_QUANTILE)
COARSER = Sight(2, 0.5)  # there texture is no more than correlated noise of dark patches falls short of the whole's


def estimate_level(family: str, pixels: np.ndarray, white: float, black: float = 0.0, sight: Sight = FINEST) -> float:
    """Estimates the level of noise in one picture: the known parameter, such as sigma of 1, lambda, or alpha.

    family: one that may be added to pictures.
    pixels: [H,W,C], of any real type.
    white, black: the values that stand for 1 and 0.
    sight: COARSER for noise that neighbours share (`is_correlated`).

    Raises UserError for pictures with a side below 64 pixels, and where the picture is black all over.
    """
    level = family_of(family).level
    remedy = f"give it with --{level.name} (in Python {level.python_name}=)"
    if min(pixels.shape[:2]) < PATCH_SIDE:
        raise UserError(f"too small to estimate the noise level from (a side is below {PATCH_SIDE} pixels); {remedy}")
    estimated = _estimator_of(family)(pixels, white, black, None, sight)
    if estimated is None:
        raise UserError(f"the noise level cannot be estimated from this picture; {remedy}")
    (value,) = estimated
    return value


def estimate_parameters(
    family: str, images: np.ndarray, limits: Sequence[float] = (), sight: Sight = FINEST
) -> list[float]:
    """Estimates the learned parameters of the noise in many images, e.g. sigma of 1, 1 / lambda, or a and b.

    family: any that may be learned.
    images: float [N,H,W,C] on the scale [0, 1], H and W multiples of 64.
    limits: the values at which the noise may have been clipped.
    sight: COARSER for noise that neighbours share (`is_correlated`).
    """
    stacked = images.reshape(-1, *images.shape[2:])  # no patch lies in two of them
    parameters = family_of(family).parameters
    estimated = _estimator_of(family)(stacked, 1.0, 0.0, limits, sight)
    if estimated is None:
        return [_NO_NOISE] * len(parameters)
    return [p.learned_from_known(value) for p, value in zip(parameters, estimated, strict=True)]


def is_correlated(images: np.ndarray) -> bool:
    """Tells whether neighbours share their noise, as they do after demosaicing and in camera JPEGs.

    In the flattest patches diagonal Haar coefficients of two pixels are then much stronger than those of one: 2.5 to 5 times
    on camera JPEGs and on demosaiced noise; 1.0 to 1.9 times with white noise of sigma 5 and more, on Kodak.

    images: float [N,H,W,C], H and W multiples of 64, of any scale.
    """
    stacked = images.reshape(-1, *images.shape[2:])
    one, two = of_patches(stacked, SMALL_PATCH_SIDE, lambda p: [np.mean(_diagonal(p, step) ** 2) for step in (1, 2)]).T
    flat = (two <= np.quantile(two, FLAT_QUANTILE)) & (one > 0)
    return bool(flat.any() and np.median(two[flat] / one[flat]) > _CORRELATED**2)


def estimate_sigma(images: np.ndarray) -> float:
    """Returns the standard deviation of Gaussian noise in images float [N,H,W,C], H, W >= 64, in the images' own scale.

    Per patch the median of the finest diagonal Haar coefficients' absolute values, over 0.6745 (Donoho, Johnstone:
    Ideal spatial adaptation by wavelet shrinkage, 1994), then a low quantile over the patches.
    """
    estimates = []
    for y in range(0, images.shape[1] - PATCH_SIDE + 1, PATCH_SIDE):
        for x in range(0, images.shape[2] - PATCH_SIDE + 1, PATCH_SIDE):
            patch = images[:, y : y + PATCH_SIDE, x : x + PATCH_SIDE].astype(np.float64)
            diagonal = patch[:, ::2, ::2] - patch[:, ::2, 1::2] - patch[:, 1::2, ::2] + patch[:, 1::2, 1::2]
            estimates.append(np.median(np.abs(diagonal / 2), axis=(1, 2, 3)) / 0.6745)
    return float(np.quantile(np.concatenate(estimates), _LOW_QUANTILE))


# Each estimator below takes
#   pixels: [H,W,C], of any real type;
#   white, black: the values in `pixels` that stand for 1 and 0;
#   limits: the values in `pixels` that clipped ones have;
#   sight: where noise is looked for, and which patches are believed.


def estimate_gauss(
    pixels: np.ndarray, white: float, black: float = 0.0, limits: Limits = None, sight: Sight = FINEST
) -> tuple[float]:
    """Estimates sigma of 1. Error (rms over 12 Kodak pictures, 8 bit): 9 % at sigma 10, 3 % at 15, 2 % at 25, 8 % at 50.

    Texture is taken for noise: what is weaker than sigma 10 comes out too strong, by 15 % on average and by 78 % at worst
    at sigma 5. Strong noise that was clipped to black and white comes out too weak.

    pixels, white, black, limits, sight: as for all estimators, see above.
    """
    if sight != FINEST:
        return (float(np.quantile(level_in_patches(pixels, white, black, limits, sight), sight.quantile)),)
    if limits is not None and not len(limits):  # nothing is clipped: all patches can be trusted, and all are taken
        return (estimate_sigma(pixels[None]) / (white - black),)
    estimates, clipped = _of_patches(pixels, white, black, PATCH_SIDE, lambda p: estimate_sigma(p[None]), limits)
    return (float(np.quantile(_trusted(estimates, clipped), _LOW_QUANTILE)),)


def level_in_patches(
    pixels: np.ndarray, white: float, black: float = 0.0, limits: Limits = None, sight: Sight = COARSER
) -> np.ndarray:
    """Returns sigma of 1 as each of the patches says that are clipped the least. All as for the estimators, see above."""
    values, clipped = _of_patches(pixels, white, black, SMALL_PATCH_SIDE, partial(_mean_and_variance, sight), limits)
    return np.sqrt(_trusted(values, clipped)[:, 1])


def estimate_poisson(
    pixels: np.ndarray, white: float, black: float = 0.0, limits: Limits = None, sight: Sight = FINEST
) -> tuple[float] | None:
    """Estimates lambda, by variance = mean / lambda in each patch; None where there is no light or no noise.

    Error (rms over 12 Kodak pictures, 8 bit): 5 % at lambda 15, 3 % at 30, 4 % at 50, 8 % at 100. The stronger the light,
    the more texture is taken for noise: 18 % at 300, mostly too low. With lambda 5, much is clipped to white: too high, by
    31 % on average.

    pixels, white, black, limits, sight: as for all estimators, see above.
    """
    values, clipped = _of_patches(pixels, white, black, SMALL_PATCH_SIDE, partial(_mean_and_variance, sight), limits)
    means, variances = _trusted(values, clipped).T
    bright = means >= min(_DARK, means.max() / 2)
    ratio = np.quantile(variances[bright] / np.maximum(means[bright], 1e-6), sight.quantile) if means.max() > 0 else 0.0
    return (float(1 / ratio),) if ratio > 0 else None


def estimate_poisson_gauss(
    pixels: np.ndarray, white: float, black: float = 0.0, limits: Limits = None, sight: Sight = FINEST
) -> tuple[float, float]:
    """Estimates a and b of noise whose variance is a x + b at x of [0, 1], neither below 0.

    They are a line through what the patches say, variance over mean. Texture only adds to variances, so the line is not
    through their middle but has the share `sight.quantile` below it: quantile regression (Koenker, Bassett: Regression
    quantiles, 1978), each patch weighted by the inverse of its variance, to which its scatter is proportional, as the line
    of the round before has it.

    pixels, white, black, limits, sight: as for all estimators, see above.
    """
    from scipy.optimize import linprog  # late: takes a second to import, and nothing else here needs it

    values, clipped = _of_patches(pixels, white, black, SMALL_PATCH_SIDE, partial(_mean_and_variance, sight), limits)
    means, variances = _trusted(values, clipped).T
    means = np.maximum(means, 0.0)  # where noise hides that it is black
    count, scale = len(means), max(float(variances.mean()), 1e-12)
    # Minimise the sum of weight * (quantile * above + (1 - quantile) * below) with a m + b + above - below = v.
    design = np.column_stack([means, np.ones(count), np.eye(count), -np.eye(count)])
    weights = np.ones(count)
    for _ in range(3):
        cost = np.concatenate([[0.0, 0.0], sight.quantile * weights, (1 - sight.quantile) * weights])
        a, b = linprog(cost, A_eq=design, b_eq=variances / scale).x[:2]  # all of them are 0 or more
        weights = 1 / np.maximum(a * means + b, 1e-3)
    return float(a * scale), float(b * scale)


def estimate_curve(
    pixels: np.ndarray, white: float, black: float = 0.0, limits: Limits = None, sight: Sight = FINEST
) -> tuple[float, ...]:
    """Estimates the variance of noise at evenly spaced means from 0 to 1, the knots of a piecewise linear curve.

    As `estimate_poisson_gauss`, but through what the patches say goes a line that may bend, each bend at the cost of its
    size (Kim, Koh, Boyd, Gorinevsky: l1 trend filtering, 2009). Where no patch has been, it goes straight on, but to no
    less than a tenth of what the nearest knot has that was seen: a falling line would reach zero there.

    pixels, white, black, limits, sight: as for all estimators, see above.
    """
    from scipy.optimize import linprog  # late, as above
    from scipy.sparse import bmat, csr_matrix, eye_array

    values, clipped = _of_patches(pixels, white, black, SMALL_PATCH_SIDE, partial(_mean_and_variance, sight), limits)
    means, variances = _trusted(values, clipped).T
    scale, knots = max(float(variances.mean()), 1e-12), len(family_of("curve").parameters)
    hats = hats_at(means, knots)
    bends = csr_matrix(np.diff(np.eye(knots), 2, axis=0))
    count, places = len(means), knots - 2
    # Minimise the sum of weight * (quantile * above + (1 - quantile) * below) + stiffness * |bend| with
    # hats @ curve + above - below = v and bends @ curve = bend.
    identity, turns = eye_array(count), eye_array(places)
    design = bmat([[csr_matrix(hats), identity, -identity, None, None], [bends, None, None, -turns, turns]])
    goal = np.concatenate([variances / scale, np.zeros(places)])
    weights, stiffness = np.ones(count), np.full(places, _STIFFNESS * count)
    for _ in range(3):
        shares = sight.quantile * weights, (1 - sight.quantile) * weights
        cost = np.concatenate([np.zeros(knots), *shares, stiffness, stiffness])
        curve = linprog(cost, A_eq=design, b_eq=goal).x[:knots]  # all of them are 0 or more
        weights = 1 / np.maximum(hats @ curve, 1e-3)
        stiffness = _STIFFNESS * count / np.maximum(curve[1:-1], 1e-3)
    seen = np.flatnonzero(hats.sum(axis=0) >= 0.5)  # any patch counts so much for its nearest
    at_ends = np.interp(np.arange(knots), seen, curve[seen])
    return tuple(float(value) for value in scale * np.maximum(curve, _LEAST_UNSEEN * at_ends))


def hats_at(means: np.ndarray, knots: int) -> np.ndarray:
    """Returns how much each knot of a curve, evenly spaced from 0 to 1, counts at means [N]: [N,knots]."""
    places = np.clip(means, 0.0, 1.0)[:, None] * (knots - 1)
    return np.maximum(1.0 - np.abs(places - np.arange(knots)), 0.0)


def estimate_impulse(
    pixels: np.ndarray, white: float, black: float = 0.0, limits: Limits = None, sight: Sight = FINEST
) -> tuple[float]:
    """Estimates alpha, by the share of neighbours that look alike: both are untouched with (1 - alpha)^2.

    Error (rms over 12 Kodak pictures, 8 bit): 0.015 for alpha up to 0.8, 0.023 at 0.95. For colour pictures: in grey ones
    replaced neighbours look alike more often than the estimate's correction can mend.

    pixels, white, black, limits: as for all estimators, see above. (sight: pixels are replaced one by one.)
    """

    def alike(patch):
        """Returns the share of neighbours in a patch that look alike."""
        pairs = patch[:, 1:] - patch[:, :-1], patch[1:] - patch[:-1]
        return np.mean([np.mean(np.all(np.abs(d) <= _ALIKE, axis=2)) for d in pairs])

    shares, _ = _of_patches(pixels, white, black, SMALL_PATCH_SIDE, alike, limits)
    by_chance = (2 * _ALIKE - _ALIKE**2) ** pixels.shape[2]
    share = (np.quantile(shares, _ALIKE_QUANTILE) - by_chance) / (1 - by_chance)
    return (float(1 - np.sqrt(np.clip(share, 0, 1))),)


# Pixels [H,W,C], white, black, limits, sight -> the family's known parameters, None where they cannot be told.
ESTIMATORS: dict[str, Callable[..., tuple[float, ...] | None]] = {
    "gauss": estimate_gauss,
    "poisson": estimate_poisson,
    "impulse": estimate_impulse,
    "poissongauss": estimate_poisson_gauss,
    "curve": estimate_curve,
}


def _estimator_of(family: str) -> Callable[..., tuple[float, ...] | None]:
    """Returns a family's estimator. Raises ValueError for one that has none."""
    return entry_of(ESTIMATORS, family, "estimator in estimation.ESTIMATORS")


def _mean_and_variance(sight: Sight, patch: np.ndarray) -> tuple[float, float]:
    """Returns the brightness of a patch, and the variance of its noise by diagonal Haar coefficients."""
    # Mean squares, and no median as for Gaussian noise: few photons make few different values.
    return patch.mean(), np.mean(_diagonal(patch, sight.step) ** 2)


def _diagonal(patch: np.ndarray, step: int) -> np.ndarray:
    """Returns the diagonal Haar coefficients of a patch [H,W,C], of squares of step x step pixels; of norm 1."""
    return haar(patch, step)[0]


def haar(patch: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the Haar coefficients of a patch, of norm 1: diagonal, of columns, and of rows; each [H/2s,W/2s,C].

    patch: [H,W,C], H and W multiples of twice the step.
    step: s, the side in pixels of the squares that are compared.
    """
    height, width, channels = patch.shape
    sums = patch.reshape(height // step, step, width // step, step, channels).sum(axis=(1, 3)) / step
    left, right = (sums[::2, x::2] + sums[1::2, x::2] for x in (0, 1))
    upper, lower = (sums[::2, x::2] - sums[1::2, x::2] for x in (0, 1))
    return (upper - lower) / 2, (left - right) / 2, (upper + lower) / 2


def _of_patches(
    pixels: np.ndarray, white: float, black: float, side: int, function: Callable, limits: Limits
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what a function says of patches that are spread evenly, and the share of each patch that is clipped.

    pixels: [H,W,C].
    white, black: the values in `pixels` that stand for 1 and 0.
    side: of the patches, in pixels.
    function: takes a patch, float64 [side,side,C] on the scale [0, 1].
    limits: the values in `pixels` that clipped ones have, None for 0 and white.
    """
    limits = (0, white) if limits is None else limits
    values = of_patches(pixels, side, lambda p: function((p.astype(np.float64) - black) / (white - black)))
    clipped = of_patches(pixels, side, lambda p: np.mean(np.isin(p, np.asarray(limits).astype(p.dtype))))
    return values, clipped


def intact_patches(pixels: np.ndarray, holes: np.ndarray) -> np.ndarray | None:
    """Returns the patches of a picture that have the fewest pixels without a value, one below the other: [n*64,64,C].

    pixels: [H,W,C], of any real type, the holes filled.
    holes: bool [H,W], true where there is one.

    None where all patches are half empty, or there are none.
    """
    rows, columns = (np.flatnonzero(~holes.all(axis=axis)) for axis in (1, 0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)  # the patches begin at its corner
    pixels, holes, side = pixels[part], holes[part], PATCH_SIDE
    down, across = (size // side for size in holes.shape)
    cells = holes[: down * side, : across * side].reshape(down, side, across, side)
    shares = cells.mean(axis=(1, 3)).ravel()
    usable = shares <= _HOLE_SHARES[-1]
    if not usable.any():
        return None
    limit = next(limit for limit in _HOLE_SHARES if np.mean(shares[usable] <= limit) >= ENOUGH_PATCHES)
    chosen = np.flatnonzero(shares <= limit)
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), _MOST_PATCHES)).astype(int)]
    corners = zip(chosen // across * side, chosen % across * side, strict=True)
    return np.concatenate([pixels[y : y + side, x : x + side] for y, x in corners])


def of_patches(pixels: np.ndarray, side: int, function: Callable[[np.ndarray], float | tuple[float, ...]]) -> np.ndarray:
    """Returns what a function says of patches [side,side,C] of pixels [H,W,C], 2,000 at most, spread evenly."""
    rows, columns = (np.arange(0, size - side + 1, side) for size in pixels.shape[:2])
    count = len(rows) * len(columns)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _MOST_PATCHES)).astype(int))
    corners = ((rows[i // len(columns)], columns[i % len(columns)]) for i in chosen)
    return np.array([function(pixels[y : y + side, x : x + side]) for y, x in corners])


def _trusted(values: np.ndarray, clipped: np.ndarray) -> np.ndarray:
    """Returns the values of the patches that are clipped the least."""
    limit = next(limit for limit in _CLIPPED_SHARES if np.mean(clipped <= limit) >= ENOUGH_PATCHES)
    return values[clipped <= limit]
