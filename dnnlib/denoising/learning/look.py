"""What is to be known of noisy pictures before it is chosen how to learn from them. NumPy alone."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.adapting.pages import Page, PageCrops, read_pages
from dnnlib.denoising.evaluation.needed_hole import needed_hole
from dnnlib.denoising.hole import HoleSize
from dnnlib.denoising.noise.correlation import noise_correlation
from dnnlib.denoising.noise.estimation import PATCH_SIDE
from dnnlib.denoising.noise.transfer import fitting_model
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.denoising.training.noise_start import estimate_noise
from dnnlib.errors import UserError

WEAKEST = 0.3  # of 255: weaker noise is that of rounding to 8 bits (1 / sqrt(12) = 0.29)
MOST_FILES = 64  # that are looked at, spread evenly over the folder
_CROPS = 128
_LARGEST_CROP = 256  # pixels a side
_SEED = 1


class Facts(NamedTuple):
    """Holds what was found.

    files: how many there are.
    pixels: in all of them, about.
    colours: 1 or 3.
    side: the smallest of the pages, in pixels.
    sigma: the noise's std, of 255, at about its middle over the pictures.
    hole: the blind spot that hides what neighbours share of their noise; 1 where they share none.
    model: the simplest family of noise that fits them.
    why_model: in words.
    """

    files: int
    pixels: int
    colours: int
    side: int
    sigma: float
    hole: HoleSize
    model: str
    why_model: str


def look(paths: Sequence[str], told: Scale, axes: str | None = None, nodata: float | None = None) -> Facts:
    """Looks at some of the pictures.

    paths: of all files.
    told, axes, nodata: as for `read_pages`.

    Raises UserError where pictures cannot be learned from: too small, of two kinds, all the same, or without noise.
    """
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, min(len(paths), MOST_FILES)).astype(int))]
    pages = read_pages(chosen, told, axes, nodata, option="--learn", remedy="denoise without --learn")
    if len(pages) > 1 and len({_digest(page) for page in pages}) == 1:
        raise UserError(f"--learn: all pictures are the same ({chosen[0]}, ...): give different ones, or one alone")
    side = min(min(page.pixels.shape[:2]) for page in pages)
    noisy, limits = _crops_of(pages)
    sigma = 255 * estimate_noise("gauss", noisy, 1, limits)[0]
    if not sigma >= WEAKEST:
        raise UserError(f"--learn: nothing to learn, for the noise is too weak: sigma {sigma:.2g} of 255, below {WEAKEST}")
    model, why = fitting_model(noisy, limits)
    pixels = sum(page.pixels.shape[0] * page.pixels.shape[1] for page in pages)
    return Facts(
        files=len(paths), pixels=round(pixels * len(paths) / len(chosen)), colours=pages[0].pixels.shape[2], side=side,
        sigma=sigma, hole=needed_hole(noise_correlation(noisy)), model=model, why_model=why,
    )  # fmt: skip


def _crops_of(pages: Sequence[Page]) -> tuple[np.ndarray, np.ndarray]:
    """Draws crops of what is trained on, and returns them, float32 [N,H,W,C], and the values that clipped pixels have."""
    sides = [min(page.parts.training.height, page.parts.training.width) for page in pages if page.parts.training]
    side = min(min(sides), _LARGEST_CROP) // PATCH_SIDE * PATCH_SIDE
    crops = PageCrops(pages, side, _SEED)
    return np.stack([crops[number] for number in range(_CROPS)]), crops.limits


def _digest(page: Page) -> bytes:
    """Returns a digest of a page's pixels."""
    return hashlib.sha256(np.ascontiguousarray(page.pixels).tobytes()).digest()
