"""Runs a network over a validation set with the repeatable noise, and measures it (SPEC section 7)."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.evaluation_noise import EvaluationNoise
from dnnlib.denoising.images import STD_SHOWN, to_uint8, write_image
from dnnlib.denoising.metrics import psnr
from dnnlib.denoising.model import build_model
from dnnlib.denoising.validation_set import ValidationSet
from dnnlib.tflib.replicas import Replicas, sum_over_workers
from dnnlib.tflib.runtime import out_of_memory, tf


class Denoised(NamedTuple):
    """One picture, cropped to its size, float32 on the scale [0, 1]: [H,W,C], net_std [H,W]; clean: None if not known."""

    clean: np.ndarray | None
    noisy: np.ndarray
    mean: np.ndarray
    posterior_mean: np.ndarray
    net_std: np.ndarray

    def export(self, folder: Path, number: int, suffix: str) -> None:
        """Writes `img-<number>-<tag>.<suffix>` for each of the five that there are (SPEC 7.1)."""
        for tag, picture in self.pictures().items():
            write_image(folder / f"img-{number:07d}-{tag}.{suffix}", picture)

    def pictures(self) -> dict[str, np.ndarray]:
        """uint8 pictures by tag, [H,W,C], the std [H,W,1]."""
        pictures = {
            "a_nsy": self.noisy, "b_out": self.mean, "b_out2": self.posterior_mean,
            "b_std": self.net_std[..., None] / STD_SHOWN, "c_cln": self.clean,
        }
        return {tag: to_uint8(picture) for tag, picture in pictures.items() if picture is not None}

    def strip(self) -> np.ndarray:
        """The five side by side: uint8 [H,5W,C], 4W without a clean picture."""
        shape = self.noisy.shape
        return np.concatenate([np.broadcast_to(picture, shape) for picture in self.pictures().values()], axis=1)


class Scores(NamedTuple):
    """PSNR in dB of each picture, in order: of the noisy input, the network's mean, the posterior mean."""

    noisy: np.ndarray
    mean: np.ndarray
    posterior_mean: np.ndarray

    def means(self) -> dict[str, float]:
        """What to print and to record of a validation in training."""
        return {"valid_psnr_mu": float(np.mean(self.mean)), "valid_psnr_pme": float(np.mean(self.posterior_mean))}


class EvaluationGraph:
    """The network on one picture a replica. Build it under `replicas.scope()`, after the training graph with reuse=True
    to share its variables."""

    def __init__(self, configuration: Configuration, replicas: Replicas, reuse: bool = False, dtype=tf.float32):
        self._configuration, self._replicas = configuration, replicas
        shape = [1, None, None, configuration.channels]
        self._noisy = [tf.placeholder(tf.float32, shape) for _ in range(replicas.here)]
        self._parameters = [tf.placeholder(tf.float32, [1, 1, 1, 1]) for _ in range(replicas.here)]
        self._sizes = [tf.placeholder(tf.int32, [2]) for _ in range(replicas.here)]

        def one_replica(noisy, parameter, size):
            with tf.variable_scope(tf.get_variable_scope(), reuse=reuse or None):
                model = build_model(configuration, noisy, parameter, window=tf.concat([[0, 0], size], axis=0), dtype=dtype)
            return model.mean, model.posterior_mean, model.net_std

        results = replicas.run(one_replica, self._noisy, self._parameters, self._sizes)
        self._fetches = list(zip(*map(replicas.local, results), strict=True))

    def denoise(
        self, session, noisy: Sequence[np.ndarray], parameters: Sequence[float], sizes: Sequence[tuple[int, int]]
    ) -> list[list[np.ndarray]]:
        """At most as many pictures as there are replicas here: [S,S,C], S a multiple of 32, and their sizes without padding
        -> for each: mean, posterior mean [H,W,C], net std [H,W]. Padding is seen, but its own results are not computed."""
        feed = {placeholder: picture[None] for placeholder, picture in zip(self._noisy, noisy, strict=False)}
        feed |= {p: np.full([1, 1, 1, 1], value) for p, value in zip(self._parameters, parameters, strict=False)}
        feed |= dict(zip(self._sizes, sizes, strict=False))
        with out_of_memory("the pictures are too large for this device; crop them"):
            return [[x[0] for x in results] for results in session.run(self._fetches[: len(noisy)], feed)]

    def validate(
        self,
        session,
        validation_set: ValidationSet,
        passes: int = 1,
        on_picture: Callable[[int, Denoised], None] | None = None,
    ) -> Scores:
        """Denoises the whole set `passes` times; the noise starts over with each call and runs on from pass to pass.

        on_picture(index, denoised) is called for each, with an index that runs on too. Several workers share the pictures
        (the last is the chief's); each calls this, hears of its own, and gets the scores of all.
        """
        total, replicas = passes * len(validation_set.paths), self._replicas
        scores = np.zeros([total, len(Scores._fields)])
        pictures = self._noisy_pictures(validation_set, total)
        mine = (item for item in pictures if (total - 1 - item[0]) % replicas.workers == replicas.task)
        while together := list(itertools.islice(mine, replicas.here)):
            _, clean, noisy, parameters = zip(*together, strict=True)
            outputs = self.denoise(session, noisy, parameters, [picture.shape[:2] for picture in clean])
            for (index, clean, noisy, _), output in zip(together, outputs, strict=True):
                result = Denoised(clean, noisy[: clean.shape[0], : clean.shape[1]], *output)
                scores[index] = [psnr(p, result.clean) for p in (result.noisy, result.mean, result.posterior_mean)]
                if on_picture:
                    on_picture(index, result)
        return Scores(*sum_over_workers(replicas, session, scores).T)

    def _noisy_pictures(
        self, validation_set: ValidationSet, total: int
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray, float]]:
        """Index, clean picture in its size, noisy picture padded to a square, noise parameter."""
        noise = EvaluationNoise(self._configuration.noise, self._configuration.channels)
        with contextlib.closing(noise):
            for index in range(total):
                clean, height, width = validation_set.read(index % len(validation_set.paths), self._configuration.channels)
                yield index, clean[:height, :width], *noise.corrupt(clean)
