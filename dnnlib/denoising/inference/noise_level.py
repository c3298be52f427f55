"""The noise level that a network is told: as given by the user, as it has learned it, or as estimated from the picture."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.noise.estimate_doubt import doubt_about, surely_shares_noise
from dnnlib.denoising.noise.estimation import COARSER, FINEST, estimate_level, intact_patches
from dnnlib.denoising.noise.families import as_shown, in_user_units
from dnnlib.denoising.noise.learned_parameter import parameter_from_raw
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError

_TOLERANCE = 1.2  # estimates are off by some per cent


class NoiseLevel(NamedTuple):
    """A noise level, for the network and for the user.

    parameter: as `posterior` takes it, one number or two.
    values: in the user's units by name, none for networks that are told nothing.
    origin: 'given', 'learned' or 'estimated'.
    doubts: why the level or the result cannot be trusted, a few words each, with the remedy.
    """

    parameter: Sequence[float]
    values: Mapping[str, float] = {}
    origin: str = ""
    doubts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return level_text([self])


def level_text(levels: Sequence[NoiseLevel], each: str = "page") -> str:
    """Returns what to print of the levels of a picture's pages, or whatever each is of, which are of one network."""
    if not levels[0].values:
        return "no noise level needed"
    parts, pages = [], ""
    for name in levels[0].values:
        least, most = (f"{choose(level.values[name] for level in levels):.4g}" for choose in (min, max))
        parts.append(f"{name} {least}" if least == most else f"{name} {least} to {most}")
        pages = pages if least == most else f", {each} by {each}"
    return f"{', '.join(parts)} ({levels[0].origin}{pages})"


def check_given(configuration: Configuration, given: Mapping[str, float | None]) -> None:
    """Raises UserError where a level is given that the network does not take, or that cannot be.

    given: by the names of families' parameters, in the user's units: 'sigma' (of 255), 'lambda' (the count that white maps
    to), 'alpha' (0..1), ...; None where it is left out.
    """
    c = configuration
    for name, value in given.items():
        if value is None:
            continue
        if c.pipeline != "blindspot":
            raise UserError(f"--{name} {value:g}: a network of {c.name} needs no noise level; leave the option out")
        if len(c.noise.row.parameters) > 1:
            raise UserError(f"--{name} {value:g}: a network of {c.name} brings its own noise level; leave the option out")
        wanted = c.noise.row.level
        if name != wanted.name:
            raise UserError(f"--{name} {value:g}: a network of {c.name} takes --{wanted.name}; give that, or none")
        if not wanted.allows(value):
            raise UserError(f"--{name} {value:g}: must be a number {wanted.allowed}")


def told_level(
    configuration: Configuration, given: Mapping[str, float | None], pixels: np.ndarray, scale: Scale,
    holes: np.ndarray | None = None,
) -> NoiseLevel:  # fmt: skip
    """Returns the level that a network is told: what is given, or else what is estimated from the picture.

    configuration: the network's, with the hole size that it is used with. Of a noise with one parameter.
    given: as in `check_given`, which it has been through.
    pixels: [H,W,C], of any real type.
    scale: of the pixels.
    holes: bool [H,W], true for the pixels that have no value, which do not count; None: there are none.

    Raises UserError where the level is left out and cannot be estimated, or is beyond what is possible.
    """
    level = configuration.noise.row.level
    value, origin, doubts = given.get(level.name), "given", ()
    if value is None:
        if holes is not None and (pixels := intact_patches(pixels, holes)) is None:
            raise UserError(
                "too few pixels that have a value lie together to estimate the noise level from; "
                f"give it with --{level.name} (in Python {level.python_name}=)"
            )
        sight = FINEST if configuration.hole_size == 1 else COARSER  # noise that neighbours share is weakest at the finest
        known = estimate_level(configuration.noise.family, pixels, scale.white, scale.black, sight)
        value, origin = level.user_from_known(known), "estimated"
        if known > level.most_estimated:
            raise UserError(
                f"its {level.name} would be {value:.4g}, more than from black, {scale.black:g}, to white, {scale.white:g}: "
                f"give --white (and --black), or the level with --{level.name}"
            )
        if why := doubt_about(configuration.noise.family, pixels, known * (scale.white - scale.black)):
            doubts = (f"the estimate may be far off: {why}; give --{level.name}",)
    if configuration.hole_size == 1:  # of noise that neighbours share no network has seen any, of whatever level
        doubts += _out_of_range(configuration, {level.name: value})
    known = max(level.known_from_user(value), level.floor)
    parameter = known if configuration.noise_params == "known" else level.learned_from_known(known)
    return NoiseLevel([parameter], {level.name: value}, origin, doubts)


def learned_level(configuration: Configuration, raw: np.ndarray) -> NoiseLevel:
    """Returns the level of a network of sigma_global or sigma_per_image.

    raw: the values of its variable, or the means of its estimator.
    """
    noise = configuration.noise
    parameter = parameter_from_raw(np.ravel(raw), noise.learns_root, configuration.noise_floor).tolist()
    values = as_shown(in_user_units(noise.family, parameter))
    return NoiseLevel(parameter, values, "learned", _out_of_range(configuration, values))


def shared_noise_doubt(configuration: Configuration, pixels: np.ndarray, scale: Scale) -> tuple[str, ...]:
    """Returns what to say of a picture whose neighbours share their noise, if a network of one pixel's hole is to see it.

    configuration: of the network; one of real noise was trained on what was in the pictures.
    pixels: [H,W,C], of any real type.
    scale: of the pixels.
    """
    noise = configuration.noise
    if noise.real or not noise.row.keeps_mean or configuration.hole_size != 1 or not configuration.blind_spot:
        return ()
    if not surely_shares_noise(pixels, scale.white, scale.black):
        return ()
    return ("neighbours seem to share the noise, as in camera JPEGs, and it stays: try --hole-size 3",)


def _out_of_range(configuration: Configuration, values: Mapping[str, float]) -> tuple[str, ...]:
    """Returns what to say of a level that the network was not trained on, if it was not; it must be off by a fifth.

    configuration: of the network.
    values: the level in the user's units by name.
    """
    noise = configuration.noise
    if noise.real:  # it was trained on what was in the pictures
        return ()
    level = noise.row.level
    low, high = sorted(level.user_from_known(x) for x in (noise.low, noise.high))
    if low / _TOLERANCE <= values[level.name] <= high * _TOLERANCE:
        return ()
    trained = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    remedy = "take another, or --adapt" if noise.row.real else "take another"
    return (f"the network was trained on {level.name} {trained}: {remedy}",)
