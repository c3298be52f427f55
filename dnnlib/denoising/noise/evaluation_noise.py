"""The repeatable noise of the evaluation: what the 2019 program drew, bit for bit (SPEC 4.1)."""

import itertools

import numpy as np

from dnnlib.denoising.noise.families import NoiseStyle
from dnnlib.denoising.noise.laws import Draws, corrupt
from dnnlib.tflib.runtime import create_session, tf


class EvaluationNoise:
    """The noise that the 2019 program drew in its evaluation, bit for bit (SPEC 4.1), one image at a time.

    It has a graph and a session of its own on the CPU: the ops' counters run on from image to image, and start over with a
    new object. Draws are laid out NCHW, as they were then.
    """

    def __init__(self, style: NoiseStyle, channels: int):
        """Builds the graph for images of so many channels."""
        graph = tf.Graph()
        with graph.as_default(), tf.device("/cpu:0"):
            tf.set_random_seed(0)
            self._clean = tf.placeholder(tf.float32, [1, channels, None, None])
            self._fetches = repeatable_noise(self._clean, style)
        self._session = create_session(graph)

    def corrupt(self, clean: np.ndarray) -> tuple[np.ndarray, float]:
        """Adds noise to clean float32 [H,W,C] in [0, 1], padded, and returns it and the known parameter."""
        noisy, parameter = self._session.run(self._fetches, {self._clean: clean.transpose(2, 0, 1)[None]})
        return noisy[0].transpose(1, 2, 0), float(parameter.ravel()[0])

    def close(self) -> None:
        """Frees the session."""
        self._session.close()


def repeatable_noise(x, style: NoiseStyle, first_seed: int = 1):
    """Adds noise to x [1,C,H,W] by stateful ops, and returns it and the known parameter [1,1,1,1].

    The ops' seeds are first_seed, first_seed + 1, ... in the order of the draws.
    """
    draws = _SeededDraws(first_seed)
    parameter = draws.parameter(style, tf.shape(x)[0])
    return corrupt(x, style.family, parameter, draws), parameter


class _SeededDraws(Draws):
    """Draws random numbers for [N,C,H,W], by ops whose seeds count up."""

    def __init__(self, first_seed: int):
        self._seeds = itertools.count(first_seed)

    def parameter(self, style: NoiseStyle, count):
        """Returns a parameter for each of `count` images: [N,1,1,1]. A constant one takes no seed."""
        if style.low == style.high:
            return tf.fill([count, 1, 1, 1], tf.constant(style.low, tf.float32))
        return tf.random.uniform([count, 1, 1, 1], style.low, style.high, seed=next(self._seeds))

    def normal(self, x):
        return tf.random.normal(tf.shape(x), seed=next(self._seeds))

    def uniform(self, x):
        return tf.random.uniform(tf.shape(x), seed=next(self._seeds))

    def uniform_per_pixel(self, x):
        return self.uniform(x[:, :1])

    def poisson(self, rates):
        return tf.random.poisson(rates, [], seed=next(self._seeds))
