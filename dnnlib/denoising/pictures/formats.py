"""The table of picture formats: how each is known, and what reads and writes it. A new format is one more row.

Imports neither NumPy nor Pillow: help texts and wrong command lines are answered from here.
"""

import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass

_PACKAGE = "dnnlib.denoising.pictures"


@dataclass(frozen=True)
class Format:
    """Describes a format of picture files. Functions are named as 'module:function', and imported when they are needed.

    kind: what messages call it, and its pictures (`Picture.kind`).
    suffixes: of the files that are taken from folders, in lower case; none: only files named one by one.
    start: regular expression of a file's first bytes.
    reader: path -> Picture. Raises UserError, or whatever its library does.
    writer: (picture, pages, file), writes pages in the likeness of a picture that was read. None: the program does not
        write this format, so that its files serve as clean pictures only.
    header: path -> Header, without decoding the pixels. None: the picture is read for it.
    holds_pages: whether a file may hold several pictures.
    as_floats: (picture, scales of its pages) -> what the writer needs to write float32 in the picture's units instead of
        integers. None: the format holds no floats.
    takes_axes: whether the user may tell the axes, so that reader and header take them (a string or None) after the path.
    takes_upper_bits: of 16-bit values the upper 8 are kept where 8 bits are wanted; else they are scaled and rounded.
    """

    kind: str
    suffixes: tuple[str, ...]
    start: bytes
    reader: str
    writer: str | None = None
    header: str | None = None
    holds_pages: bool = False
    as_floats: str | None = None
    takes_axes: bool = False
    takes_upper_bits: bool = False


def _with_pillow(kind: str, suffixes: tuple[str, ...], start: bytes, **others) -> Format:
    """Makes the row of a format that Pillow reads.

    kind, suffixes, start: as for Format.
    others: its other attributes; reader: the name of a function in `pillow`, without the module.
    """
    reader = others.pop("reader", "read_plain")
    return Format(kind, suffixes, start, f"{_PACKAGE}.pillow:{reader}", header=f"{_PACKAGE}.pillow:read_header", **others)


# Only plain raster formats: Pillow knows others too, and hands some of them (EPS) to outside programs.
FORMATS: tuple[Format, ...] = (
    _with_pillow(
        "PNG", (".png",), rb"\x89PNG\r\n", reader="read_png", writer=f"{_PACKAGE}.pillow:write_png", takes_upper_bits=True
    ),
    _with_pillow(
        "JPEG", (".jpg", ".jpeg"), rb"\xff\xd8\xff", reader="read_jpeg", writer=f"{_PACKAGE}.pillow:write_with_options"
    ),
    Format(
        "TIFF", (".tif", ".tiff"), rb"II[*+]\0|MM\0[*+]", f"{_PACKAGE}.tiff:read_tiff", f"{_PACKAGE}.tiff:write_tiff",
        f"{_PACKAGE}.tiff:read_header", holds_pages=True, takes_axes=True, as_floats=f"{_PACKAGE}.tiff:layout_of_floats",
    ),
    _with_pillow(
        "WebP", (".webp",), rb"RIFF....WEBP", reader="read_webp", writer=f"{_PACKAGE}.pillow:write_with_options"
    ),
    Format(
        "NumPy", (".npy",), rb"\x93NUMPY", f"{_PACKAGE}.npy:read_npy", f"{_PACKAGE}.npy:write_npy",
        f"{_PACKAGE}.npy:read_header", holds_pages=True, takes_axes=True, as_floats=f"{_PACKAGE}.npy:array_of_floats",
    ),
    _with_pillow("BMP", (".bmp",), rb"BM"),
    _with_pillow("GIF", (), rb"GIF8[79]a"),
    _with_pillow("PPM", (), rb"P[0-6]"),
)  # fmt: skip
START_LENGTH = 16  # bytes of a file that tell its format


def formats(writable_only: bool) -> list[Format]:
    """Returns the formats that are read, or only those in whose likeness the program also writes."""
    return [row for row in FORMATS if row.writer or not writable_only]


def with_floats() -> str:
    """Returns the names of the formats that hold floats, for messages."""
    return " or ".join(f"{row.kind} ({row.suffixes[0]})" for row in FORMATS if row.as_floats)


def suffixes(writable_only: bool) -> tuple[str, ...]:
    """Returns the suffixes of files that are taken from folders, in lower case."""
    return tuple(suffix for row in formats(writable_only) for suffix in row.suffixes)


def kinds(writable_only: bool) -> str:
    """Returns the names of the formats that are taken from folders, for help texts and messages."""
    return ", ".join(row.kind for row in formats(writable_only) if row.suffixes)


def format_of(start: bytes) -> Format | None:
    """Returns the format of a file by its first bytes; None: of no known one."""
    return next((row for row in FORMATS if re.match(row.start, start, re.DOTALL)), None)


def named(kind: str) -> Format:
    """Returns the row of a kind. Raises KeyError for one that is not in the table."""
    return {row.kind: row for row in FORMATS}[kind]


def function(name: str) -> Callable:
    """Imports a function of the table, given as 'module:function'."""
    return pkgutil.resolve_name(name)
