"""Notices early that a training goes wrong, and says once what helps: a loss that rises, noise that runs away, a network
that learns its pictures by heart."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.options import NOISE_INIT_ESTIMATE, TrainingOptions
from dnnlib.denoising.training.schedule import RAMP_UP

# A rise counts where it is so many standard errors: chance makes the lowest of a thousand lines three of them too low.
RISE = 6.0
LINES, EACH = 3, 2.0  # the rise is of so many lines in a row, of which each is above by so many standard errors, too
FALL_DB, FALL_NATS = 0.1, 0.01  # of a validation below the best one
FALLS = 3  # in a row: single ones go up and down while the rate is high
LARGEST_REAL_STD = 100.0  # of 255: real noise of which more is left than picture
RUNAWAY = 2.0  # times the strongest noise that is added


@dataclass(frozen=True)
class Line:
    """Holds what a printed line says: averages over its steps, and the standard error of the loss."""

    n: int
    means: Mapping[str, float]
    loss_error: float = math.nan


class Trouble:
    """Looks at each line of a training, and returns warnings, each kind once."""

    def __init__(self, configuration: Configuration, options: TrainingOptions):
        """Takes what is trained, and how."""
        self._configuration, self._options = configuration, options
        self._lines: list[Line] = []
        self._validations: list[tuple[float, float]] = []  # (validation, training since the one before), more is better
        self._said: set[Callable] = set()

    def warnings(self, line: Line) -> list[str]:
        """Returns what is to be said after a line; the early ones, while the rate still grows, do not count."""
        if line.n <= RAMP_UP * self._options.num_iter or not math.isfinite(line.means["loss"]):
            return []
        self._lines.append(line)
        found = []
        for check in (self._rising_loss, self._runaway_noise, self._by_heart):
            text = check()
            if text and check not in self._said:
                self._said.add(check)
                found.append(f"Warning: {text}")
        return found

    def _rising_loss(self) -> str | None:
        """Looks for lines that are all far above the lowest one before them."""
        c = self._configuration
        annealed = not c.noise.row.keeps_mean and c.pipeline not in ("n2c", "blindspot")
        if annealed or len(self._lines) <= LINES:  # the annealed loss changes by itself (SPEC 6.2)
            return None
        *before, _, _, _ = self._lines
        best = min(before, key=lambda line: line.means["loss"])
        recent, limit = self._lines[-LINES:], best.means["loss"]
        error = math.hypot(*(line.loss_error for line in recent)) / LINES
        risen = sum(line.means["loss"] - limit for line in recent) / LINES > RISE * math.hypot(error, best.loss_error)
        if not risen or any(x.means["loss"] - limit <= EACH * math.hypot(x.loss_error, best.loss_error) for x in recent):
            return None
        rate = self._options.learning_rate / 3
        return (
            f"the loss has risen from {limit:.3f} at {best.n} images to {recent[-1].means['loss']:.3f}; if it goes on, "
            f"start anew with --learning-rate {rate:.1g}, with --clip-norm 3, or another --seed"
        )

    def _runaway_noise(self) -> str | None:
        """Looks at the learned std of the noise."""
        c, found = self._configuration, self._lines[-1].means.get("std_noise", 0.0)
        if c.noise_params not in ("global", "per_image") or not found > largest_std(c):
            return None
        estimable = c.noise_can_be_estimated and self._options.noise_init != NOISE_INIT_ESTIMATE
        estimate = "--noise-init estimate, " if estimable else ""
        rate = f"a lower --noise-rate (it is {self._options.noise_rate:g}), " if c.noise_params == "global" else ""
        return (
            f"the learned noise has a std of {found:.0f} of 255 and runs away from the pictures'; start anew with "
            f"{estimate}{rate}--clip-norm 3 or a lower --learning-rate"
        )

    def _by_heart(self) -> str | None:
        """Looks for a validation that falls while the training still gets better."""
        name, training, sign, least = ("valid_nll", "loss", -1.0, FALL_NATS) if self._configuration.noise.real else (
            "valid_psnr_pme", "train_psnr_pme", 1.0, FALL_DB
        )  # fmt: skip
        if name not in self._lines[-1].means:
            return None
        since = self._since_last_validation(name)
        trained = sum(sign * line.means[training] for line in since) / len(since)
        self._validations.append((sign * self._lines[-1].means[name], trained))
        best, trained_then = max(self._validations)
        last = self._validations[-FALLS:]
        fallen = len(last) == FALLS and all(best - value > least for value, _ in last)
        if not fallen or not all(now > trained_then for _, now in last):
            return None
        unit = "nats" if self._configuration.noise.real else "dB"
        return (
            f"the validation has become worse by {best - last[-1][0]:.2f} {unit} while the training becomes better: the "
            "network learns its pictures by heart; put abort.txt into the run's folder to end it, and train on more "
            "pictures, or on fewer images (--num-iter; --snapshot-every keeps networks on the way)"
        )

    def _since_last_validation(self, name: str) -> list[Line]:
        """Returns the lines since the validation before the last line's."""
        found = [self._lines[-1]]
        for line in reversed(self._lines[:-1]):
            if name in line.means:
                break
            found.append(line)
        return found


def largest_std(configuration: Configuration) -> float:
    """Returns the std of learned noise, of 255, above which something is wrong: twice that of the strongest noise there is.

    Under impulse noise it stands for the share of the pixels, which cannot run away: infinite.
    """
    noise = configuration.noise
    if noise.real:
        return LARGEST_REAL_STD
    strongest = {"gauss": lambda: noise.high, "poisson": lambda: math.sqrt(1.0 / noise.low)}
    return RUNAWAY * 255.0 * strongest[noise.family]() if noise.family in strongest else math.inf
