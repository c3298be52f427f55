"""Runs a network over whole pictures, shared among devices and workers. What is measured of them: in subclasses."""

import abc
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.model import build_model
from dnnlib.denoising.pictures.images import STD_SHOWN, to_uint8, write_image
from dnnlib.denoising.reports.gallery import STD
from dnnlib.tflib.replicas import Replicas, sum_over_workers
from dnnlib.tflib.runtime import out_of_memory, tf


class Input(NamedTuple):
    """Holds a picture to denoise, float32 on the scale [0, 1]."""

    noisy: np.ndarray  # [S,T,C], padded to multiples of 32
    size: tuple[int, int]  # height and width without padding
    clean: np.ndarray | None  # [H,W,C], None if not known
    parameter: float = 0.0  # of the noise, for configurations that know it


class Denoised(NamedTuple):
    """Holds one picture and its results, without padding, float32 on the scale [0, 1].

    clean: [H,W,C], None if not known.
    noisy, mean, posterior_mean: [H,W,C].
    net_std: [H,W].
    posterior_std: [H,W], of the posterior mean; None where it was not asked for.
    """

    clean: np.ndarray | None
    noisy: np.ndarray
    mean: np.ndarray
    posterior_mean: np.ndarray
    net_std: np.ndarray
    posterior_std: np.ndarray | None = None

    @property
    def error(self) -> np.ndarray:
        """Returns result minus truth, [H,W,C]; there must be a clean picture."""
        return self.posterior_mean - self.clean

    @classmethod
    def of(cls, picture: Input, output: Mapping[str, np.ndarray]) -> "Denoised":
        """Puts together what was known of a picture and what the graph gave, by name."""
        height, width = picture.size
        results = {name: output[name] for name in ("mean", "posterior_mean", "net_std")}
        std = output.get("posterior_std")
        return cls(clean=picture.clean, noisy=picture.noisy[:height, :width], **results, posterior_std=std)

    def export(self, folder: Path, number: int, suffix: str) -> None:
        """Writes `img-<number>-<tag>.<suffix>` for each of the five that there are (SPEC 7.1)."""
        for tag, picture in self.pictures().items():
            write_image(folder / f"img-{number:07d}-{tag}.{suffix}", picture)

    def pictures(self) -> dict[str, np.ndarray]:
        """Returns uint8 pictures by tag, [H,W,C], the std [H,W,1]."""
        pictures = {
            "a_nsy": self.noisy, "b_out": self.mean, "b_out2": self.posterior_mean,
            "b_std": self.net_std[..., None] / STD_SHOWN, "c_cln": self.clean,
        }
        return {tag: to_uint8(picture) for tag, picture in pictures.items() if picture is not None}

    def to_look_at(self) -> dict[str, np.ndarray]:
        """Returns `pictures`, and as STD the std of the result (or that from the surroundings, if there is no other)."""
        std = self.net_std if self.posterior_std is None else self.posterior_std
        predicted = {STD: to_uint8(std[..., None] / STD_SHOWN)} if std.any() else {}
        return self.pictures() | predicted

    def side_by_side(self) -> np.ndarray:
        """Returns the five as one picture: uint8 [H,5W,C], 4W without a clean picture."""
        shape = self.noisy.shape
        return np.concatenate([np.broadcast_to(picture, shape) for picture in self.pictures().values()], axis=1)


