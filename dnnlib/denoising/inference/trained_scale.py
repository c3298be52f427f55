"""Which values were black and white in the noisy pictures that a network of real noise was trained on, as its file says."""

from dnnlib.denoising.network.network_file import TRAINED_ON
from dnnlib.denoising.pictures.scale import Scale, Source
from dnnlib.errors import UserError
from dnnlib.tflib.network import Network


def trained_source(network: Network, black: float | None = None) -> Source | None:
    """Returns what a network was trained on; None where its file does not say, as of clean pictures or of older versions.

    black: the value that the user told, which counts more; None: none.

    Raises UserError where what the file says cannot be.
    """
    if TRAINED_ON not in network.static_kwargs:
        return None
    try:
        source = Source.from_settings(network.static_kwargs[TRAINED_ON])
    except ValueError as error:
        raise UserError(f"the network file says of the pictures it was trained on what cannot be: {error}") from None
    return source if black is None else source._replace(scale=Scale(black, source.scale.white))
