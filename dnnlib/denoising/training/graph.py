"""One training step as a graph: corrupt, denoise, loss, optimiser, and the statistics of the minibatch."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.architecture import NOISE_VARIABLE, initial_variables, shapes_of
from dnnlib.denoising.network.model import build_model
from dnnlib.denoising.noise.families import parameter_names
from dnnlib.denoising.noise.training_noise import add_training_noise
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.training.statistics import statistic_names
from dnnlib.denoising.training.warm_start import start_from
from dnnlib.tflib.optimizer import Adam, Optimizer
from dnnlib.tflib.precision import dtype_of
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import tf
from dnnlib.tflib.soap import Soap

EPSILON = 1e-8  # SPEC 6.1
OPTIMIZERS = {"adam": Adam, "soap": Soap}


class TrainingGraph(NamedTuple):
    """Holds what is fed, B images of this process, and what is fetched: `step` trains, `noisy` does not."""

    numbers: tf.Tensor  # int64 [B]: number of each image in the run; its noise follows from it
    images: tf.Tensor  # uint8 [B, crop, crop, C]: clean; of real noise float32: noisy already
    learning_rate: tf.Tensor  # scalar
    exponent: tf.Tensor  # scalar, SPEC 6.2
    stop: tf.Tensor  # scalar: not 0 where this process wants to stop
    noisy: tf.Tensor  # float32 [B, crop, crop, C]: what the step corrupts the images to
    step: dict[str, tf.Tensor]  # float64 scalars, of the whole minibatch, the same on all workers: `statistic_names`, and
    #                             "finite": 1 if the step was taken; "stop": above 0 if a worker wants to

    def feed(
        self, numbers: np.ndarray, images: np.ndarray, learning_rate: float = 0.0, exponent: float = 1.0, stop: bool = False
    ) -> dict:
        """Returns the feed of a session's run for the images of a minibatch.

        numbers, images: [B] and [B, crop, crop, C], as the attributes of those names say.
        learning_rate: of the step; 0 where only `noisy` is fetched.
        exponent: of the loss under impulse noise.
        stop: whether this process wants to stop.
        """
        return {
            self.numbers: numbers, self.images: images,
            self.learning_rate: learning_rate, self.exponent: exponent, self.stop: float(stop),
        }  # fmt: skip


def optimizer_of(options: TrainingOptions) -> Optimizer:
    """Returns the optimiser that the options name, with its constants."""
    return OPTIMIZERS[options.optimizer](options.beta1, options.beta2, EPSILON, options.clip_norm)


def initial_training_values(configuration: Configuration, options: TrainingOptions) -> dict[str, np.ndarray]:
    """Returns the first values of all variables of a training graph: those that are trained, and the optimiser's.

    Where the options name a network file to start from, says what is not of it; raises UserError where it does not fit.
    """
    values = initial_variables(shapes_of(configuration), options.seed)
    if options.init is not None:
        values = start_from(options.init, configuration, values)
    return values | optimizer_of(options).initial_state(values)


def build_training_graph(configuration: Configuration, options: TrainingOptions, replicas: Replicas) -> TrainingGraph:
    """Builds the step and with it the variables; their values are loaded afterwards. Call it under `replicas.scope()`.

    configuration: what is trained.
    options: of them minibatch_size (of all replicas together), microbatch_size, train_resolution, seed, those of the
        optimiser, and precision, which must not be AUTO.
    replicas: each takes its part of a minibatch, in passes of microbatch_size images, whose gradients are added up in
        float64. With one image a pass the result does not depend on how many replicas there are.
    """
    # What is fed.
    c, o = configuration, options
    images_per_replica = o.minibatch_size // replicas.count
    microbatch_size = o.microbatch_size or (images_per_replica if replicas.on_gpu else 1)
    batch_size = images_per_replica * replicas.local_count
    numbers = tf.placeholder(tf.int64, [batch_size])
    side = o.train_resolution if o.largest_crop == o.train_resolution else None  # None: it changes along the training
    shape = [batch_size, side, side, c.channels]
    images = tf.placeholder(tf.float32 if c.noise.real else tf.uint8, shape)
    learning_rate, exponent, stop = (tf.placeholder(tf.float32, []) for _ in range(3))
    objective = _Objective(c, o.seed, exponent, dtype_of(o.precision), o.minibatch_size)

    # What each replica does.
    def one_replica(numbers, images):
        """Builds the step on a replica's part of the minibatch, and returns its statistics."""
        # Made here, for the passes are a loop, in which none can be made.
        variables = [tf.get_variable(*v, initializer=tf.zeros_initializer()) for v in shapes_of(c).items()]
        sums, gradients = _sum_over_passes(objective, numbers, images, variables, microbatch_size)
        factors = [o.noise_rate if name == NOISE_VARIABLE else 1.0 for name in shapes_of(c)]
        rates = [learning_rate if factor == 1.0 else factor * learning_rate for factor in factors]
        train_op, finite = optimizer_of(o).step(gradients, variables, rates)
        with tf.control_dependencies([train_op]):
            means = {name: value / o.minibatch_size for name, value in sums.items()}
            flags = {"finite": finite, "stop": tf.not_equal(stop, 0.0)}
            return means | {name: tf.cast(flag, tf.float64) / replicas.count for name, flag in flags.items()}

    # What all of them do.
    by_replica = [tf.split(x, replicas.local_count) for x in (numbers, images)]
    step = replicas.sum_by_name(replicas.run(one_replica, *by_replica))
    noisy = images if c.noise.real else add_training_noise(_to_float(images), c.noise, o.seed, numbers)[0]
    return TrainingGraph(numbers, images, learning_rate, exponent, stop, noisy, step)


