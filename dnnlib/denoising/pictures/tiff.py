"""TIFF files: 8 and 16 bits and floats, one page or many, with the tags that say something of the picture."""

import logging
import math
import os
import re
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import tifffile
from PIL import Image

from dnnlib.denoising.pictures.picture import Header, Picture, colours_of, mode_of
from dnnlib.denoising.pictures.pillow import decoded, open_image
from dnnlib.denoising.pictures.scale import Stated, largest_of
from dnnlib.errors import UserError

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it has to say of odd tags nobody could act on

_PLAIN = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
_NAMED = {2: "1-bit or palette", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
# Tags that are kept: of type and value, but for these, tifffile sets all by itself.
_ORIENTATION, _XMP = 274, 700
_TEXTS = (271, 272, 305, 306, 315, 316, 33432)  # make, model, software, date, artist, computer, copyright
_EXIF_AND_GPS = (34665, 34853)
_INVERTED = "black and white are stored the wrong way round (white is zero): convert it"
_ZLIB = (8, 32946)
_SIGNIFICANT_BITS = r"<(?:\w+:)?Pixels\b[^>]*?\sSignificantBits\s*=\s*[\"'](\d{1,2})[\"']"  # in OME-XML
_LARGEST, _SMALLEST = {281: "MaxSampleValue", 341: "SMaxSampleValue"}, {281: 280, 341: 340}  # by the code of the first


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
    with tifffile.TiffFile(path) as tiff:
        chosen = _pictures(tiff)
        if len(chosen) < len(tiff.pages):
            notes.append("its thumbnails are left out")
        if tiff.is_imagej and (tiff.imagej_metadata or {}).get("images", 1) > len(tiff.pages):
            raise UserError("a stack in ImageJ's layout for large files: save it with a page for each picture")
        for _, page in chosen:
            _check(page, os.path.getsize(path))
        decoded_pages = [_decode(path, i, page, notes) for i, page in chosen]
        stated = [_stated(page, tiff.ome_metadata) for _, page in chosen]
        pages = [page for _, page in chosen]
        settings = [_settings(*of_page, notes) for of_page in zip(pages, decoded_pages, stated, strict=True)]
        unwritable = _INVERTED if any(_is_inverted(page) for _, page in chosen) else None
        layout = _Layout(tiff.byteorder, tiff.is_bigtiff, settings)
    if not decoded_pages:
        raise UserError("there is no picture in the file")
    colours = {colours_of(pixels.shape[2]) for pixels in decoded_pages}
    if len(colours) > 1:
        raise UserError("grey and colour pages are mixed: split them into files of their own")
    return Picture("TIFF", decoded_pages, colours.pop(), layout, list(dict.fromkeys(notes)), unwritable, stated)


def write_tiff(picture: Picture, pages: list[np.ndarray], file: BinaryIO) -> None:
    """Writes a TIFF file with the layout and the tags of the one that was read."""
    layout: _Layout = picture.kept
    large = sum(pixels.nbytes for pixels in pages) > 4_000_000_000
    with tifffile.TiffWriter(file, byteorder=layout.byteorder, bigtiff=layout.bigtiff or large) as writer:
        for pixels, options in zip(pages, layout.settings, strict=True):
            writer.write(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, **options)


def read_header(path: str | os.PathLike) -> Header:
    """Reads the size of the first page, and how many there are. Raises UserError or whatever tifffile does."""
    with tifffile.TiffFile(path) as tiff:
        pages = _pictures(tiff)
        if not pages:
            raise UserError("there is no picture in the file")
        _, first = pages[0]
        _check(first, os.path.getsize(path))
        plain = first.photometric in _PLAIN and first.dtype is not None
        mode = mode_of(first.samplesperpixel, first.dtype) if plain else first.photometric.name
        return Header(first.imagewidth, first.imagelength, mode, len(pages))


def _pictures(tiff: tifffile.TiffFile) -> list[tuple[int, tifffile.TiffPage]]:
    """Returns the numbers, from 0, and the pages of all that are no thumbnails."""
    pages = ((i, page.aspage()) for i, page in enumerate(tiff.pages))
    return [(i, page) for i, page in pages if not (page.is_reduced or page.is_mask)]


def _is_inverted(page: tifffile.TiffPage) -> bool:
    """Tells whether zero is white in a page of more than 1 bit. Pillow turns 8 bits round; nothing turns them back."""
    return page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and page.bitspersample > 1


def _check(page: tifffile.TiffPage, file_size: int) -> None:
    """Raises UserError for a page without pixels, too large or not whole."""
    if page.imagewidth * page.imagelength == 0:
        raise UserError("the picture has no pixels")
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 1 << 62)
    if page.imagewidth * page.imagelength > limit:
        raise UserError(f"the picture is too large ({page.imagewidth} x {page.imagelength} pixels, {limit} are allowed)")
    if any(offset + count > file_size for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)):
        raise UserError("the file is truncated")


