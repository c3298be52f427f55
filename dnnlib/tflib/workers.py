"""Notices when another worker of the job is lost: killed, frozen, cut off, or never started."""

import os
import sys
import threading
import time
from collections.abc import Sequence

import grpc

from dnnlib.errors import WorkerLost
from dnnlib.parallel import ordered_map
from dnnlib.tflib.runtime import tf

_INTERVAL = 2.0  # seconds between two looks at each of the others
_LINGER = 6.0  # seconds that a worker which noticed a loss stays to be seen, so that the others do not take it for lost
_FAILED = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError,
           tf.errors.InternalError, tf.errors.UnknownError, tf.errors.FailedPreconditionError)  # fmt: skip


class Watch:
    """Watches over the other workers while one works, as a context manager; it does nothing where there is only one.

    A worker is alive when the server that TensorFlow runs in it answers. Where one has not answered for `timeout`
    seconds, this process ends with status 75 and a line that names it, whatever its main thread waits for. TensorFlow's
    own errors about a lost worker become WorkerLost, which names it, too.

    workers: host:port of each.
    task: which of them this is.
    timeout: in seconds.
    """

    def __init__(self, workers: Sequence[str], task: int, timeout: float):
        self._others = {number: address for number, address in enumerate(workers) if number != task}
        self._timeout = timeout
        self._stop = threading.Event()
        self._seen: dict[int, float] = {}

    def __enter__(self) -> "Watch":
        """Waits until all have started; raises WorkerLost where one does not within `timeout`."""
        began = time.monotonic()
        for number, address in self._others.items():
            # Without this TensorFlow would wait, too, but complain all the while.
            while not answers(address, _INTERVAL):
                if time.monotonic() - began > self._timeout:
                    raise WorkerLost(_message([number], self._others))
        self._seen = dict.fromkeys(self._others, time.monotonic())
        for number in self._others:
            threading.Thread(target=self._look_after, args=[number], name=f"watch {number}", daemon=True).start()
        return self

    def __exit__(self, _kind, error: BaseException | None, _trace) -> None:
        if self._others and isinstance(error, _FAILED):
            lost = self._not_answering()
            self._stop.set()
            time.sleep(_LINGER)
            raise WorkerLost(_message(lost, self._others)) from error
        self._stop.set()

    def wait_for_the_chief_to_end(self) -> None:
        """Waits, when all is done: the first worker may still be reading from the others."""
        self._stop.set()
        deadline = time.monotonic() + self._timeout
        while answers(self._others[0], _INTERVAL) and time.monotonic() < deadline:
            time.sleep(0.2)

    def _look_after(self, number: int) -> None:
        """Asks another worker now and then whether it is there, until the work is done; ends the process where it is not."""
        while not self._stop.wait(_INTERVAL):
            if answers(self._others[number], min(self._timeout, 10.0)):
                self._seen[number] = time.monotonic()
            elif time.monotonic() - self._seen[number] > self._timeout and not self._stop.is_set():
                self._end_process(number)

    def _end_process(self, number: int) -> None:
        """Ends the process: the main thread may hang for ever in a collective operation, so there is nothing to raise to."""
        print(f"Error: {_message([number], self._others)}", file=sys.stderr, flush=True)
        time.sleep(_LINGER)
        os._exit(WorkerLost.status)

    def _not_answering(self) -> list[int]:
        """Returns which of the others are gone, asked once for all, at the same time."""
        replies = ordered_map(lambda address: answers(address, _INTERVAL), self._others.values(), len(self._others))
        return [number for number, alive in zip(self._others, replies, strict=True) if not alive]


def answers(address: str, seconds: float) -> bool:
    """Returns whether a gRPC server at host:port greets us within so many seconds."""
    # No proxy stands between workers; and a pool of connections would answer for a worker that no longer does.
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options=options) as channel:
        try:
            grpc.channel_ready_future(channel).result(seconds)
        except grpc.FutureTimeoutError:
            return False
    return True


def _message(lost: Sequence[int], others: dict[int, str]) -> str:
    """Returns the line that names those that are lost. others: addresses of the other workers by number."""
    remedy = "start all workers again with --resume"
    if not lost:
        return f"the connection to another worker broke, though all answer again; {remedy}"
    names = ", ".join(f"{number} ({others[number]})" for number in lost)
    return f"worker {names} was lost; {remedy}"
