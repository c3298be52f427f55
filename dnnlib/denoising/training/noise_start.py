"""Where the learned noise parameters start (`--noise-init estimate`): at an estimate from the first noisy crops."""

from typing import TYPE_CHECKING

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.crops import Crops, batches
from dnnlib.denoising.network.architecture import hole_shift
from dnnlib.denoising.noise.estimation import PATCH_SIDE, estimate_parameters
from dnnlib.denoising.noise.families import in_user_units
from dnnlib.denoising.noise.learned_parameter import raw_from_parameter

if TYPE_CHECKING:
    from dnnlib.denoising.training.graph import TrainingGraph

ESTIMATE_FROM = 512  # crops; of 64, b of Poisson-Gauss noise came out with a std of 25 %, of these with 4 %
ESTIMATE_SIDE = 256  # pixels of each, for the memory's sake


def estimate_noise_start(configuration: Configuration, crops: Crops, graph: "TrainingGraph", session) -> list[float]:
    """Estimates the noise, says what came out, and returns it in the scale of the noise variable.

    configuration: its noise is estimated, as its blind spot sees it.
    crops: those of the training; the first of them are looked at.
    graph, session: those of the training, whose `noisy` corrupts the crops, where they are clean.
    """
    noisy = []
    for batch in batches(crops, graph.numbers.shape[0], 0, ESTIMATE_FROM - 1):
        corrupted = session.run(graph.noisy, graph.feed(batch.numbers, batch.images))
        noisy.append(subsample_beyond_hole(corrupted, configuration.hole_size))
    style = configuration.noise
    parameters = estimate_parameters(style.family, np.concatenate(noisy), crops.limits)
    for name, value in in_user_units(style.family, parameters).items():
        digits = ".2f" if name == "sigma" else ".3g"
        print(f"Estimated {name} to start from: {value:{digits}}")
    return [raw_from_parameter(value, style.learns_root, configuration.noise_floor) for value in parameters]


def subsample_beyond_hole(crops: np.ndarray, hole_size: int) -> np.ndarray:
    """Takes pixels out of crops [N,H,W,C] that lie as far apart as the blind spot keeps neighbours.

    For estimates take what neighbours share for the picture's. Where the crops are too small, the pixels are less far apart.
    Returns a copy, of whole patches, with sides of ESTIMATE_SIDE at most.
    """
    step = min(hole_shift(hole_size), crops.shape[1] // PATCH_SIDE)
    crops = crops[:, ::step, ::step]
    side = min(crops.shape[1], ESTIMATE_SIDE) // PATCH_SIDE * PATCH_SIDE
    return crops[:, :side, :side].copy()
