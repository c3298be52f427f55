"""Runs a network over a validation set with the repeatable noise, and measures it (SPEC section 7)."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.evaluation_noise import EvaluationNoise
from dnnlib.denoising.images import to_uint8, write_image
from dnnlib.denoising.metrics import psnr
from dnnlib.denoising.model import build_model
from dnnlib.denoising.validation_set import ValidationSet
from dnnlib.tflib.runtime import out_of_memory, tf

STD_WHITE = 10.0 / 255.0  # the net std that an exported picture shows as white


class Denoised(NamedTuple):
    """One picture, cropped to its size, float32 on the scale [0, 1]: [H,W,C], net_std [H,W]."""

    clean: np.ndarray
    noisy: np.ndarray
    mean: np.ndarray
    posterior_mean: np.ndarray
    net_std: np.ndarray

    def export(self, folder: Path, number: int, suffix: str) -> None:
        """Writes `img-<number>-<tag>.<suffix>` for each of the five (SPEC 7.1)."""
        for tag, picture in self.pictures().items():
            write_image(folder / f"img-{number:07d}-{tag}.{suffix}", picture)

    def pictures(self) -> dict[str, np.ndarray]:
        """uint8 pictures by tag, [H,W,C], the std [H,W,1]."""
        pictures = {
            "a_nsy": self.noisy, "b_out": self.mean, "b_out2": self.posterior_mean,
            "b_std": self.net_std[..., None] / STD_WHITE, "c_cln": self.clean,
        }
        return {tag: to_uint8(picture) for tag, picture in pictures.items()}

    def strip(self) -> np.ndarray:
        """The five side by side: uint8 [H,5W,C]."""
        shape = self.clean.shape
        return np.concatenate([np.broadcast_to(picture, shape) for picture in self.pictures().values()], axis=1)


class Scores(NamedTuple):
    """PSNR in dB of each picture, in order: of the noisy input, the network's mean, the posterior mean."""

    noisy: np.ndarray
    mean: np.ndarray
    posterior_mean: np.ndarray


class EvaluationGraph:
    """The network on one picture at a time. Build it after the training graph with reuse=True to share its variables."""

    def __init__(self, configuration: Configuration, reuse: bool = False):
        self._configuration = configuration
        self._noisy = tf.placeholder(tf.float32, [1, None, None, configuration.channels])
        self._parameter = tf.placeholder(tf.float32, [1, 1, 1, 1])
        with tf.variable_scope(tf.get_variable_scope(), reuse=reuse):
            model = build_model(configuration, self._noisy, self._parameter)
        self._fetches = [model.mean, model.posterior_mean, model.net_std]

    def denoise(self, session, noisy: np.ndarray, parameter: float) -> list[np.ndarray]:
        """noisy [H,W,C], a square of a multiple of 32 -> mean, posterior mean [H,W,C], net std [H,W]."""
        feed = {self._noisy: noisy[None], self._parameter: np.full([1, 1, 1, 1], parameter)}
        with out_of_memory("the pictures are too large for this device; crop them"):
            return [x[0] for x in session.run(self._fetches, feed)]

    def validate(
        self,
        session,
        validation_set: ValidationSet,
        passes: int = 1,
        on_picture: Callable[[int, Denoised], None] | None = None,
    ) -> Scores:
        """Denoises the whole set `passes` times; the noise starts over with each call and runs on from pass to pass.

        on_picture(index, denoised) is called for each, with an index that runs on too.
        """
        noise = EvaluationNoise(self._configuration.noise, self._configuration.channels)
        scores = []
        try:
            for index in range(passes * len(validation_set.paths)):
                clean, height, width = validation_set.read(index % len(validation_set.paths), self._configuration.channels)
                noisy, parameter = noise.corrupt(clean)
                pictures = [clean, noisy, *self.denoise(session, noisy, parameter)]
                result = Denoised(*[p[:height, :width] for p in pictures])
                scores.append([psnr(p, result.clean) for p in (result.noisy, result.mean, result.posterior_mean)])
                if on_picture:
                    on_picture(index, result)
        finally:
            noise.close()
        return Scores(*np.array(scores).T)
