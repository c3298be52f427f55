"""How likely the held-out part of the pictures is to a network that adapts: what decides whether adapting helped."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.adapting.held_out import middle, surrounded
from dnnlib.denoising.adapting.pages import Page
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference.tiling import PaddedPicture
from dnnlib.denoising.network.model import build_model
from dnnlib.denoising.noise.families import in_user_units
from dnnlib.tflib.runtime import out_of_memory, tf

MOST_PIXELS, MOST_PLACES = 1 << 18, 16  # that are measured: seconds on a CPU, and checks are many
AROUND = 64  # pixels around a place that the network is shown with it; it could see farther, but hardly looks there


class Check(NamedTuple):
    """Holds what a network says of the held-out part.

    nll: the negative log-likelihood, in nats a value.
    noise: its parameters in the user's units, by name.
    """

    nll: float
    noise: dict[str, float]


class _Place(NamedTuple):
    """Holds what the network is shown, float32 [1,H,W,C], and the window [4] of it that is measured."""

    picture: np.ndarray
    window: list[int]


class HeldOutLikelihood:
    """Measures held-out places in the middle of what is around them, as they will be denoised.

    What is around them may have been trained on: it tells the network no more than at any other place.
    """

    def __init__(self, configuration: Configuration, pages: Sequence[Page]):
        """Builds the graph, of the variables that there are in the current one.

        configuration: of the network.
        pages: with the held-out parts.
        """
        self._family = configuration.noise.family
        self._places = _places(pages, configuration.channels)
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


def _places(pages: Sequence[Page], channels: int) -> list[_Place]:
    """Returns what is measured: the middle of the held-out parts; where they are many, of some of them."""
    held = [page for page in pages if page.parts.held_out]
    count = min(len(held), MOST_PLACES)
    found = []
    for i in np.linspace(0, len(held) - 1, count).astype(int):
        page = held[i]
        padded = PaddedPicture(page.pixels, page.scale, channels)
        region = middle(page.parts.held_out, MOST_PIXELS // count)
        around = surrounded(region, AROUND, padded.height, padded.width)
        rows, columns = region.within(around)
        found.append(_Place(padded.read(around)[None], [rows.start, columns.start, rows.stop, columns.stop]))
    return found
