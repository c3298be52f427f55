"""What a noise style's name means: 'gauss25', 'gauss5_50', 'poisson30', ... (SPEC section 4), 'real_gauss', ..."""

import re
from collections.abc import Mapping
from typing import NamedTuple


class NoiseStyle(NamedTuple):
    """family: 'gauss', 'poisson', 'impulse' or 'poissongauss'; low and high: the range of the parameter, equal when it is
    constant, None for real noise: that is in the pictures already, and none is added."""

    family: str
    low: float | None
    high: float | None

    @property
    def real(self) -> bool:
        return self.low is None

    @property
    def parameters(self) -> int:
        """How many there are to learn."""
        return 2 if self.family == "poissongauss" else 1

    @property
    def squared(self) -> bool:
        """Whether what is learned are roots of the parameters: those of real noise that are variances, not deviations.

        A variance of 1e-4 is then as near to the variable's start as a sigma of 0.01, and the floor of 1e-3 is one of 1e-6.
        """
        return self.real and self.family != "gauss"


def field_units(family: str, parameter) -> dict:
    """A learned parameter, numbers or tensors, as the field names and scales it: sigma (of 255), lambda (the count that
    white maps to), alpha, or a and b: the noise's variance is a x + b at a pixel x of [0, 1].

    parameter: a sequence, in the units of `posterior`.
    """
    if family == "poissongauss":
        return dict(zip("ab", parameter, strict=True))
    (value,) = parameter
    if family == "poisson":
        return {"lambda": 1.0 / value}
    return {"sigma": 255.0 * value} if family == "gauss" else {"alpha": value}


REAL = tuple(f"real_{family}" for family in ("gauss", "poisson", "poissongauss"))
_UNITS = {"gauss": 255.0, "poisson": 1.0, "impulse": 100.0}


def parse_noise_style(name: str) -> NoiseStyle:
    """'gauss25', 'gauss5_50', 'poisson30', 'impulse0_100', ... -> NoiseStyle with parameters on the scale of [0, 1] pixels;
    one of REAL -> NoiseStyle without.

    Raises ValueError for a name that is no noise style, or whose parameters are out of range or in the wrong order.
    """
    if name in REAL:
        return NoiseStyle(name.removeprefix("real_"), None, None)
    match = re.fullmatch(r"(gauss|poisson|impulse)([0-9]{1,6}(?:\.[0-9]+)?)(?:_([0-9]{1,6}(?:\.[0-9]+)?))?", name)
    if not match:
        raise ValueError(f"{name!r} is no noise style")
    family, *numbers = match.groups()
    low, high = (float(number or numbers[0]) for number in numbers)
    if low > high or (family == "poisson" and low <= 0) or (family == "impulse" and high > 100):
        raise ValueError(f"{name!r} is no noise style: its parameter is out of range")
    return NoiseStyle(family, low / _UNITS[family], high / _UNITS[family])


def parameter_names(noise: NoiseStyle) -> tuple[str, ...]:
    """Returns the names of the learned parameters, as in `field_units`, in the order in which the head takes them."""
    return tuple(field_units(noise.family, [1.0] * noise.parameters))


def named_field_units(noise: NoiseStyle, values: Mapping) -> dict:
    """Converts parameters by name (among other things) from the units of `posterior` to those of `field_units`."""
    return field_units(noise.family, [values[name] for name in parameter_names(noise)])
