"""Between a configuration and a network file: what is written into the file, and what a file says it is (SPEC 1.1, 10)."""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from dnnlib.denoising.configuration import Configuration, check_hole_size
from dnnlib.denoising.hole import WANTED, Hole, HoleSize
from dnnlib.denoising.network.architecture import shapes_of
from dnnlib.denoising.noise.learned_parameter import SMALLEST
from dnnlib.errors import UserError
from dnnlib.tflib.network import Network, check_variables, load_network

TRAINED_ON = "trained_on"  # the setting that says what black and white were in the pictures
_NETWORK_FILE = re.compile(r"network-(?:[0-9]+|final)-(.+)\.pickle")


def to_network(
    configuration: Configuration, variables: Mapping[str, np.ndarray], trained_on: Mapping[str, str | float] | None = None
) -> Network:
    """Makes a network of the 2019 program's settings, and the configuration's name, so that the file may be renamed.

    configuration, variables: of the network.
    trained_on: of real noise, black and white of the noisy pictures (`Source.as_settings`); None: not known.
    """
    settings = {"configuration": configuration.name, **_settings(configuration)}
    if configuration.hole_size != 1:
        settings["hole_size"] = configuration.hole_size
    if configuration.noise_floor != SMALLEST:
        settings["noise_floor"] = configuration.noise_floor
    if trained_on is not None:
        settings[TRAINED_ON] = dict(trained_on)
    function = "blindspot_pipeline" if configuration.pipeline == "blindspot" else "simple_pipeline"
    return Network("net", settings, function, dict(variables))


def network_file_name(n: int | None, configuration: str) -> str:
    """Returns `network-<8-digit n>-<configuration>.pickle`, n images into the training; `network-final-...` for None."""
    return f"network-{'final' if n is None else format(n, '08d')}-{configuration}.pickle"


def configuration_name_in(file_name: str | os.PathLike) -> str | None:
    """Returns the configuration that a network file's name carries, or None where the name is not of that form.

    file_name: with or without folders. Whether there is a configuration of that name is not looked at.
    """
    match = _NETWORK_FILE.fullmatch(os.path.basename(os.fspath(file_name)))
    return match[1] if match else None


def save_path(option: str, file: str, configuration: Configuration) -> Path:
    """Returns the path of the file that an option names for a network of the configuration.

    Raises UserError for a name that it cannot have, or that misleads.
    """
    path = Path(file)
    if path.suffix != ".pickle":
        raise UserError(f"{option} {file}: is to be a network file, whose name ends in .pickle")
    if path.is_dir():
        raise UserError(f"{option} {file}: a folder is in the way; name another file")
    named = configuration_name_in(path)
    if named not in (None, configuration.name):
        raise UserError(
            f"{option} {file}: is named as a network of {named}, and will be one of {configuration.name}; "
            "name it so, or in short, like my.pickle"
        )
    return path


def load_configured(
    path: str | os.PathLike, option: str = "--eval", hole_size: HoleSize | None = None, larger: bool = False
) -> tuple[Network, Configuration]:
    """Reads a network file and finds out its configuration: from inside, or else from the file's name.

    path: of the file.
    option: what a message calls it.
    hole_size: of the blind spot, None for that of the training.
    larger: whether it may be larger than that; `Denoiser` does more than run the network then.

    Raises UserError, naming the file, where there is no configuration, where what is inside contradicts the name, where the
    variables are not those of the configuration, and where the hole size cannot be.
    """
    # The name.
    network = load_network(path)
    name = network.static_kwargs.get("configuration") or configuration_name_in(path)
    if not isinstance(name, str):
        raise UserError(
            f"{option} {path}: neither the file nor its name says the configuration; "
            "name it like network-final-gauss25-blindspot-sigma_known.pickle"
        )
    try:
        configuration = Configuration.from_name(name)
    except ValueError:
        raise UserError(f"{option} {path}: {name[:100]!r} is no configuration; see --help for their names") from None
    # What is inside.
    for key, value in _settings(configuration).items():
        found = network.static_kwargs.get(key, value)  # older files lack some
        if found != value:
            text = f"{key}={str(found)[:60]}"
            raise UserError(f"{option} {path}: is named {name}, but was written with {text}; give it its right name")
    check_variables(network, shapes_of(configuration), path)
    file = f"{option} {path}"
    hole_size, floor = _hole_size(network, configuration, file, hole_size, larger), _noise_floor(network, file)
    return network, replace(configuration, hole_size=hole_size, noise_floor=floor)


def trained_hole(network: Network) -> Hole:
    """Returns the blind spot that a network was trained with. Raises ValueError where what its file says cannot be."""
    return Hole.of(network.static_kwargs.get("hole_size", 1))


def _hole_size(
    network: Network, configuration: Configuration, file: str, wanted: HoleSize | None, larger: bool
) -> HoleSize:
    """Returns the size of the blind spot: as it was trained, or another that is wanted.

    network: whose settings have the trained size; files that say nothing of it, those of 2019, mean 1.
    configuration: of the network.
    file: what a message calls the file.
    wanted: what is wanted, None: as trained.
    larger: whether it may be larger.

    Raises UserError for a size that cannot be.
    """
    try:
        trained = trained_hole(network)
    except ValueError:
        found = str(network.static_kwargs["hole_size"])[:20]
        raise UserError(f"{file}: its hole_size is {found}; it must be one of {WANTED}") from None
    if wanted is None:
        return trained.size
    check_hole_size(configuration, wanted)
    if not larger and not Hole.of(wanted).within(trained):
        remedy = f"only --denoise takes a larger one than {trained.size}, with which the network was trained"
        raise UserError(f"--hole-size {wanted}: {remedy}")
    return wanted


def _noise_floor(network: Network, file: str) -> float:
    """Returns the floor of what is learned of the noise; of files that say nothing of it the published one. Parameters and
    errors as for `_hole_size`."""
    floor = network.static_kwargs.get("noise_floor", SMALLEST)
    if type(floor) is not float or not 0 < floor <= SMALLEST:
        raise UserError(f"{file}: its noise_floor is {str(floor)[:20]}; it must be a number above 0, up to {SMALLEST:g}")
    return floor


def _settings(c: Configuration) -> dict:
    """Returns the settings that the 2019 program wrote for a configuration."""
    settings = {"input_shape": [None, c.channels, None, None], "noise_style": c.noise.family}
    if c.pipeline == "blindspot":
        return {**settings, "noise_params": c.noise_params, "diagonal_covariance": c.diagonal}
    return {**settings, "blindspot": c.blind_spot, "noisy_targets": c.pipeline != "n2c"}
