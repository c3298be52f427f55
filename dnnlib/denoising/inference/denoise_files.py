"""What `--denoise` does: looks at all that was given, then denoises file by file; a broken one does not stop the others."""

import time

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference.comparison import comparison
from dnnlib.denoising.inference.jobs import Job, make_folder, plan
from dnnlib.denoising.inference.noise_level import check_given, level_text
from dnnlib.denoising.inference.std_file import STD_WHITE, to_std16, write_std
from dnnlib.denoising.network.network_file import load_configured
from dnnlib.denoising.options import DenoisingOptions
from dnnlib.denoising.pictures.files import read_picture
from dnnlib.denoising.pictures.images import write_image
from dnnlib.denoising.pictures.picture import Picture
from dnnlib.denoising.pictures.search import find_inputs
from dnnlib.errors import UserError
from dnnlib.progress import progress_bar, say
from dnnlib.tflib.network import Network


def denoise(inputs: list[str], options: DenoisingOptions) -> None:
    """Denoises files. Raises UserError for whatever is wrong with what was given, and at the end if a file was skipped."""
    network, configuration = load_configured(options.network, "--network", options.hole_size)
    check_given(configuration, options.given)
    if options.std and configuration.pipeline != "blindspot":
        raise UserError(f"--std: a network of {configuration.name} does not tell how sure it is; leave the option out")
    beside = (["std.png", "std.tif"] if options.std else []) + (["compare.png"] if options.compare else [])
    jobs = plan(find_inputs(inputs), options.out, beside)
    make_folder(options.out)
    skipped = _denoise_all(network, configuration, jobs, options)
    if skipped:
        raise UserError(f"{skipped} of {len(jobs)} files skipped, see above")


def _denoise_all(network: Network, configuration: Configuration, jobs: list[Job], options: DenoisingOptions) -> int:
    """The number of files that were skipped."""
    from dnnlib.denoising.inference.denoiser import Denoiser  # late: it imports TensorFlow

    skipped = 0
    with Denoiser(network, configuration) as denoiser:
        for job in jobs:
            try:
                say(_denoise_file(denoiser, job, options))
            except UserError as error:
                say(f"skipped: {error}")
                skipped += 1
            except MemoryError:
                say(f"skipped: {job.source}: does not fit in memory")
                skipped += 1
    return skipped


def _denoise_file(denoiser, job: Job, options: DenoisingOptions) -> str:
    """The line that says what was done."""
    start = time.monotonic()
    picture = read_picture(job.source)
    try:
        results, stds, levels = _denoise_pages(denoiser, picture, options)
    except UserError as error:
        raise UserError(f"{job.source}: {error}") from error
    first = (picture.pages[0], results[0], stds[0] if stds else None)
    written = [f"{job.result}"]
    picture.write(job.result, results)
    if options.std:
        path = job.beside("std.tif" if picture.kind in ("TIFF", "NumPy") else "std.png")
        write_std(path, stds)
        written.append(f"{path} (65535 = {STD_WHITE:g} of white)")
    if options.compare:
        path = job.beside("compare.png")
        white = denoiser.check(first[0][:, :, : picture.colours], options.white, options.black)
        write_image(path, comparison(*first, picture.colours, white, options.black))
        written.append(f"{path}")
    notes = list(picture.notes)
    if picture.colours < denoiser.configuration.channels:
        notes.append("grey: repeated for the RGB network, and averaged")
    seconds = time.monotonic() - start
    parts = [_size(picture), level_text(levels), *notes, f"{seconds:.1f} s"]
    return f"{job.source}: {', '.join(parts)} -> {', '.join(written)}"


def _denoise_pages(denoiser, picture: Picture, options: DenoisingOptions):
    """Denoised pages, their stds as uint16 [H,W] if wanted, and their noise levels."""
    pages = [page[:, :, : picture.colours] for page in picture.pages]
    whites = [denoiser.check(page, options.white, options.black) for page in pages]
    sides = [denoiser.tile_side(*page.shape[:2], options.tile) for page in pages]
    total = sum(denoiser.steps(*page.shape[:2], side) for page, side in zip(pages, sides, strict=True))
    results, stds, levels = [], [], []
    with progress_bar(total, "tile") as bar:
        for i, (page, white, side) in enumerate(zip(pages, whites, sides, strict=True)):
            result = picture.pages[i].copy()
            std = np.empty(page.shape[:2], np.uint16) if denoiser.has_std and (options.std or options.compare) else None

            def put_std(region, values, std=std):
                std[region] = to_std16(values)

            level = denoiser.level(page, options.given, white, side, bar.update, options.black)
            keep = None if std is None else put_std
            denoised = result[:, :, : picture.colours]
            denoiser.denoise(page, denoised, level, white, side, keep, bar.update, options.black)
            results.append(result)
            stds += [] if std is None else [std]
            levels.append(level)
    return results, stds, levels


def _size(picture: Picture) -> str:
    height, width = picture.pages[0].shape[:2]
    colour = "grey" if picture.colours == 1 else "RGB"
    alpha = " with alpha" if picture.pages[0].shape[2] > picture.colours else ""
    pages = f", {len(picture.pages)} pages" if len(picture.pages) > 1 else ""
    return f"{width} x {height} {colour}{alpha}, {picture.pages[0].dtype}{pages}"
