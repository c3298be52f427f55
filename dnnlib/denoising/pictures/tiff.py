"""TIFF files: 8 and 16 bits and floats, one page or many, with the tags that say something of the picture."""

import importlib.util
import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tifffile

from dnnlib.denoising.pictures.axes import Arrangement, doubt_of
from dnnlib.denoising.pictures.picture import Header, Picture, mode_of
from dnnlib.denoising.pictures.pillow import decoded, open_image
from dnnlib.denoising.pictures.scale import PIXEL_TYPES, Scale, Stated, is_of_pictures
from dnnlib.denoising.pictures.tiff_axes import page_arrangement, whole_arrangement
from dnnlib.denoising.pictures.tiff_blocks import Blocks, read_blocks, stand_ins, write_blocks
from dnnlib.denoising.pictures.tiff_pages import PLAIN, Stored, check_list, check_segments, described, pictures_in
from dnnlib.denoising.pictures.tiff_scale import stated_nodata, stated_scale
from dnnlib.denoising.pictures.tiff_tags import OF_ALL_PAGES, ORIENTATION, Room, settings_of, writable
from dnnlib.errors import UserError, raised_by_library

# What it has to say of odd tags nobody could act on.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"tifffile\.")

_NAMED = {2: "1-bit or palette", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
_INVERTED = "black and white are stored the wrong way round (white is zero): convert it"
_RAW = (tifffile.PHOTOMETRIC.CFA, tifffile.PHOTOMETRIC.LINEAR_RAW)


@dataclass(frozen=True)
class _Layout:
    """Says how a TIFF file is to be written.

    byteorder: '<' or '>'.
    bigtiff: whether offsets have 64 bits.
    settings: the arguments of `TiffWriter.write` for each page of the file.
    blocks: of EXIF and GPS, of each.
    shapes: of each, as it is written.
    arrays: what was read, a page of the file each, or all of them as one.
    arrangements: how each is made of pictures.
    """

    byteorder: str
    bigtiff: bool
    settings: list[dict[str, Any]]
    blocks: list[Blocks]
    shapes: list[tuple[int, ...]]
    arrays: list[np.ndarray]
    arrangements: list[Arrangement]


class _Read(NamedTuple):
    """Holds what was read of each page of a file: see `_Layout` for most.

    scales, nodata: what the tags state of black and white, and of no value.
    """

    arrays: list[np.ndarray]
    arrangements: list[Arrangement]
    settings: list[dict[str, Any]]
    blocks: list[Blocks]
    scales: list[Stated | None]
    nodata: list[float | None]


def read_tiff(path: str | os.PathLike, axes: str | None = None) -> Picture:
    """Reads all pages of a TIFF file but thumbnails.

    axes: of all of them as one array, as the user told them; None: as the file says.

    Raises UserError or whatever tifffile and Pillow do.
    """
    notes: list[str] = []
    check_list(path)
    with tifffile.TiffFile(path) as tiff:
        chosen = pictures_in(tiff, notes)
        arrays, arrangements, settings, blocks, scales, nodata = _read_pages(path, chosen, tiff, notes)
        nodata = [nodata[0] if value is None else value for value in nodata]  # writers of stacks tag the first page only
        unwritable = _INVERTED if any(_is_inverted(stored.page) for stored in chosen) else None
        shapes, dtypes = [array.shape for array in arrays], [array.dtype for array in arrays]
        whole, first = whole_arrangement(tiff, arrangements, axes, notes)
        settings = writable(settings, shapes, dtypes, tiff.byteorder, notes)
        byteorder, bigtiff = tiff.byteorder, tiff.is_bigtiff
    if whole is not None:
        arrays, arrangements, scales, first = [_joined(arrays, whole.shape)], [whole], [_common(scales)], whole.first
        nodata = nodata[:1]
    elif doubt := doubt_of(arrangements[0] if len(arrays) == 1 else arrangements[0].repeated(len(arrays))):
        notes.append(doubt)
    if len({each.colours for each in arrangements}) > 1:
        raise UserError("grey and colour pages are mixed: split them into files of their own")
    pages = [page for array, each in zip(arrays, arrangements, strict=True) for page in each.views(array)]
    stated = [scale for scale, each in zip(scales, arrangements, strict=True) for _ in range(each.count)]
    nodata = [value for value, each in zip(nodata, arrangements, strict=True) for _ in range(each.count)]
    layout = _Layout(byteorder, bigtiff, settings, blocks, shapes, arrays, arrangements)
    colours = arrangements[0].colours
    return Picture("TIFF", pages, colours, layout, list(dict.fromkeys(notes)), unwritable, stated, first, nodata)


def _read_pages(path: str | os.PathLike, chosen: list[Stored], tiff: tifffile.TiffFile, notes: list[str]) -> _Read:
    """Reads the pages that were chosen of an open file, each by itself. Raises as `read_tiff`.

    path: of the file.
    chosen: where they are.
    tiff: the file.
    notes: a line is added for what is converted, or cannot be kept.
    """
    read, room = _Read([], [], [], [], [], []), Room(tiff.filehandle.size)
    for stored in chosen:
        page, is_converted = stored.page, not _is_plain(stored.page)
        found = _decode_stack(stored) if stored.count > 1 else [_decode(path, stored, notes)]
        scale = stated_scale(page, tiff.ome_metadata)
        first = settings_of(page, found[0], is_converted, scale, room, notes)
        extra = [tag for tag in first["extratags"] if tag[0] not in OF_ALL_PAGES]
        others = first | {"description": None, "extratags": extra}
        read.arrays.extend(found)
        arrangement = Arrangement("YXS", found[0].shape) if is_converted else page_arrangement(page)
        read.arrangements.extend([arrangement] * stored.count)
        read.settings.extend([first, *[others] * (stored.count - 1)])
        read.blocks.extend([read_blocks(page, room, notes), *[{}] * (stored.count - 1)])
        read.scales.extend([scale] * stored.count)
        read.nodata.extend([stated_nodata(page)] * stored.count)
    return read


def write_tiff(picture: Picture, pages: list[np.ndarray], file: BinaryIO) -> None:
    """Writes a TIFF file with the layout and the tags of the one that was read."""
    layout: _Layout = picture.kept
    bigtiff = layout.bigtiff or needs_bigtiff(pages)
    rest = iter(pages)
    with raised_by_library(), tifffile.TiffWriter(file, byteorder=layout.byteorder, bigtiff=bigtiff) as writer:
        written = 0
        for array, arrangement in zip(layout.arrays, layout.arrangements, strict=True):
            filled = arrangement.filled(array, rest)
            for pixels in filled.reshape(-1, *layout.shapes[written]):
                settings = layout.settings[written]
                extra = [*settings["extratags"], *stand_ins(layout.blocks[written], bigtiff)]
                writer.write(_as_written(pixels), **settings | {"extratags": extra})
                written += 1
    with raised_by_library():
        write_blocks(file, layout.blocks)


def layout_of_floats(picture: Picture, scales: Sequence[Scale]) -> _Layout:
    """Returns the layout for the pages of a picture as float32, with tags of their black and white instead of the type's."""
    layout: _Layout = picture.kept
    values = [(340, scales[0].black), (341, scales[0].white)] if len(set(scales)) == 1 else []
    bounds = [(code, 11, 1, float(value), True) for code, value in values]
    kept = [[tag for tag in before["extratags"] if tag[0] not in (280, 281)] for before in layout.settings]
    settings = [
        {**before, "extratags": [*extra, *bounds], "predictor": None}
        for before, extra in zip(layout.settings, kept, strict=True)
    ]
    arrays = [array if array.dtype.kind == "f" else np.empty_like(array, np.float32) for array in layout.arrays]
    return replace(layout, settings=settings, arrays=arrays)


def needs_bigtiff(pages: list[np.ndarray]) -> bool:
    """Tells whether pages may come to more than the 4 GiB that offsets of 32 bits reach, metadata and all."""
    return sum(pixels.nbytes for pixels in pages) > 4_000_000_000


def _as_written(pixels: np.ndarray) -> np.ndarray:
    """Returns a page without an axis of one sample at the end, as converted ones have it."""
    return pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def _joined(arrays: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Returns pages as one array of that shape. Raises UserError where they are of several types."""
    if len({array.dtype for array in arrays}) > 1:
        raise UserError("its pages are of several types, and no one array: split them into files of their own")
    return (arrays[0] if len(arrays) == 1 else np.stack(arrays)).reshape(shape)


def _common(scales: list[Stated | None]) -> Stated | None:
    """Returns what the tags of all pages state, if it is the same."""
    return scales[0] if len(set(scales)) == 1 else None


def read_header(path: str | os.PathLike, axes: str | None = None) -> Header:
    """Reads the size of the first page, and how many there are. Raises UserError or whatever tifffile does."""
    check_list(path)
    with tifffile.TiffFile(path) as tiff:
        chosen = pictures_in(tiff, [])
        singles = []
        for stored in chosen:
            page = stored.page
            shape = (page.imagelength, page.imagewidth, 3)  # of what will be converted
            singles += [page_arrangement(page) if _is_plain(page) else Arrangement("YXS", shape)] * stored.count
        whole, first = whole_arrangement(tiff, singles, axes, [])
        first = first if whole is None else whole.first
        count = whole.count if whole is not None else sum(single.count for single in singles)
        height, width, samples = (whole or singles[0]).page_shape
        page = chosen[0].page
        plain = page.photometric in PLAIN and page.dtype is not None
        mode = mode_of(samples, page.dtype) if plain else page.photometric.name
        return Header(width, height, mode, count, len(first))


def _is_plain(page: tifffile.TiffPage) -> bool:
    """Tells whether the values of a page are taken as they are stored, and not converted by Pillow."""
    return page.photometric in PLAIN and page.bitspersample >= 8


def _is_inverted(page: tifffile.TiffPage) -> bool:
    """Tells whether zero is white in a page of more than 1 bit. Pillow turns 8 bits round; nothing turns them back."""
    return page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and page.bitspersample > 1


def _decode(path: str | os.PathLike, stored: Stored, notes: list[str]) -> np.ndarray:
    """Decodes one page, of its own axes and type, or uint8 [H,W,C] where its colours are converted.

    path: of the file.
    stored: where the picture is.
    notes: a line is added for what is converted.
    """
    page = stored.page
    if _is_inverted(page) and page.bitspersample > 8:
        raise UserError(_INVERTED)
    if page.photometric in _RAW:
        raise UserError(f"camera raw ({described(page)}): develop it with a raw converter first")
    if not _is_plain(page):
        return _decode_with_pillow(path, stored, notes)
    _check_kind(page)
    check_segments(page)
    try:
        return page.asarray()
    except (KeyError, ValueError, ImportError, NotImplementedError) as error:  # the last of bits that are packed
        if "imagecodecs" not in str(error) and not isinstance(error, ImportError):
            raise
        raise UserError(_undecoded(page)) from error


def _undecoded(page: tifffile.TiffPage) -> str:
    """Returns why tifffile cannot decode a page for which it names imagecodecs."""
    kind = f"{page.bitspersample}-bit values stored as {getattr(page.compression, 'name', page.compression)}"
    if importlib.util.find_spec("imagecodecs") is None:
        return f"{kind} cannot be read without the package imagecodecs: pip install imagecodecs"
    return f"{kind} cannot be read: save it uncompressed or compressed by LZW"


def _check_kind(page: tifffile.TiffPage) -> None:
    """Raises UserError for a page that is no picture of a known kind."""
    if not is_of_pictures(page.dtype):
        raise UserError(f"pictures of {page.dtype or 'this type'} are not supported: convert it to {PIXEL_TYPES}")
    if page.axes not in ("YX", "YXS", "SYX"):
        raise UserError(f"a page with axes {page.axes} is no picture")


def _decode_stack(stored: Stored) -> list[np.ndarray]:
    """Decodes the pictures that lie behind one page, as `_decode` does one."""
    page = stored.page
    if not _is_plain(page) or page.compression != 1 or not page.is_final:
        raise UserError(
            f"a stack of {stored.count} pictures behind one page ({described(page)}), of a kind that is not supported: "
            "save it with a page for each picture"
        )
    _check_kind(page)
    kind = page.dtype.newbyteorder(page.parent.byteorder)
    values = page.parent.filehandle.read_array(kind, stored.count * prod(page.shape), page.dataoffsets[0])
    return list(values.astype(page.dtype, copy=False).reshape(stored.count, *page.shape))


def _decode_with_pillow(path: str | os.PathLike, stored: Stored, notes: list[str]) -> np.ndarray:
    """Decodes colours of 8 bits that are converted to grey or RGB, uint8 [H,W,C].

    Pillow turns the picture upright; then its orientation is taken from the page.

    path, stored, notes: as for `_decode`.
    """
    page = stored.page
    kind = _NAMED.get(int(page.photometric)) or getattr(page.photometric, "name", "colours of an unknown kind")
    if page.bitspersample > 8:
        raise UserError(f"{kind} of {page.bitspersample} bits is not supported: convert it to RGB or grey")
    notes.append(f"{kind} converted to 8-bit grey or RGB")
    with open_image(path) as image:
        image.seek(stored.index)
        pixels = decoded(image, [])
    if ORIENTATION in page.tags:
        if page.tags[ORIENTATION].value != 1:
            notes.append("turned upright")
        del page.tags[ORIENTATION]
    return pixels