class EvaluationGraph(abc.ABC):
    """Runs the network over pictures, one on each replica.

    Subclasses say which pictures, what is measured of each, and what is made of it.

    Build it under `replicas.scope()`, after the training graph with reuse=True to share its variables.
    """

    results: Sequence[str] = ()  # what `_measure` needs of the Prediction beside mean, posterior_mean and net_std

    def __init__(self, configuration: Configuration, replicas: Replicas, reuse: bool = False, dtype=tf.float32):
        """Builds the graph.

        configuration: of the network.
        replicas: what it runs on.
        reuse: whether its variables are there already.
        dtype: see `plain_unet`.
        """
        self._configuration, self._replicas = configuration, replicas
        self._placeholders = [_Placeholders.of(configuration.channels) for _ in range(replicas.local_count)]

        def one_replica(noisy, parameter, size):
            window = tf.concat([[0, 0], size], axis=0)
            with tf.variable_scope(tf.get_variable_scope(), reuse=reuse or None):
                prediction = build_model(configuration, noisy, parameter, window=window, dtype=dtype)
            return {name: getattr(prediction, name) for name in ("mean", "posterior_mean", "net_std", *self.results)}

        noisy, parameters, sizes = zip(*self._placeholders, strict=True)
        self._fetches = replicas.local(replicas.run(one_replica, noisy, parameters, sizes))

    def validate(
        self, session, pictures, passes: int = 1, on_picture: Callable[[int, Denoised], None] | None = None
    ):
        """Denoises all the pictures `passes` times, and returns what `_scores` makes of it.

        session: with the values of the variables.
        pictures: what `_inputs` knows.
        passes: how often.
        on_picture: called with index and result of each; the index runs on from pass to pass.

        Several workers share the pictures (the last is the chief's); each calls this, hears of its own, and gets the scores
        of all.
        """
        total, replicas = passes * len(pictures), self._replicas
        measured = {name: np.zeros(total) for name in self.measures}
        inputs = self._inputs(pictures, total, lambda index: (total - 1 - index) % replicas.workers == replicas.task)
        while together := list(itertools.islice(inputs, replicas.local_count)):
            outputs = self._denoise(session, [picture for _, picture in together])
            for (index, picture), output in zip(together, outputs, strict=True):
                denoised = Denoised.of(picture, output)
                for name, value in self._measure(denoised, output).items():
                    measured[name][index] = value
                if on_picture:
                    on_picture(index, denoised)
        return self._scores(pictures, {name: sum_over_workers(replicas, session, x) for name, x in measured.items()})

    def _denoise(self, session, pictures: Sequence[Input]) -> list[dict[str, np.ndarray]]:
        """Denoises a picture on each local replica, or fewer, and returns what the graph gives for each, [H,W,..].

        The network sees the padding, but no results are computed for it.
        """
        feed, fetches = {}, []
        for picture, placeholders, fetch in zip(pictures, self._placeholders, self._fetches, strict=False):
            feed |= placeholders.feed(picture)
            fetches.append(fetch)
        with out_of_memory("the pictures are too large for this device; crop them"):
            outputs = session.run(fetches, feed)
        return [{name: batch[0] for name, batch in output.items()} for output in outputs]

    @property
    @abc.abstractmethod
    def measures(self) -> Sequence[str]:
        """Returns the names of what is measured of each picture."""

    @abc.abstractmethod
    def _inputs(self, pictures, total: int, assigned: Callable[[int], bool]) -> Iterator[tuple[int, Input]]:
        """Yields index and picture, in order, for those of `range(total)` that are assigned to this worker."""

    @abc.abstractmethod
    def _measure(self, denoised: Denoised, output: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Returns `measures` of one picture; output: of the graph, with `results`."""

    @abc.abstractmethod
    def _scores(self, pictures, measured: Mapping[str, np.ndarray]):
        """Returns what is made of `measures`; measured: [total] of each, of all pictures in order, whoever had them."""


class _Placeholders(NamedTuple):
    """Holds the placeholders by which one replica is fed with a picture."""

    noisy: tf.Tensor
    parameter: tf.Tensor
    size: tf.Tensor

    @classmethod
    def of(cls, channels: int) -> "_Placeholders":
        """Makes the placeholders of a replica."""
        noisy = tf.placeholder(tf.float32, [1, None, None, channels])
        return cls(noisy, tf.placeholder(tf.float32, [1, 1, 1, 1]), tf.placeholder(tf.int32, [2]))

    def feed(self, picture: Input) -> dict:
        """Returns the feed of a session's run for a picture."""
        parameter = np.full([1, 1, 1, 1], picture.parameter)
        return {self.noisy: picture.noisy[None], self.parameter: parameter, self.size: picture.size}
