"""Keeps brightness and colours: by what a network has moved the mean of a channel, that is given back.

Where noise moves no mean, a picture's mean tells the clean one's to a hundredth of a step, better than any network; networks
move it by some tenths of one of 255.
"""

from collections.abc import Callable

import numpy as np

from dnnlib.denoising.pictures.scale import Scale, as_stored

_USUAL = 0.2 / 255  # parts of white by which networks move a channel's mean (rms over Kodak, the networks of `pretrained`)
_MOST = 2 / 255  # likewise; twice as much is something else: noise that the network was not made for, or a wrong scale
_FINE_STEPS = 4096  # between black and white; from so many on, rounding twice does not matter
_PARTS = 254  # of a step, in which fractions are kept
_ROWS = 256  # at a time


class KeptMeans:
    """Takes a denoised picture part by part, and gives the channels their means at the end."""

    def __init__(
        self, result: np.ndarray, noisy: np.ndarray, scale: Scale, strength: float = 1.0, holes: np.ndarray | None = None
    ):
        """Prepares for a picture.

        result: [H,W,C], what it is written into.
        noisy: likewise and of the same type, what it is made of.
        scale: of both.
        strength: how much of the noise is taken away, above 0.
        holes: bool [H,W], true for pixels that have no value, and do not count; None: there are none.
        """
        self._holes = holes
        self._result, self._noisy, self._scale, self._strength = result, noisy, scale, strength
        is_coarse = result.dtype.kind in "iu" and scale.white - scale.black < _FINE_STEPS
        self._fractions = np.zeros(result.shape, np.int8) if is_coarse else None
        self._sums, self._squares = np.zeros(result.shape[2]), np.zeros(result.shape[2])

    def put(self, place: tuple[slice, slice], values: np.ndarray) -> None:
        """Writes a part of the picture, each part once.

        place: its rows and columns.
        values: what the network makes of it, float [h,w,C] of the picture's scale.
        """
        noisy = self._noisy[place].astype(np.float64)  # so much of it as it holds; float32 would lose some of float64
        taken = noisy - values
        counted = taken if self._holes is None else taken[~self._holes[place]][np.newaxis]
        self._sums += counted.sum(axis=(0, 1))
        self._squares += (counted**2).sum(axis=(0, 1))
        weakened = values if self._strength == 1 else noisy - self._strength * taken
        stored = as_stored(weakened, self._result.dtype)
        self._result[place] = stored
        if self._fractions is not None:
            parts = np.rint((weakened - stored) * _PARTS)
            self._fractions[place] = np.clip(parts, -_PARTS // 2, _PARTS // 2)

    def finish(self) -> None:
        """Adds to each channel what its mean lacks, as far as that is known and no more than networks do."""
        shifts = self._strength * self._shifts()
        if not shifts.any():
            return
        for top in range(0, len(self._result), _ROWS):
            rows = slice(top, top + _ROWS)
            values = self._result[rows].astype(np.float64)
            if self._fractions is not None:
                values += self._fractions[rows] / _PARTS
            self._result[rows] = as_stored(values + shifts, self._result.dtype)

    def _shifts(self) -> np.ndarray:
        """Returns what each channel lacks, [C], on the picture's scale.

        It is the mean of what was taken away, times the share of it that is the network's doing and not the noise's chance
        (Wiener's factor). The mean of clipped noise is off, too; but networks follow that, and what they lack is as small.
        """
        size = self._result.shape[0] * self._result.shape[1]
        count = size if self._holes is None else np.count_nonzero(~self._holes)
        white = self._scale.white - self._scale.black
        means, by_chance = self._sums / count / white, self._squares / (count * white) ** 2
        return white * means * given_back(np.abs(means), by_chance)


def given_back(moved, by_chance, minimum: Callable = np.minimum, maximum: Callable = np.maximum):
    """Returns the share of what the mean of a channel was moved by that is given back; arrays, or tensors of a graph.

    moved: by how much, without its sign, in parts of white.
    by_chance: the variance of the mean of the noise, likewise.
    minimum, maximum: of two, element by element; of tensors TensorFlow's.
    """
    credible = maximum(minimum(2 - moved / _MOST, 1.0), 0.0)  # fades out, for no rounding is to tip the scales
    return credible * _USUAL**2 / (_USUAL**2 + by_chance)
