"""What a training step is fed with: the order of the images, the crops, the minibatches, and the thread that makes them."""

import itertools
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnlib.denoising.data.crops import Batch, Crops, Prefetch, batches


class Memory:
    """Stands in for a shard; counts what is read."""

    def __init__(self, images):
        self.images, self.read_images = images, []

    def __len__(self):
        return len(self.images)

    def read(self, i):
        self.read_images.append(i)
        return self.images[i]


def numbered(count: int, height: int = 1, width: int = 1) -> Memory:
    """Images whose first two channels say which image it is."""
    images = [np.zeros((3, height, width), np.uint8) for _ in range(count)]
    for i, image in enumerate(images):
        image[0], image[1] = divmod(i, 256)
    return Memory(images)


def positions(height: int, width: int) -> Memory:
    """One image whose pixels say where they are: (row, column, 0)."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return Memory([np.stack([rows, columns, np.zeros_like(rows)])])


def drawn(crops: Crops, numbers) -> list[int]:
    """Which image each number takes."""
    return [int(crops[m][0, 0, 0]) * 256 + int(crops[m][0, 0, 1]) for m in numbers]


# ---- Order


@given(count=st.integers(1, 300), epoch=st.integers(0, 2**40), seed=st.integers(0, 2**63 - 1))
@settings(max_examples=60, deadline=None)
def test_an_epoch_takes_each_image_once(count, epoch, seed):
    crops = Crops(numbered(count), 1, 3, seed)
    assert sorted(drawn(crops, range(epoch * count, (epoch + 1) * count))) == list(range(count))


def test_each_epoch_has_another_order_and_each_seed_others():
    count, epochs = 50, 6
    orders = set()
    for seed in (0, 1, 2, 2**62):
        crops = Crops(numbered(count), 1, 3, seed)
        orders |= {tuple(drawn(crops, range(e * count, (e + 1) * count))) for e in range(epochs)}
    assert len(orders) == 4 * epochs
    assert tuple(range(count)) not in orders
    first = [order[0] for order in orders]
    assert len(set(first)) > 10  # not only a part of the order changes


@given(
    seed=st.integers(0, 1000),
    numbers=st.lists(st.integers(0, 10**9) | st.integers(0, 40), min_size=1, max_size=12),
)
@settings(max_examples=40, deadline=None)
def test_a_crop_is_a_function_of_seed_and_number(seed, numbers):
    """Whatever was asked before; so a stream can start anywhere."""
    images = [np.random.default_rng(i).integers(0, 256, (3, 9 + i, 12 - i), np.uint8) for i in range(5)]
    used = Crops(Memory(images), 6, 3, seed)
    for number in numbers:
        np.testing.assert_array_equal(used[number], Crops(Memory(images), 6, 3, seed)[number])


def test_crops_of_several_sizes():
    images = [np.random.default_rng(i).integers(0, 256, (3, 9 + i, 12 - i), np.uint8) for i in range(3)]
    growing, small, large = (Crops(Memory(images), side, 3, 1) for side in (lambda m: 4 if m < 5 else 8, 4, 8))
    for number in range(10):
        np.testing.assert_array_equal(growing[number], (small if number < 5 else large)[number])


def test_the_minibatch_does_not_matter():
    images = [np.random.default_rng(i).integers(0, 256, (3, 10, 11), np.uint8) for i in range(7)]

    def stream(size, first, last):
        made = list(batches(Crops(Memory(images), 4, 3, 5), size, first, last))
        return np.concatenate([b.numbers for b in made]), np.concatenate([b.images for b in made])

    numbers, all_images = stream(1, 0, 59)
    np.testing.assert_array_equal(numbers, np.arange(60))
    for size in (2, 3, 4, 20, 60):
        for expected, found in zip((numbers, all_images), stream(size, 0, 59 - size + 1), strict=True):
            np.testing.assert_array_equal(found, expected[: len(found)])
            assert len(found) == 60 // size * size
    np.testing.assert_array_equal(stream(4, 24, 56)[1], all_images[24:60])  # begun in the middle


# ---- Crops


@pytest.mark.parametrize(("height", "width", "crop"), [(6, 8, 4), (4, 7, 4), (5, 4, 4), (4, 4, 4)])
def test_crops_take_every_position_and_no_other(height, width, crop):
    crops = Crops(positions(height, width), crop, 3, 3)
    corners = set()
    for m in range(400):
        image = crops[m]
        assert image.shape == (crop, crop, 3) and image.dtype == np.uint8
        y, x = int(image[0, 0, 0]), int(image[0, 0, 1])
        corners.add((y, x))
        rows, columns = np.mgrid[y : y + crop, x : x + crop]
        np.testing.assert_array_equal(image, np.stack([rows, columns, np.zeros_like(rows)], axis=-1))
    assert corners == set(itertools.product(range(height - crop + 1), range(width - crop + 1)))


def test_crop_positions_are_uniform():
    crops = Crops(positions(6, 7), 4, 3, 0)
    count = 3000
    corners = [tuple(map(int, crops[m][0, 0, :2])) for m in range(count)]
    expected = count / 12
    for position in itertools.product(range(3), range(4)):
        assert abs(corners.count(position) - expected) < 5 * expected**0.5


def test_one_image_is_read_for_one_crop():
    shard = numbered(9, 5, 5)
    crops = Crops(shard, 4, 3, 0)
    assert drawn(crops, [0]) == shard.read_images[:1]
    shard.read_images.clear()
    for m in range(9):
        crops[m]
    assert sorted(shard.read_images) == list(range(9))


def test_mono_is_the_rounded_mean():
    sums = np.arange(766)
    row = np.stack([np.clip(sums - 255 * k, 0, 255) for k in range(3)]).astype(np.uint8)  # [3, 766], with these sums
    wide = Memory([np.repeat(row[:, np.newaxis], 766, axis=1)])  # 766 x 766: the crop is the whole image
    grey = Crops(wide, 766, 1, 0)[0]
    assert grey.shape == (766, 766, 1) and grey.dtype == np.uint8
    np.testing.assert_array_equal(grey[0, :, 0], np.floor(sums / 3 + 0.5))


def test_mono_and_colour_take_the_same_crops():
    shard = Memory([np.random.default_rng(1).integers(0, 256, (3, 20, 30), np.uint8)])
    for m in range(5):
        grey, colour = Crops(shard, 8, 1, 7)[m], Crops(shard, 8, 3, 7)[m]
        assert np.abs(grey[:, :, 0] - colour.mean(axis=2)).max() <= 0.5


# ---- Minibatches


@given(size=st.integers(1, 9), first=st.integers(0, 50), steps=st.integers(0, 8), more=st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_steps_up_to_and_including_the_last(size, first, steps, more):
    last = first + steps * size + more % size
    made = list(batches(Crops(numbered(4), 1, 1, 0), size, first, last))
    assert [int(b.numbers[0]) for b in made] == [first + k * size for k in range(steps + 1)]
    for batch in made:
        assert isinstance(batch, Batch) and batch.numbers.dtype == np.int64
        assert list(batch.numbers) == list(range(batch.numbers[0], batch.numbers[0] + size))
        assert batch.images.shape == (size, 1, 1, 1) and batch.images.dtype == np.uint8


# ---- Prefetch


def no_thread_is_left() -> bool:
    return not [t for t in threading.enumerate() if t.name == "prefetch"]


@pytest.mark.parametrize("depth", [1, 3, 100])
def test_prefetch_keeps_the_order(depth):
    with Prefetch(iter(range(50)), depth) as items:
        assert list(items) == list(range(50))
    assert no_thread_is_left()


def test_prefetch_works_in_another_thread():
    def where():
        yield threading.current_thread()

    with Prefetch(where()) as items:
        assert next(iter(items)) is not threading.current_thread()


class Broken(Exception):
    pass


def test_an_error_comes_in_its_turn():
    def items():
        yield from range(3)
        raise Broken("no more")

    seen = []
    with pytest.raises(Broken, match="no more"), Prefetch(items()) as prefetch:
        for item in prefetch:
            time.sleep(0.02)  # the error has happened by now
            seen.append(item)
    assert seen == [0, 1, 2]
    assert no_thread_is_left()


def test_an_error_of_the_reader_ends_the_thread():
    with pytest.raises(Broken), Prefetch(itertools.count()) as items:
        for item in items:
            if item == 5:
                raise Broken
    assert no_thread_is_left()


def test_leaving_early_ends_the_thread():
    taken = []
    with Prefetch((taken.append(i) or i for i in itertools.count()), 2) as items:
        assert next(iter(items)) == 0
    assert no_thread_is_left()
    count = len(taken)
    time.sleep(0.05)
    assert len(taken) == count
    with Prefetch(itertools.count(), 2):
        pass  # nothing was taken at all
    assert no_thread_is_left()


def test_prefetch_stays_a_few_items_ahead():
    taken = []

    def items():
        for i in range(100):
            taken.append(i)
            yield i

    with Prefetch(items(), 4) as prefetch:
        stream = iter(prefetch)
        next(stream)
        deadline = time.monotonic() + 10
        while len(taken) < 6 and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.15)  # longer than the thread waits before it tries again
        assert len(taken) == 6  # one taken out, four in the queue, one in hand
