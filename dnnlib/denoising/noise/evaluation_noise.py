"""The repeatable noise of the evaluation: what the 2019 program drew, bit for bit (SPEC 4.1)."""

import numpy as np

from dnnlib.denoising.noise.families import NoiseStyle
from dnnlib.tflib.runtime import create_session, tf


class EvaluationNoise:
    """The noise that the 2019 program drew in its evaluation, bit for bit (SPEC 4.1), one image at a time.

    A graph and a session of its own on the CPU: the ops' counters run on from image to image, and start over with a
    new object. Draws are laid out NCHW, as they were then.
    """

    def __init__(self, style: NoiseStyle, channels: int):
        graph = tf.Graph()
        with graph.as_default(), tf.device("/cpu:0"):
            tf.set_random_seed(0)
            self._clean = tf.placeholder(tf.float32, [1, channels, None, None])
            self._fetches = repeatable_noise(self._clean, style)
        self._session = create_session(graph)

    def corrupt(self, clean: np.ndarray) -> tuple[np.ndarray, float]:
        """clean float32 [H,W,C] in [0, 1], padded -> (noisy [H,W,C], parameter as a float)."""
        noisy, parameter = self._session.run(self._fetches, {self._clean: clean.transpose(2, 0, 1)[None]})
        return noisy[0].transpose(1, 2, 0), float(parameter.ravel()[0])

    def close(self) -> None:
        self._session.close()


def repeatable_noise(x, style: NoiseStyle, first_seed: int = 1):
    """x [1,C,H,W] -> noisy, parameter [1,1,1,1]; op seeds first_seed, first_seed + 1, ... in the order of the draws."""
    seeds = iter(range(first_seed, first_seed + 3))
    n = tf.shape(x)[0]
    if style.low == style.high:
        parameter = tf.fill([n, 1, 1, 1], tf.constant(style.low, tf.float32))
    else:
        parameter = tf.random.uniform([n, 1, 1, 1], style.low, style.high, seed=next(seeds))
    if style.family == "gauss":
        return x + tf.random.normal(tf.shape(x), seed=next(seeds)) * parameter, parameter
    if style.family == "poisson":
        return tf.random.poisson(x * parameter, [], seed=next(seeds)) / parameter, parameter
    keep = tf.random.uniform(tf.shape(x[:, :1]), seed=next(seeds)) >= parameter
    colours = tf.random.uniform(tf.shape(x), seed=next(seeds))
    return tf.where(tf.broadcast_to(keep, tf.shape(x)), x, colours), parameter
