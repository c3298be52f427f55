"""Runs a network over a validation set with the repeatable noise, and measures PSNRs (SPEC section 7), SSIM, the likelihood
of the noisy values and how well the predicted std is calibrated."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.validation_set import ValidationSet
from dnnlib.denoising.evaluation.graph import Denoised, EvaluationGraph, Input
from dnnlib.denoising.evaluation.metrics import gain, psnr, ssim
from dnnlib.denoising.judging.calibration import WITHIN, shares_within
from dnnlib.denoising.noise.evaluation_noise import EvaluationNoise


class Scores(NamedTuple):
    """Holds the PSNR in dB of each picture, in order: of the noisy input, the network's mean, the posterior mean.

    ssim: of the posterior mean, None where it was not measured; NaN of pictures that are too small.
    nll: the negative log-likelihood of the noisy values, in nats a value; within_1, ...: shares of true values within so
        many predicted std. None where the network predicts none, or they were not measured.
    """

    noisy: np.ndarray
    mean: np.ndarray
    posterior_mean: np.ndarray
    ssim: np.ndarray | None = None
    nll: np.ndarray | None = None
    within_1: np.ndarray | None = None
    within_2: np.ndarray | None = None
    within_3: np.ndarray | None = None

    def means(self) -> dict[str, float]:
        """Returns what to print and to record of a validation in training."""
        return {"valid_psnr_mu": float(np.mean(self.mean)), "valid_psnr_pme": float(np.mean(self.posterior_mean))}

    def report(self) -> dict[str, float]:
        """Returns what to print and to record of an evaluation."""
        found = {"noisy_psnr": float(np.mean(self.noisy)), **self.means()}
        if self.ssim is not None and not np.isnan(self.ssim).all():
            found["valid_ssim_pme"] = float(np.nanmean(self.ssim))
        return found

    @property
    def pictures(self) -> dict[str, np.ndarray]:
        """Returns the scores of each picture, by name."""
        found = {"psnr_noisy": self.noisy, "psnr_mu": self.mean, "psnr_pme": self.posterior_mean, "ssim_pme": self.ssim}
        found |= {"gain": gain(self.posterior_mean, self.noisy), "nll": self.nll}
        found |= {name: getattr(self, name) for name in WITHIN.values()}
        return {name: values for name, values in found.items() if values is not None}


def noisy_inputs(
    pictures: ValidationSet, configuration: Configuration, total: int, wanted: Callable[[int], bool] = lambda _: True
) -> Iterator[tuple[int, Input]]:
    """Yields index and noisy picture, whose noise starts over with each call, and runs on from pass to pass.

    pictures: clean ones.
    configuration: says what noise is added.
    total: of all passes together.
    wanted: whether the picture of an index is.
    """
    channels = configuration.channels
    with contextlib.closing(EvaluationNoise(configuration.noise, channels)) as noise:
        for index in range(total):  # all of them, for the noise to be the same whoever takes which
            clean, height, width = pictures.read(index % len(pictures), channels)
            noisy, parameter = noise.corrupt(clean)
            if wanted(index):
                yield index, Input(noisy, (height, width), clean[:height, :width], parameter)


class Validation(EvaluationGraph):
    """Evaluates on clean pictures, whose noise starts over with each call of `validate`, and runs on from pass to pass."""

    measures = ("noisy", "mean", "posterior_mean")
    of_posterior = ("posterior_std",)  # what is asked of networks that have one

    def __init__(self, configuration: Configuration, *arguments, **options):
        """Builds the graph. Parameters as for `EvaluationGraph`."""
        self.results = self.of_posterior if configuration.pipeline == "blindspot" else ()
        super().__init__(configuration, *arguments, **options)

    def _inputs(
        self, pictures: ValidationSet, total: int, assigned: Callable[[int], bool]
    ) -> Iterator[tuple[int, Input]]:
        return noisy_inputs(pictures, self._configuration, total, assigned)

    def _measure(self, denoised: Denoised, _output) -> dict[str, float]:
        return {name: psnr(getattr(denoised, name), denoised.clean) for name in Validation.measures}

    def _scores(self, _pictures, measured: Mapping[str, np.ndarray]) -> Scores:
        return Scores(**measured)


class Evaluation(Validation):
    """Measures SSIM besides, which takes too long for the validations of a training, and what there is of a posterior."""

    of_posterior = ("posterior_std", "nll")

    @property
    def measures(self) -> Sequence[str]:
        """Returns the names of what is measured: fields of Scores."""
        return (*Validation.measures, "ssim", *(("nll", *WITHIN.values()) if self.results else ()))

    def _measure(self, denoised: Denoised, output) -> dict[str, float]:
        found = super()._measure(denoised, output) | {"ssim": ssim(denoised.posterior_mean, denoised.clean)}
        if self.results:
            found |= {"nll": output["nll"].mean(dtype=np.float64)}
            found |= shares_within(denoised.error, denoised.posterior_std)
        return found
