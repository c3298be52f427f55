"""A user's picture in memory, with all that must survive denoising."""

import os
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from dnnlib.denoising.pictures import formats
from dnnlib.denoising.pictures.scale import Stated
from dnnlib.errors import UserError, one_line, printable
from dnnlib.files import atomic_write, remove_abandoned

_MOST_NAMED = 6  # of what is left out, in a line


class Header(NamedTuple):
    """Holds what a file says of its picture before it is decoded.

    width, height: in pixels.
    mode: kind of the pixels, Pillow's name for it (RGB, L, ...) or one in the same manner.
    pages: how many pictures there are, the size and mode being those of the first.
    channels: how many of them are the channels of the first picture, where each channel is a page.
    """

    width: int
    height: int
    mode: str
    pages: int = 1
    channels: int = 1


@dataclass
class Picture:
    """A picture, or all pages of a file, as they were stored.

    kind: the format, a name of the table of formats.
    pages: [H,W,C] each, in the file's own type, of which the first `colours` channels are to be denoised; the rest is alpha.
    colours: 1 or 3.
    kept: what the format's writer needs to write a file like the one that was read.
    notes: what the user should know of the conversion.
    unwritable: why no file like the one that was read can be written; None where it can.
    stated: for each page what the file's tags state of black and white, None: nothing; empty: nothing of any page.
    first: numbers of the pages that are the channels of one picture, the first; others follow in the same manner.
    """

    kind: str
    pages: list[np.ndarray]
    colours: int
    kept: Any = field(default=None, repr=False)
    notes: list[str] = field(default_factory=list)
    unwritable: str | None = None
    stated: list[Stated | None] = field(default_factory=list)
    first: tuple[int, ...] = (0,)

    @property
    def format(self) -> formats.Format:
        """Returns the row of the table of formats."""
        return formats.named(self.kind)

    def write(self, path: str | os.PathLike, pages: list[np.ndarray]) -> None:
        """Writes pages of the same shapes and type to a file like the one that was read, atomically.

        Raises UserError, naming the file.
        """
        write = formats.function(self.format.writer)
        try:
            remove_abandoned(path)
            with atomic_write(path) as file:
                write(self, pages, file)
        except (OSError, UserError) as error:
            raise UserError(f"cannot write {path}: {getattr(error, 'strerror', None) or one_line(error)}") from error


def colours_of(channels: int) -> int:
    """Returns how many of the channels of a picture are no alpha: 1 of grey, 3 of RGB."""
    return 1 if channels <= 2 else 3


def left_out(what: str, names: list[str]) -> str:
    """Returns a note of what a result is without. what: what they are, in the plural; names: of some of a file."""
    rest = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"its {what} {printable(', '.join(names[:_MOST_NAMED]))}{rest} are left out"


def mode_of(channels: int, dtype: np.dtype) -> str:
    """Returns a name for a kind of pixels in the manner of Pillow's modes: RGB, LA, RGB uint16."""
    name = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}.get(channels, f"{channels} channels")
    return name if dtype == np.uint8 else f"{name} {dtype.name}"