@dataclass(frozen=True)
class _Objective:
    """Builds what is minimised, the loss of a configuration, and the other statistics of a batch of images."""

    configuration: Configuration
    seed: int  # of the noise
    exponent: tf.Tensor  # of the loss under impulse noise
    dtype: tf.DType  # see `plain_unet`
    minibatch_size: int  # of all replicas together

    def statistics(self, numbers, images) -> dict[str, tf.Tensor]:
        """Returns `statistic_names` as float32 scalars, each averaged over the images; "loss" is what is minimised."""
        of = self._of_noisy if self.configuration.noise.real else self._of_clean
        return of(numbers, images)

    def sums_and_gradients(self, numbers, images, variables: list):
        """Returns the statistics, float64 by name, and the gradients of the loss, each summed over the images.

        Those of the loss are divided by the size of the minibatch: all of them together make the gradients of its mean.
        """
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            means = self.statistics(numbers, images)
        sums = {name: images.shape[0] * mean for name, mean in means.items()}
        gradients = tf.gradients(sums["loss"] / self.minibatch_size, variables)
        return {name: tf.cast(value, tf.float64) for name, value in sums.items()}, gradients

    def _of_clean(self, numbers, images) -> dict[str, tf.Tensor]:
        """Corrupts clean images uint8 [N,H,W,C], and denoises them."""
        c = self.configuration
        clean = _to_float(images)
        noisy, parameter = add_training_noise(clean, c.noise, self.seed, numbers)
        target = clean
        if c.pipeline == "n2n":
            target, _ = add_training_noise(clean, c.noise, self.seed, numbers, draw=1)
        model = build_model(c, noisy, parameter, target, self.exponent, dtype=self.dtype)
        return {
            "loss": tf.reduce_mean(model.loss),
            "train_psnr": _mean_psnr(model.mean, clean),
            "train_psnr_pme": _mean_psnr(model.posterior_mean, clean),
            "std_net": 255.0 * tf.reduce_mean(model.net_std),
            "std_noise": 255.0 * tf.reduce_mean(model.noise_std),
        }

    def _of_noisy(self, _numbers, images) -> dict[str, tf.Tensor]:
        """Denoises images float32 [N,H,W,C] that are noisy already: there is nothing clean to compare with."""
        c = self.configuration
        model = build_model(c, images, None, dtype=self.dtype)
        learned = zip(parameter_names(c.noise), tf.unstack(model.parameter, axis=3), strict=True)
        return {
            "loss": tf.reduce_mean(model.loss),
            "std_net": tf.reduce_mean(255.0 * model.net_std),
            "std_noise": tf.reduce_mean(255.0 * model.noise_std),
            **{name: tf.reduce_mean(values) for name, values in learned},
        }


def _sum_over_passes(objective: _Objective, numbers, images, variables: list, microbatch_size: int):
    """Returns `_Objective.sums_and_gradients` of all images of a replica, which go through the network in several passes.

    objective: what the gradients are of.
    numbers, images: [N] and [N,H,W,C].
    variables: those with respect to which the gradients are.
    microbatch_size: so many images go through the network together; it divides N.
    """
    passes = images.shape[0] // microbatch_size
    if passes == 1:
        sums, gradients = objective.sums_and_gradients(numbers, images, variables)
        if 1 == microbatch_size < objective.minibatch_size:
            # As it is in the loop: float64 sums of single images are the same in any grouping.
            gradients = [tf.cast(g, tf.float64) for g in gradients]
        return sums, gradients

    def add_pass(i, sums, gradients):
        """Builds the i-th pass, and adds what it gives to the sums before it."""
        part = tf.range(i * microbatch_size, (i + 1) * microbatch_size)
        some_images = tf.ensure_shape(tf.gather(images, part), [microbatch_size, *images.shape[1:]])
        some_numbers = tf.ensure_shape(tf.gather(numbers, part), [microbatch_size])
        more_sums, more_gradients = objective.sums_and_gradients(some_numbers, some_images, variables)
        sums = {name: value + more_sums[name] for name, value in sums.items()}
        gradients = [g + tf.cast(more, tf.float64) for g, more in zip(gradients, more_gradients, strict=True)]
        return i + 1, sums, gradients

    no_sums = {name: tf.zeros([], tf.float64) for name in statistic_names(objective.configuration)}
    no_gradients = [tf.zeros(v.shape, tf.float64) for v in variables]
    # Two at a time: one goes forward while the other goes backward, and only their maps are in memory.
    _, sums, gradients = tf.while_loop(
        lambda i, *_: i < passes, add_pass, (0, no_sums, no_gradients), parallel_iterations=2
    )
    return sums, gradients


def _to_float(images):
    """Scales uint8 images of any shape to float32 in [0, 1]."""
    return tf.cast(images, tf.float32) / 255.0


def _mean_psnr(images, references):
    """Returns `metrics.psnr`, image by image [N,H,W,C], averaged: scalar in dB.

    Equal images (a black crop under Poisson noise has none) count as 108 dB, for infinity would outweigh all others.
    """
    a, b = (tf.floor(tf.clip_by_value(255.0 * x + 0.5, 0.0, 255.0)) for x in (images, references))
    errors = tf.reduce_mean((a - b) ** 2, axis=[1, 2, 3])
    errors = tf.maximum(errors, 1e-6)
    return tf.reduce_mean(10.0 * (tf.log(255.0**2 / errors) / tf.log(10.0)))
