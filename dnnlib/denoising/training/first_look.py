"""What the noisy pictures of a training tell by themselves, before any network has seen them."""

from typing import NamedTuple

import numpy as np

from dnnlib.denoising.data.crops import NoisyCrops
from dnnlib.denoising.evaluation.needed_hole import ENOUGH_PICTURES, hole_advice
from dnnlib.denoising.hole import HoleSize
from dnnlib.denoising.noise.correlation import noise_correlation
from dnnlib.denoising.noise.estimation import SMALL_PATCH_SIDE
from dnnlib.denoising.noise.transfer import Points, transfer_points
from dnnlib.denoising.training.noise_start import ESTIMATE_SIDE

_PATCHES = 2000  # that a photon transfer is of
_LEAST_CROPS, _MOST_CROPS = 128, 512  # for it is to be of many pictures


class FirstLook(NamedTuple):
    """Holds what the first crops of a training tell of its noise.

    points: of the photon transfer.
    advice: a line that names the blind spot to train with; None where that of the training hides what neighbours share.
    enough: whether there are pictures enough to believe the advice.
    """

    points: Points
    advice: str | None
    enough: bool


def first_look(crops: NoisyCrops, hole_size: HoleSize) -> FirstLook:
    """Looks at the first crops of a training. Ask before it takes crops: they are drawn in one order.

    crops: of which the training makes its minibatches; their sides are multiples of 32 pixels.
    hole_size: of the blind spot.
    """
    side = min(crops[0].shape[0], ESTIMATE_SIDE)
    count = min(max(_PATCHES // (side // SMALL_PATCH_SIDE) ** 2, _LEAST_CROPS), _MOST_CROPS)
    noisy = np.stack([crops[number][:side, :side] for number in range(count)])
    return FirstLook(
        points=transfer_points(noisy),
        advice=hole_advice(noise_correlation(noisy), hole_size),
        enough=crops.pictures >= ENOUGH_PICTURES,
    )
