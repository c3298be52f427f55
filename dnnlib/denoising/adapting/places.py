"""Where in the held-out parts of pages a network is measured while it learns, and what it is shown there."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.adapting.held_out import middle, surrounded
from dnnlib.denoising.adapting.pages import Page
from dnnlib.denoising.inference.tiling import PaddedPicture, Region

MOST_PIXELS, MOST_PLACES = 1 << 18, 16  # that are measured: seconds on a CPU, and checks are many
AROUND = 64  # pixels around a place that the network is shown with it; it could see farther, but hardly looks there


class Place(NamedTuple):
    """Says where the network is measured.

    page: the number of the page.
    measured: a region of it.
    shown: what the network is given of it: that region in the middle of what is around it.
    """

    page: int
    measured: Region
    shown: Region

    @property
    def window(self) -> list[int]:
        """Returns top, left, bottom and right of what is measured in what is shown."""
        rows, columns = self.measured.within(self.shown)
        return [rows.start, columns.start, rows.stop, columns.stop]


def places_of(pages: Sequence[Page]) -> list[Place]:
    """Returns what is measured: the middle of the held-out parts; where they are many, of some of them.

    What is around them may have been trained on: it tells the network no more than at any other place.
    """
    held = [number for number, page in enumerate(pages) if page.parts.held_out]
    count = min(len(held), MOST_PLACES)
    found = []
    for i in np.linspace(0, len(held) - 1, count).astype(int):
        page = pages[held[i]]
        padded = PaddedPicture(page.pixels, page.scale, page.pixels.shape[2])
        region = middle(page.parts.held_out, MOST_PIXELS // count)
        found.append(Place(held[i], region, surrounded(region, AROUND, padded.height, padded.width)))
    return found


def shown_at(place: Place, page: Page, channels: int) -> np.ndarray:
    """Returns what a network of so many channels is shown at a place of a page: float32 [1,h,w,C]."""
    return PaddedPicture(page.pixels, page.scale, channels).read(place.shown)[None]
