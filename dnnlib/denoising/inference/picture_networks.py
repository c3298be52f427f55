"""Which network a picture is denoised with: the one that was named, or the default for its kind, RGB or grey."""

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference.noise_level import check_given
from dnnlib.denoising.inference.trained_scale import trained_source
from dnnlib.denoising.network.network_file import load_configured
from dnnlib.denoising.network.shipped import GREY, RGB, default_networks, network_path
from dnnlib.denoising.options import DEFAULT_NETWORKS, DenoisingOptions
from dnnlib.denoising.pictures.picture import Picture
from dnnlib.denoising.pictures.scale import Source
from dnnlib.errors import UserError
from dnnlib.progress import say
from dnnlib.tflib.network import Network
from dnnlib.tflib.precision import slow_line

if TYPE_CHECKING:
    from dnnlib.denoising.inference.denoiser import Denoiser

_KINDS = {RGB: "RGB", GREY: "grey"}  # in a line for people


class PictureNetworks:
    """Holds the networks of a batch of pictures, each read once; a session is made for the first picture that needs it.

    It is a context manager, which frees the sessions.
    """

    def __init__(self, options: DenoisingOptions, known: Mapping[str, Mapping]):
        """Reads the networks, and checks them against what else was given.

        options: `network` is a file, a name of the table, or DEFAULT_NETWORKS.
        known: the table of the shipped networks (config/networks.py), with a default where options.network asks for it.

        Raises UserError for whatever is wrong with a network or does not go with it.
        """
        self._black = options.black
        self._precision = options.precision
        self._by_default = options.network == DEFAULT_NETWORKS
        self._names = default_networks(known) if self._by_default else dict.fromkeys(_KINDS, options.network)
        self._loaded = {}
        for name in dict.fromkeys(self._names.values()):
            path = network_path(name, "--network", known)
            self._loaded[name] = load_configured(path, "--network", options.hole_size, larger=True)
            _, configuration = self._loaded[name]
            check_given(configuration, options.given)
            trained_source(self._loaded[name][0])  # raises what is wrong with it
            if options.stds and configuration.pipeline != "blindspot":
                unknown = f"a network of {configuration.name} does not tell how sure it is"
                raise UserError(f"--{options.stds[0]}: {unknown}; leave the option out")
        self._denoisers: dict[str, Denoiser] = {}
        self._said: set[str] = set()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "PictureNetworks":
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def loaded_for(self, colours: int) -> tuple[str, Network, Configuration]:
        """Returns the network for pictures of 1 or 3 colours: its name or file, itself, and its configuration."""
        name = self._names[_kind(colours)]
        return name, *self._loaded[name]

    def trained_for(self, colours: int) -> Source | None:
        """Returns what the network for pictures of 1 or 3 colours was trained on, with a black that was told; see
        `trained_source`."""
        return trained_source(self.loaded_for(colours)[1], self._black)

    def replace(self, network: Network, configuration: Configuration) -> None:
        """Takes another network for all pictures, before the first of them is denoised."""
        self._by_default, self._names = False, dict.fromkeys(_KINDS, "")
        self._loaded = {"": (network, configuration)}

    def denoiser_for(self, picture: Picture) -> "Denoiser":
        """Returns what denoises a picture. The first time that a default is taken for its kind, it is said which."""
        from dnnlib.denoising.inference.denoiser import Denoiser  # late: they import TensorFlow
        from dnnlib.tflib.replicas import one_gpu

        kind = _kind(picture.colours)
        name = self._names[kind]
        if name not in self._denoisers:
            if line := slow_line(self._precision, bool(one_gpu())):
                say(line)
            self._denoisers[name] = self._stack.enter_context(Denoiser(*self._loaded[name], self._precision))
        if self._by_default and kind not in self._said:
            say(f"{_KINDS[kind]} pictures: by the shipped network {name}; --network names another")
            self._said.add(kind)
        return self._denoisers[name]


def _kind(colours: int) -> str:
    """Returns the kind of pictures of 1 or 3 colours, as the table of networks has it."""
    return GREY if colours == 1 else RGB
