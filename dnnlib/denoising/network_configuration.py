"""Between a configuration and a network file: what is written into the file, and what a file says it is (SPEC 1.1, 10)."""

import os
from collections.abc import Mapping

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.run_name import configuration_name_in
from dnnlib.errors import UserError
from dnnlib.tflib.network import Network, check_variables, load_network


def to_network(configuration: Configuration, variables: Mapping[str, np.ndarray]) -> Network:
    """The 2019 program's settings, and the configuration's name beside them, so that the file may be renamed."""
    settings = {"configuration": configuration.name, **_settings(configuration)}
    function = "blindspot_pipeline" if configuration.pipeline == "blindspot" else "simple_pipeline"
    return Network("net", settings, function, dict(variables))


def load_configured(path: str | os.PathLike, option: str = "--eval") -> tuple[Network, Configuration]:
    """Reads a network file and finds out its configuration: from inside, or else from the file's name.

    Raises UserError, naming the file, where there is no configuration, where what is inside contradicts the name, and
    where the variables are not those of the configuration. option: what the message calls the file.
    """
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
        raise UserError(f"{option} {path}: {name!r} is no configuration; see --help for their names") from None
    for key, value in _settings(configuration).items():
        found = network.static_kwargs.get(key, value)  # older files lack some
        if found != value:
            raise UserError(f"{option} {path}: is named {name}, but was written with {key}={found}; give it its right name")
    check_variables(network, configuration.variable_shapes(), path)
    return network, configuration


def _settings(c: Configuration) -> dict:
    settings = {"input_shape": [None, c.channels, None, None], "noise_style": c.noise.family}
    if c.pipeline == "blindspot":
        return {**settings, "noise_params": c.noise_params, "diagonal_covariance": c.diagonal}
    return {**settings, "blindspot": c.blind_spot, "noisy_targets": c.pipeline != "n2c"}
