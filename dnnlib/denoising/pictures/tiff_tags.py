"""Which tags of a TIFF page its result keeps, and which it cannot have."""

import io
import json
from typing import Any

import numpy as np
import tifffile

from dnnlib.denoising.pictures.picture import left_out
from dnnlib.denoising.pictures.scale import Stated
from dnnlib.denoising.pictures.tiff_pages import stack_of_tifffile

ORIENTATION = 274
OF_ALL_PAGES = (50838, 50839)  # of ImageJ: they stand at the first page
_XMP = 700
_TEXTS = (271, 272, 305, 306, 315, 316, 33432)  # make, model, software, date, artist, computer, copyright
# Kept byte for byte: names, numbers and places of pages, white point and primaries, IPTC; of GeoTIFF and GDAL; of ImageJ.
_VERBATIM = (
    269, 285, 286, 287, 297, 318, 319, 33723,
    33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113,
    *OF_ALL_PAGES,
)  # fmt: skip
_BLOCKS = {34665: "EXIF", 34853: "GPS"}  # kept by `tiff_blocks`
# What tifffile writes by itself, what only says how the pixels were stored, and what is told of otherwise.
_STORAGE = {
    254, 255, 256, 257, 258, 259, 262, 266, 270, 273, 277, 278, 279, 282, 283, 284, 288, 289, 292, 293, 296, 317, 320, 322,
    323, 324, 325, 330, 338, 339, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 33628, 33629, 33630,
    33631, 34675, 65426,
}  # fmt: skip
_BOUNDS = {280, 281, 340, 341}  # of values, which others have after denoising; a number of bits is kept
# Of what `settings_of` returns, what a picture can do without; the words are for people.
_OPTIONAL = {
    "resolution": "resolution", "resolutionunit": "unit of resolution", "iccprofile": "colour profile",
    "description": "description", "predictor": "predictor",
}  # fmt: skip
_FRACTIONS = (tifffile.DATATYPE.RATIONAL, tifffile.DATATYPE.SRATIONAL)


class Room:
    """Counts the bytes of tags that are kept of a file: of all pages no more than it has, whatever they point to."""

    def __init__(self, file_size: int):
        self._left = file_size

    def take(self, size: int) -> bool:
        """Tells whether there is room for so many more bytes, and takes it."""
        fits = 0 <= size <= self._left
        self._left -= size if fits else 0
        return fits


def settings_of(
    page: tifffile.TiffPage, pixels: np.ndarray, is_converted: bool, stated: Stated | None, room: Room, notes: list[str]
) -> dict[str, Any]:
    """Returns the arguments of TiffWriter.write for a page that is to be like `page`.

    pixels: of the page, decoded, with the axes that they have in the file.
    is_converted: whether they are of other colours than in the file: then [H,W,C] of grey or RGB, with or without alpha.
    stated: of its white and black. A number of bits is kept, as MaxSampleValue, for what is written has all of its type's.
    room: for the tags that are kept as they are.
    notes: a line is added for what cannot be kept.
    """
    tags = page.tags
    settings: dict[str, Any] = {
        **(_of_converted(pixels) if is_converted else _of_samples(page)),
        "compression": None if page.compression == tifffile.COMPRESSION.NONE else "zlib",
        "iccprofile": None if is_converted else page.iccprofile,
        "description": _description(page),
        "extratags": _extra_tags(page, pixels, stated, room, notes),
        "software": False, "metadata": None, "contiguous": False,
    }  # fmt: skip
    if settings["compression"] and page.predictor == tifffile.PREDICTOR.HORIZONTAL and not is_converted:
        settings["predictor"] = True
    if {282, 283} <= set(tags.keys()):
        settings["resolution"] = (_number(tags[282]), _number(tags[283]))
        if 296 in tags:
            settings["resolutionunit"] = tags[296].value
    return settings


def _of_samples(page: tifffile.TiffPage) -> dict[str, Any]:
    """Returns the arguments that say what the samples of a page are, for one whose values are taken as they are stored."""
    is_rgb = page.photometric == tifffile.PHOTOMETRIC.RGB and page.samplesperpixel >= 3
    found: dict[str, Any] = {"photometric": "rgb" if is_rgb else "minisblack"}
    if page.samplesperpixel > 1:
        found["planarconfig"] = "separate" if page.axes == "SYX" else "contig"
        if extra := page.samplesperpixel - (3 if is_rgb else 1):
            kinds = [int(kind) if kind in (0, 1, 2) else 0 for kind in page.extrasamples][-extra:]
            found["extrasamples"] = [0] * (extra - len(kinds)) + kinds
    return found


