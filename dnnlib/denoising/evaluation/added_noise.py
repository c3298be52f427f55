"""A network over a validation set with the repeatable noise, and its PSNRs (SPEC section 7)."""

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.data.validation_set import ValidationSet
from dnnlib.denoising.evaluation.graph import Denoised, EvaluationGraph, Input
from dnnlib.denoising.evaluation.metrics import psnr
from dnnlib.denoising.noise.evaluation_noise import EvaluationNoise


class Scores(NamedTuple):
    """PSNR in dB of each picture, in order: of the noisy input, the network's mean, the posterior mean."""

    noisy: np.ndarray
    mean: np.ndarray
    posterior_mean: np.ndarray

    def means(self) -> dict[str, float]:
        """What to print and to record of a validation in training."""
        return {"valid_psnr_mu": float(np.mean(self.mean)), "valid_psnr_pme": float(np.mean(self.posterior_mean))}

    def report(self) -> dict[str, float]:
        """What to print and to record of an evaluation."""
        return {"noisy_psnr": float(np.mean(self.noisy)), **self.means()}

    @property
    def pictures(self) -> dict[str, np.ndarray]:
        """Of each picture, by name."""
        return {"psnr_noisy": self.noisy, "psnr_mu": self.mean, "psnr_pme": self.posterior_mean}


class Validation(EvaluationGraph):
    """Of clean pictures; the noise starts over with each call of `validate` and runs on from pass to pass."""

    _columns = Scores._fields

    def _inputs(
        self, pictures: ValidationSet, total: int, mine: Callable[[int], bool]
    ) -> Iterator[tuple[int, Input]]:
        channels = self._configuration.channels
        with contextlib.closing(EvaluationNoise(self._configuration.noise, channels)) as noise:
            for index in range(total):  # all of them, for the noise to be the same whoever takes which
                clean, height, width = pictures.read(index % len(pictures), channels)
                noisy, parameter = noise.corrupt(clean)
                if mine(index):
                    yield index, Input(noisy, (height, width), clean[:height, :width], parameter)

    def _row(self, denoised: Denoised) -> list[float]:
        return [psnr(x, denoised.clean) for x in (denoised.noisy, denoised.mean, denoised.posterior_mean)]

    def _scores(self, pictures: ValidationSet, rows: np.ndarray) -> Scores:
        return Scores(*rows.T)
