"""Whether noise is independent from pixel to pixel, as the method supposes: the autocorrelation of what is left over.

The residual is noisy minus the network's mean, and not minus the denoised picture, because the mean at a pixel is the one
result that has not seen the pixel: so what they differ by holds all of the pixel's own noise, however much of it the
posterior would take away. If the noise is white, nothing of it can be told from the neighbours, and where the picture is
smooth the residual is white, too. If it is not, the network tells a part of the noise from the neighbours, and what is
left over is that of an interpolation: of the best one its neighbours differ in sign (its spectrum is the inverse of the
noise's; Kolmogorov 1941), of one that is half learned at least pixels some way apart are not independent.
"""

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.hole import HOLE_SIDES, Hole, HoleSize

LAGS = (1, 2, 3)  # pixels
HORIZONTALLY, VERTICALLY = "horizontally", "vertically"
HORIZONTAL = {lag: f"corr_h{lag}" for lag in LAGS}  # names of the correlations
VERTICAL = {lag: f"corr_v{lag}" for lag in LAGS}
NAMES = (*HORIZONTAL.values(), *VERTICAL.values())
SMOOTH = 0.25  # share of a picture's pixels, those that the network is surest of: elsewhere it errs by more than noise
DOMINATED = 0.7  # of them those count where the network's std is below so much of the noise's: else it is the picture's
ENOUGH = 0.02  # share of a picture's pixels; of fewer nothing is said
# Measured (average over the pictures that can be judged of 8 of Kodak, the middle 256 x 256 pixels, grey; farthest of the
# correlations at the lags that count; least-squares predictors that choose by local contrast among twenty sets of 11 x 11
# weights, trained on 24 pictures of the Berkeley data sets, and told the noise's std):
# white noise of sigma 2 / 3 / 5 / 10 / 25: -0.15, -0.13, -0.12, -0.09, -0.07; 0.5 and 1: no picture can be judged. Without
# DOMINATED: 0.5: -0.48, 1: -0.38, 2: -0.27, 3: -0.20, 5: -0.15. Holes of 3: -0.08, -0.14, -0.09, -0.07, -0.06; without it
# 0.5: -0.36, 1: -0.34, 2: -0.25, 3: -0.22, 5: -0.14.
# Noise blurred by (1, 2, 1) or three equal weights in both directions, sigma 2 to 25: -0.51 to -0.60, with holes of 3
# -0.25 to -0.48; by (1, 2, 1) in one direction: -0.72 to -0.76.
# White noise of sigma 25, three networks after 5,000 images of gauss25: -0.10; one after 600: +0.03. Networks after 3,000
# images, all of Kodak, lags 1, 2, 3: sigma 25: -0.07, -0.02, -0.02; Poisson-Gauss: -0.05, -0.02, -0.02; sigma 25 blurred by
# (1, 2, 1): 0.09, -0.19, 0.19.
# Short trainings from a network that comes with the program (benchmarks/whiteness.csv): white noise within 0.06 at all lags,
# a JPEG's -0.10 at the nearest, 0.04 farther away; noise blurred by (1, 2, 1) 0.15 at 3 pixels.
THRESHOLD = 0.2  # at the nearest lag that counts, where the picture is left over first
FARTHER = 0.12  # at the others


class Correlation(NamedTuple):
    """Holds a correlation of the residual with itself, some pixels apart."""

    value: float
    lag: int  # pixels
    direction: str  # HORIZONTALLY or VERTICALLY


