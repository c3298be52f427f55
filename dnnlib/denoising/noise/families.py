"""The table of the noise families, and what the names of noise styles mean: 'gauss25', 'poisson5_50', 'real_gauss', ...

Plain data without TensorFlow. What needs more than data stands in tables of its own, by the family's name: how a family
draws and varies in `laws`, how its level is estimated in `estimation`. How to add a family: docs/extending.md.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Parameter:
    """Describes a parameter of a noise family, and converts between the three scales in which it occurs.

    The user's is that of the command line and of printed lines: sigma of 255, lambda, alpha of 1. A known parameter is what
    corrupts pictures of [0, 1] and what the posterior is told: sigma of 1, lambda, alpha. A learned one is what comes from
    the network's variable or estimator: the same, or its inverse. Values may be numbers, arrays or tensors.
    """

    name: str  # as users know it, and of its option: 'sigma' is given with --sigma
    scale: float = 1.0  # the user's value over the known one
    learned_as_inverse: bool = False  # so that the noise becomes weaker as what is learned goes to zero
    lowest: float = 0.0  # that a user may give
    above_lowest: bool = False  # the lowest itself is not allowed
    highest: float = math.inf
    most_estimated: float = math.inf  # of the known one: more is no noise but a wrong white
    floor: float = 0.0  # of the known one, where the posterior is told it: smaller values are raised to it
    argument: str = ""  # what it is called in Python, where that cannot be the name

    @property
    def python_name(self) -> str:
        """Returns what the parameter is called where Python has to name it."""
        return self.argument or self.name

    @property
    def allowed(self) -> str:
        """Returns the range that a user may give, in words."""
        if self.highest < math.inf:
            return f"{'above' if self.above_lowest else 'from'} {self.lowest:g} to {self.highest:g}"
        return f"above {self.lowest:g}" if self.above_lowest else f"{self.lowest:g} or more"

    def allows(self, value: float) -> bool:
        """Returns whether a user may give that value."""
        enough = value > self.lowest if self.above_lowest else value >= self.lowest
        return math.isfinite(value) and enough and value <= self.highest

    def known_from_user(self, value):
        """Converts a value of the user's to that of a known parameter, without the floor."""
        return value / self.scale

    def user_from_known(self, value):
        """Converts a known parameter to the user's units."""
        return self.scale * value

    def user_from_learned(self, value):
        """Converts a learned parameter to the user's units."""
        return self.scale * (1.0 / value if self.learned_as_inverse else value)

    def learned_from_known(self, value):
        """Converts a known parameter to what is learned of it."""
        return 1.0 / value if self.learned_as_inverse else value


@dataclass(frozen=True)
class Family:
    """Holds all of a noise family that is data: a row of the table."""

    name: str  # lower-case letters; names of configurations begin with it
    parameters: tuple[Parameter, ...]
    name_unit: float | None  # number in a configuration's name over the known parameter; None: never added to pictures
    real: bool  # whether it may be learned from pictures that are noisy already: 'real_gauss'
    learns_variance: bool = False  # the learned parameters are proportional to the noise's variance, not to its deviation
    likelihood: str = "gaussian"  # which of `posterior.LIKELIHOODS` judges it; 'gaussian' needs an entry in laws.VARIANCES
    spoiled_at: tuple[str, ...] = ("least", "greatest")  # ends of a range whose values have lost too much to estimate from
    mono: bool = True  # whether the posterior is defined for one channel
    knots: bool = False  # the parameters are variances at evenly spaced means from 0 to 1, too many for a printed line
    keeps_mean: bool = True  # the noisy value is the clean one on average; else noisy targets need another loss (SPEC 6.2)

    @property
    def level(self) -> Parameter:
        """Returns the one parameter of a family that is added: the level of noise that networks of sigma_known are told."""
        (parameter,) = self.parameters
        return parameter


_ROWS = (
    Family("gauss", (Parameter("sigma", scale=255.0, most_estimated=1.0),), name_unit=255.0, real=True),
    Family(
        "poisson", (Parameter("lambda", learned_as_inverse=True, above_lowest=True, argument="lam"),),
        name_unit=1.0, real=True, learns_variance=True, spoiled_at=("greatest",),  # few photons make many zeros
    ),
    # At an alpha of zero the posterior would be 0 / 0 for colours that the network holds impossible.
    Family(
        "impulse", (Parameter("alpha", highest=1.0, floor=1e-6),),
        name_unit=100.0, real=False, likelihood="impulse", mono=False, keeps_mean=False, spoiled_at=(),  # they are there
    ),
    # The noise's variance is a x + b at a pixel x of [0, 1].
    Family("poissongauss", (Parameter("a"), Parameter("b")), name_unit=None, real=True, learns_variance=True,
           spoiled_at=("greatest",)),
    # The noise's variance is any piecewise linear function of the pixel, of 16 knots from 0 to 1.
    Family("curve", tuple(Parameter(f"v{k:02d}") for k in range(16)), name_unit=None, real=True, learns_variance=True,
           spoiled_at=("greatest",), knots=True),
)  # fmt: skip
FAMILIES = {row.name: row for row in _ROWS}


