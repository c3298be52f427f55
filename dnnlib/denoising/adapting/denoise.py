"""What `--denoise` with `--adapt` does: looks at all that was given, adapts the network, then denoises as ever."""

from collections.abc import Mapping

from dnnlib.denoising.adapting.held_out import WHOLE_PAGES, crop_side
from dnnlib.denoising.adapting.pages import Page, read_pages, source_of
from dnnlib.denoising.adapting.start import Start, learned_configuration
from dnnlib.denoising.inference.denoise_files import denoise_outputs, opened
from dnnlib.denoising.inference.output_paths import make_folder
from dnnlib.denoising.network.network_file import save_path, to_network
from dnnlib.denoising.options import DenoisingOptions
from dnnlib.progress import say
from dnnlib.tflib.network import save_network


def denoise_adapted(inputs: list[str], options: DenoisingOptions, recipe: Mapping, known: Mapping[str, Mapping]) -> None:
    """Adapts a network to pictures, and denoises them with it; where that made nothing better, with the network as it was.

    inputs: files, folders and patterns.
    options: of the command line, with `adapt`.
    recipe: how the steps are taken, by the names of options (config/recipes.py).
    known: the table of the shipped networks (config/networks.py).

    Raises UserError as `denoise_files.denoise`, and for networks and pictures that do not go with --adapt.
    """
    # Before anything is made.
    networks, outputs, options = opened(inputs, options, known)
    trained = {colours: networks.trained_for(colours) for colours in (1, 3)}
    pages = read_pages([output.source for output in outputs], options.told, options.axes, options.nodata, trained)
    colours = pages[0].pixels.shape[2]
    name, network, source = networks.loaded_for(colours)
    start = Start(network, source, learned_configuration(source, colours))
    save_to = None if options.save_network is None else save_path("--save-network", options.save_network, start.wanted)
    make_folder(options.out)
    if save_to is not None:
        make_folder(str(save_to.parent), "--save-network")
    # The work.
    say(_what_is_done(name, start, pages, options.adapt))
    from dnnlib.denoising.adapting.loop import adapt  # late: it imports TensorFlow

    variables, said = adapt(start, pages, recipe, options.adapt, options.precision)
    source_of_pages = source_of(pages)
    del pages  # they are read again one by one
    if variables is not None:
        adapted = to_network(start.wanted, variables, source_of_pages and source_of_pages.as_settings())
        networks.replace(adapted, start.wanted)
        if save_to is not None:
            save_network(adapted, save_to)
            said += f" -> {save_to}"
    elif save_to is not None:
        said += f"; {save_to} is not written"
    say(said)
    denoise_outputs(networks, outputs, options)


def _what_is_done(name: str, start: Start, pages: list[Page], images: int) -> str:
    """Returns the line that is printed before the work. name: of the network; images: that it learns from."""
    whole = sum(page.parts.training is None for page in pages)
    held_out = f"every {WHOLE_PAGES}th page" if whole else "a strip of each page"
    side = crop_side([page.parts for page in pages])
    counted = f"{len(pages)} page{'s' if len(pages) > 1 else ''}"
    return (
        f"Adapting {name} to {counted}, as {start.wanted.name}: {images} images of {side} x {side} pixels; "
        f"held out: {held_out}"
    )
