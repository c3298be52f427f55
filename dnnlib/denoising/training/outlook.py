"""What to expect of a training: its speed, how long it will take, and whether there are enough pictures for it."""

import math

STEPS = 50  # that are measured
_UNEVEN = 10  # of them, the first: TensorFlow plans its work in them
# Over the training pictures: the published trainings make some 40 over ImageNet's validation set.
MOST_PASSES = 100


class Outlook:
    """Measures the first steps of this process, and says once what follows from them."""

    def __init__(self, minibatch_size: int):
        """Begins without steps. minibatch_size: images in each."""
        self._minibatch_size = minibatch_size
        self._seconds: list[float] | None = []  # of each step; None: it has been said
        self.validation_seconds: float | None = None  # of the last validation, None before there was one

    def add(self, seconds: float) -> bool:
        """Takes how long a step took, with the wait for its images. Returns whether there are enough of them just now."""
        if self._seconds is None:
            return False
        self._seconds.append(seconds)
        return len(self._seconds) == STEPS

    def line(self, left: int, validations: int, state_bytes: int | None) -> str:
        """Returns what to expect, as a line to print.

        left: images to train on, larger ones than in the steps so far by their share (`schedule.work_left`).
        validations: how many will be made on the way.
        state_bytes: of a state to resume from, None where none is written.
        """
        measured, self._seconds = self._seconds[_UNEVEN:], None
        rate = self._minibatch_size * len(measured) / max(sum(measured), 1e-9)
        seconds, what = left / rate, ""
        if validations and self.validation_seconds is not None:
            seconds += validations * self.validation_seconds
            what = f", of it {duration(validations * self.validation_seconds)} for {validations} validations"
        elif validations:
            what = f", without {validations} validations"
        states = "" if state_bytes is None else f"; the two states that are kept take {2 * state_bytes / 1e6:.0f} MB"
        return f"To expect: {rate:.3g} images/s, {duration(seconds)} to the end{what}{states}"


def duration(seconds: float) -> str:
    """Returns a time as people say it: `40 s`, `12 min`, `3.5 hours`, `2.1 days`."""
    for unit, size, digits in (("days", 48 * 3600, 1), ("hours", 5400, 1), ("min", 120, 0)):
        if seconds >= size:
            return f"{seconds / {'days': 86400, 'hours': 3600, 'min': 60}[unit]:.{digits}f} {unit}"
    return f"{math.ceil(seconds)} s"


def too_few_pictures(pictures: int, images: int) -> str | None:
    """Returns a warning where a training goes over its pictures so often that it may learn them by heart; else None.

    pictures: in the training shard.
    images: to train on.
    """
    passes = images / pictures
    if passes <= MOST_PASSES:
        return None
    return (
        f"Warning: each of the {pictures} training pictures will be seen {passes:.0f} times, and a network may learn them "
        f"by heart; watch the validation, and take more pictures, or --num-iter {MOST_PASSES * pictures}"
    )
