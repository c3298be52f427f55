"""Pictures as NumPy arrays in .npy files: integers or floats, one page or many."""

import os
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from dnnlib.denoising.pictures.limit import Budget
from dnnlib.denoising.pictures.picture import Header, Picture, mode_of
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError


def read_npy(path: str | os.PathLike) -> Picture:
    """Reads an array [H,W], [H,W,C] or [P,H,W,C]. Raises UserError or whatever NumPy does."""
    _mapped_pages(path)  # before anything of the size that the file claims
    array = np.load(path, allow_pickle=False)
    pages = _pages(array)
    return Picture("NumPy", list(pages), min(pages.shape[3], 3), kept=array)


def write_npy(picture: Picture, pages: list[np.ndarray], file: BinaryIO) -> None:
    """Writes an array of the shape, type and order of the one that was read."""
    whole = np.empty_like(picture.kept)
    whole[...] = pages[0].reshape(whole.shape) if whole.ndim < 4 else pages
    np.save(file, whole, allow_pickle=False)


def array_of_floats(picture: Picture, _scales: Sequence[Scale]) -> np.ndarray:
    """Returns an array of the shape and order of the one that was read, but float32."""
    return np.empty_like(picture.kept, np.float32)


def read_header(path: str | os.PathLike) -> Header:
    """Reads the size and type of the pages. Raises as `read_npy`."""
    pages = _mapped_pages(path)
    count, height, width, channels = pages.shape
    return Header(width, height, mode_of(channels, pages.dtype), count)


def _mapped_pages(path: str | os.PathLike) -> np.ndarray:
    """Returns a view [P,H,W,C] of an array that stays in its file. Raises as `read_npy`, also for one that is too large."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    pages = _pages(array)
    if array.size == 0:
        raise UserError("the picture has no pixels")
    count, height, width, channels = pages.shape
    Budget(os.path.getsize(path)).add(width, height, channels * pages.itemsize, count)
    return pages


def _pages(array: np.ndarray) -> np.ndarray:
    """Returns a view [P,H,W,C] of an array. Raises UserError where it is no picture."""
    if array.ndim == 2:
        pages = array[np.newaxis, :, :, np.newaxis]
    elif array.ndim in (3, 4) and array.shape[-1] in (1, 3, 4):
        pages = array if array.ndim == 4 else array[np.newaxis]
    else:
        wanted = "[H,W], [H,W,C] or [P,H,W,C], C being 1 (grey), 3 (RGB) or 4 (RGB and alpha)"
        raise UserError(f"an array of shape {list(array.shape)} is no picture: expected {wanted}")
    if array.dtype.kind not in "fu" or array.dtype.itemsize > (8 if array.dtype.kind == "f" else 2):
        raise UserError(f"an array of {array.dtype} is no picture: convert it to uint8, uint16 or float32")
    return pages
