"""The ordered map: order, errors, and how far it runs ahead."""

import os
import threading
import time

import pytest

from dnnlib.parallel import cores, ordered_map


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_order_and_errors(workers):
    def slow_first(i):
        time.sleep(0.02 if i % 7 == 0 else 0)
        if i == 30:
            raise ValueError(i)
        return i * i

    assert list(ordered_map(slow_first, range(30), workers)) == [i * i for i in range(30)]
    assert list(ordered_map(slow_first, [], workers)) == []
    results = ordered_map(slow_first, range(50), workers)
    assert [next(results) for _ in range(30)] == [i * i for i in range(30)]
    with pytest.raises(ValueError, match="30"):
        next(results)


def test_one_worker_runs_nothing_ahead():
    seen = []
    results = ordered_map(seen.append, iter([1, 2]), 1)
    assert seen == []
    next(results)
    assert seen == [1]


@pytest.mark.parametrize(("ahead", "most"), [({}, 13), ({"ahead": 1}, 4)])
def test_several_work_at_once_and_a_little_ahead(ahead, most):
    started, all_there = [], threading.Barrier(3)

    def work(i):
        started.append(i)
        if i < 3:
            all_there.wait(30)  # fails unless three work at the same time
        return i

    results = ordered_map(work, iter(range(1000)), 3, **ahead)
    assert next(results) == 0
    assert len(started) <= most
    results.close()
    before = len(started)
    time.sleep(0.05)
    assert len(started) == before


def test_cores():
    assert 1 <= cores() <= os.cpu_count()
