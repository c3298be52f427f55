"""A map over several threads that keeps the order, and does not run far ahead of its reader."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_In, _Out = TypeVar("_In"), TypeVar("_Out")


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(function: Callable[[_In], _Out], items: Iterable[_In], workers: int, ahead: int = 4) -> Iterator[_Out]:
    """Yields function(item) for each item, in order.

    function: is called in several threads.
    items: are read in the caller's thread.
    workers: the number of threads.
    ahead: at most so many results a worker wait for a slow one before them; fewer are better where results are large.

    With one worker nothing runs ahead: each item is read and worked on when its result is asked for. What the function
    raises is raised in its turn. Threads pay where the function leaves the interpreter: decoding pictures, reading files.
    """
    if workers == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
