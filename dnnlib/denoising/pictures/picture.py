"""A user's picture in memory, with all that must survive denoising."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from dnnlib.errors import UserError, one_line
from dnnlib.files import atomic_write, remove_abandoned


@dataclass
class Picture:
    """pages: [H,W,C] each, in the file's own type, of which the first `colours` channels (1 or 3) are to be denoised and
    the rest is alpha. encode(pages, file): writes pages of the same shapes and type as the file was. kind: 'PNG', 'JPEG',
    'WebP', 'TIFF' or 'NumPy'. notes: what the user should know of the conversion."""

    kind: str
    pages: list[np.ndarray]
    colours: int
    encode: Callable[[list[np.ndarray], BinaryIO], None] = field(repr=False)
    notes: list[str] = field(default_factory=list)

    def write(self, path: str | os.PathLike, pages: list[np.ndarray]) -> None:
        """Writes a file like the one that was read, atomically. Raises UserError, naming the file."""
        try:
            remove_abandoned(path)
            with atomic_write(path) as file:
                self.encode(pages, file)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot write {path}: {getattr(error, 'strerror', None) or one_line(error)}") from error
