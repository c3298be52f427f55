"""What a TIFF file holds: pages, stacks that lie behind one page, thumbnails, and what is hidden in SubIFDs."""

import json
import lzma
import operator
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import tifffile

from dnnlib.denoising.pictures.limit import Budget
from dnnlib.errors import UserError

PLAIN = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)  # whose values are taken as they are stored
_UNPACKERS = {8: zlib.decompressobj, 32946: zlib.decompressobj, 34925: lzma.LZMADecompressor}
_SMALL = 1 << 16  # bytes that unpack to 64 MB by zlib, and to some hundreds by LZMA
_SLACK = 1 << 20  # bytes that a strip may have beyond its pixels
_OLD_JPEG = 6  # has other tags for where it is
_MOST_AXES = 32  # of the shape of a stack, in a text that could claim any number


@dataclass(frozen=True)
class Stored:
    """Holds where a picture is, or a stack of pictures alike, of which only the first has a page.

    index: the page's number in the file, from 0.
    page: the same, as tifffile has it.
    count: how many pictures there are.
    """

    index: int
    page: tifffile.TiffPage
    count: int = 1


def check_list(path: str | os.PathLike) -> None:
    """Raises UserError where the list of pages leads back into itself, as tifffile would follow it for ever."""
    with open(path, "rb") as file:
        start = file.read(16)
        order = "<" if start[:2] == b"II" else ">"
        big = struct.unpack(f"{order}H", start[2:4]) == (43,)
        first, count_format, tag_size, offset_format = (8, "Q", 20, "Q") if big else (4, "H", 12, "I")
        count_size, offset_size = (struct.calcsize(f"{order}{form}") for form in (count_format, offset_format))
        seen, field = set(), start[first : first + offset_size]
        while len(field) == offset_size:
            (offset,) = struct.unpack(f"{order}{offset_format}", field)
            if offset in seen:
                raise UserError(f"the file is damaged (page {len(seen) + 1} of its list is one that was there before)")
            if not offset or offset >= 1 << 62:
                return
            seen.add(offset)
            file.seek(offset)
            count = file.read(count_size)
            if len(count) < count_size:
                return
            file.seek(min(offset + count_size + struct.unpack(f"{order}{count_format}", count)[0] * tag_size, 1 << 62))
            field = file.read(offset_size)


def pictures_in(tiff: tifffile.TiffFile, notes: list[str]) -> list[Stored]:
    """Returns where the pictures of an open file are, in order, all that is no thumbnail.

    notes: a line is added for what is left out.

    Raises UserError where there is none, one is too large or not whole, or a SubIFD holds more than smaller copies.
    """
    size = tiff.filehandle.size
    stacks, budget = _stacks(tiff), Budget(size)
    found, left_out = [], None  # of what is left out, the largest
    for i, page in enumerate(each.aspage() for each in tiff.pages):
        copies = _smaller_copies(page)
        if page.is_reduced or page.is_mask:
            left_out = page if left_out is None or _area(page) > _area(left_out) else left_out
            continue
        if copies:
            notes.append("its smaller copies are left out")
        count = stacks.get(i) or stack_of_tifffile(page)
        _check(page, count, size, budget)
        found.append(Stored(i, page, count))
    if not found:
        raise UserError(f"there is no picture in the file{f' but a thumbnail, {described(left_out)}' if left_out else ''}")
    if left_out:
        if _area(left_out) > max(_area(stored.page) for stored in found):
            raise _hidden(left_out, found[0].page)
        notes.append("its thumbnails are left out")
    if tiff.is_stk:
        notes.append("MetaMorph's own tags are left out")
    # What ImageJ's own count says that the list of pages, and a stack behind the first, do not have.
    told = (tiff.imagej_metadata or {}).get("images", 1) if tiff.is_imagej else 1
    if isinstance(told, int) and told > sum(stored.count for stored in found):
        raise UserError(f"ImageJ stored {told} pictures there, and not all are found: save it with a page for each picture")
    return found


def check_segments(page: tifffile.TiffPage) -> None:
    """Raises UserError where a strip or tile unpacks to far more than its pixels, which tifffile would take memory for."""
    if page.compression not in _UNPACKERS:
        return
    size = prod(page.chunks) * page.dtype.itemsize + _SLACK
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count > _SMALL:
            page.parent.filehandle.seek(offset)
            packed = page.parent.filehandle.read(count)
            if len(_UNPACKERS[page.compression]().decompress(packed, size + 1)) > size:
                raise UserError("the file is damaged (a strip or tile unpacks to more than its pixels)")


