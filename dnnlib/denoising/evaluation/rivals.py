"""What an evaluated network is compared with: other networks, and earlier evaluations, of the same noisy pictures.

No TensorFlow here: what does not belong together is told before anything is computed.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.noisy_pictures import NoisyPictures
from dnnlib.denoising.data.validation_set import ValidationSet
from dnnlib.denoising.judging.record import Data, Record, is_record, read_record
from dnnlib.denoising.network.network_file import load_configured
from dnnlib.denoising.network.shipped import network_path
from dnnlib.errors import UserError
from dnnlib.files import file_sha256
from dnnlib.tflib.network import Network

OPTION = "--compare-with"
REAL_NOISE = "real"  # of networks for any real noise: it is in the pictures already


class Rival(NamedTuple):
    """Holds a network that is to be evaluated, too, or what an earlier evaluation came to, and on what data."""

    name: str
    sha256: str | None = None
    network: Network | None = None
    configuration: Configuration | None = None
    record: Record | None = None
    data: Data | None = None


def open_rivals(files: Sequence[str], configuration: Configuration, networks: Mapping[str, Mapping]) -> list[Rival]:
    """Reads networks and earlier evaluations.

    files: as the user named them.
    configuration: of the network that is evaluated.
    networks: the table of the shipped ones.

    Raises UserError for what cannot be read, and for a network of other noise or pictures.
    """
    return [_open(name, configuration, networks) for name in files]


def check_measurable(configuration: Configuration, what: str) -> None:
    """Raises UserError for a network that cannot be evaluated. what: a message calls it."""
    if configuration.is_distilled:
        raise UserError(
            f"{what}: is a network of {configuration.name}, as --distill makes them, and knows no likelihood of noisy "
            "pictures, by which others are judged: denoise with it, and compare the pictures"
        )


def check_data(rivals: Sequence[Rival], data: Data) -> None:
    """Raises UserError for the first earlier evaluation that was not on the data of this one."""
    for rival in rivals:
        if rival.data is not None and (what := data.difference(rival.data)):
            raise UserError(f"{OPTION} {rival.name}: is of {what}: name a network file instead, or leave it out")


def data_of(pictures: ValidationSet | NoisyPictures, configuration: Configuration) -> Data:
    """Says what is evaluated on: two evaluations of the same are paired, for their noise is the same, too."""
    channels = configuration.channels
    return Data(
        pictures.name, pictures.sha256(channels), noise_name(configuration), channels, pictures.repeats, pictures.labels
    )


def check_baselines(configuration: Configuration) -> None:
    """Raises UserError where methods that are told sigma cannot be compared with a network of the configuration, or need a
    package that is missing."""
    noise = configuration.noise
    if noise.real or noise.family != "gauss":
        raise UserError(
            f"--baselines: these methods are told the sigma of Gaussian noise, and {configuration.name} is for other noise; "
            "leave it out"
        )
    if importlib.util.find_spec("pywt") is None:
        raise UserError("--baselines: wavelets need the package PyWavelets: pip install -r requirements.txt")


def noise_name(configuration: Configuration) -> str:
    """Returns what must be the same for the noisy pictures to be the same."""
    return REAL_NOISE if configuration.noise.real else configuration.noise_style


def _open(name: str, configuration: Configuration, networks: Mapping[str, Mapping]) -> Rival:
    """Reads one. Parameters and errors as for `open_rivals`."""
    if is_record(name):
        record, data = read_record(name, OPTION)
        run = Path(name).resolve().parent.name.partition("-")[0]  # the number of its folder
        return Rival(name, record=replace(record, name=f"{record.name} [{run}]"), data=data)
    path = network_path(name, OPTION, networks)
    network, its_own = load_configured(path, OPTION)
    check_measurable(its_own, f"{OPTION} {name}")
    for what, wanted, found in (
        ("noise", noise_name(configuration), noise_name(its_own)), ("channels", configuration.channels, its_own.channels)
    ):
        if wanted != found:
            raise UserError(
                f"{OPTION} {name}: is a network for other {what} ({found}, not {wanted}), and networks are compared on the "
                "same noisy pictures; leave it out"
            )
    return Rival(name, file_sha256(path), network, its_own)
