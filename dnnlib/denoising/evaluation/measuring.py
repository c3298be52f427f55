"""Runs one network over all pictures, in a graph of its own, and puts down what was measured of each."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.noisy_pictures import NoisyPictures
from dnnlib.denoising.data.validation_set import ValidationSet
from dnnlib.denoising.evaluation.added_noise import Evaluation, Scores
from dnnlib.denoising.evaluation.graph import Denoised
from dnnlib.denoising.evaluation.looked_at import LookedAt
from dnnlib.denoising.evaluation.real_noise import RealScores, RealValidation
from dnnlib.denoising.judging.measures import MEASURES
from dnnlib.denoising.judging.record import Record
from dnnlib.progress import progress_bar
from dnnlib.tflib.network import Network
from dnnlib.tflib.precision import dtype_of
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import initialize, tf


class Measured(NamedTuple):
    """Holds what came of a network: its scores, the record of them, and what a page shows of the pictures."""

    scores: Scores | RealScores
    record: Record
    looked_at: LookedAt


def measure(
    network: Network, configuration: Configuration, pictures: ValidationSet | NoisyPictures, replicas: Replicas,
    precision: str, about: Mapping[str, Any], on_picture: Callable[[int, Denoised], None] | None = None,
) -> Measured:  # fmt: skip
    """Denoises all pictures with all their repetitions.

    network, configuration, pictures, replicas, precision: as for `loop.evaluate`.
    about: what is known of the network: its name, and what else the record is to keep.
    on_picture: called with index and result of each.

    Raises UserError where a picture cannot be read, or is too large for the device.
    """
    looked_at = LookedAt(pictures.labels)
    kind = RealValidation if configuration.noise.real else Evaluation
    total = len(pictures) * pictures.repeats
    with tf.Graph().as_default():
        with replicas.scope():
            evaluation = kind(configuration, replicas, dtype=dtype_of(precision))
        with replicas.session() as session, progress_bar(total, "image") as bar:
            initialize(session, network.variables)

            def after_picture(index: int, denoised: Denoised) -> None:
                looked_at.add(index, denoised)
                if on_picture:
                    on_picture(index, denoised)
                bar.update()

            scores = evaluation.validate(session, pictures, pictures.repeats, after_picture)
    about = {**about, "configuration": configuration.name, "hole_size": configuration.hole_size, "precision": precision}
    name = about.pop("name", configuration.name)
    values = {key: np.asarray(found) for key, found in scores.pictures.items() if key in MEASURES}
    return Measured(scores, Record(name, about, values, looked_at.reliability.curve()), looked_at)
