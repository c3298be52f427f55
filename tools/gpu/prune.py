#!/usr/bin/env python3
"""Blanks the code for other GPUs in TensorFlow's libraries, so that they pack into half the size.

    python3 prune.py FOLDER 90

keeps what GPUs of compute capability 9.0 run, and fills the rest with zeros, in place: nothing else moves. The rest is
the machine code for other capabilities and all PTX, from which the driver makes code for later ones. A library's
section `.nv_fatbin` is a row of containers: a header (magic number, version u16, size of the header u16, size of what
follows u64), and entries, each with a header of its own (kind u16: 1 PTX, 2 machine code; size of the header u32 at 4, size
of the code u64 at 8, capability u32 at 28).
"""

import struct
import sys
from pathlib import Path

MAGIC = 0xBA55ED50
SECTION = b".nv_fatbin"
MACHINE_CODE = 2


def main(folder: str, capability: str) -> None:
    for path in sorted(Path(folder).rglob("*.so*")):
        if section := find_section(path):
            kept, blanked = prune(path, *section, int(capability))
            print(f"{path.name}: {kept >> 20} MiB of GPU code kept, {blanked >> 20} MiB blanked")


def find_section(path: Path) -> tuple[int, int] | None:
    """Returns where the GPU code of an ELF file of 64 bits begins, and its size in bytes; None if it has none."""
    with open(path, "rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            return None
        (table,) = struct.unpack_from("<Q", header, 40)
        size, count, names = struct.unpack_from("<HHH", header, 58)
        file.seek(table)
        rows = file.read(size * count)
        sections = [struct.unpack_from("<II4Q", rows, size * i) for i in range(count)]
        *_, offset, length = sections[names]
        file.seek(offset)
        strings = file.read(length)
    for name, _, _, _, offset, length in sections:
        if strings[name : strings.index(b"\0", name)] == SECTION:
            return offset, length
    return None


def prune(path: Path, offset: int, length: int, capability: int) -> tuple[int, int]:
    """Blanks code in a section of a file, and returns how many bytes of it were kept, and how many not."""
    with open(path, "r+b") as file:
        file.seek(offset)
        data = bytearray(file.read(length))
        kept = blanked = at = 0
        while at < length:
            if at + 16 > length or struct.unpack_from("<I", data, at)[0] != MAGIC:
                at += 8  # padding between containers
                continue
            header, size = struct.unpack_from("<HQ", data, at + 6)
            entry, end = at + header, at + header + size
            while entry < end:
                kind, _, header, size = struct.unpack_from("<HHIQ", data, entry)
                (found,) = struct.unpack_from("<I", data, entry + 28)
                if kind == MACHINE_CODE and found == capability:
                    kept += size
                else:
                    data[entry + header : entry + header + size] = bytes(size)
                    blanked += size
                entry += header + size
            at = end
        file.seek(offset)
        file.write(data)
    return kept, blanked


if __name__ == "__main__":
    main(*sys.argv[1:])
