"""One training step as a graph: corrupt, denoise, loss, Adam, and the statistics of the batch."""

from typing import NamedTuple

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.model import build_model
from dnnlib.denoising.noise import add_training_noise
from dnnlib.tflib.optimizer import adam_step
from dnnlib.tflib.runtime import tf


class TrainingGraph(NamedTuple):
    """Placeholders to feed, and what to fetch: `train_op`, and `statistics`, name -> scalar of the batch."""

    numbers: tf.Tensor  # int64 [B]: number of each image in the run; its noise follows from it
    images: tf.Tensor  # uint8 [B, crop, crop, C]: clean
    learning_rate: tf.Tensor  # scalar
    exponent: tf.Tensor  # scalar, SPEC 6.2
    noisy: tf.Tensor  # float32 [B, crop, crop, C]: what the step corrupts the images to
    train_op: tf.Operation
    statistics: dict[str, tf.Tensor]


def build_training_graph(configuration: Configuration, minibatch_size: int, crop: int, seed: int) -> TrainingGraph:
    """Builds the step and with it the variables; their values are loaded afterwards."""
    c = configuration
    numbers = tf.placeholder(tf.int64, [minibatch_size])
    images = tf.placeholder(tf.uint8, [minibatch_size, crop, crop, c.channels])
    learning_rate = tf.placeholder(tf.float32, [])
    exponent = tf.placeholder(tf.float32, [])

    clean = tf.cast(images, tf.float32) / 255.0
    noisy, parameter = add_training_noise(clean, c.noise, seed, numbers)
    target = clean
    if c.pipeline == "n2n":
        target, _ = add_training_noise(clean, c.noise, seed, numbers, draw=1)
    model = build_model(c, noisy, parameter, target, exponent)
    loss = tf.reduce_mean(model.loss)
    train_op, finite = adam_step(loss, learning_rate)
    statistics = {
        "loss": loss,
        "train_psnr": _mean_psnr(model.mean, clean),
        "train_psnr_pme": _mean_psnr(model.posterior_mean, clean),
        "std_net": 255.0 * tf.reduce_mean(model.net_std),
        "std_noise": 255.0 * tf.reduce_mean(model.noise_std),
        "finite": tf.cast(finite, tf.float32),
    }
    return TrainingGraph(numbers, images, learning_rate, exponent, noisy, train_op, statistics)


def _mean_psnr(images, references):
    """`metrics.psnr`, image by image [N,H,W,C], averaged: scalar in dB.

    Equal images (a black crop under Poisson noise has none) count as 108 dB, for infinity would outweigh all others.
    """
    a, b = (tf.floor(tf.clip_by_value(255.0 * x + 0.5, 0.0, 255.0)) for x in (images, references))
    errors = tf.reduce_mean((a - b) ** 2, axis=[1, 2, 3])
    errors = tf.maximum(errors, 1e-6)
    return tf.reduce_mean(10.0 * (tf.log(255.0**2 / errors) / tf.log(10.0)))
