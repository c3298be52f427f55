"""How likely the held-out part of the pictures is to a network that adapts: what decides whether adapting helped."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.adapting.pages import Page
from dnnlib.denoising.adapting.places import places_of, shown_at
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.model import build_model
from dnnlib.denoising.noise.families import in_user_units
from dnnlib.tflib.runtime import out_of_memory, tf


class Check(NamedTuple):
    """Holds what a network says of the held-out part.

    nll: the negative log-likelihood, in nats a value.
    noise: its parameters in the user's units, by name.
    """

    nll: float
    noise: dict[str, float]


class HeldOutLikelihood:
    """Measures held-out places in the middle of what is around them, as they will be denoised."""

    def __init__(self, configuration: Configuration, pages: Sequence[Page]):
        """Builds the graph, of the variables that there are in the current one.

        configuration: of the network.
        pages: with the held-out parts.
        """
        self._family = configuration.noise.family
        self._places = [
            (shown_at(place, pages[place.page], configuration.channels), place.window) for place in places_of(pages)
        ]
        self._picture = tf.placeholder(tf.float32, [1, None, None, configuration.channels])
        self._window = tf.placeholder(tf.int32, [4])
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            prediction = build_model(configuration, self._picture, None, window=self._window)
        self._fetches = tf.reduce_sum(tf.cast(prediction.nll, tf.float64)), tf.size(prediction.nll), prediction.parameter

    def check(self, session) -> Check:
        """Measures the variables' present values. All pixels count alike; the noise is the average over the places."""
        total, pixels, parameters = 0.0, 0, []
        for picture, window in self._places:
            with out_of_memory("denoise without --adapt"):
                nll, size, parameter = session.run(self._fetches, {self._picture: picture, self._window: window})
            total, pixels = total + float(nll), pixels + int(size)
            parameters.append(parameter.ravel())
        return Check(total / pixels, in_user_units(self._family, np.mean(parameters, axis=0).tolist()))