def _decode(path: str | os.PathLike, index: int, page: tifffile.TiffPage, notes: list[str]) -> np.ndarray:
    """Decodes one page to [H,W,C] in its own type, or uint8 where its colours are converted.

    path: of the file.
    index: of the page, from 0.
    page: the same, as tifffile has it.
    notes: a line is added for what is converted.
    """
    if _is_inverted(page) and page.bitspersample > 8:
        raise UserError(_INVERTED)
    # What Pillow converts.
    if page.photometric not in _PLAIN or page.bitspersample < 8:
        notes.append(f"{_NAMED.get(int(page.photometric), 'its colours')} converted to 8-bit grey or RGB")
        return _decode_with_pillow(path, index, page, notes)
    # What is no picture.
    if page.dtype is None or page.dtype.kind not in "fu" or page.dtype.itemsize > (8 if page.dtype.kind == "f" else 2):
        raise UserError(f"pictures of {page.dtype or 'this type'} are not supported: convert it to 8 or 16 bits or float32")
    if page.axes not in ("YX", "YXS", "SYX"):
        raise UserError(f"a page with axes {page.axes} is no picture")
    alpha = len(page.extrasamples)
    if page.samplesperpixel - alpha not in (1, 3) or alpha > 1:
        raise UserError(f"{page.samplesperpixel} channels: expected grey or RGB, with or without alpha")
    # The pixels.
    try:
        pixels = page.asarray()
    except (KeyError, ValueError, ImportError, NotImplementedError) as error:  # the last of bits that are packed
        if "imagecodecs" not in str(error) and not isinstance(error, ImportError):
            raise
        return _decode_with_pillow(path, index, page, notes)
    if page.axes == "SYX":
        pixels = np.moveaxis(pixels, 0, -1)
    return pixels.reshape(*pixels.shape[:2], -1)


def _decode_with_pillow(path: str | os.PathLike, index: int, page: tifffile.TiffPage, notes: list[str]) -> np.ndarray:
    """Decodes what tifffile needs the package imagecodecs for, as far as Pillow can: 8 bits, and 16 of grey.

    Pillow turns the picture upright; then its orientation is taken from the page.

    path, index, page, notes: as for `_decode`.
    """
    is_grey = page.dtype == np.uint16 and page.samplesperpixel == 1
    if page.bitspersample > 8 and not (is_grey and (page.bitspersample == 16 or page.parent.byteorder == "<")):
        kind = f"{page.bitspersample}-bit values compressed by {page.compression.name}"
        raise UserError(f"{kind} cannot be read without the package imagecodecs: pip install imagecodecs")
    with open_image(path) as image:
        image.seek(index)
        pixels = np.asarray(image).astype(np.uint16)[:, :, np.newaxis] if is_grey else decoded(image, [])
    if _ORIENTATION in page.tags:
        if page.tags[_ORIENTATION].value != 1:
            notes.append("turned upright")
        del page.tags[_ORIENTATION]
    return pixels


def _stated(page: tifffile.TiffPage, ome: str | None) -> Stated | None:
    """Returns what tags state of white and black: bits that are fewer than the type's, or the bounds of the values.

    page: as tifffile has it.
    ome: the file's OME-XML, None: it has none.

    ImageJ's `min` and `max` are those that it shows as black and white, and state nothing.
    """
    dtype = page.dtype
    if dtype is None or page.photometric not in _PLAIN or page.bitspersample < 8:
        return None  # Pillow scales these to 8 bits
    largest = largest_of(dtype) if dtype.kind == "u" and dtype.itemsize <= 2 else None
    if largest is not None and 2**page.bitspersample - 1 < largest:
        return Stated(2.0**page.bitspersample - 1, f"BitsPerSample, {page.bitspersample},")
    bits = {int(found) for found in re.findall(_SIGNIFICANT_BITS, ome or "")}
    if largest is not None and len(bits) == 1 and 0 < 2 ** min(bits) - 1 < largest:
        return Stated(2.0 ** min(bits) - 1, f"SignificantBits, {min(bits)},")
    for code, name in _LARGEST.items():
        white, black = (_one_value(page, number) for number in (code, _SMALLEST[code]))
        if white is not None and (black or 0) < white < (largest or math.inf):
            return Stated(white, name, black or 0.0, may_be_statistic=True)
    return None


def _one_value(page: tifffile.TiffPage, code: int) -> float | None:
    """Returns the number that a tag has for all channels; None: there is no such tag, or no one number."""
    value = page.tags[code].value if code in page.tags else None
    values = set(value) if isinstance(value, tuple) else {value}
    single = values.pop() if len(values) == 1 else None
    return float(single) if isinstance(single, (int, float)) and math.isfinite(single) else None


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
        "iccprofile": page.iccprofile if page.photometric in _PLAIN else None,
        "description": page.description.encode() or None,
        "extratags": extra, "software": False, "metadata": None, "contiguous": False,
    }  # fmt: skip
    if page.compression in _ZLIB and page.predictor == tifffile.PREDICTOR.HORIZONTAL:
        settings["predictor"] = True
    if pixels.shape[2] in (2, 4):
        settings["extrasamples"] = [page.extrasamples[0] if page.extrasamples else tifffile.EXTRASAMPLE.UNASSALPHA]
    if {282, 283} <= set(tags.keys()):
        settings["resolution"] = (tags[282].value, tags[283].value)
        settings["resolutionunit"] = tags[296].value if 296 in tags else None
    return settings
