"""Holds out a part of a picture where there is no other to hold out as a whole: a strip at the end of its longer side."""

import numpy as np

from dnnlib.denoising.network.architecture import STRIDE
from dnnlib.errors import UserError

LEAST_STRIP = 2 * STRIDE  # pixels across: in one of STRIDE all would be near to an edge, where networks see less
LEAST_REST = STRIDE  # pixels a side; no smaller crops can be trained on


def split(pixels: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a picture in two, which share no pixel and together are the whole.

    pixels: [C,H,W].
    share: of it that is to be held out, above 0 and below 1.

    Returns the rest, to train on, and the strip, to validate on: the last columns, or of upright pictures the last rows,
    a multiple of STRIDE, as near to the share as LEAST_STRIP and LEAST_REST let it be. Raises UserError for pictures that
    are too small for both.
    """
    _, height, width = pixels.shape
    longer = max(height, width)
    if longer < LEAST_REST + LEAST_STRIP or min(height, width) < LEAST_REST:
        raise UserError(
            f"{width} x {height} pixels are too few to hold out a strip of {LEAST_STRIP} and to train on a rest of "
            f"{LEAST_REST} x {LEAST_REST}: give a larger picture, or a second one, of which one is held out then"
        )
    wanted = max(STRIDE * round(share * longer / STRIDE), LEAST_STRIP)
    largest = (longer - LEAST_REST) // STRIDE * STRIDE
    rest, strip = np.split(pixels, [longer - min(wanted, largest)], axis=2 if width >= height else 1)
    return np.ascontiguousarray(rest), np.ascontiguousarray(strip)


def described(strip: np.ndarray, pixels: np.ndarray) -> str:
    """Says how large a strip is, e.g. '64 columns'. strip: [C,H,W]. pixels: the whole picture, likewise."""
    return f"{strip.shape[2]} columns" if strip.shape[2] < pixels.shape[2] else f"{strip.shape[1]} rows"
