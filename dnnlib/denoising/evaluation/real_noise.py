"""Runs a network over noisy pictures as they are, and measures what can be told without clean ones: likelihood, noise
parameters, whiteness; and PSNR and SSIM where there are references."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.data.noisy_pictures import NoisyPictures
from dnnlib.denoising.evaluation.graph import Denoised, EvaluationGraph, Input
from dnnlib.denoising.evaluation.metrics import gain, psnr, ssim
from dnnlib.denoising.evaluation.whiteness import NAMES, Whiteness, averaged, whiteness
from dnnlib.denoising.judging.calibration import WITHIN, shares_within
from dnnlib.denoising.network.architecture import STRIDE
from dnnlib.denoising.noise.families import in_user_units, named_in_user_units, parameter_names
from dnnlib.denoising.pictures.images import pad_to_multiple

_QUALITY = [f"{what}_{of}" for what in ("psnr", "ssim") for of in ("noisy", "mu", "pme")]


class RealScores(NamedTuple):
    """Holds averages over the pictures that can be judged, and the scores of each."""

    nll: float  # the negative log-likelihood of the noisy values, in nats a value
    parameters: dict[str, float]  # of the noise, averaged in the units of `posterior`, then in those of `in_user_units`
    whiteness: Whiteness  # of the residuals
    hole_size: int  # of the network as it was used
    quality: dict[str, float]  # PSNR and SSIM of noisy pictures, mean and posterior mean; empty without references
    pictures: dict[str, np.ndarray] = {}  # the scores of each picture, by name, NaN where unknown

    def means(self) -> dict[str, float]:
        """Returns what to print and to record of a validation in training."""
        largest = self.whiteness.largest(self.hole_size)
        correlation = {} if largest is None else {"valid_corr": largest.value}  # none is not zero, which would say white
        return {"valid_nll": self.nll, **correlation, **self.whiteness.values(), **self.quality}

    def report(self) -> dict[str, float]:
        """Returns what to print and to record of an evaluation."""
        return {**self.parameters, **self.means()}

    def advice(self) -> str | None:
        """Returns a line that says what is wrong and what helps, None where nothing is, or that cannot be told."""
        return self.whiteness.advice(self.hole_size)


class RealValidation(EvaluationGraph):
    """Evaluates on noisy pictures, with clean ones or without."""

    results = ("noise_std", "nll", "parameter", "posterior_std")

    @property
    def measures(self) -> Sequence[str]:
        """Returns the names of what is measured; the noise's parameters are in the units of `posterior`."""
        return ["nll", *parameter_names(self._configuration.noise), *NAMES, *_QUALITY, *WITHIN.values()]

    def _inputs(
        self, pictures: NoisyPictures, total: int, assigned: Callable[[int], bool]
    ) -> Iterator[tuple[int, Input]]:
        for index in filter(assigned, range(total)):
            noisy, reference = pictures.read(index % len(pictures))
            padded = pad_to_multiple(noisy, STRIDE)  # as `Denoiser` does, and no square
            yield index, Input(padded, noisy.shape[:2], reference)

    def _measure(self, denoised: Denoised, output: Mapping[str, np.ndarray]) -> dict[str, float]:
        parameters = dict(zip(parameter_names(self._configuration.noise), output["parameter"].ravel(), strict=True))
        noise_std = np.broadcast_to(output["noise_std"], denoised.net_std.shape)
        correlations = whiteness(denoised.noisy - denoised.mean, denoised.net_std, noise_std).by_name()
        quality = {}
        if denoised.clean is not None:
            quality = _quality(denoised) | shares_within(denoised.error, denoised.posterior_std)
        return {"nll": output["nll"].mean(dtype=np.float64), **parameters, **correlations, **quality}

    def _scores(self, pictures: NoisyPictures, measured: Mapping[str, np.ndarray]) -> RealScores:
        noise = self._configuration.noise
        correlations = {name: measured[name] for name in NAMES}
        with_references = pictures.references is not None
        quality = {name: measured[name] for name in _QUALITY} if with_references else {}
        more = {}
        if with_references:
            more = {"gain": gain(quality["psnr_pme"], quality["psnr_noisy"])}
            more |= {name: measured[name] for name in WITHIN.values()}
        # Averages.
        parameters = np.stack([measured[name] for name in parameter_names(noise)], axis=1).mean(axis=0).tolist()
        of_each = [Whiteness.of(dict(zip(NAMES, row, strict=True))) for row in zip(*correlations.values(), strict=True)]
        means = {f"valid_{name}": float(np.nanmean(x)) for name, x in quality.items() if not np.isnan(x).all()}
        return RealScores(
            nll=float(measured["nll"].mean()),
            parameters=in_user_units(noise.family, parameters),
            whiteness=averaged(of_each),
            hole_size=self._configuration.hole_size,
            quality=means,
            pictures={"nll": measured["nll"], **named_in_user_units(noise, measured), **correlations, **quality, **more},
        )


def _quality(denoised: Denoised) -> dict[str, float]:
    """Compares a picture and its results with the clean one: _QUALITY by name."""
    of = {"noisy": denoised.noisy, "mu": denoised.mean, "pme": denoised.posterior_mean}
    metrics = {"psnr": psnr, "ssim": ssim}
    return {f"{metric}_{x}": metrics[metric](of[x], denoised.clean) for metric in metrics for x in of}
