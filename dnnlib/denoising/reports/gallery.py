"""The pictures that a report shows: the three that came out worst, and the last one."""

import base64
import heapq
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.pictures.pillow import encoded

WORST = 3
_LARGEST_SIDE = 768  # pixels; of larger pictures the middle is shown, for noise that is shown smaller is another noise
_JPEG = {"format": "JPEG", "quality": 88}
# What is shown, by the tags of `Denoised.pictures`, in the order of the slider; the std is shown by itself.
SLIDES = {"a_nsy": "noisy", "b_out2": "denoised", "c_cln": "clean"}
STD = "std"


class Shown(NamedTuple):
    """Holds a picture as the page shows it: data URIs by what they are."""

    number: int  # from 1
    label: str
    psnr: float | None
    width: int
    height: int
    slides: dict[str, str]
    std: str | None


class Gallery:
    """Takes the pictures of a validation one by one, and keeps those that are worth a look."""

    def __init__(self, labels: Sequence[str]):
        """Begins without pictures. labels: their names."""
        self._labels = labels
        self._worst: list[tuple[float, int, dict[str, np.ndarray]]] = []  # a heap, the best of them first
        self._last: tuple[float, int, dict[str, np.ndarray]] | None = None

    def add(self, index: int, pictures: Mapping[str, np.ndarray], psnr: float | None) -> None:
        """Takes a picture.

        index: from 0.
        pictures: uint8 [H,W,C], by tags, and STD.
        psnr: of the result in dB, None where it is not known.
        """
        if index >= len(self._labels):
            return  # of a later pass: it is there already
        kept = {tag: _middle(pixels) for tag, pixels in pictures.items() if tag in SLIDES or tag == STD}
        item = (-(math.inf if psnr is None else psnr), -index, kept)
        self._last = item
        if len(self._worst) < WORST:
            heapq.heappush(self._worst, item)
        elif item[:2] > self._worst[0][:2]:
            heapq.heapreplace(self._worst, item)

    def worst(self) -> list[int]:
        """Returns the numbers, from 0, of the pictures that came out worst, the worst first."""
        return [-index for _, index, _ in sorted(self._worst, key=lambda item: item[:2], reverse=True)]

    def shown(self) -> list[Shown]:
        """Returns the worst pictures, and the last one if it is none of them."""
        items = sorted(self._worst, key=lambda item: item[:2], reverse=True)
        if self._last is not None and self._last[1] not in {index for _, index, _ in items}:
            items.append(self._last)
        return [self._shown(*item) for item in items]

    def _shown(self, negative_psnr: float, negative_index: int, pictures: Mapping[str, np.ndarray]) -> Shown:
        """Encodes a picture. Parameters as `add` keeps them."""
        index, height, width = -negative_index, *next(iter(pictures.values())).shape[:2]
        slides = {title: _uri(pictures[tag]) for tag, title in SLIDES.items() if tag in pictures}
        std = _uri(pictures[STD]) if STD in pictures else None
        psnr = -negative_psnr if math.isfinite(negative_psnr) else None
        return Shown(index + 1, self._labels[index], psnr, width, height, slides, std)


def _middle(pixels: np.ndarray) -> np.ndarray:
    """Returns the middle of a picture, which does not keep the rest in memory."""
    top, left = (max(size - _LARGEST_SIDE, 0) // 2 for size in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + _LARGEST_SIDE, left : left + _LARGEST_SIDE])


def _uri(pixels: np.ndarray) -> str:
    """Returns a picture, uint8 [H,W,1 or 3], as a data URI."""
    return f"data:image/jpeg;base64,{base64.b64encode(encoded(pixels, _JPEG)).decode()}"
