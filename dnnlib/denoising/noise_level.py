"""The noise level that a network is told: as given by the user, as it has learned it, or as estimated from the picture."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.level_estimate import estimate_level
from dnnlib.errors import UserError

LEVELS = {"gauss": "sigma", "poisson": "lambda", "impulse": "alpha"}  # what each family's parameter is called
_SCALE = {"gauss": 1 / 255, "poisson": 1.0, "impulse": 1.0}  # from the user's units to those of a known parameter


class NoiseLevel(NamedTuple):
    """parameter: as `posterior` takes it; value: in the user's units, None for networks that are told nothing."""

    parameter: float
    name: str = ""
    value: float | None = None
    origin: str = ""  # 'given', 'learned' or 'estimated'

    def __str__(self) -> str:
        return "no noise level needed" if self.value is None else f"{self.name} {self.value:.4g} ({self.origin})"


def check_given(configuration: Configuration, given: Mapping[str, float | None]) -> None:
    """given: 'sigma' (of 255), 'lambda' (the count that white maps to), 'alpha' (0..1), None where it is left out.

    Raises UserError where a level is given that the network does not take, or that cannot be.
    """
    c, wanted = configuration, LEVELS[configuration.noise.family]
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
    configuration: Configuration, given: Mapping[str, float | None], pixels: np.ndarray, white: float
) -> NoiseLevel:
    """For networks of sigma_known. given as in `check_given`; where it is left out, it is estimated from pixels [H,W,C] in
    which white is `white`. Raises UserError where that cannot be done."""
    family = configuration.noise.family
    name = LEVELS[family]
    value = given.get(name)
    origin = "estimated" if value is None else "given"
    if value is None:
        value = estimate_level(family, pixels, white) / _SCALE[family]
    parameter = value * _SCALE[family]
    if family == "impulse":
        parameter = max(parameter, 1e-6)  # at zero the posterior is 0 / 0 for colours that the network holds impossible
    return NoiseLevel(parameter, name, value, origin)


def learned_level(configuration: Configuration, raw: float) -> NoiseLevel:
    """For networks of sigma_global and sigma_per_image; raw: the value of their variable or the mean of their estimator."""
    parameter = float(np.logaddexp(0.0, raw - 4.0)) + 1e-3  # softplus(raw - 4) + 1e-3 (SPEC 3.3)
    family = configuration.noise.family
    value = 1 / parameter if family == "poisson" else parameter / _SCALE[family]  # Poisson's is learned as 1 / lambda
    return NoiseLevel(parameter, LEVELS[family], value, "learned")