def described(page: tifffile.TiffPage) -> str:
    """Describes a page for a message."""
    return f"{page.imagewidth} x {page.imagelength} {getattr(page.photometric, 'name', page.photometric)} {page.dtype}"


def stack_of_tifffile(page: tifffile.TiffPage) -> int:
    """Returns how many pictures tifffile stored behind a page, as its description says; 1 of other pages."""
    try:
        words = json.loads(page.shaped_description or "{}")
        shape = list(map(operator.index, words.get("shape", ())))
        if len(shape) > _MOST_AXES or min(shape, default=0) < 1:
            return 1
        count, rest = divmod(prod(shape), prod(page.shape))
        # Older files have no such mark; but then pictures may be in pages of their own, or have been there once.
        there = page.parent.filehandle.size >= page.dataoffsets[0] + count * page.nbytes
        is_stack = words.get("truncated", there and len(page.parent.pages) == 1)
        return count if is_stack and not rest else 1
    except (ValueError, TypeError, AttributeError, ArithmeticError, IndexError):  # whatever is in the text
        return 1


def _stacks(tiff: tifffile.TiffFile) -> dict[int, int]:
    """Returns how many pictures of ImageJ or MetaMorph are behind a page, as tifffile's series say, by the page's number."""
    if tiff.is_shaped or not (tiff.is_imagej or tiff.is_stk):
        return {}
    try:
        series = tiff.series
    except Exception:  # of what programs wrote into texts; the pages are there as TIFF itself says
        return {}
    counts = {each.keyframe.index: prod(each.shape) // prod(each.keyframe.shape) for each in series if each.is_truncated}
    return {index: count for index, count in counts.items() if count > 1}


def _check(page: tifffile.TiffPage, count: int, file_size: int, budget: Budget) -> None:
    """Raises UserError for a page, or a stack behind it, without pixels, too large or not whole."""
    if page.imagewidth * page.imagelength == 0:
        raise UserError("the picture has no pixels")
    pixel_size = page.samplesperpixel * -(-page.bitspersample // 8)
    budget.add(page.imagewidth, page.imagelength, pixel_size, count)
    if page.is_tiled:  # each tile is decoded whole
        Budget(file_size).add(page.tilewidth, page.tilelength * page.tiledepth, pixel_size)
    listed, wanted = len(page.dataoffsets), prod(page.chunked)
    # Of others tifffile would make zeros. What lies in one piece may be listed as that, whatever a strip is said to be.
    if listed < wanted and page.compression != _OLD_JPEG and not page.is_contiguous:
        raise UserError(f"the file is damaged (it lists {listed} of {wanted} strips or tiles)")
    ends = [offset + size for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if count > 1:
        ends.append(page.dataoffsets[0] + count * page.nbytes)
    if any(end > file_size for end in ends):
        raise UserError("the file is truncated")


def _smaller_copies(page: tifffile.TiffPage) -> int:
    """Counts the pictures in the SubIFDs of a page that are smaller copies of it or masks.

    Raises UserError where another picture is among them, as in camera raw, whose page is a preview.
    """
    count = 0
    for other in _sub_pages(page):
        larger = other.imagewidth > page.imagewidth or other.imagelength > page.imagelength
        smaller = _area(other) < _area(page)
        alike = (other.dtype, other.samplesperpixel) == (page.dtype, page.samplesperpixel)
        if larger or not (other.is_reduced or other.is_mask or (smaller and alike)):
            raise _hidden(other, page)
        count += 1
    return count


def _hidden(other: tifffile.TiffPage, page: tifffile.TiffPage) -> UserError:
    """Returns the error for a picture that would be passed over. page: the one that would stand for it."""
    return UserError(
        f"it holds a picture of {described(other)} behind one of {described(page)}, which may be its preview: "
        "convert it to a TIFF of that picture, camera raw with a raw converter"
    )


def _area(page: tifffile.TiffPage) -> int:
    """Returns how many pixels a page has."""
    return page.imagewidth * page.imagelength


def _sub_pages(page: tifffile.TiffPage) -> Iterator[tifffile.TiffPage]:
    """Yields the pages in the SubIFDs of a page, and in theirs, each once."""
    seen, waiting = set(), [page]
    while waiting:
        above = waiting.pop()
        for offset in above.subifds or ():
            if offset >= 8 and offset not in seen:
                seen.add(offset)
                page.parent.filehandle.seek(offset)
                waiting.append(tifffile.TiffPage(page.parent, index=(page.index, len(seen))))
                yield waiting[-1]
