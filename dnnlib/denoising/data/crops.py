"""What a training step is fed with: random crops in a fresh order each epoch, made ahead by one background thread.

Image number m (0, 1, 2, ... over the whole run) is a function of (seed, m) alone: which image, which crop. So a stream
can start anywhere, and does not depend on the minibatch or on what was drawn before.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.data.shard import Shard

_ORDER, _CROP = 0, 1  # streams of random numbers


class Batch(NamedTuple):
    """Holds what one step is fed with, B images of this worker."""

    n: int  # of the step: the images before it
    numbers: np.ndarray  # int64 [B]: of the images in the run
    images: np.ndarray  # [B, crop, crop, C]: uint8, noisy ones float32


class Crops:
    """Cuts crop number m of a run out of a shard: uint8 [crop, crop, channels]; one channel is the rounded mean of three."""

    def __init__(self, shard: Shard, crop: int | Callable[[int], int], channels: int, seed: int):
        """Prepares for cutting squares out of a shard.

        shard: of images of at least crop x crop pixels.
        crop: the side in pixels, of all or by the number of the crop.
        channels: 3, or 1 for mono.
        seed: of the run.
        """
        self._shard, self._channels, self._seed = shard, channels, seed
        self._side = crop if callable(crop) else lambda _: crop
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __getitem__(self, number: int) -> np.ndarray:
        """Returns a crop by its number in the run, from 0."""
        epoch, position = divmod(number, len(self._shard))
        if epoch != self._epoch:
            self._order = _random(self._seed, _ORDER, epoch).permutation(len(self._shard))
            self._epoch = epoch
        image = self._shard.read(int(self._order[position]))
        random = _random(self._seed, _CROP, number)
        side = self._side(number)
        y, x = (int(random.integers(0, size - side, endpoint=True)) for size in image.shape[1:])
        crop = image[:, y : y + side, x : x + side]
        return self._finished(crop).transpose(1, 2, 0)

    @property
    def limits(self) -> Sequence[float]:
        """Returns the values at which the noise may have been clipped: none, for it is added to what is read."""
        return ()

    def _finished(self, crop: np.ndarray) -> np.ndarray:
        """Makes what the training is given out of stored pixels [C, crop, crop]."""
        return np.rint(crop.mean(axis=0, keepdims=True)).astype(np.uint8) if self._channels == 1 else crop


class NoisyCrops(Crops):
    """Cuts crops out of a NoisyShard, as it has them: float32 [crop, crop, channels], 0 for black and 1 for white, not
    clipped."""

    @property
    def limits(self) -> Sequence[float]:
        return self._shard.limits

    def _finished(self, crop: np.ndarray) -> np.ndarray:
        return self._shard.to_float(crop)


def _random(seed: int, stream: int, index: int) -> np.random.Generator:
    """Returns random numbers that follow from a run's seed, one of the streams, and a number in it."""
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, index]))


def batches(
    crops: Crops, minibatch_size: int, first: int, last: int, worker: int = 0, workers: int = 1
) -> Iterator[Batch]:
    """Yields the minibatches of the steps n = first, first + minibatch_size, ... up to and including `last` (SPEC 6.1).

    crops: of which they are made.
    minibatch_size: images a step, of all workers together.
    first, last: n of the steps.
    worker, workers: each worker gets its part, the worker-th of `workers` equal ones.
    """
    images_per_worker = minibatch_size // workers
    for n in range(first, last + 1, minibatch_size):
        numbers = n + worker * images_per_worker + np.arange(images_per_worker)
        yield Batch(n, numbers, np.stack([crops[int(m)] for m in numbers]))


class Prefetch:
    """Runs an iterable in one background thread, some items ahead; an error there is raised here, in its turn.

    Use it in a `with`: leaving ends the thread.
    """

    _END = object()

    def __init__(self, items: Iterable, depth: int = 8):
        self._items, self._queue, self._stop = items, queue.Queue(depth), threading.Event()
        self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)

    def __enter__(self) -> "Prefetch":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()

    def __iter__(self) -> Iterator:
        while True:
            item = self._queue.get()
            if item is self._END:
                return
            if isinstance(item, _Failure):
                raise item.error
            yield item

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
            self._put(self._END)
        except BaseException as error:  # noqa: B902 - whatever it is, the main thread shall see it
            self._put(_Failure(error))

    def _put(self, item) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                pass
        return False


class _Failure(NamedTuple):
    """Stands in the queue for the item at which the thread failed."""

    error: BaseException
