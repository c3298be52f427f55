"""TIFF files: 8 and 16 bits and floats, one page or many, with the tags that say something of the picture."""

import io
import json
import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, BinaryIO

import numpy as np
import tifffile

from dnnlib.denoising.pictures.picture import Header, Picture, colours_of, mode_of
from dnnlib.denoising.pictures.pillow import decoded, open_image
from dnnlib.denoising.pictures.scale import Scale, Stated
from dnnlib.denoising.pictures.tiff_pages import (
    PLAIN,
    Stored,
    check_list,
    check_segments,
    described,
    pictures_in,
    stack_of_tifffile,
)
from dnnlib.denoising.pictures.tiff_scale import NODATA, stated_nodata, stated_scale
from dnnlib.errors import UserError, raised_by_library

# What it has to say of odd tags nobody could act on.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"tifffile\.")

_NAMED = {2: "1-bit or palette", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
# Tags that are kept: of type and value, but for these, tifffile sets all by itself.
_ORIENTATION, _XMP = 274, 700
_TEXTS = (271, 272, 305, 306, 315, 316, 33432, NODATA)  # make, model, software, date, artist, computer, copyright
_EXIF_AND_GPS = (34665, 34853)
_INVERTED = "black and white are stored the wrong way round (white is zero): convert it"
_ZLIB = (8, 32946)
# Of what `_settings` returns, what a picture can do without; the words are for people.
_OPTIONAL = {
    "resolution": "resolution", "resolutionunit": "unit of resolution", "iccprofile": "colour profile",
    "description": "description", "predictor": "predictor",
}  # fmt: skip
_RAW = (tifffile.PHOTOMETRIC.CFA, tifffile.PHOTOMETRIC.LINEAR_RAW)


@dataclass(frozen=True)
class _Layout:
    """Says how a TIFF file is to be written.

    byteorder: '<' or '>'.
    bigtiff: whether offsets have 64 bits.
    settings: the arguments of `TiffWriter.write` for each page.
    """

    byteorder: str
    bigtiff: bool
    settings: list[dict[str, Any]]


def read_tiff(path: str | os.PathLike) -> Picture:
    """Reads all pages of a TIFF file but thumbnails. Raises UserError or whatever tifffile and Pillow do."""
    notes: list[str] = []
    check_list(path)
    with tifffile.TiffFile(path) as tiff:
        chosen = pictures_in(tiff, notes)
        pages: list[np.ndarray] = []
        settings: list[dict[str, Any]] = []
        scales: list[Stated | None] = []
        nodata: list[float | None] = []
        for stored in chosen:
            decoded_pages = _decode_stack(stored) if stored.count > 1 else [_decode(path, stored, notes)]
            scale = stated_scale(stored.page, tiff.ome_metadata)
            first = _settings(stored.page, decoded_pages[0], scale, notes)
            others = first | {"description": None}
            pages += decoded_pages
            scales += [scale] * stored.count
            nodata += [stated_nodata(stored.page)] * stored.count
            settings += [first, *[others] * (stored.count - 1)]
        nodata = [nodata[0] if value is None else value for value in nodata]  # writers of stacks tag the first page only
        unwritable = _INVERTED if any(_is_inverted(stored.page) for stored in chosen) else None
        layout = _Layout(tiff.byteorder, tiff.is_bigtiff, _writable(settings, pages, tiff.byteorder, notes))
    colours = {colours_of(pixels.shape[2]) for pixels in pages}
    if len(colours) > 1:
        raise UserError("grey and colour pages are mixed: split them into files of their own")
    return Picture("TIFF", pages, colours.pop(), layout, list(dict.fromkeys(notes)), unwritable, scales, nodata)


def write_tiff(picture: Picture, pages: list[np.ndarray], file: BinaryIO) -> None:
    """Writes a TIFF file with the layout and the tags of the one that was read."""
    layout: _Layout = picture.kept
    bigtiff = layout.bigtiff or needs_bigtiff(pages)
    parts = list(zip(pages, layout.settings, strict=True))
    with raised_by_library(), tifffile.TiffWriter(file, byteorder=layout.byteorder, bigtiff=bigtiff) as writer:
        for pixels, settings in parts:
            writer.write(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, **settings)


def layout_of_floats(picture: Picture, scales: Sequence[Scale]) -> _Layout:
    """Returns the layout for the pages of a picture as float32, with tags of their black and white instead of the type's."""
    settings = []
    for page, scale, before in zip(picture.pages, scales, picture.kept.settings, strict=True):
        count = page.shape[2]
        bounds = [(code, 11, count, (value,) * count, True) for code, value in ((340, scale.black), (341, scale.white))]
        kept = [tag for tag in before["extratags"] if tag[0] not in (280, 281)]
        settings.append({**before, "extratags": [*kept, *bounds], "predictor": None})
    return replace(picture.kept, settings=settings)


def needs_bigtiff(pages: list[np.ndarray]) -> bool:
    """Tells whether pages may come to more than the 4 GiB that offsets of 32 bits reach, metadata and all."""
    return sum(pixels.nbytes for pixels in pages) > 4_000_000_000


def read_header(path: str | os.PathLike) -> Header:
    """Reads the size of the first page, and how many there are. Raises UserError or whatever tifffile does."""
    check_list(path)
    with tifffile.TiffFile(path) as tiff:
        chosen = pictures_in(tiff, [])
        first = chosen[0].page
        plain = first.photometric in PLAIN and first.dtype is not None
        mode = mode_of(first.samplesperpixel, first.dtype) if plain else first.photometric.name
        return Header(first.imagewidth, first.imagelength, mode, sum(stored.count for stored in chosen))


def _is_inverted(page: tifffile.TiffPage) -> bool:
    """Tells whether zero is white in a page of more than 1 bit. Pillow turns 8 bits round; nothing turns them back."""
    return page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and page.bitspersample > 1


def _decode(path: str | os.PathLike, stored: Stored, notes: list[str]) -> np.ndarray:
    """Decodes one page to [H,W,C] in its own type, or uint8 where its colours are converted.

    path: of the file.
    stored: where the picture is.
    notes: a line is added for what is converted.
    """
    page = stored.page
    if _is_inverted(page) and page.bitspersample > 8:
        raise UserError(_INVERTED)
    if page.photometric in _RAW:
        raise UserError(f"camera raw ({described(page)}): develop it with a raw converter first")
    # What Pillow converts.
    if page.photometric not in PLAIN or page.bitspersample < 8:
        notes.append(f"{_NAMED.get(int(page.photometric), 'its colours')} converted to 8-bit grey or RGB")
        return _decode_with_pillow(path, stored, notes)
    # The pixels.
    _check_kind(page)
    check_segments(page)
    try:
        pixels = page.asarray()
    except (KeyError, ValueError, ImportError, NotImplementedError) as error:  # the last of bits that are packed
        if "imagecodecs" not in str(error) and not isinstance(error, ImportError):
            raise
        return _decode_with_pillow(path, stored, notes)
    return _channels_last(pixels, page)


def _check_kind(page: tifffile.TiffPage) -> None:
    """Raises UserError for a page that is no picture of a known kind."""
    if page.dtype is None or page.dtype.kind not in "fu" or page.dtype.itemsize > (8 if page.dtype.kind == "f" else 2):
        raise UserError(f"pictures of {page.dtype or 'this type'} are not supported: convert it to 8 or 16 bits or float32")
    if page.axes not in ("YX", "YXS", "SYX"):
        raise UserError(f"a page with axes {page.axes} is no picture")
    alpha = len(page.extrasamples)
    if page.samplesperpixel - alpha not in (1, 3) or alpha > 1:
        raise UserError(f"{page.samplesperpixel} channels: expected grey or RGB, with or without alpha")


def _decode_stack(stored: Stored) -> list[np.ndarray]:
    """Decodes the pictures that lie behind one page, as `_decode` does one."""
    page = stored.page
    if page.photometric not in PLAIN or page.bitspersample < 8 or page.compression != 1 or not page.is_final:
        raise UserError(
            f"a stack of {stored.count} pictures behind one page ({described(page)}), of a kind that is not supported: "
            "save it with a page for each picture"
        )
    _check_kind(page)
    kind = page.dtype.newbyteorder(page.parent.byteorder)
    values = page.parent.filehandle.read_array(kind, stored.count * prod(page.shape), page.dataoffsets[0])
    planes = values.astype(page.dtype, copy=False).reshape(stored.count, *page.shape)
    return [_channels_last(pixels, page) for pixels in planes]


def _channels_last(pixels: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    """Returns the pixels of a page as [H,W,C]."""
    if page.axes == "SYX":
        pixels = np.moveaxis(pixels, 0, -1)
    return pixels.reshape(*pixels.shape[:2], -1)


def _decode_with_pillow(path: str | os.PathLike, stored: Stored, notes: list[str]) -> np.ndarray:
    """Decodes what tifffile needs the package imagecodecs for, as far as Pillow can: 8 bits, and 16 of grey.

    Pillow turns the picture upright; then its orientation is taken from the page.

    path, stored, notes: as for `_decode`.
    """
    page = stored.page
    is_grey = page.dtype == np.uint16 and page.samplesperpixel == 1
    if page.bitspersample > 8 and not (is_grey and (page.bitspersample == 16 or page.parent.byteorder == "<")):
        kind = f"{page.bitspersample}-bit values compressed by {page.compression.name}"
        raise UserError(f"{kind} cannot be read without the package imagecodecs: pip install imagecodecs")
    with open_image(path) as image:
        image.seek(stored.index)
        pixels = np.asarray(image).astype(np.uint16)[:, :, np.newaxis] if is_grey else decoded(image, [])
    if _ORIENTATION in page.tags:
        if page.tags[_ORIENTATION].value != 1:
            notes.append("turned upright")
        del page.tags[_ORIENTATION]
    return pixels


def _settings(
    page: tifffile.TiffPage, pixels: np.ndarray, stated: Stated | None, notes: list[str]
) -> dict[str, Any]:
    """Returns the arguments of TiffWriter.write for a page that is to be like `page`.

    pixels: of the page, decoded.
    stated: of its white and black. A number of bits is kept, as MaxSampleValue, for what is written has all of its type's.
    notes: a line is added for what cannot be kept.
    """
    # Tags that are kept as they are.
    tags = page.tags
    extra: list[tuple] = []
    for code in (_ORIENTATION, _XMP, *_TEXTS):
        if code in tags:
            tag = tags[code]
            extra.append((code, tag.dtype, tag.count if code != _ORIENTATION else 1, tag.value, True))
    if stated is not None and stated.is_of_bits and pixels.dtype.kind == "u":
        extra += [(code, 3, 1, int(value), True) for code, value in ((280, stated.black), (281, stated.white))]
    if any(code in tags for code in _EXIF_AND_GPS):
        notes.append("its EXIF block is left out, but for the orientation")
    # What tifffile makes tags of.
    settings: dict[str, Any] = {
        "photometric": "minisblack" if colours_of(pixels.shape[2]) == 1 else "rgb",
        "compression": None if page.compression == tifffile.COMPRESSION.NONE else "zlib",
        "iccprofile": page.iccprofile if page.photometric in PLAIN else None,
        "description": _description(page),
        "extratags": extra, "software": False, "metadata": None, "contiguous": False,
    }  # fmt: skip
    if page.compression in _ZLIB and page.predictor == tifffile.PREDICTOR.HORIZONTAL:
        settings["predictor"] = True
    if pixels.shape[2] in (2, 4):
        settings["extrasamples"] = [page.extrasamples[0] if page.extrasamples else tifffile.EXTRASAMPLE.UNASSALPHA]
    if {282, 283} <= set(tags.keys()):
        settings["resolution"] = (_number(tags[282]), _number(tags[283]))
        if 296 in tags:
            settings["resolutionunit"] = tags[296].value
    return settings


def _number(tag: tifffile.TiffTag) -> Any:
    """Returns the number of a tag, or its numerator and denominator; the first, where there are several."""
    values = tag.value if isinstance(tag.value, tuple) else (tag.value,)
    is_fraction = tag.dtype in (tifffile.DATATYPE.RATIONAL, tifffile.DATATYPE.SRATIONAL)
    return values[:2] if is_fraction else values[0] if values else 0


def _description(page: tifffile.TiffPage) -> bytes | None:
    """Returns the text that describes a page; that of a stack without the mark that it has one page for all pictures."""
    text = page.description
    if text == page.shaped_description and stack_of_tifffile(page) > 1:
        text = json.dumps({name: value for name, value in json.loads(text).items() if name != "truncated"})
    return text.encode() or None


def _writable(
    settings: list[dict[str, Any]], pages: list[np.ndarray], byteorder: str, notes: list[str]
) -> list[dict[str, Any]]:
    """Returns settings without what tifffile does not write, as damaged tags: known before the work, and not after it.

    settings: of the pages.
    pages: their pixels.
    byteorder: of the file.
    notes: a line is added for what is left out.
    """
    result: list[dict[str, Any]] = []
    before = None
    for wanted, pixels in zip(settings, pages, strict=True):
        now = wanted, pixels.dtype, pixels.shape[2]
        if now == before:
            result.append(result[-1])
            continue
        sample = np.zeros([1, 1] if pixels.shape[2] == 1 else [1, 1, pixels.shape[2]], pixels.dtype)
        is_whole = _writes(sample, wanted, byteorder)
        result.append(wanted if is_whole else _without_damaged(sample, wanted, byteorder, notes))
        before = now
    return result


def _writes(sample: np.ndarray, settings: dict[str, Any], byteorder: str) -> bool:
    """Tells whether tifffile writes a page with these settings."""
    try:
        with tifffile.TiffWriter(io.BytesIO(), byteorder=byteorder) as writer:
            writer.write(sample, **settings)
    except Exception:  # nearly anything
        return False
    return True


def _without_damaged(
    sample: np.ndarray, settings: dict[str, Any], byteorder: str, notes: list[str]
) -> dict[str, Any]:
    """Leaves out each optional setting with which tifffile does not write the sample; arguments as for `_writable`."""
    bare = {name: value for name, value in settings.items() if name not in _OPTIONAL} | {"extratags": []}
    for name in _OPTIONAL:
        if name in settings:
            trial = bare | {name: settings[name]}
            if _writes(sample, trial, byteorder):
                bare = trial
            else:
                notes.append(f"its {_OPTIONAL[name]}, which cannot be written, is left out")
    for tag in settings["extratags"]:
        trial = bare | {"extratags": [*bare["extratags"], tag]}
        if _writes(sample, trial, byteorder):
            bare = trial
        else:
            notes.append(f"its {tifffile.TIFF.TAGS.get(tag[0], 'tag')}, which cannot be written, is left out")
    return bare
