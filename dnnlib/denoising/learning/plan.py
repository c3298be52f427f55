"""How to learn from noisy pictures, chosen from what was found of them and from the time there is. Plain data.

What the choices rest on was measured: docs/real-noise.md.
"""

from typing import NamedTuple

from dnnlib.denoising.data.held_out_strip import LEAST_STRIP
from dnnlib.denoising.data.noisy_pages import LARGEST_PIECE
from dnnlib.denoising.hole import Hole, HoleSize
from dnnlib.denoising.learning.look import Facts
from dnnlib.denoising.network.architecture import STRIDE
from dnnlib.denoising.training.outlook import MOST_PASSES

FEWEST_IMAGES = 200  # of fewer nothing is learned
CROP = 128  # pixels a side, where the pictures have as many
RATE = 5e-4  # a quarter of the recipe's: the network is trained already
LARGEST_HOLE = 3  # pixels a side that a shipped network is used with: beyond, it loses more than it gains
FEWEST_PICTURES = 20  # to distil from: what a plain network makes of fewer was not measured
FEWEST_CROPS, MOST_CROPS = 4000, 10_000  # to distil from; after the fewest it was as good as what it learned from
# To denoise a crop's pixels with a larger hole, and by a plain network, takes so many times as long as to distil from them
# (measured on a CPU: 0.24 s, 0.04 s and 0.09 s).
_HOLE_TIMES, _PLAIN_TIMES = 3, 0.5
_KEPT_FREE = 0.9  # of the time; the rest is for packing and judging


class Choice(NamedTuple):
    """Says what was chosen, and why, in words."""

    what: str
    chosen: str
    why: str


class Plan(NamedTuple):
    """Holds how it is done.

    network: the shipped one that it starts from.
    configuration: that is trained; None: nothing is, and the shipped network is used as it is.
    images: how many crops it learns from.
    crop: side of them, in pixels.
    hole_size: of the blind spot.
    choices: for people.
    distil: how many crops a plain network learns from, of what the shipped one makes of them; 0: none does.
    """

    network: str
    configuration: str | None
    images: int
    crop: int
    hole_size: HoleSize
    choices: tuple[Choice, ...]
    distil: int = 0


def plan(facts: Facts, network: str, seconds: float, minutes: float) -> Plan:
    """Chooses how to learn.

    facts: of the pictures.
    network: the shipped one that fits their kind.
    seconds: that one image of CROP pixels a side takes in training here; for noise that neighbours share, in distilling.
    minutes: that all may take.
    """
    of_noise = Choice("noise", f"sigma {facts.sigma:.1f} of 255", "estimated from crops of the pictures")
    start = Choice("start", network, "the network that comes with the program for such pictures")
    if facts.hole != 1:
        return _shared_plan(facts, network, (of_noise, start), seconds, minutes)
    why = "neighbours do not share the noise: flat patches differ as much from one pixel to the next as farther on"
    white = Choice("blind spot", "1 pixel", why)
    # The length.
    per_pixel = seconds / CROP**2
    left = 60 * minutes * _KEPT_FREE - facts.pixels * per_pixel  # to denoise a pixel takes no longer than to train on it
    left_of_one = facts.side - LEAST_STRIP if facts.files == 1 else facts.side
    crop = min(CROP, left_of_one // STRIDE * STRIDE)
    by_time = int(left / (per_pixel * crop**2))
    by_pictures = MOST_PASSES * max(facts.files - 1, round(facts.pixels / LARGEST_PIECE**2), 1)  # one is held out
    images = min(by_time, by_pictures)
    if images < FEWEST_IMAGES:
        why = f"in {minutes:g} minutes there is no time for {FEWEST_IMAGES} images ({seconds:.2g} s each here)"
        return Plan(network, None, 0, crop, 1, (of_noise, start, white, Choice("training", "none", why)))
    images = round(images, -2)
    why = f"{seconds:.2g} s each here, {minutes:g} minutes in all"
    if by_pictures < by_time:
        why = f"each picture is seen {MOST_PASSES} times; more, and it would be learned by heart"
    length = Choice("training", f"{images:,} images of {crop} x {crop} pixels", why)
    model = Choice("noise model", facts.model, facts.why_model)
    return Plan(network, configuration_for(facts), images, crop, 1, (of_noise, start, white, model, length))


def configuration_for(facts: Facts) -> str:
    """Returns the name of the configuration that learns from such pictures."""
    return f"real_{facts.model}-blindspot-sigma_global{'-mono' if facts.colours == 1 else ''}"


def _shared_plan(facts: Facts, network: str, before: tuple[Choice, ...], seconds: float, minutes: float) -> Plan:
    """Returns the plan for noise that neighbours share. before: what was chosen already; the others as for `plan`."""
    used = Hole(*(min(side, LARGEST_HOLE) for side in Hole.of(facts.hole)))
    reason = f"neighbours share the noise: a hole of {facts.hole} would hide it, and one of {used.size} keeps the detail"
    hole = Choice("blind spot", f"{used.width} x {used.height} pixels", reason)
    why = "a network that learns from such noise learns to foretell it, and leaves it in the picture"
    training = Choice("training", "none", why)
    distil, distilling = _distilling(facts, seconds, minutes)
    return Plan(network, None, 0, CROP, used.size, (*before, hole, training, distilling), distil)


def _distilling(facts: Facts, seconds: float, minutes: float) -> tuple[int, Choice]:
    """Decides from how many crops a plain network learns to do the same. Parameters as for `plan`."""
    what = "a plain network"
    if facts.files < FEWEST_PICTURES:
        return 0, Choice(what, "none", f"it needs {FEWEST_PICTURES} pictures to learn from, and is for denoising many")
    denoising = facts.pixels / CROP**2 * seconds * (_HOLE_TIMES + _PLAIN_TIMES)
    crops = min(int((60 * minutes * _KEPT_FREE - denoising) / seconds), MOST_CROPS)
    if crops < FEWEST_CROPS:
        why = f"in {minutes:g} minutes there is no time for {FEWEST_CROPS:,} crops ({seconds:.2g} s each here)"
        return 0, Choice(what, "none", why)
    crops = round(crops, -2)
    why = "it learns to do the same from all pictures together: about as well, and much faster"
    return crops, Choice(what, f"distilled from {crops:,} crops", why)
