"""Fresh noise for training (paper section 4), which follows from numbers alone."""

from dnnlib.denoising.noise.families import NoiseStyle
from dnnlib.denoising.noise.laws import Draws, corrupt
from dnnlib.tflib.runtime import tf

_STREAMS = 4  # of an instance of noise: the first for its parameter, the others for its draws
_INSTANCES = 2  # of an image


def add_training_noise(clean, style: NoiseStyle, run_seed: int, image_numbers, draw: int = 0):
    """Adds fresh noise to a batch of numbered images, and returns them, [N,H,W,C], and the known parameters, [N,1,1,1].

    Every value is a function of (run_seed, image number, draw) alone, whatever the batch, device or history. Noisy values
    are not clipped, for estimates of the noise would fail.

    clean: float32 [N,H,W,C] on the scale [0, 1], with N known.
    style: the family, and the range from which each image's parameter is drawn.
    run_seed: of the training.
    image_numbers: int64 [N].
    draw: 0 for the input, 1 for a second instance, independent of the first.
    """
    images = tf.unstack(clean, axis=0)
    numbers = tf.unstack(image_numbers, num=len(images))
    noisy, parameters = [], []
    for x, number in zip(images, numbers, strict=True):
        draws = _NumberedDraws(run_seed, number * (_INSTANCES * _STREAMS) + draw * _STREAMS)
        parameter = draws.parameter(style)
        noisy.append(corrupt(x, style.family, parameter, draws))
        parameters.append(parameter)
    return tf.stack(noisy), tf.reshape(tf.stack(parameters), [-1, 1, 1, 1])


class _NumberedDraws(Draws):
    """Draws random numbers for one instance of noise of one image [H,W,C], by stateless ops."""

    def __init__(self, run_seed: int, first_stream):
        """Numbers the streams from first_stream (int64 scalar) on."""
        self._run_seed, self._first_stream, self._used = run_seed, first_stream, 0

    def parameter(self, style: NoiseStyle):
        """Returns the parameter of the image, by the first stream."""
        if style.low == style.high:
            return tf.constant(style.low, tf.float32)
        return tf.random.stateless_uniform([], self._seed(0), style.low, style.high, alg="philox")

    def normal(self, x):
        return tf.random.stateless_normal(tf.shape(x), self._next_seed(), alg="philox")

    def uniform(self, x):
        return tf.random.stateless_uniform(tf.shape(x), self._next_seed(), alg="philox")

    def uniform_per_pixel(self, x):
        return self.uniform(x[..., :1])

    def poisson(self, rates):
        return tf.random.stateless_poisson(tf.shape(rates), self._next_seed(), rates, tf.float32)

    def _next_seed(self):
        self._used += 1
        if self._used == _STREAMS:
            raise ValueError(f"a noise family draws at most {_STREAMS - 1} times: more would be the next instance's numbers")
        return self._seed(self._used)

    def _seed(self, stream: int):
        return tf.stack([tf.constant(self._run_seed, tf.int64), self._first_stream + stream])
