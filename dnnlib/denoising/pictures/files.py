"""Reads a user's picture, PNG, JPEG, WebP, TIFF or .npy, so that another like it can be written."""

import os
from typing import BinaryIO

import numpy as np

from dnnlib.denoising.pictures.images import open_image, unreadable
from dnnlib.denoising.pictures.picture import Picture
from dnnlib.denoising.pictures.pillow import read_with_pillow
from dnnlib.denoising.pictures.tiff import read_tiff, tiff_page_count
from dnnlib.errors import UserError

_NUMPY = b"\x93NUMPY"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_picture(path: str | os.PathLike) -> Picture:
    """Reads a picture of any of the kinds, whatever its name ends in.

    Raises UserError, naming the file and what is wrong.
    """
    try:
        if not os.path.isfile(path):
            open_image(path)  # says why: no such file, a folder, a pipe
        start = _start(path)
        if start.startswith(_NUMPY):
            return _read_npy(path)
        if start[:4] in _TIFF:
            return read_tiff(path)
        if start.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff")) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
            return read_with_pillow(path)
        raise OSError("the file is empty" if not start else "not a picture of a known kind (PNG, JPEG, TIFF, WebP, .npy)")
    except UserError as error:
        raise UserError(f"cannot read {os.fspath(path)}: {error}") from error
    except Exception as error:  # a damaged file makes libraries raise nearly anything
        raise unreadable(path, error) from error


def page_count(path: str | os.PathLike) -> int:
    """How many pages `read_picture` finds, without decoding them; 1 where it will say what is wrong with the file."""
    try:
        start = _start(path)
        if start.startswith(_NUMPY):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return (len(array) or 1) if array.ndim == 4 else 1
        return tiff_page_count(path) if start[:4] in _TIFF else 1
    except Exception:  # a damaged file makes libraries raise nearly anything
        return 1


def _start(path: str | os.PathLike) -> bytes:
    with open(path, "rb") as file:
        return file.read(16)


def _read_npy(path: str | os.PathLike) -> Picture:
    array = np.load(path, allow_pickle=False)
    if array.ndim == 2:
        pages = [array[:, :, np.newaxis]]
    elif array.ndim in (3, 4) and array.shape[-1] in (1, 3, 4):
        pages = [array] if array.ndim == 3 else list(array)
    else:
        wanted = "[H,W], [H,W,C] or [P,H,W,C], C being 1 (grey), 3 (RGB) or 4 (RGB and alpha)"
        raise UserError(f"an array of shape {list(array.shape)} is no picture: expected {wanted}")
    if array.dtype.kind not in "fu" or array.dtype.itemsize > (8 if array.dtype.kind == "f" else 2):
        raise UserError(f"an array of {array.dtype} is no picture: convert it to uint8, uint16 or float32")
    if array.size == 0:
        raise UserError("the picture has no pixels")

    def encode(results: list[np.ndarray], file: BinaryIO) -> None:
        whole = np.empty_like(array)
        whole[...] = results[0].reshape(array.shape) if array.ndim < 4 else results
        np.save(file, whole, allow_pickle=False)

    return Picture("NumPy", pages, min(pages[0].shape[2], 3), encode)
