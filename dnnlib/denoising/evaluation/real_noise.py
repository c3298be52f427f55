"""A network over noisy pictures as they are, and what can be said of it without clean ones: likelihood, noise
parameters, whiteness; and PSNR and SSIM where there are references."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.data.noisy_pictures import NoisyPictures
from dnnlib.denoising.evaluation.graph import Denoised, EvaluationGraph, Input
from dnnlib.denoising.evaluation.metrics import psnr, ssim
from dnnlib.denoising.evaluation.whiteness import NAMES, Whiteness, averaged, whiteness
from dnnlib.denoising.network.architecture import STRIDE
from dnnlib.denoising.noise.families import in_user_units
from dnnlib.denoising.pictures.images import pad_to_multiple

_QUALITY = [f"{what}_{of}" for what in ("psnr", "ssim") for of in ("noisy", "mu", "pme")]


class RealScores(NamedTuple):
    """Averages over the pictures that can be judged. nll: the negative log-likelihood of the noisy values, in nats a value;
    parameters: of the noise, averaged in the units of `posterior`, then in those of `in_user_units`; whiteness: of the
    residuals; hole_size: of the network as it was used; quality: psnr and ssim of the noisy pictures, the mean and the
    posterior mean, by name, empty without references. pictures: the same of each picture, by name, NaN where unknown."""

    nll: float
    parameters: dict[str, float]
    whiteness: Whiteness
    hole_size: int
    quality: dict[str, float]
    pictures: dict[str, np.ndarray] = {}

    def means(self) -> dict[str, float]:
        """What to print and to record of a validation in training."""
        largest = self.whiteness.largest(self.hole_size)
        correlation = {} if largest is None else {"valid_corr": largest[0]}  # none is not zero, which would say white
        return {"valid_nll": self.nll, **correlation, **self.whiteness.values(), **self.quality}

    def report(self) -> dict[str, float]:
        """What to print and to record of an evaluation."""
        return {**self.parameters, **self.means()}

    def advice(self) -> str | None:
        return self.whiteness.advice(self.hole_size)


class RealValidation(EvaluationGraph):
    """Of noisy pictures, with clean ones or without."""

    _results = ("noise_std", "nll", "parameter")

    @property
    def _columns(self) -> list[str]:
        parameters = [f"parameter{i}" for i in range(self._configuration.noise.parameter_count)]
        return ["nll", *parameters, *NAMES, *_QUALITY]

    def _inputs(
        self, pictures: NoisyPictures, total: int, mine: Callable[[int], bool]
    ) -> Iterator[tuple[int, Input]]:
        for index in filter(mine, range(total)):
            noisy, reference = pictures.read(index % len(pictures))
            padded = pad_to_multiple(noisy, STRIDE)  # as `Denoiser` does, and no square
            yield index, Input(padded, noisy.shape[:2], reference)

    def _row(self, denoised: Denoised, noise_std, nll, parameter) -> list[float]:
        residual, net_std = denoised.noisy - denoised.mean, denoised.net_std
        white = whiteness(residual, net_std, np.broadcast_to(noise_std, net_std.shape))
        quality = [0.0] * len(_QUALITY)
        if denoised.clean is not None:
            results = (denoised.noisy, denoised.mean, denoised.posterior_mean)
            quality = [function(x, denoised.clean) for function in (psnr, ssim) for x in results]
        return [nll.mean(dtype=np.float64), *parameter.ravel(), *white.horizontal, *white.vertical, *quality]

    def _scores(self, pictures: NoisyPictures, rows: np.ndarray) -> RealScores:
        noise = self._configuration.noise
        nll, parameters, white, quality = np.split(rows, np.cumsum([1, noise.parameter_count, len(NAMES)]), axis=1)
        quality = dict(zip(_QUALITY, quality.T, strict=True)) if pictures.references is not None else {}
        correlations = dict(zip(NAMES, white.T, strict=True))
        return RealScores(
            float(nll.mean()),
            {k: float(v) for k, v in in_user_units(noise.family, parameters.mean(axis=0)).items()},
            averaged([Whiteness.of(dict(zip(NAMES, row, strict=True))) for row in white]),
            self._configuration.hole_size,
            {f"valid_{name}": float(np.nanmean(x)) for name, x in quality.items() if not np.isnan(x).all()},
            {"nll": nll[:, 0], **in_user_units(noise.family, parameters.T), **correlations, **quality},
        )
