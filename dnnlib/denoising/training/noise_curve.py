"""What a training has learned of the noise, as its std over brightness, beside what flat patches of the pictures say."""

from collections.abc import Mapping

import numpy as np

from dnnlib.denoising.noise.families import NoiseStyle
from dnnlib.denoising.noise.laws import variances
from dnnlib.denoising.noise.transfer import Points
from dnnlib.denoising.reports.charts import Transfer
from dnnlib.tflib.runtime import tf

_PLACES = 121  # at which the curve is drawn: steps that meet the knots of 16


class NoiseCurve:
    """Computes the curve, by the law of the posterior's variances."""

    def __init__(self, noise: NoiseStyle, points: Points):
        """Builds the graph. noise: real, of a family with a law in VARIANCES; points: of the training's first crops."""
        self._row, self._points = noise.row, points
        self._means = np.linspace(0.0, 1.0, _PLACES)
        self._parameters = tf.placeholder(tf.float64, [noise.parameter_count])
        means = tf.constant(self._means[None, None])
        (found,) = variances(noise.family, [means], tf.unstack(self._parameters), True)
        self._variances = found + tf.zeros_like(means)  # of Gaussian noise it is one number

    def transfer(self, session, values: Mapping[str, float]) -> Transfer:
        """Returns what to draw: all of 255. values: the noise's parameters in the user's units, by name, among others."""
        learned = [p.learned_from_known(p.known_from_user(values[p.name])) for p in self._row.parameters]
        stds = np.sqrt(session.run(self._variances, {self._parameters: learned}).ravel())
        points = zip(self._points.means, np.sqrt(self._points.variances), strict=True)
        return Transfer(
            points=[(255 * float(mean), 255 * float(std)) for mean, std in points],
            learned=[(255 * float(mean), 255 * float(std)) for mean, std in zip(self._means, stds, strict=True)],
        )