def _of_converted(pixels: np.ndarray) -> dict[str, Any]:
    """Returns the same for pixels [H,W,1..4] that Pillow made."""
    channels = pixels.shape[2]
    found: dict[str, Any] = {"photometric": "minisblack" if channels <= 2 else "rgb"}
    if channels in (2, 4):
        found["extrasamples"] = [tifffile.EXTRASAMPLE.UNASSALPHA]
    return found


def _extra_tags(
    page: tifffile.TiffPage, pixels: np.ndarray, stated: Stated | None, room: Room, notes: list[str]
) -> list[tuple]:
    """Returns the tags that are kept as tifffile takes them; arguments as for `settings_of`."""
    tags = page.tags
    extra: list[tuple] = []
    for code in (ORIENTATION, _XMP, *_TEXTS):
        if code in tags:
            tag = tags[code]
            extra.append((code, tag.dtype, tag.count if code != ORIENTATION else 1, tag.value, True))
    lost = set(tags.keys()) - {ORIENTATION, _XMP, *_TEXTS, *_BLOCKS, *_STORAGE, *_BOUNDS}
    for tag in [tags[code] for code in _VERBATIM if code in lost]:
        if (value := _bytes_of(page, tag, room)) is not None:
            extra.append((tag.code, tag.dtype, tag.count, value, True))
            lost.remove(tag.code)
    if stated is not None and stated.is_of_bits and pixels.dtype.kind == "u":
        extra += [(code, 3, 1, int(value), True) for code, value in ((280, stated.black), (281, stated.white))]
    if lost:
        notes.append(left_out("tags", [tifffile.TIFF.TAGS.get(code, str(code)) for code in sorted(lost)]))
    return extra


def _bytes_of(page: tifffile.TiffPage, tag: tifffile.TiffTag, room: Room) -> bytes | tuple | None:
    """Returns the value of a tag as it lies in the file; None where it does not, or there is no room for it."""
    if tag.dtype in _FRACTIONS:  # of which tifffile takes numbers only
        return tag.value
    file, size = page.parent.filehandle, tag.valuebytecount
    if tag.valueoffset + size > file.size or not room.take(size):
        return None
    file.seek(tag.valueoffset)
    return file.read(size)


def _number(tag: tifffile.TiffTag) -> Any:
    """Returns the number of a tag, or its numerator and denominator; the first, where there are several."""
    values = tag.value if isinstance(tag.value, tuple) else (tag.value,)
    return values[:2] if tag.dtype in _FRACTIONS else values[0] if values else 0


def _description(page: tifffile.TiffPage) -> bytes | None:
    """Returns the text that describes a page; that of a stack without the mark that it has one page for all pictures."""
    text = page.description
    if text == page.shaped_description and stack_of_tifffile(page) > 1:
        text = json.dumps({name: value for name, value in json.loads(text).items() if name != "truncated"})
    return text.encode() or None


def writable(
    settings: list[dict[str, Any]], shapes: list[tuple[int, ...]], dtypes: list[np.dtype], byteorder: str, notes: list[str]
) -> list[dict[str, Any]]:
    """Returns settings without what tifffile does not write, as damaged tags: known before the work, and not after it.

    settings: of the pages.
    shapes, dtypes: of their pixels, with the axes that they have in the file.
    byteorder: of the file.
    notes: a line is added for what is left out.
    """
    result: list[dict[str, Any]] = []
    before = None
    for wanted, shape, dtype in zip(settings, shapes, dtypes, strict=True):
        now = wanted, shape, dtype
        if now == before:
            result.append(result[-1])
            continue
        samples = () if len(shape) == 2 or shape[2] == 1 else (shape[2],)
        is_separate = wanted.get("planarconfig") == "separate"
        sample = np.zeros((shape[0], 1, 1) if is_separate else (1, 1, *samples), dtype)
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
    """Leaves out each optional setting with which tifffile does not write the sample; arguments as for `writable`."""
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
