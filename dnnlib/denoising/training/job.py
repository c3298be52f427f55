"""The processes that train together, as one of them sees it."""

from collections.abc import Mapping

import numpy as np

from dnnlib.errors import Terminated
from dnnlib.submission.signals import StopSignals
from dnnlib.tflib.replicas import Replicas, broadcast, sum_over_workers


class Job:
    """Holds this worker's replicas, session and signals, and asks the other workers where all must agree.

    Of several workers all must call `any_worker` and `from_chief` in the same order.
    """

    def __init__(self, replicas: Replicas, session, signals: StopSignals):
        self.replicas, self.session = replicas, session
        self._signals = signals
        self._all_stop = False

    @property
    def wants_to_stop(self) -> bool:
        """Tells whether this process has got a signal."""
        return self._signals.requested is not None

    @property
    def must_stop(self) -> bool:
        """Tells whether to stop now: all workers after the same step, so what counts is what they said before it."""
        return self._all_stop if self.replicas.workers > 1 else self.wants_to_stop

    def hear_of_stop(self, step: Mapping[str, float]) -> None:
        """Notes whether a worker wanted to stop when it began a step; step: what the step told."""
        self._all_stop = step["stop"] > 0

    def raise_stop(self) -> None:
        """Raises what the signal stands for."""
        self._signals.raise_if_requested()
        raise Terminated  # it was another worker that got the signal

    def any_worker(self, condition: bool) -> bool:
        """Returns whether the condition holds on any worker."""
        return bool(sum_over_workers(self.replicas, self.session, [condition])[0])

    def from_chief(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the chief's arrays; the others' are only of the same names, shapes and types."""
        return broadcast(self.replicas, self.session, arrays) if self.replicas.workers > 1 else dict(arrays)
