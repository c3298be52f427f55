"""PSNR as the published results measure it (SPEC 6.3): on images rounded to 8 bits, averaged over images; and SSIM."""

import numpy as np

from dnnlib.denoising.pictures.images import to_uint8


def psnr(image: np.ndarray, reference: np.ndarray) -> float:
    """Returns the PSNR in dB of two images of one shape, float with [0, 1] for black to white; infinite for equal ones."""
    difference = to_uint8(image).astype(np.float64) - to_uint8(reference)
    error = np.mean(difference**2)
    return float(10.0 * np.log10(255.0**2 / error)) if error > 0 else float("inf")


def gain(psnr: np.ndarray, psnr_noisy: np.ndarray) -> np.ndarray:
    """Returns by how many dB pictures became better than they were; NaN where both are infinitely good."""
    with np.errstate(invalid="ignore"):
        return np.asarray(psnr) - psnr_noisy


def ssim(image: np.ndarray, reference: np.ndarray) -> float:
    """Returns the structural similarity, at most 1, of two images [H,W,C], float with [0, 1] for black to white.

    They are rounded to 8 bits as for `psnr`. The window is Gaussian, of sigma 1.5, as Wang, Bovik, Sheikh, Simoncelli (2004)
    have it; the result is averaged over the channels. NaN where a side is below the window's 11 pixels.
    """
    from skimage.metrics import structural_similarity  # late: few need it, and it takes a while to import

    if min(image.shape[:2]) < 11:
        return float("nan")
    options = {"data_range": 255.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    a, b = (to_uint8(x).astype(np.float64) for x in (image, reference))
    return float(structural_similarity(a, b, channel_axis=2, **options))
