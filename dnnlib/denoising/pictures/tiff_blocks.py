"""The EXIF and GPS blocks of TIFF pages, which tifffile reads, but does not write: lists of tags that a tag points to."""

import os
import struct
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

import tifffile

from dnnlib.denoising.pictures.tiff_tags import Room

_NAMES = {34665: "EXIF", 34853: "GPS"}  # by the tag that points to the block
# Where the pages are written, other tags stand for these, which tifffile leaves out; of numbers that are in no use, and keep
# the order of tags.
_STAND_INS = {34665: 34664, 34853: 34852}
_MAKER_NOTE, _INTEROPERABILITY = 37500, 40965  # they hold places in the file, which are others in another file
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 129: 1}  # bytes, by a tag's type
_MOST_TAGS = 1 << 16


class Entry(NamedTuple):
    """Holds a tag of a block: its code, type and count, and the bytes of its value, in the file's order."""

    code: int
    kind: int
    count: int
    value: bytes


Blocks = dict[int, list[Entry]]  # by the tag that points to each


def read_blocks(page: tifffile.TiffPage, room: Room, notes: list[str]) -> Blocks:
    """Reads the blocks of a page.

    room: for them.
    notes: a line is added for what of them cannot be kept.
    """
    found: Blocks = {}
    for pointer, name in _NAMES.items():
        if pointer in page.tags:
            try:
                found[pointer] = _read(page.parent, _offset(page, page.tags[pointer]), room)
            except (ValueError, struct.error):
                notes.append(f"its {name} block, which is damaged, is left out")
                continue
            kept = [entry for entry in found[pointer] if entry.code not in (_MAKER_NOTE, _INTEROPERABILITY)]
            if any(entry.code == _MAKER_NOTE for entry in found[pointer]):
                notes.append("the camera maker's note in its EXIF block is left out")
            found[pointer] = kept
    return {pointer: entries for pointer, entries in found.items() if entries}


def stand_ins(blocks: Blocks, big: bool) -> list[tuple]:
    """Returns tags, for tifffile to write, that `write_blocks` makes pointers to the blocks. big: of 64 bits."""
    return [(_STAND_INS[pointer], 16 if big else 4, 1, 0, True) for pointer in blocks]


def write_blocks(file: BinaryIO, pages: Sequence[Blocks]) -> None:
    """Adds the blocks to a file that has been written with `stand_ins`. pages: those of each, in their order."""
    if not any(pages):
        return
    file.flush()
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        order, big = tiff.byteorder, tiff.is_bigtiff
        places = []  # of the pointers: of the tag itself, and of its value
        for page, blocks in zip(tiff.pages, pages, strict=True):
            tags = page.aspage().tags if blocks else {}
            places += [(tags[_STAND_INS[p]].offset, tags[_STAND_INS[p]].valueoffset, p, blocks[p]) for p in blocks]
    for tag_offset, value_offset, pointer, entries in places:
        file.seek(0, os.SEEK_END)
        file.write(bytes(file.tell() % 2))  # blocks begin at even places
        start = file.tell()
        file.write(_packed(entries, start, order, big))
        file.seek(tag_offset)
        file.write(struct.pack(f"{order}H", pointer))
        file.seek(value_offset)
        file.write(struct.pack(f"{order}{'Q' if big else 'I'}", start))


def _offset(page: tifffile.TiffPage, tag: tifffile.TiffTag) -> int:
    """Returns where the block is that a tag points to. Raises ValueError."""
    size = {3: 2, 4: 4, 13: 4, 16: 8, 18: 8}.get(int(tag.dtype))
    if size is None or tag.count != 1:
        raise ValueError("no place")
    page.parent.filehandle.seek(tag.offset + (12 if page.parent.is_bigtiff else 8))  # `valueoffset` is where the block is
    return int.from_bytes(page.parent.filehandle.read(size), "little" if page.parent.byteorder == "<" else "big")


def _read(tiff: tifffile.TiffFile, offset: int, room: Room) -> list[Entry]:
    """Reads a block. Raises ValueError or struct.error where it is damaged, or there is no room for it."""
    file, order, big = tiff.filehandle, tiff.byteorder, tiff.is_bigtiff
    count_format, form, inline = ("Q", "HHQ8s", 8) if big else ("H", "HHI4s", 4)
    form = f"{order}{form}"
    entries: list[Entry] = []
    file.seek(min(offset, file.size))
    (count,) = struct.unpack(f"{order}{count_format}", file.read(struct.calcsize(count_format)))
    listed = file.read(min(count, _MOST_TAGS) * struct.calcsize(form))
    for code, kind, length, field in struct.iter_unpack(form, listed):
        size = _SIZES.get(kind, -1) * length
        if not room.take(size):
            raise ValueError("too large, or of an unknown type")
        if size > inline:
            (place,) = struct.unpack(f"{order}{'Q' if big else 'I'}", field)
            file.seek(min(place, file.size))
            field = file.read(size)
            if len(field) < size:
                raise ValueError("beyond the end of the file")
        entries.append(Entry(code, kind, length, field[:size]))
    if len(entries) != count:
        raise ValueError("beyond the end of the file")
    return entries


def _packed(entries: Sequence[Entry], start: int, order: str, big: bool) -> bytes:
    """Returns the bytes of a block that is to lie at `start`. order: '<' or '>'; big: whether places have 64 bits."""
    count_format, form, inline, place_format = ("Q", "HHQ", 8, "Q") if big else ("H", "HHI", 4, "I")
    head = struct.pack(f"{order}{count_format}", len(entries))
    size = len(head) + len(entries) * (struct.calcsize(f"{order}{form}") + inline) + inline  # and the place of no next one
    listed, values = b"", b""
    for code, kind, count, value in entries:
        field = value.ljust(inline, b"\0")
        if len(value) > inline:
            field = struct.pack(f"{order}{place_format}", start + size + len(values))
            values += value + bytes(len(value) % 2)
        listed += struct.pack(f"{order}{form}", code, kind, count) + field
    return head + listed + bytes(inline) + values
