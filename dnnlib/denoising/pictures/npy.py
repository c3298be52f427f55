"""Pictures as NumPy arrays in .npy files: integers or floats, one page or many."""

import os
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from dnnlib.denoising.pictures.axes import Arrangement, arrangement_of, doubt_of
from dnnlib.denoising.pictures.limit import Budget
from dnnlib.denoising.pictures.picture import Header, Picture, mode_of
from dnnlib.denoising.pictures.scale import PIXEL_TYPES, Scale, is_of_pictures
from dnnlib.errors import UserError


class _Kept(NamedTuple):
    """Holds an array as it was read, and how it is made of pages."""

    array: np.ndarray
    arrangement: Arrangement


def read_npy(path: str | os.PathLike, axes: str | None = None) -> Picture:
    """Reads an array.

    axes: of it, as the user told them; None: it is taken as `usual_arrangement` has it.

    Raises UserError or whatever NumPy does.
    """
    _, found = _mapped(path, axes)  # before anything of the size that the file claims
    array = np.load(path, allow_pickle=False)
    notes = [doubt] if axes is None and (doubt := doubt_of(found)) else []
    return Picture(
        "NumPy", list(found.views(array)), found.colours, kept=_Kept(array, found), notes=notes, first=found.first
    )


def write_npy(picture: Picture, pages: list[np.ndarray], file: BinaryIO) -> None:
    """Writes an array of the shape, type and order of the one that was read."""
    array, arrangement = picture.kept
    np.save(file, arrangement.filled(array, iter(pages)), allow_pickle=False)


def array_of_floats(picture: Picture, _scales: Sequence[Scale]) -> _Kept:
    """Returns what makes an array of the shape and order of the one that was read, but float32."""
    return picture.kept._replace(array=np.empty_like(picture.kept.array, np.float32))


def read_header(path: str | os.PathLike, axes: str | None = None) -> Header:
    """Reads the size and type of the pages. Raises as `read_npy`."""
    array, found = _mapped(path, axes)
    height, width, samples = found.page_shape
    return Header(width, height, mode_of(samples, array.dtype), found.count, len(found.first))


def _mapped(path: str | os.PathLike, axes: str | None) -> tuple[np.ndarray, Arrangement]:
    """Returns an array that stays in its file, and its arrangement. Raises as `read_npy`, also for one that is too large."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    found = arrangement_of(array.shape, axes)
    if not is_of_pictures(array.dtype):
        raise UserError(f"an array of {array.dtype} is no picture: convert it to {PIXEL_TYPES}")
    height, width, channels = found.page_shape
    Budget(os.path.getsize(path)).add(width, height, channels * array.itemsize, found.count)
    return array, found
