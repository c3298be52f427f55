"""What `--denoise` does: looks at all that was given, then denoises file by file; a broken one does not stop the others."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dnnlib.denoising.inference.comparison import comparison
from dnnlib.denoising.inference.noise_level import NoiseLevel, level_text
from dnnlib.denoising.inference.output_paths import Output, make_folder, plan_outputs
from dnnlib.denoising.inference.picture_networks import PictureNetworks
from dnnlib.denoising.inference.std_file import STD_WHITE, STDS, to_std16, write_std
from dnnlib.denoising.options import DenoisingOptions
from dnnlib.denoising.pictures.auto_white import found_white
from dnnlib.denoising.pictures.decided_scale import decided
from dnnlib.denoising.pictures.files import check_holds_floats, read_filled
from dnnlib.denoising.pictures.images import write_image
from dnnlib.denoising.pictures.picture import Picture
from dnnlib.denoising.pictures.scale import COLOURS, Scale
from dnnlib.denoising.pictures.search import find_inputs
from dnnlib.errors import UserError
from dnnlib.progress import progress_bar, say

if TYPE_CHECKING:
    from dnnlib.denoising.inference.denoiser import Denoiser
    from dnnlib.denoising.inference.prepared_picture import PreparedPicture


class DenoisedPage(NamedTuple):
    """A page of a file, denoised.

    pixels: [H,W,C], with the page's alpha.
    stds: those that are wanted and known, by the names of `STDS`, uint16 [H,W] of `to_std16`.
    level: of the noise.
    scale: the values of black and white.
    """

    pixels: np.ndarray
    stds: dict[str, np.ndarray]
    level: NoiseLevel
    scale: Scale


Keep = Callable[[Picture, list[DenoisedPage]], None]


def denoise(inputs: list[str], options: DenoisingOptions, known: Mapping[str, Mapping]) -> None:
    """Denoises files. Raises UserError for whatever is wrong with what was given, and at the end if a file was skipped.

    inputs: files, folders and patterns.
    options: of the command line.
    known: the table of the shipped networks (config/networks.py).
    """
    networks, outputs, options = opened(inputs, options, known)
    make_folder(options.out)
    denoise_outputs(networks, outputs, options)


def opened(
    inputs: list[str], options: DenoisingOptions, known: Mapping[str, Mapping]
) -> tuple[PictureNetworks, list[Output], DenoisingOptions]:
    """Returns the networks, what is denoised and where it goes, and the options with white; nothing is made yet.

    Parameters and errors as for `denoise`.
    """
    networks = PictureNetworks(options, known)
    outputs = _planned_outputs(inputs, options)
    return networks, outputs, _with_white(options, outputs)


def _planned_outputs(inputs: list[str], options: DenoisingOptions) -> list[Output]:
    """Finds the pictures, and decides where the results go; nothing is decoded or made. Raises UserError as `denoise`."""
    extra_endings = [f"{std}.{suffix}" for std in options.stds for suffix in ("png", "tif")]
    extra_endings += ["compare.png"] if options.compare else []
    outputs = plan_outputs(find_inputs(inputs), options.out, extra_endings)
    for output in outputs if options.as_float else ():
        check_holds_floats(output.source)
    return outputs


def _with_white(options: DenoisingOptions, outputs: list[Output]) -> DenoisingOptions:
    """Returns the options with the white that is measured in all pictures, and says it, where --white auto is given."""
    paths = [output.source for output in outputs]
    white = found_white(options.white, paths, options.told.black, options.nodata, axes=options.axes)
    return replace(options, white=white)


def denoise_outputs(
    networks: PictureNetworks, outputs: list[Output], options: DenoisingOptions, keep: Keep = lambda *_: None
) -> None:
    """Denoises what `opened` found, into a folder that is there. Raises UserError at the end if a file was skipped.

    networks: for each kind of picture; they are closed at the end.
    keep(picture, pages): is called with each picture and what it became.
    """
    skipped = _denoise_all(networks, outputs, options, keep)
    if skipped:
        raise UserError(f"{skipped} of {len(outputs)} files skipped, see above")


def _denoise_all(networks: PictureNetworks, outputs: list[Output], options: DenoisingOptions, keep: Keep) -> int:
    """Denoises file by file, prints a line for each, and returns the number of files that were skipped.

    networks: for each kind of picture.
    outputs: what is denoised, and where it goes.
    options: of the command line.
    keep: as for `denoise_outputs`.
    """
    skipped = 0
    with networks:
        for output in outputs:
            try:
                say(_denoise_file(networks, output, options, keep))
            except UserError as error:
                say(f"skipped: {error}")
                skipped += 1
            except MemoryError:
                say(f"skipped: {output.source}: does not fit in memory")
                skipped += 1
    return skipped


def _denoise_file(networks: PictureNetworks, output: Output, options: DenoisingOptions, keep: Keep) -> str:
    """Denoises a file, writes all that is wanted, and returns the line that says what was done. keep: as above."""
    before = time.monotonic()
    picture = read_filled(output.source, options.nodata, axes=options.axes)
    reading = time.monotonic() - before
    denoiser = networks.denoiser_for(picture)  # for the first of a kind it takes seconds, which are not this file's
    start = time.monotonic() - reading
    try:
        scales = decided(picture, options.told, networks.trained_for(picture.colours))
        for warning in dict.fromkeys(page.warning for page in scales if page.warning):
            say(f"Warning: {output.source}: {warning}")
        size = _size(picture)
        picture = picture.as_floats([page.scale for page in scales]) if options.as_float else picture
        pages = _denoise_pages(denoiser, picture, [page.scale for page in scales], options)
    except UserError as error:
        raise UserError(f"{output.source}: {error}") from error
    picture.write(output.result, [page.pixels for page in pages])
    keep(picture, pages)
    written = [f"{output.result}", *_write_extras(picture, pages, output, options)]
    notes = [*picture.notes, *dict.fromkeys(page.note for page in scales if page.note)]
    notes += dict.fromkeys(doubt for page in pages for doubt in page.level.doubts)
    if picture.colours < denoiser.configuration.channels:
        notes.append("grey: repeated for the RGB network (a -mono one does better) and averaged")
    seconds = time.monotonic() - start
    levels = level_text([page.level for page in pages], "page" if len(picture.first) == 1 else "channel")
    parts = [size, levels, *notes, f"{seconds:.1f} s"]
    return f"{output.source}: {', '.join(parts)} -> {', '.join(written)}"


def _denoise_pages(
    denoiser: "Denoiser", picture: Picture, scales: list[Scale], options: DenoisingOptions
) -> list[DenoisedPage]:
    """Denoises all pages of a file, each with its scale, after all of them have been checked."""
    masks = [holes and holes.mask for holes in picture.holes or [None] * len(picture.pages)]
    prepared = [
        denoiser.prepare(
            page[:, :, : picture.colours], options.given, scale, options.tile, options.strength, options.ensemble, holes
        )
        for page, scale, holes in zip(picture.pages, scales, masks, strict=True)
    ]
    with progress_bar(sum(page.steps for page in prepared), "tile") as bar:
        return [
            _denoise_page(page, ready, picture.colours, options, bar.update)
            for page, ready in zip(picture.pages, prepared, strict=True)
        ]


def _denoise_page(
    page: np.ndarray, prepared: "PreparedPicture", colours: int, options: DenoisingOptions, done
) -> DenoisedPage:
    """Denoises a page.

    page: [H,W,C].
    prepared: made of the channels that are denoised.
    colours: how many these are, the first ones.
    options: which stds are wanted.
    done(): is called after each tile.
    """
    result = page.copy()
    wanted = set(options.stds) | ({"std"} if options.compare and prepared.denoiser.has_std else set())
    stds = {name: np.empty(page.shape[:2], np.uint16) for name in STDS if name in wanted}
    put_stds = {name: partial(_put_std, std) for name, std in stds.items()}
    level = prepared.run(result[:, :, :colours], put_stds, done)
    if prepared.holes is not None:
        for std in stds.values():
            std[prepared.holes] = 0
    return DenoisedPage(result, stds, level, prepared.scale)


def _put_std(std: np.ndarray, region: tuple[slice, slice], values: np.ndarray) -> None:
    """Writes a part of a std, in parts of white, into the whole."""
    std[region] = to_std16(values)


def _write_extras(
    picture: Picture, pages: list[DenoisedPage], output: Output, options: DenoisingOptions
) -> list[str]:
    """Writes what is wanted beside the result, and returns what the line is to say of the files.

    picture: as it was read.
    pages: the same denoised.
    output: where the result went.
    options: what is wanted.
    """
    written = []
    for name in options.stds:
        path = output.extra(f"{name}.tif" if picture.format.holds_pages else f"{name}.png")
        write_std(path, [page.stds[name] for page in pages])
        written.append(f"{path} (65535 = {STD_WHITE:g} of white)")
    if options.compare:
        path = output.extra("compare.png")
        noisy, page = picture.pages[0], pages[0]
        holes = picture.holes[0] if picture.holes else None
        std, mask = page.stds.get("std"), holes and holes.mask
        write_image(path, comparison(noisy, page.pixels, std, picture.colours, page.scale, mask))
        written.append(f"{path}")
    return written


def _size(picture: Picture) -> str:
    """Describes a picture for the line that says what was done."""
    height, width = picture.pages[0].shape[:2]
    channels, pages = len(picture.first), len(picture.pages)
    colour = f" {COLOURS[picture.colours]}" if channels == 1 else f", {channels} channels"
    alpha = " with alpha" if picture.pages[0].shape[2] > picture.colours else ""
    several = f", {pages // channels} pages" if pages > channels else ""
    return f"{width} x {height}{colour}{alpha}, {picture.pages[0].dtype}{several}"
