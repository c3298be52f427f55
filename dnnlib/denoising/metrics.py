"""PSNR as the published results measure it (SPEC 6.3): on images rounded to 8 bits, averaged over images."""

import numpy as np

from dnnlib.denoising.images import to_uint8


def psnr(image: np.ndarray, reference: np.ndarray) -> float:
    """dB between two images of one shape, float with [0, 1] for black to white; infinite when they are equal."""
    difference = to_uint8(image).astype(np.float64) - to_uint8(reference)
    error = np.mean(difference**2)
    return float(10.0 * np.log10(255.0**2 / error)) if error > 0 else float("inf")
