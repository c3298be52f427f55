"""SIGINT, SIGTERM and SIGHUP as a request: the work goes on to the next safe point, and stops there."""

import contextlib
import os
import signal
from types import FrameType

from dnnlib.errors import Terminated


class StopSignals:
    """Hears signals while it is entered: the first only sets `requested`, and a second one ends the process at once.

    Call `raise_if_requested` at a safe point: KeyboardInterrupt for SIGINT (exit 130), Terminated for the others (143, 129).
    """

    def __init__(self):
        self.requested: int | None = None  # number of the signal

    def __enter__(self) -> "StopSignals":
        numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]  # nohup stays in force
        self._before = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def raise_if_requested(self) -> None:
        """Raises what the first signal stands for, if there was one."""
        if self.requested is not None:
            raise KeyboardInterrupt if self.requested == signal.SIGINT else Terminated(self.requested)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.requested is not None:
            os._exit(128 + number)
        self.requested = number
        with contextlib.suppress(OSError):
            os.write(2, b"\nStopping after this step; once more ends it at once.\n")
