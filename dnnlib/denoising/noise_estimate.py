"""Estimates Gaussian noise from noisy pictures alone, to start the learning of sigma near its end.

From near zero, where the published schedule starts, the learned sigma needs hundreds of thousands of images to arrive.
"""

import numpy as np

PATCH = 64  # pixels; large enough that the estimate in one patch is good to 2 %
_QUANTILE = 0.2  # texture only adds to the estimate: the smoother patches tell


def estimate_sigma(images: np.ndarray) -> float:
    """Standard deviation of Gaussian noise in images float [N,H,W,C], H, W >= 64, in the images' own scale.

    Per patch the median of the finest diagonal Haar coefficients' absolute values, over 0.6745 (Donoho, Johnstone:
    Ideal spatial adaptation by wavelet shrinkage, 1994), then a low quantile over the patches.
    """
    estimates = []
    for y in range(0, images.shape[1] - PATCH + 1, PATCH):
        for x in range(0, images.shape[2] - PATCH + 1, PATCH):
            patch = images[:, y : y + PATCH, x : x + PATCH].astype(np.float64)
            diagonal = patch[:, ::2, ::2] - patch[:, ::2, 1::2] - patch[:, 1::2, ::2] + patch[:, 1::2, 1::2]
            estimates.append(np.median(np.abs(diagonal / 2), axis=(1, 2, 3)) / 0.6745)
    return float(np.quantile(np.concatenate(estimates), _QUANTILE))
