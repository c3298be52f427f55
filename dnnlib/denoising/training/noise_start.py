"""Where the learned noise parameters start (`--noise-init estimate`): at an estimate from the first noisy crops."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.crops import Crops, batches
from dnnlib.denoising.hole import Hole, HoleSize
from dnnlib.denoising.network.architecture import ESTIMATOR_SCOPE, NOISE_VARIABLE
from dnnlib.denoising.noise.estimation import COARSER, PATCH_SIDE, estimate_parameters, is_correlated
from dnnlib.denoising.noise.families import as_shown, in_user_units
from dnnlib.denoising.noise.learned_parameter import raw_from_parameter
from dnnlib.denoising.noise.transfer import Points, model_of

if TYPE_CHECKING:
    from dnnlib.denoising.training.graph import TrainingGraph

ESTIMATE_FROM = 512  # crops; of 64, b of Poisson-Gauss noise came out with a std of 25 %, of these with 4 %
ESTIMATE_SIDE = 256  # pixels of each, for the memory's sake


def estimate_noise_start(
    configuration: Configuration, crops: Crops, graph: "TrainingGraph", session, points: Points | None = None
) -> list[float]:
    """Estimates the noise, says what came out, and returns it in the scale of the noise variable.

    configuration: its noise is estimated, as its blind spot sees it.
    crops: those of the training; the first of them are looked at.
    graph, session: those of the training, whose `noisy` corrupts the crops, where they are clean.
    points: of the crops' photon transfer, to say which family fits them; None: nothing is said.
    """
    noisy = []
    for batch in batches(crops, graph.numbers.shape[0], 0, ESTIMATE_FROM - 1):
        corrupted = session.run(graph.noisy, graph.feed(batch.numbers, batch.images))
        noisy.append(corrupted[:, :ESTIMATE_SIDE, :ESTIMATE_SIDE])
    style = configuration.noise
    parameters = estimate_noise(style.family, _stacked(noisy), configuration.hole_size, crops.limits)
    for name, value in as_shown(in_user_units(style.family, parameters)).items():
        digits = ".2f" if name == "sigma" or name.startswith("std_") else ".3g"
        print(f"Estimated {name} to start from: {value:{digits}}")
    if points is not None:
        name, reason = model_of(points)
        print(f"The simplest noise that fits these pictures is real_{name}: {reason}")
    return [raw_from_parameter(value, style.learns_root, configuration.noise_floor) for value in parameters]


def start_at(configuration: Configuration, values: Mapping[str, np.ndarray], raw: Sequence[float]) -> None:
    """Makes the first values of a training's variables, by name, stand for a noise: of each picture, where each has its own.

    configuration: of which the noise is learned.
    values: are changed: where an estimator is trained, its last layer is to begin anew.
    raw: of `estimate_noise_start`.
    """
    if configuration.noise_params == "global":
        values[NOISE_VARIABLE][:] = raw
    else:
        values[f"{ESTIMATOR_SCOPE}/nin_c/W"][:] = 0.0
        values[f"{ESTIMATOR_SCOPE}/nin_c/b"][:] = raw


def _stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Joins crops [N,S,S,C]. The last crops of a very short training may be larger: they are cut to the others' size."""
    side = min(part.shape[1] for part in parts)
    return np.concatenate([part[:, :side, :side] for part in parts])


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
