"""What `--denoise` with `--distill` does: denoises as ever, then has a plain network learn from the results."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dnnlib.denoising.adapting.pages import read_pages, source_of
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.distilling.pairs import Pairs
from dnnlib.denoising.distilling.start import REMEDY, distilled_configuration
from dnnlib.denoising.inference.denoise_files import denoise_outputs, opened
from dnnlib.denoising.inference.output_paths import make_folder
from dnnlib.denoising.network.network_file import save_path, to_network
from dnnlib.denoising.options import DenoisingOptions
from dnnlib.denoising.pictures.scale import Source
from dnnlib.errors import UserError
from dnnlib.progress import say
from dnnlib.tflib.network import save_network

_OPTION = "--distill"
_LOOKED_AT = 16  # files, before the work: of many all would not fit in memory
_MUCH = 3.0  # dB; a network of thousands of crops came 6 nearer than the noisy pictures


def denoise_and_distil(inputs: list[str], options: DenoisingOptions, recipe: Mapping, known: Mapping[str, Mapping]) -> None:
    """Denoises pictures, trains a network on them and their results, and writes it where it learned anything.

    inputs: files, folders and patterns.
    options: of the command line, with `distill` and `save_network`.
    recipe: how the steps are taken, by the names of options (config/recipes.py).
    known: the table of the shipped networks (config/networks.py).

    Raises UserError as `denoise_files.denoise`, and for networks and pictures that do not go with --distill.
    """
    # Before anything is made.
    networks, outputs, options = opened(inputs, options, known)
    trained = {colours: networks.trained_for(colours) for colours in (1, 3)}
    some = np.unique(np.linspace(0, len(outputs) - 1, min(len(outputs), _LOOKED_AT)).astype(int))
    paths = [outputs[i].source for i in some]
    pages = read_pages(paths, options.told, options.axes, options.nodata, trained, _OPTION, REMEDY)
    colours = pages[0].pixels.shape[2]
    name, _, teacher = networks.loaded_for(colours)
    if not teacher.blind_spot:
        raise UserError(
            f"{_OPTION}: a network of {teacher.name} has no blind spot, and is as fast as the one that would learn from it; "
            f"name another --network, or {REMEDY}"
        )
    student, source = distilled_configuration(colours), source_of(pages)
    del pages
    save_to = save_path("--save-network", options.save_network, student)
    if os.path.realpath(save_to) == os.path.realpath(name):
        raise UserError(f"--save-network {save_to}: is the network that it would learn from; name another file")
    make_folder(options.out)
    make_folder(str(save_to.parent), "--save-network")
    # The work.
    pairs, skipped = Pairs(colours), None
    try:
        denoise_outputs(networks, outputs, options, pairs.add)
    except UserError as error:  # some files cannot be denoised; it is learned from the others
        skipped = error
    if pairs.changed:
        _distil(name, student, pairs, source, save_to, options, recipe)
    elif skipped is None:
        raise UserError(
            f"{_OPTION}: nothing to learn, for the results are the pictures as they were, but for rounding; give the noise "
            "level (--sigma), or --hole-size 3 where neighbours share the noise"
        )
    if skipped is not None:
        raise skipped


def _distil(
    name: str, student: Configuration, pairs: Pairs, source: Source | None, save_to: Path, options: DenoisingOptions,
    recipe: Mapping,
) -> None:  # fmt: skip
    """Trains the network, and writes it. Raises UserError where it comes no nearer to the results than the pictures are.

    name: of the network that made the results.
    student: the configuration of the one that learns from them.
    source: what all pictures have in common, if so.
    save_to: the file to write.
    options, recipe: as for `denoise_and_distil`.
    """
    noisy, denoised = pairs.pages()
    say(f"Distilling {name} from {len(noisy)} page{'s' if len(noisy) > 1 else ''}: {options.distill} crops")
    from dnnlib.denoising.distilling.loop import distil  # late: it imports TensorFlow

    found = distil(student, noisy, denoised, recipe, options.distill, options.precision)
    noisy_psnr = f"{found.noisy_nearness:.2f} dB"
    if found.variables is None:
        raise UserError(
            f"{_OPTION}: came no nearer to the results than the noisy pictures are ({noisy_psnr}); {save_to} is not "
            "written: give more crops, some thousands, or more pictures"
        )
    save_network(to_network(student, found.variables, source and source.as_settings()), save_to)
    little = "; more crops bring it nearer" if found.nearness < found.noisy_nearness + _MUCH else ""
    psnr = f"PSNR to the results {found.nearness:.2f} dB where held out, of the noisy pictures {noisy_psnr}"
    say(f"Distilled: {psnr}{little} -> {save_to}")