class Whiteness(NamedTuple):
    """Holds correlations at LAGS, of one picture or averaged over several."""

    horizontal: tuple[float, ...]
    vertical: tuple[float, ...]

    @classmethod
    def of(cls, values: Mapping[str, float]) -> "Whiteness":
        """Makes it of correlations by name, as `by_name` and `values` give them; those that are missing become NaN."""
        rows = (tuple(values.get(name, math.nan) for name in names.values()) for names in (HORIZONTAL, VERTICAL))
        return cls(*rows)

    @property
    def judged(self) -> bool:
        """Tells whether there was enough to judge by; if not, all is NaN."""
        return all(map(math.isfinite, self.by_name().values()))

    def by_name(self) -> dict[str, float]:
        """Returns corr_h1, ..., corr_v3; NaN unless judged."""
        return dict(zip(NAMES, (*self.horizontal, *self.vertical), strict=True))

    def values(self) -> dict[str, float]:
        """Returns what `by_name` does, but nothing unless judged."""
        return self.by_name() if self.judged else {}

    def largest(self, hole_size: HoleSize) -> Correlation | None:
        """Returns the correlation farthest from 0 that a network with such a blind spot must not show.

        At lags that the blind spot covers a correlation is no matter: the network cannot see it. None where no lag is left,
        or there was too little to judge by.
        """
        return max(self._visible(Hole.of(hole_size)), key=lambda correlation: abs(correlation.value), default=None)

    def _visible(self, hole: Hole) -> list[Correlation]:
        """Returns the correlations at lags that a network with such a blind spot can see, if judged."""
        nearest = _nearest(hole)
        directions = {HORIZONTALLY: self.horizontal, VERTICALLY: self.vertical} if self.judged else {}
        return [
            Correlation(value, lag, direction)
            for direction, values in directions.items()
            for lag, value in zip(LAGS, values, strict=True)
            if lag >= nearest[direction]
        ]

    def advice(self, hole_size: HoleSize) -> str | None:
        """Returns a line that says what is wrong and what helps; None where the residual is white, or that cannot be told.

        Pixels that are alike, and the more the nearer they are, are what a network leaves of the picture that has not
        learned it yet; anything else is what an interpolation leaves of correlated noise.
        """
        # What is beyond the limits.
        hole = Hole.of(hole_size)
        nearest = _nearest(hole)
        limit = {way: {lag: THRESHOLD if lag == nearest[way] else FARTHER for lag in LAGS} for way in nearest}
        visible = self._visible(hole)
        beyond = [c for c in visible if abs(c.value) > limit[c.direction][c.lag]]
        if not beyond:
            return None

        # The farthest of it, in words.
        value, lag, direction = max(beyond, key=lambda correlation: abs(correlation.value))
        pixels = f"{lag} pixel{'s' if lag > 1 else ''}"
        found = f"{value:.2f} at {pixels} {direction}; of white noise it stayed within {limit[direction][lag]}"

        # Picture or noise?
        (neighbours,) = (c.value for c in visible if c.lag == nearest[direction] and c.direction == direction)
        if 0 < value <= neighbours:
            return f"The residual still holds a part of the picture ({found}): train on before you judge the noise by it"
        shared = [way for way in nearest if any(abs(c.value) > limit[way][c.lag] / 2 for c in visible if c.direction == way)]
        return (
            f"The noise is correlated between neighbours ({found}), and what the network can tell of it stays in the "
            f"picture: train with --hole-size {_larger(hole, shared).size}"
        )


def _nearest(hole: Hole) -> dict[str, int]:
    """Returns the nearest lag, in pixels, at which a network with such a blind spot sees, by direction."""
    return {HORIZONTALLY: hole.shifts.columns, VERTICALLY: hole.shifts.rows}


def _larger(hole: Hole, directions: Collection[str]) -> Hole:
    """Returns the blind spot that is larger by a step in the directions in which noise is shared.

    There is one: in a direction with the largest side no lag is left to complain of.
    """
    wider, higher = (min(side for side in HOLE_SIDES if side > old or side == HOLE_SIDES[-1]) for old in hole)
    return Hole(wider if HORIZONTALLY in directions else hole.width, higher if VERTICALLY in directions else hole.height)


def whiteness(residual: np.ndarray, net_std: np.ndarray, noise_std: np.ndarray) -> Whiteness:
    """Measures the whiteness of one picture. All parameters are on one scale.

    residual: [H,W,C], noisy - mean.
    net_std, noise_std: [H,W], the standard deviations that the network expects of the pixel and of its noise.

    The residual is divided by the std that the network expects, so that bright parts count as dark ones
    do; only pairs are taken of which the network is sure of both, and surer than the noise is weak: what the network misses
    of the picture is correlated, too. All NaN where less than ENOUGH of the picture is left.
    """
    expected = np.sqrt(net_std.astype(np.float64) ** 2 + noise_std.astype(np.float64) ** 2)
    z = residual / np.maximum(expected, 1e-6)[:, :, np.newaxis]
    sure = (net_std <= np.quantile(net_std, SMOOTH)) & (net_std < DOMINATED * noise_std)
    if sure.mean() < ENOUGH:
        return _UNKNOWN
    columns, rows = 1, 0  # axes
    return Whiteness(
        horizontal=tuple(_correlation(z, sure, columns, lag) for lag in LAGS),
        vertical=tuple(_correlation(z, sure, rows, lag) for lag in LAGS),
    )


_UNKNOWN = Whiteness((math.nan,) * len(LAGS), (math.nan,) * len(LAGS))


def _correlation(z: np.ndarray, sure: np.ndarray, axis: int, lag: int) -> float:
    """Correlates pixels that lie `lag` apart, averaged over the channels; 0 where there are none.

    z: [H,W,C].
    sure: bool [H,W], the pixels to take.
    axis: 0 or 1, the direction.
    lag: in pixels.
    """
    near, far = ([slice(None)] * 2 for _ in range(2))
    near[axis], far[axis] = slice(None, -lag), slice(lag, None)
    both = sure[tuple(near)] & sure[tuple(far)]
    a, b = z[tuple(near)][both], z[tuple(far)][both]  # [n,C]
    if len(a) < 2:
        return 0.0
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norm = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    return float(np.mean((a * b).sum(axis=0) / np.maximum(norm, 1e-12)))


def averaged(several: list[Whiteness]) -> Whiteness:
    """Averages over the pictures that could be judged; all NaN where none could."""
    several = [one for one in several if one.judged] or [_UNKNOWN]

    def mean(rows) -> tuple[float, ...]:
        return tuple(np.mean(list(rows), axis=0).tolist())

    return Whiteness(mean(one.horizontal for one in several), mean(one.vertical for one in several))
