"""What the tags of a TIFF file say of the values that stand for black and white, and for nothing."""

import math
import re

import tifffile

from dnnlib.denoising.pictures.scale import Stated, largest_of
from dnnlib.denoising.pictures.tiff_pages import PLAIN

_SIGNIFICANT_BITS = r"<(?:\w+:)?Pixels\b[^>]*?\sSignificantBits\s*=\s*[\"'](\d{1,2})[\"']"  # in OME-XML
NODATA = 42113  # GDAL's tag, a text
_LARGEST, _SMALLEST = {281: "MaxSampleValue", 341: "SMaxSampleValue"}, {281: 280, 341: 340}  # by the code of the first


def stated_scale(page: tifffile.TiffPage, ome: str | None) -> Stated | None:
    """Returns what tags state of white and black: bits that are fewer than the type's, or the bounds of the values.

    page: as tifffile has it.
    ome: the file's OME-XML, None: it has none.

    ImageJ's `min` and `max` are those that it shows as black and white, and state nothing.
    """
    dtype = page.dtype
    if not _as_stored(page):
        return None
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


def stated_nodata(page: tifffile.TiffPage) -> float | None:
    """Returns the value that GDAL's tag says stands for none; None: there is no such tag, or no number in it.

    page: as tifffile has it.
    """
    text = page.tags[NODATA].value if NODATA in page.tags and _as_stored(page) else None
    try:
        return float(text.strip(" \t\r\n\0")) if isinstance(text, str) else None
    except ValueError:
        return None


def _as_stored(page: tifffile.TiffPage) -> bool:
    """Tells whether the values of a page are taken as they are stored; others Pillow scales to 8 bits."""
    return page.dtype is not None and page.photometric in PLAIN and page.bitspersample >= 8


def _one_value(page: tifffile.TiffPage, code: int) -> float | None:
    """Returns the number that a tag has for all channels; None: there is no such tag, or no one number."""
    value = page.tags[code].value if code in page.tags else None
    values = set(value) if isinstance(value, tuple) else {value}
    single = values.pop() if len(values) == 1 else None
    return float(single) if isinstance(single, (int, float)) and math.isfinite(single) else None
