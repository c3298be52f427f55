"""Runs a network over noisy pictures as they are, and says what can be said of it without clean ones: likelihood, noise
parameters, whiteness; and PSNR and SSIM where there are references."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.architecture import STRIDE
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.images import pad_to_multiple
from dnnlib.denoising.metrics import psnr, ssim
from dnnlib.denoising.model import build_model
from dnnlib.denoising.noise_style import field_units
from dnnlib.denoising.noisy_pictures import NoisyPictures
from dnnlib.denoising.validation import Denoised
from dnnlib.denoising.whiteness import LAGS, Whiteness, averaged, whiteness
from dnnlib.tflib.replicas import Replicas, sum_over_workers
from dnnlib.tflib.runtime import out_of_memory, tf


class RealScores(NamedTuple):
    """Averages over the pictures. nll: the negative log-likelihood of the noisy values, in nats a value; parameters: of the
    noise, in the units of `field_units`; psnr: of the noisy pictures, the mean and the posterior mean, and ssim of those,
    in the same order, by name; empty without references."""

    nll: float
    parameters: dict[str, float]
    whiteness: Whiteness
    hole_size: int
    quality: dict[str, float]

    def means(self) -> dict[str, float]:
        """What to print and to record of a validation."""
        largest = self.whiteness.largest(self.hole_size)
        correlation = {} if largest is None else {"valid_corr": largest[0]}  # none is not zero, which would say white
        return {"valid_nll": self.nll, **correlation, **self.whiteness.values(), **self.quality}

    def advice(self) -> str | None:
        return self.whiteness.advice(self.hole_size)


_QUALITY = [f"{what}_{of}" for what in ("psnr", "ssim") for of in ("noisy", "mu", "pme")]


class RealEvaluationGraph:
    """The network on one noisy picture a replica. Build it under `replicas.scope()`, after the training graph with
    reuse=True to share its variables."""

    def __init__(self, configuration: Configuration, replicas: Replicas, reuse: bool = False, dtype=tf.float32):
        self._configuration, self._replicas = configuration, replicas
        shape = [1, None, None, configuration.channels]
        self._noisy = [tf.placeholder(tf.float32, shape) for _ in range(replicas.here)]
        self._sizes = [tf.placeholder(tf.int32, [2]) for _ in range(replicas.here)]

        def one_replica(noisy, size):
            with tf.variable_scope(tf.get_variable_scope(), reuse=reuse or None):
                model = build_model(configuration, noisy, None, window=tf.concat([[0, 0], size], axis=0), dtype=dtype)
            noise_std = tf.broadcast_to(model.noise_std, tf.shape(model.net_std))
            return model.mean, model.posterior_mean, model.net_std, noise_std, model.nll, model.parameter

        results = replicas.run(one_replica, self._noisy, self._sizes)
        self._fetches = list(zip(*map(replicas.local, results), strict=True))

    def validate(
        self, session, pictures: NoisyPictures, on_picture: Callable[[int, Denoised], None] | None = None
    ) -> RealScores:
        """Denoises all pictures. on_picture(index, denoised) is called for each.

        Several workers share the pictures (the last is the chief's); each calls this, hears of its own, and gets the scores
        of all.
        """
        total, replicas, parameters = len(pictures), self._replicas, self._configuration.noise.parameters
        rows = np.zeros([total, 1 + parameters + 2 * len(LAGS) + len(_QUALITY)])
        mine = (i for i in range(total) if (total - 1 - i) % replicas.workers == replicas.task)
        while together := list(itertools.islice(mine, replicas.here)):
            read = [pictures.read(i) for i in together]
            for i, (noisy, reference), output in zip(together, read, self._run(session, [p for p, _ in read]), strict=True):
                mean, posterior_mean, net_std, noise_std, nll, parameter = output
                white = whiteness(noisy - mean, net_std, noise_std)
                quality = [0.0] * len(_QUALITY)
                if reference is not None:
                    results = (noisy, mean, posterior_mean)
                    quality = [function(x, reference) for function in (psnr, ssim) for x in results]
                rows[i] = [nll.mean(dtype=np.float64), *parameter.ravel(), *white.horizontal, *white.vertical, *quality]
                if on_picture:
                    on_picture(i, Denoised(reference, noisy, mean, posterior_mean, net_std))
        return self._scores(sum_over_workers(replicas, session, rows), pictures.references is not None)

    def _run(self, session, noisy: list[np.ndarray]) -> list[list[np.ndarray]]:
        """For each picture [H,W,C]: mean, posterior mean, net std, noise std, nll, parameter."""
        padded = [pad_to_multiple(picture, STRIDE)[None] for picture in noisy]  # as `Denoiser` does, and no square
        feed = dict(zip(self._noisy, padded, strict=False))
        feed |= {size: picture.shape[:2] for size, picture in zip(self._sizes, noisy, strict=False)}
        with out_of_memory("the pictures are too large for this device; crop them"):
            fetched = session.run(self._fetches[: len(noisy)], feed)
        return [[x[0] for x in results] for results in fetched]

    def _scores(self, rows: np.ndarray, with_quality: bool) -> RealScores:
        count, lags = self._configuration.noise.parameters, len(LAGS)
        nll, parameters, white, quality = np.split(rows, np.cumsum([1, count, 2 * lags]), axis=1)
        return RealScores(
            float(nll.mean()),
            {k: float(v) for k, v in field_units(self._configuration.noise.family, parameters.mean(axis=0)).items()},
            averaged([Whiteness(tuple(row[:lags]), tuple(row[lags:])) for row in white]),
            self._configuration.hole_size,
            dict(zip([f"valid_{name}" for name in _QUALITY], map(float, quality.mean(axis=0)), strict=True))
            if with_quality else {},
        )  # fmt: skip
