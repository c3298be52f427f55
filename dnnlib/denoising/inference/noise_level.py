"""The noise level that a network is told: as given by the user, as it has learned it, or as estimated from the picture."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.noise.estimation import estimate_level
from dnnlib.denoising.noise.families import field_units
from dnnlib.denoising.noise.learned_parameter import parameter_from_raw
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError

LEVELS = {"gauss": "sigma", "poisson": "lambda", "impulse": "alpha"}  # what each family's parameter is called, if given
_SCALE = {"gauss": 1 / 255, "poisson": 1.0, "impulse": 1.0}  # from the user's units to those of a known parameter


class NoiseLevel(NamedTuple):
    """parameter: as `posterior` takes it, one number or two; values: in the user's units by name, none for networks that
    are told nothing."""

    parameter: Sequence[float]
    values: Mapping[str, float] = {}
    origin: str = ""  # 'given', 'learned' or 'estimated'

    def __str__(self) -> str:
        return level_text([self])


def level_text(levels: Sequence[NoiseLevel]) -> str:
    """What to print of the levels of a picture's pages, which are of one network."""
    if not levels[0].values:
        return "no noise level needed"
    parts, pages = [], ""
    for name in levels[0].values:
        least, most = (f"{choose(level.values[name] for level in levels):.4g}" for choose in (min, max))
        parts.append(f"{name} {least}" if least == most else f"{name} {least} to {most}")
        pages = pages if least == most else ", page by page"
    return f"{', '.join(parts)} ({levels[0].origin}{pages})"


def check_given(configuration: Configuration, given: Mapping[str, float | None]) -> None:
    """given: 'sigma' (of 255), 'lambda' (the count that white maps to), 'alpha' (0..1), None where it is left out.

    Raises UserError where a level is given that the network does not take, or that cannot be.
    """
    c, wanted = configuration, LEVELS.get(configuration.noise.family)
    for name, value in given.items():
        if value is None:
            continue
        if c.pipeline != "blindspot":
            raise UserError(f"--{name} {value:g}: a network of {c.name} needs no noise level; leave the option out")
        if c.noise_params != "known":
            raise UserError(f"--{name} {value:g}: a network of {c.name} brings its own noise level; leave the option out")
        if name != wanted:
            raise UserError(f"--{name} {value:g}: a network of {c.name} takes --{wanted}; give that, or none")
        if not (math.isfinite(value) and value >= 0) or (name == "lambda" and value == 0) or (name == "alpha" and value > 1):
            allowed = {"sigma": "0 or more", "lambda": "above 0", "alpha": "from 0 to 1"}[name]
            raise UserError(f"--{name} {value:g}: must be a number {allowed}")


def known_level(
    configuration: Configuration, given: Mapping[str, float | None], pixels: np.ndarray, scale: Scale
) -> NoiseLevel:
    """For networks of sigma_known. given as in `check_given`; where it is left out, it is estimated from pixels [H,W,C] of
    a scale. Raises UserError where that cannot be done."""
    family = configuration.noise.family
    name = LEVELS[family]
    value = given.get(name)
    origin = "estimated" if value is None else "given"
    if value is None:
        value = estimate_level(family, pixels, scale.white, scale.black) / _SCALE[family]
    parameter = value * _SCALE[family]
    if family == "impulse":
        parameter = max(parameter, 1e-6)  # at zero the posterior is 0 / 0 for colours that the network holds impossible
    return NoiseLevel([parameter], {name: value}, origin)


def learned_level(configuration: Configuration, raw: np.ndarray) -> NoiseLevel:
    """For networks of sigma_global and sigma_per_image; raw: values of their variable or means of their estimator."""
    style = configuration.noise
    parameter = parameter_from_raw(np.ravel(raw), style.squared).tolist()
    return NoiseLevel(parameter, field_units(style.family, parameter), "learned")
