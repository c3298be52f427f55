"""Adapts a network: trains it on crops of the given pictures for as long as the held-out part becomes more likely."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.adapting.held_out import crop_side
from dnnlib.denoising.adapting.likelihood import HeldOutLikelihood
from dnnlib.denoising.adapting.pages import Page, PageCrops
from dnnlib.denoising.adapting.start import Start
from dnnlib.denoising.data.crops import Prefetch, batches
from dnnlib.denoising.noise.families import as_shown
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.training.graph import TrainingGraph, build_training_graph, optimizer_of
from dnnlib.denoising.training.schedule import learning_rate
from dnnlib.progress import progress_bar, say
from dnnlib.tflib.layout import Layout
from dnnlib.tflib.precision import AUTO, for_learning
from dnnlib.tflib.replicas import Replicas, one_gpu
from dnnlib.tflib.runtime import fetch_variables, initialize, out_of_memory, tf

PEAK_RATE = 5e-4  # a quarter of the recipe's: the network is trained already, and all that it has to learn is little
CHECKS = 10
PATIENCE = 3  # checks in a row without a new lowest of the checks, after which it ends
_DIGITS = {"a": ".3e", "b": ".3e"}  # as in the lines of a training


class Lowest:
    """Keeps the values of the variables that have the lowest negative log-likelihood, from check to check.

    images, nll: of these values.
    variables: them, None as long as they are those of the start.
    """

    def __init__(self, start: float):
        """Begins with the start's. One that is not finite, which no network that works gives, is higher than any other."""
        self.images, self.variables = 0, None
        self.start = self.nll = start if math.isfinite(start) else math.inf
        # The first steps make it worse, before the optimiser knows the gradients: checks are compared with each other.
        self._lowest_check, self._since = math.inf, 0

    def take(self, images: int, nll: float, session) -> None:
        """Takes a check: after so many images, of the values that the session's variables have."""
        self._since += 1
        if nll < self._lowest_check:  # NaN is not
            self._lowest_check, self._since = nll, 0
        if nll < self.nll:
            self.images, self.nll = images, nll
            self.variables = fetch_variables(session)

    @property
    def given_up(self) -> bool:
        """Tells whether the likelihood has not become better for too long."""
        return self._since >= PATIENCE


class Outcome(NamedTuple):
    """Holds what adapting came to.

    variables: the best, by name; None where none were better than those of the start.
    said: a line that says so.
    """

    variables: dict[str, np.ndarray] | None
    said: str


def adapt(start: Start, pages: Sequence[Page], recipe: Mapping, images: int, precision: str = AUTO) -> Outcome:
    """Adapts a network, and says in a line each how likely the held-out part has become.

    start: the network.
    pages: what it learns from, and what is held out.
    recipe: how steps are taken, by the names of options.
    images: how many crops it learns from at most.
    precision: what convolutions compute in; AUTO: the fastest.
    """
    replicas = Replicas(Layout(num_gpus=one_gpu()))
    side = crop_side([page.parts for page in pages])
    options = training_options(recipe, images, side, for_learning(precision, replicas.on_gpu), PEAK_RATE)
    crops = PageCrops(pages, side, options.seed)
    with tf.Graph().as_default(), replicas.scope(), replicas.session() as session:
        # What is needed.
        graph = build_training_graph(start.wanted, options, replicas)
        likelihood = HeldOutLikelihood(start.wanted, pages)
        values = start.values(crops, options.seed)
        initialize(session, values | optimizer_of(options).initial_state(values))
        lowest = Lowest(_check(likelihood, session, 0))
        # The steps.
        with contextlib.closing(_steps(graph, crops, options, session)) as steps:
            for seen in steps:
                if is_due(seen, options):
                    lowest.take(seen, _check(likelihood, session, seen), session)
                    if lowest.given_up:
                        break
    return Outcome(lowest.variables, _outcome(lowest, seen, options.num_iter))


def training_options(recipe: Mapping, images: int, side: int, precision: str, rate: float) -> TrainingOptions:
    """Returns the settings of the steps: those of the recipe, but for the rate.

    images: how many there are; the steps are whole ones, and at least one.
    side: of the crops, in pixels.
    precision: what convolutions compute in.
    rate: at its peak.
    """
    size = recipe.get("minibatch_size", TrainingOptions.minibatch_size)
    settings = {"learning_rate": rate, "num_iter": max(images // size, 1) * size}
    return TrainingOptions(**{**recipe, **settings, "train_resolution": side, "end_resolution": 0, "precision": precision})


def _steps(graph: TrainingGraph, crops: PageCrops, options: TrainingOptions, session) -> Iterator[int]:
    """Takes step after step, and yields after each how many images the network has seen."""
    size, total = options.minibatch_size, options.num_iter
    with Prefetch(batches(crops, size, 0, total - size)) as ahead, progress_bar(total, "image") as bar:
        for batch in ahead:
            feed = graph.feed(batch.numbers, batch.images, learning_rate(batch.n, options))
            with out_of_memory("denoise without --adapt"):
                session.run(graph.step, feed)
            bar.update(size)
            yield batch.n + size


def is_due(seen: int, options: TrainingOptions) -> bool:
    """Tells whether a check is due: after the first step that reaches another of CHECKS equal parts of all images."""
    parts, before = (CHECKS * n // options.num_iter for n in (seen, seen - options.minibatch_size))
    return parts > before


def _check(likelihood: HeldOutLikelihood, session, seen: int) -> float:
    """Measures the held-out part, says what came out, and returns the negative log-likelihood."""
    nll, noise = likelihood.check(session)
    said = ", ".join(f"{name}={format(value, _DIGITS.get(name, '8.4f'))}" for name, value in as_shown(noise).items())
    say(f"{seen:8d}: valid_nll={nll:8.4f}, {said}")
    return nll


def _outcome(lowest: Lowest, seen: int, total: int) -> str:
    """Returns the line that says what came of it. seen, total: images, that were and that should have been learned from."""
    early = f", ended early after {seen} of {total} images" if seen < total else ""
    if lowest.variables is None:
        return f"Not adapted{early}: valid_nll became no lower than {lowest.start:.4f}, and the network stays as it was"
    return f"Adapted{early}: valid_nll from {lowest.start:.4f} to {lowest.nll:.4f}, after {lowest.images} images"
