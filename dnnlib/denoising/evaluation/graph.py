"""The network over whole pictures, one by one, shared among devices and workers. What is measured of them: in subclasses."""

import abc
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.model import build_model
from dnnlib.denoising.pictures.images import STD_SHOWN, to_uint8, write_image
from dnnlib.tflib.replicas import Replicas, sum_over_workers
from dnnlib.tflib.runtime import out_of_memory, tf


class Input(NamedTuple):
    """A picture to denoise. noisy: float32 [S,T,C], padded to multiples of 32; size: height and width without padding;
    clean: [H,W,C], None if not known; parameter: of the noise, for configurations that know it."""

    noisy: np.ndarray
    size: tuple[int, int]
    clean: np.ndarray | None
    parameter: float = 0.0


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

    def side_by_side(self) -> np.ndarray:
        """Returns the five as one picture: uint8 [H,5W,C], 4W without a clean picture."""
        shape = self.noisy.shape
        return np.concatenate([np.broadcast_to(picture, shape) for picture in self.pictures().values()], axis=1)


class EvaluationGraph(abc.ABC):
    """The network on one picture a replica. Build it under `replicas.scope()`, after the training graph with reuse=True
    to share its variables.

    Subclasses say which pictures (`_inputs`), what is measured of each (`_row`, as many numbers as `_columns`), and what
    is made of it (`_scores`). `_results`: what they need of the Posterior beside mean, posterior_mean and net_std.
    """

    _results: Sequence[str] = ()
    _columns: Sequence[str]

    def __init__(self, configuration: Configuration, replicas: Replicas, reuse: bool = False, dtype=tf.float32):
        self._configuration, self._replicas = configuration, replicas
        shape = [1, None, None, configuration.channels]
        self._noisy = [tf.placeholder(tf.float32, shape) for _ in range(replicas.local_count)]
        self._parameters = [tf.placeholder(tf.float32, [1, 1, 1, 1]) for _ in range(replicas.local_count)]
        self._sizes = [tf.placeholder(tf.int32, [2]) for _ in range(replicas.local_count)]

        def one_replica(noisy, parameter, size):
            with tf.variable_scope(tf.get_variable_scope(), reuse=reuse or None):
                model = build_model(configuration, noisy, parameter, window=tf.concat([[0, 0], size], axis=0), dtype=dtype)
            return [getattr(model, name) for name in ("mean", "posterior_mean", "net_std", *self._results)]

        results = replicas.run(one_replica, self._noisy, self._parameters, self._sizes)
        self._fetches = list(zip(*map(replicas.local, results), strict=True))

    def validate(
        self, session, pictures, passes: int = 1, on_picture: Callable[[int, Denoised], None] | None = None
    ):
        """Denoises all the pictures `passes` times -> what `_scores` makes of it.

        on_picture(index, denoised) is called for each, with an index that runs on from pass to pass. Several workers share
        the pictures (the last is the chief's); each calls this, hears of its own, and gets the scores of all.
        """
        total, replicas = passes * len(pictures), self._replicas
        rows = np.zeros([total, len(self._columns)])
        mine = self._inputs(pictures, total, lambda index: (total - 1 - index) % replicas.workers == replicas.task)
        while together := list(itertools.islice(mine, replicas.local_count)):
            outputs = self._denoise(session, [given for _, given in together])
            for (index, given), (mean, posterior_mean, net_std, *others) in zip(together, outputs, strict=True):
                height, width = given.size
                denoised = Denoised(given.clean, given.noisy[:height, :width], mean, posterior_mean, net_std)
                rows[index] = self._row(denoised, *others)
                if on_picture:
                    on_picture(index, denoised)
        return self._scores(pictures, sum_over_workers(replicas, session, rows))

    def _denoise(self, session, given: Sequence[Input]) -> list[list[np.ndarray]]:
        """At most as many pictures as there are replicas here -> for each: what the graph gives, [H,W,..]. Padding is seen,
        but its own results are not computed."""
        feed = dict(zip(self._noisy, [one.noisy[None] for one in given], strict=False))
        feed |= dict(zip(self._parameters, [np.full([1, 1, 1, 1], one.parameter) for one in given], strict=False))
        feed |= dict(zip(self._sizes, [one.size for one in given], strict=False))
        with out_of_memory("the pictures are too large for this device; crop them"):
            return [[x[0] for x in results] for results in session.run(self._fetches[: len(given)], feed)]

    @abc.abstractmethod
    def _inputs(self, pictures, total: int, mine: Callable[[int], bool]) -> Iterator[tuple[int, Input]]:
        """Index and picture, in order, for those of `range(total)` that are mine."""

    @abc.abstractmethod
    def _row(self, denoised: Denoised, *results: np.ndarray) -> list[float]:
        """What is measured of one picture. results: those of `_results`."""

    @abc.abstractmethod
    def _scores(self, pictures, rows: np.ndarray):
        """rows [total, columns]: of all pictures in order, whoever had them."""
