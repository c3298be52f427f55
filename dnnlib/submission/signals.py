"""SIGINT and SIGTERM as a request: the work goes on to the next safe point, and stops there."""

import os
import signal
from types import FrameType

from dnnlib.errors import Terminated


class StopSignals:
    """A context manager; within it the first signal only sets `requested`, and a second one ends the process at once.

    Call `raise_if_requested` at a safe point: KeyboardInterrupt for SIGINT (exit 130), Terminated for SIGTERM (exit 143).
    """

    def __init__(self):
        self.requested: int | None = None  # number of the signal

    def __enter__(self) -> "StopSignals":
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def raise_if_requested(self) -> None:
        if self.requested is not None:
            raise Terminated if self.requested == signal.SIGTERM else KeyboardInterrupt

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.requested is not None:
            os._exit(128 + number)
        self.requested = number
