"""Where the learned noise parameters start (`--noise-init estimate`): at an estimate from the first noisy crops."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.crops import Crops, batches
from dnnlib.denoising.evaluation.needed_hole import hole_advice
from dnnlib.denoising.hole import Hole, HoleSize
from dnnlib.denoising.noise.correlation import noise_correlation
from dnnlib.denoising.noise.estimation import COARSER, PATCH_SIDE, estimate_parameters, is_correlated
from dnnlib.denoising.noise.families import in_user_units
from dnnlib.denoising.noise.learned_parameter import raw_from_parameter

if TYPE_CHECKING:
    from dnnlib.denoising.training.graph import TrainingGraph

ESTIMATE_FROM = 512  # crops; of 64, b of Poisson-Gauss noise came out with a std of 25 %, of these with 4 %
ESTIMATE_SIDE = 256  # pixels of each, for the memory's sake


def estimate_noise_start(configuration: Configuration, crops: Crops, graph: "TrainingGraph", session) -> list[float]:
    """Estimates the noise, says what came out, and returns it in the scale of the noise variable.

    Of real noise it also says, where neighbours share it, which blind spot that needs.

    configuration: its noise is estimated, as its blind spot sees it.
    crops: those of the training; the first of them are looked at.
    graph, session: those of the training, whose `noisy` corrupts the crops, where they are clean.
    """
    noisy = []
    for batch in batches(crops, graph.numbers.shape[0], 0, ESTIMATE_FROM - 1):
        corrupted = session.run(graph.noisy, graph.feed(batch.numbers, batch.images))
        noisy.append(corrupted[:, :ESTIMATE_SIDE, :ESTIMATE_SIDE])
    style = configuration.noise
    side = min(x.shape[1] for x in noisy)  # the last crops of a very short training may be larger
    same = np.concatenate([x[:, :side, :side] for x in noisy])
    parameters = estimate_noise(style.family, same, configuration.hole_size, crops.limits)
    for name, value in in_user_units(style.family, parameters).items():
        digits = ".2f" if name == "sigma" else ".3g"
        print(f"Estimated {name} to start from: {value:{digits}}")
    if style.real and (advice := hole_advice(noise_correlation(same), configuration.hole_size)):
        print(advice)
    return [raw_from_parameter(value, style.learns_root, configuration.noise_floor) for value in parameters]


def estimate_noise(family: str, crops: np.ndarray, hole_size: HoleSize, limits: Sequence[float]) -> list[float]:
    """Estimates the learned parameters of noise, also of noise that neighbours share.

    family, limits: as for `estimate_parameters`.
    crops: float [N,H,W,C] on the scale [0, 1], H and W multiples of 32, at least 64.
    hole_size: of the blind spot.
    """
    if is_correlated(crops):
        return estimate_parameters(family, crops, limits, COARSER)
    return estimate_parameters(family, subsample_beyond_hole(crops, hole_size), limits)


def subsample_beyond_hole(crops: np.ndarray, hole_size: HoleSize) -> np.ndarray:
    """Takes pixels out of crops [N,H,W,C] that lie as far apart as the blind spot keeps neighbours.

    For estimates take what neighbours share for the picture's. Where the crops are too small, the pixels are less far apart.
    Returns a copy, of whole patches, with sides of ESTIMATE_SIDE at most.
    """
    rows, columns = (min(step, crops.shape[1] // PATCH_SIDE) for step in Hole.of(hole_size).shifts)
    crops = crops[:, ::rows, ::columns]
    height, width = (min(side, ESTIMATE_SIDE) // PATCH_SIDE * PATCH_SIDE for side in crops.shape[1:3])
    return crops[:, :height, :width].copy()
