"""What a noise style's name means: 'gauss25', 'gauss5_50', 'poisson30', 'impulse0_100', ... (SPEC section 4)."""

import re
from typing import NamedTuple


class NoiseStyle(NamedTuple):
    """family: 'gauss', 'poisson' or 'impulse'; low and high: the range of the parameter, equal when it is constant."""

    family: str
    low: float
    high: float


_UNITS = {"gauss": 255.0, "poisson": 1.0, "impulse": 100.0}


def parse_noise_style(name: str) -> NoiseStyle:
    """'gauss25', 'gauss5_50', 'poisson30', 'impulse0_100', ... -> NoiseStyle with parameters on the scale of [0, 1] pixels.

    Raises ValueError for a name that is no noise style, or whose parameters are out of range or in the wrong order.
    """
    match = re.fullmatch(r"(gauss|poisson|impulse)([0-9]{1,6}(?:\.[0-9]+)?)(?:_([0-9]{1,6}(?:\.[0-9]+)?))?", name)
    if not match:
        raise ValueError(f"{name!r} is no noise style")
    family, *numbers = match.groups()
    low, high = (float(number or numbers[0]) for number in numbers)
    if low > high or (family == "poisson" and low <= 0) or (family == "impulse" and high > 100):
        raise ValueError(f"{name!r} is no noise style: its parameter is out of range")
    return NoiseStyle(family, low / _UNITS[family], high / _UNITS[family])
