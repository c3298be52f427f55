"""One training step as a graph: corrupt, denoise, loss, Adam, and the statistics of the batch."""

from typing import NamedTuple

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.architecture import shapes_of
from dnnlib.denoising.network.model import build_model
from dnnlib.denoising.noise.families import parameter_names
from dnnlib.denoising.noise.training_noise import add_training_noise
from dnnlib.tflib.optimizer import adam_step
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import tf

STATISTICS = ("loss", "train_psnr", "train_psnr_pme", "std_net", "std_noise", "finite", "stop")


def statistics_of(c: Configuration) -> tuple[str, ...]:
    """The names of a step's statistics: STATISTICS, or, of real noise, those that need no clean image, and the noise's
    parameters, in the network's own units: averages are of these, and `in_user_units` comes last."""
    if not c.noise.real:
        return STATISTICS
    return "loss", "std_net", "std_noise", *parameter_names(c.noise), "finite", "stop"


class TrainingGraph(NamedTuple):
    """Placeholders to feed, B images of this process; to fetch are `step`, which trains, and `noisy`, which does not."""

    numbers: tf.Tensor  # int64 [B]: number of each image in the run; its noise follows from it
    images: tf.Tensor  # uint8 [B, crop, crop, C]: clean; of real noise float32: noisy already
    learning_rate: tf.Tensor  # scalar
    exponent: tf.Tensor  # scalar, SPEC 6.2
    stop: tf.Tensor  # scalar: not 0 where this process wants to stop
    noisy: tf.Tensor  # float32 [B, crop, crop, C]: what the step corrupts the images to
    step: tf.Tensor  # float64, `statistics_of` the whole minibatch, the same on all workers; "finite": 1 if all is


def build_training_graph(
    configuration: Configuration, minibatch_size: int, crop: int, seed: int, replicas: Replicas, microbatch_size: int,
    dtype=tf.float32,
) -> TrainingGraph:
    """Builds the step and with it the variables; their values are loaded afterwards. Call it under `replicas.scope()`.

    minibatch_size: of all replicas together; each takes its share in passes of microbatch_size images, whose gradients are
    added up in float64. With one image a pass the result does not depend on how many replicas there are.
    dtype: see `plain_unet`.
    """
    c, share = configuration, minibatch_size // replicas.count
    numbers = tf.placeholder(tf.int64, [share * replicas.here])
    images = tf.placeholder(tf.float32 if c.noise.real else tf.uint8, [share * replicas.here, crop, crop, c.channels])
    learning_rate, exponent, stop = (tf.placeholder(tf.float32, []) for _ in range(3))

    def one_replica(numbers, images):
        # Made here, for the passes are a loop, in which none can be made.
        variables = [tf.get_variable(*v, initializer=tf.zeros_initializer()) for v in shapes_of(c).items()]
        gradients, sums = _passes(c, variables, numbers, images, microbatch_size, seed, exponent, dtype)
        train_op, finite = adam_step(gradients, variables, minibatch_size, learning_rate)
        with tf.control_dependencies([train_op]):
            flags = tf.cast(tf.stack([finite, tf.not_equal(stop, 0.0)]), tf.float64) / replicas.count
            return tf.concat([sums / minibatch_size, flags], axis=0)

    parts = [tf.split(x, replicas.here) for x in (numbers, images)]
    statistics = replicas.sum(replicas.run(one_replica, *parts))
    noisy = images if c.noise.real else add_training_noise(_to_float(images), c.noise, seed, numbers)[0]
    return TrainingGraph(numbers, images, learning_rate, exponent, stop, noisy, statistics)


def _passes(c: Configuration, variables: list, numbers, images, microbatch_size: int, seed: int, exponent, dtype):
    """The gradients of the images' losses, and the STATISTICS but the last two (float64), each summed over the images."""
    count = images.shape[0] // microbatch_size

    def one_pass(numbers, images):
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            values = _images_statistics(c, numbers, images, seed, exponent, dtype)
        values = [microbatch_size * value for value in values]
        return tf.gradients(values[0], variables), tf.cast(tf.stack(values), tf.float64)

    if count == 1:
        gradients, sums = one_pass(numbers, images)
        # As it is in the loop: float64 sums of single images are the same in any grouping.
        return [tf.cast(g, tf.float64) for g in gradients] if microbatch_size == 1 else gradients, sums

    def body(i, sums, *gradients):
        part = tf.range(i * microbatch_size, (i + 1) * microbatch_size)
        crops = tf.ensure_shape(tf.gather(images, part), [microbatch_size, *images.shape[1:]])
        more, values = one_pass(tf.ensure_shape(tf.gather(numbers, part), [microbatch_size]), crops)
        return i + 1, sums + values, *[a + tf.cast(g, tf.float64) for a, g in zip(gradients, more, strict=True)]

    nothing = [tf.zeros([len(statistics_of(c)) - 2], tf.float64), *[tf.zeros(v.shape, tf.float64) for v in variables]]
    # Two at a time: one goes forward while the other goes backward, and only their maps are in memory.
    _, sums, *gradients = tf.while_loop(lambda i, *_: i < count, body, [0, *nothing], parallel_iterations=2)
    return gradients, sums


def _images_statistics(c: Configuration, numbers, images, seed: int, exponent, dtype) -> list:
    """The STATISTICS but the last two, averaged over the images."""
    if c.noise.real:
        model = build_model(c, images, None, dtype=dtype)
        maps = [model.loss, 255.0 * model.net_std, 255.0 * model.noise_std]
        maps += tf.unstack(model.parameter, axis=3)
        return [tf.reduce_mean(x) for x in maps]
    clean = _to_float(images)
    noisy, parameter = add_training_noise(clean, c.noise, seed, numbers)
    target = clean
    if c.pipeline == "n2n":
        target, _ = add_training_noise(clean, c.noise, seed, numbers, draw=1)
    model = build_model(c, noisy, parameter, target, exponent, dtype=dtype)
    return [
        tf.reduce_mean(model.loss),
        _mean_psnr(model.mean, clean),
        _mean_psnr(model.posterior_mean, clean),
        255.0 * tf.reduce_mean(model.net_std),
        255.0 * tf.reduce_mean(model.noise_std),
    ]


def _to_float(images):
    return tf.cast(images, tf.float32) / 255.0


def _mean_psnr(images, references):
    """`metrics.psnr`, image by image [N,H,W,C], averaged: scalar in dB.

    Equal images (a black crop under Poisson noise has none) count as 108 dB, for infinity would outweigh all others.
    """
    a, b = (tf.floor(tf.clip_by_value(255.0 * x + 0.5, 0.0, 255.0)) for x in (images, references))
    errors = tf.reduce_mean((a - b) ** 2, axis=[1, 2, 3])
    errors = tf.maximum(errors, 1e-6)
    return tf.reduce_mean(10.0 * (tf.log(255.0**2 / errors) / tf.log(10.0)))
