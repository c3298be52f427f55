"""How long a step of a training takes on this machine, measured before there is one."""

import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from dnnlib.denoising.configuration import Configuration

_STEPS, _COUNTED = 12, 6  # the first ones plan the graph, and refresh the bases of SOAP each time


def seconds_per_image(configuration: str, recipe: Mapping[str, Any], crop: int, gpus: int | None = None) -> float:
    """Measures how long a training takes for an image, with noise for pictures.

    configuration: its name.
    recipe: how steps are taken, by the names of options; of one image each.
    crop: side of the crops, in pixels.
    gpus: how many there are to use, 1 or 0; None: one, if there is one.
    """
    from dnnlib.denoising.options import TrainingOptions  # late: all of these import TensorFlow, or take their time
    from dnnlib.denoising.training.graph import build_training_graph, initial_training_values
    from dnnlib.tflib.layout import Layout
    from dnnlib.tflib.precision import fastest_precision
    from dnnlib.tflib.replicas import Replicas, one_gpu
    from dnnlib.tflib.runtime import initialize, tf

    replicas = Replicas(Layout(num_gpus=one_gpu() if gpus is None else gpus))
    settings = {"train_resolution": crop, "precision": fastest_precision(replicas.on_gpu), "end_resolution": 0}
    options = TrainingOptions(**{**recipe, **settings})
    c = Configuration.from_name(configuration)
    picture = np.random.default_rng(1).random([options.minibatch_size, crop, crop, c.channels], np.float32)
    picture = picture if c.noise.real else (255 * picture).astype(np.uint8)
    times = []
    with tf.Graph().as_default(), replicas.session() as session:
        graph = build_training_graph(c, options, replicas)
        initialize(session, initial_training_values(c, options))
        for n in range(_STEPS):
            started = time.monotonic()
            session.run(graph.step, graph.feed([n] * len(picture), picture, 1e-6))
            times.append(time.monotonic() - started)
    return statistics.median(times[-_COUNTED:]) / options.minibatch_size
