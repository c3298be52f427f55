"""Trains a plain network on pairs, and measures how near it comes to what it learns from."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.adapting.held_out import crop_side
from dnnlib.denoising.adapting.loop import is_due, training_options
from dnnlib.denoising.adapting.pages import Page
from dnnlib.denoising.adapting.places import places_of, shown_at
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.crops import Prefetch, batches
from dnnlib.denoising.distilling.pairs import PairCrops
from dnnlib.denoising.distilling.start import REMEDY, passing_on
from dnnlib.denoising.network.architecture import shapes_of
from dnnlib.denoising.network.model import build_model
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.training.graph import optimizer_of
from dnnlib.denoising.training.schedule import learning_rate
from dnnlib.progress import progress_bar, say
from dnnlib.tflib.layout import Layout
from dnnlib.tflib.precision import AUTO, dtype_of, for_learning
from dnnlib.tflib.replicas import Replicas, one_gpu
from dnnlib.tflib.runtime import fetch_variables, initialize, out_of_memory, tf

PEAK_RATE = 1e-3  # half the recipe's: it starts from a network that works, if only as a window pane does
MINIBATCH = 2


class Distilled(NamedTuple):
    """Holds what distilling came to.

    variables: of the network that came nearest, by name; None where none came nearer than the noisy pictures are.
    nearness: PSNR in dB of its results to those that it learned from, where it has not seen them.
    noisy_nearness: the same of the noisy pictures, which is where it starts.
    """

    variables: dict[str, np.ndarray] | None
    nearness: float
    noisy_nearness: float


def distil(
    configuration: Configuration, noisy: Sequence[Page], denoised: Sequence[Page], recipe: Mapping, images: int,
    precision: str = AUTO,
) -> Distilled:  # fmt: skip
    """Trains a network, and says in a line each how near it comes.

    configuration: of the network.
    noisy, denoised: of `Pairs.pages`.
    recipe: how steps are taken, by the names of options.
    images: how many crops it learns from.
    precision: what convolutions compute in; AUTO: the fastest.
    """
    replicas = Replicas(Layout(num_gpus=one_gpu()))
    side, precision = crop_side([page.parts for page in noisy]), for_learning(precision, replicas.on_gpu)
    options = training_options({**recipe, "minibatch_size": MINIBATCH}, images, side, precision, PEAK_RATE)
    size, total = options.minibatch_size, options.num_iter
    crops = PairCrops(noisy, denoised, options.train_resolution, options.seed)
    with tf.Graph().as_default(), replicas.scope(), replicas.session() as session:
        # What is needed.
        pairs, rate, step = _training_graph(configuration, options, replicas)
        held_out = _HeldOut(configuration, noisy, denoised)
        values = passing_on(configuration, options.seed)
        initialize(session, values | optimizer_of(options).initial_state(values))
        found, errors = Distilled(None, held_out.noisy_nearness, held_out.noisy_nearness), []
        say(f"{0:8d}: valid_psnr={found.nearness:8.4f}")
        # The steps.
        with Prefetch(batches(crops, size, 0, total - size)) as ahead, progress_bar(total, "image") as bar:
            for batch in ahead:
                with out_of_memory(REMEDY):
                    errors.append(session.run(step, {pairs: batch.images, rate: learning_rate(batch.n, options)}))
                bar.update(size)
                seen = batch.n + size
                if is_due(seen, options):
                    nearness = held_out.nearness(session)
                    say(f"{seen:8d}: psnr={psnr_of(np.mean(errors)):8.4f}, valid_psnr={nearness:8.4f}")
                    errors.clear()
                    if nearness > found.nearness:  # NaN is not
                        found = found._replace(variables=fetch_variables(session), nearness=nearness)
        return found


def psnr_of(squared_error: float) -> float:
    """Returns the PSNR in dB that a mean squared error of values from 0 to 1 means; infinite for none."""
    return math.inf if squared_error == 0 else -10 * math.log10(squared_error)  # NaN stays what it is


def _training_graph(configuration: Configuration, options: TrainingOptions, replicas: Replicas):
    """Builds variables and step; returns what is fed, pairs [B,S,S,2 C] and a rate, and a step's mean squared error."""
    side = options.train_resolution
    pairs = tf.placeholder(tf.float32, [options.minibatch_size, side, side, 2 * configuration.channels])
    rate = tf.placeholder(tf.float32, [])

    def one_replica(both):
        """Builds the step."""
        variables = [tf.get_variable(*v, initializer=tf.zeros_initializer()) for v in shapes_of(configuration).items()]
        noisy, target = tf.split(both, 2, axis=3)
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            model = build_model(configuration, noisy, None, target, dtype=dtype_of(options.precision))
        loss = tf.reduce_mean(model.loss)
        gradients = tf.gradients(loss, variables)
        train_op, _ = optimizer_of(options).step(gradients, variables, [rate] * len(variables))
        with tf.control_dependencies([train_op]):
            return tf.identity(loss)

    (loss,) = replicas.local(replicas.run(one_replica, [pairs]))
    return pairs, rate, loss


class _HeldOut:
    """Measures how near a network comes in the middle of what is held out.

    noisy_nearness: how near the noisy pictures are, in dB.
    """

    def __init__(self, configuration: Configuration, noisy: Sequence[Page], denoised: Sequence[Page]):
        """Builds the graph, of the variables that there are in the current one. Parameters as for `distil`."""
        channels = configuration.channels
        self._noisy, self._window = tf.placeholder(tf.float32, [1, None, None, channels]), tf.placeholder(tf.int32, [4])
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            self._result = build_model(configuration, self._noisy, None, window=self._window).mean
        self._places = []  # of (what is shown, the window of it that is measured, what is learned from there)
        squares = []
        for place in places_of(noisy):
            before, after = (page[place.page].read(place.measured) for page in (noisy, denoised))
            self._places.append((shown_at(place, noisy[place.page], channels), place.window, after))
            squares.append((before - after) ** 2)
        self.noisy_nearness = psnr_of(_mean(squares))

    def nearness(self, session) -> float:
        """Returns how near the variables' present values come, in dB."""
        squares = []
        for noisy, window, target in self._places:
            with out_of_memory(REMEDY):
                squares.append((session.run(self._result, {self._noisy: noisy, self._window: window})[0] - target) ** 2)
        return psnr_of(_mean(squares))


def _mean(parts: Sequence[np.ndarray]) -> float:
    """Returns the mean over all values of arrays of different sizes."""
    return float(sum(part.sum(dtype=np.float64) for part in parts) / sum(part.size for part in parts))