class NoiseStyle(NamedTuple):
    """Holds a noise family, and how strong the noise is that is added.

    family: a name of FAMILIES.
    low, high: the range of the known parameter, equal when it is constant; None for real noise, which is in the pictures
        already.
    """

    family: str
    low: float | None
    high: float | None

    @property
    def row(self) -> Family:
        """Returns the family's row of the table."""
        return family_of(self.family)

    @property
    def real(self) -> bool:
        """Returns whether the noise is in the pictures already, so that none is added."""
        return self.low is None

    @property
    def parameter_count(self) -> int:
        """Returns how many parameters there are to learn."""
        return len(self.row.parameters)

    @property
    def learns_root(self) -> bool:
        """Returns whether the roots of the parameters are learned: of real noise those that are variances.

        A variance of 1e-4 is then as near to the variable's start as a sigma of 0.01, and the floor of 1e-3 is one of 1e-6.
        """
        return self.real and self.row.learns_variance


def family_of(name: str) -> Family:
    """Returns a family's row. Raises ValueError for a name that is not in the table."""
    return entry_of(FAMILIES, name, "row in families.FAMILIES")


def entry_of(table: Mapping[str, Entry], family: str, what: str) -> Entry:
    """Returns a family's entry in a table by names. Raises ValueError, which names `what` is missing, if there is none."""
    if family not in table:
        raise ValueError(f"noise of the family {family!r} has no {what}")
    return table[family]


def parameter_names(noise: NoiseStyle) -> tuple[str, ...]:
    """Returns the names of the noise's parameters, in the order in which they are learned."""
    return tuple(parameter.name for parameter in noise.row.parameters)


def in_user_units(family: str, learned: Sequence) -> dict:
    """Converts learned parameters to the user's units: sigma of 255, lambda, alpha, or a and b, by name.

    learned: one for each of the family's parameters, numbers or arrays.
    """
    parameters = family_of(family).parameters
    return {p.name: p.user_from_learned(value) for p, value in zip(parameters, learned, strict=True)}


def named_in_user_units(noise: NoiseStyle, learned: Mapping) -> dict:
    """Converts learned parameters, found by name among other things, to the user's units."""
    return in_user_units(noise.family, [learned[name] for name in parameter_names(noise)])


def as_shown(values: Mapping) -> dict:
    """Returns figures, by name, as a line shows them: instead of the knots of a curve the std at black, middle and white.

    values: of them the noise's parameters are in the user's units. The stds are of 255.
    """
    for row in FAMILIES.values():
        names = [parameter.name for parameter in row.parameters]
        if row.knots and names[0] in values:
            low, high = (values[names[k]] for k in ((len(names) - 1) // 2, len(names) // 2))  # the same of an odd number
            at = {"std_black": values[names[0]], "std_middle": (low + high) / 2, "std_white": values[names[-1]]}
            figures = list(values.items())
            place = [name for name, _ in figures].index(names[0])
            figures[place:place] = [(name, 255.0 * math.sqrt(variance)) for name, variance in at.items()]
            return {name: value for name, value in figures if name not in names}
    return dict(values)


def parse_noise_style(name: str) -> NoiseStyle:
    """Reads 'gauss25', 'gauss5_50', 'poisson30', 'impulse0_100', ..., or 'real_gauss' and the like.

    Raises ValueError for a name that is no noise style, or whose parameters are out of range or in the wrong order.
    """
    match = re.fullmatch(r"real_([a-z]+)|([a-z]+)([0-9]{1,6}(?:\.[0-9]+)?)(?:_([0-9]{1,6}(?:\.[0-9]+)?))?", name)
    real, added, low, high = match.groups() if match else (None, None, None, None)
    row = FAMILIES.get(real or added)
    if real and row and row.real:
        return NoiseStyle(real, None, None)
    if not added or row is None or row.name_unit is None:
        raise ValueError(f"{name!r} is no noise style")
    style = NoiseStyle(added, float(low) / row.name_unit, float(high or low) / row.name_unit)
    if style.low > style.high or not all(row.level.allows(row.level.user_from_known(x)) for x in (style.low, style.high)):
        raise ValueError(f"{name!r} is no noise style: its parameter is out of range")
    return style
