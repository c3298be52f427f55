"""Pictures as 8-bit arrays, as the published protocol has them: read and written, padded, and rounded."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dnnlib.denoising.pictures.decided_scale import Decided, decide
from dnnlib.denoising.pictures.files import read_picture, unreadable
from dnnlib.denoising.pictures.picture import Picture
from dnnlib.denoising.pictures.pillow import JPEG_QUALITY, encoded
from dnnlib.denoising.pictures.scale import UNTOLD, Scale, Stated, largest_of
from dnnlib.errors import UserError, one_line
from dnnlib.files import atomic_write

STD_SHOWN = 10 / 255  # the std that pictures to look at show as white (SPEC 7.1)
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": JPEG_QUALITY},
    ".jpeg": {"format": "JPEG", "quality": JPEG_QUALITY},
}


def read_image(path: str | os.PathLike, channels: int = 3, told: Scale = UNTOLD) -> np.ndarray:
    """Reads a picture as uint8 [H, W, channels], values 0..255; channels is 3 (RGB) or 1 (SPEC 6.1).

    Alpha is dropped, not blended; grey is repeated to three channels; channels=1 is the rounded mean over the channels.
    Palette and CMYK pictures become RGB, 1-bit ones 0 and 255. What is not of 8 bits is scaled, white to 255, and rounded;
    of PNG files whose white is 65535 the upper 8 bits are kept. Of several pages it is the first. The EXIF orientation is
    not applied: published figures are of the pixels as stored.

    told: the values of black and white, as the user told them.

    Raises UserError, naming the file and what is wrong: missing, no picture, truncated, too large, floats of unknown white.
    """
    return read_clean(path, channels, told)[0]


def read_clean(path: str | os.PathLike, channels: int, told: Scale) -> tuple[np.ndarray, Decided]:
    """Reads a picture as `read_image` does; returns it, and how black and white were decided."""
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, not {channels}")
    picture = read_picture(path, writable_only=False)
    if len(picture.first) > 1:
        raise UserError(f"cannot read {path}: it has {len(picture.first)} channels that are no RGB: save each as a picture")
    return _clean(path, picture, 0, channels, told)


def read_clean_channels(path: str | os.PathLike, told: Scale, axes: str | None) -> list[tuple[np.ndarray, Decided]]:
    """Reads a picture as `read_clean` does, as RGB; of one whose channels are no RGB, each as a grey picture.

    axes: as for `read_picture`.
    """
    picture = read_picture(path, writable_only=False, axes=axes)
    return [_clean(path, picture, page, 3, told) for page in picture.first]


def _clean(path: str | os.PathLike, picture: Picture, page: int, channels: int, told: Scale) -> tuple[np.ndarray, Decided]:
    """Makes a page of a picture what `read_clean` returns. page: its number."""
    pixels = picture.pages[page][:, :, : picture.colours]
    try:
        picture.check_whole(page)
        found = _decided_clean(pixels, told, picture.stated[page] if picture.stated else None)
    except UserError as error:
        raise unreadable(path, error) from error
    pixels = _to_8_bits(pixels, found.scale, picture.format.takes_upper_bits)
    if pixels.shape[2] == channels:
        return np.array(pixels), found  # writable, and no view that keeps alpha or other pages in memory
    if channels == 3:
        return np.repeat(pixels, 3, axis=2), found
    means = (pixels.sum(axis=2, dtype=np.uint16, keepdims=True) + 1) // 3  # a third is never a half
    return means.astype(np.uint8), found


def _decided_clean(pixels: np.ndarray, told: Scale, stated: Stated | None) -> Decided:
    """Decides the scale of a clean picture. Parameters as for `decide`. Raises UserError where it is not known, or wrong."""
    dtype = pixels.dtype
    if dtype == np.uint8 and told == UNTOLD:  # as nearly all are: they need not be looked at
        return Decided(told.of(dtype), dtype, None, "type")
    if dtype.kind == "f":
        if told.white is None and stated is None:
            kind = f"floating-point {8 * dtype.itemsize}-bit values"
            raise UserError(f"pictures of {kind} are not supported, save it as an 8-bit or 16-bit PNG, or give --white")
    elif told.white is not None and told.white > largest_of(dtype):
        raise UserError(f"--white {told.white:g} is above {largest_of(dtype)}, the largest value of its {dtype}")
    return decide([pixels], told, stated)


def _to_8_bits(pixels: np.ndarray, scale: Scale, takes_upper_bits: bool) -> np.ndarray:
    """Reduces pixels of any type to uint8 of the same shape: black becomes 0 and white 255."""
    if scale == UNTOLD.of(pixels.dtype):
        if pixels.dtype == np.uint8:
            return pixels
        if takes_upper_bits and pixels.dtype.kind == "u":
            return (pixels >> 8).astype(np.uint8)
    return to_uint8(scale.to_float(pixels))


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes uint8 [H, W] or [H, W, 1 or 3] atomically; the suffix gives the format: .png, or .jpg/.jpeg of quality 95.

    Raises UserError, naming the file, for another suffix and where the file cannot be written.
    """
    path = Path(path)
    options = _SAVE_OPTIONS.get(path.suffix.lower())
    if options is None:
        raise UserError(f"cannot write {path}: the name of a picture must end in .png or .jpg")
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise ValueError(f"expected uint8 [H, W] or [H, W, 1 or 3], got {image.dtype} {list(image.shape)}")
    pixels = np.ascontiguousarray(image if image.ndim == 3 else image[:, :, np.newaxis])
    try:
        content = encoded(pixels, options)
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or one_line(error)}") from error


def to_float(image: np.ndarray) -> np.ndarray:
    """Scales uint8, any shape, to float32 in [0, 1] by multiplication with float32(1/255), as the 2019 program did.

    Division differs in the last bit of a few values, and then the Poisson noise of the protocol differs altogether.
    """
    return image.astype(np.float32) * np.float32(1 / 255)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Rounds floats on the scale [0, 1], any shape, to uint8 of the same shape: floor(clip(255 x + 0.5, 0, 255)) (SPEC 6.3).

    What is outside the range ends at 0 or 255, infinities too; NaN becomes 0.
    """
    if not np.issubdtype(image.dtype, np.floating):
        raise TypeError(f"expected floating-point values in [0, 1], got {image.dtype}")
    clipped = np.clip(image.astype(np.promote_types(image.dtype, np.float32), copy=False), 0, 1)  # before 255 x can overflow
    return np.minimum(np.nan_to_num(clipped) * 255 + 0.5, 255).astype(np.uint8)  # the cast is the floor: none is negative


def pixels_sha256(pictures: Iterable[np.ndarray]) -> str:
    """Returns the SHA-256 of pictures of any type: of their shapes, types and pixels, in their order."""
    digest = hashlib.sha256()
    for pixels in pictures:
        digest.update(f"{pixels.dtype.str}{list(pixels.shape)}".encode())
        digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()


def pad_to_multiple(image: np.ndarray, multiple: int) -> np.ndarray:
    """Pads [H, W, C] so that each side is a multiple, as `pad_to_square` does."""
    height, width, _ = image.shape
    return np.pad(image, ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="reflect")


def pad_to_square(image: np.ndarray, side: int) -> np.ndarray:
    """Pads [H, W, C] to [side, side, C] by reflection (edge pixel not repeated) at the bottom and right (SPEC 7).

    An axis of one pixel has nothing to reflect: its pixel is repeated. Raises ValueError where side < H or W.
    """
    height, width, _ = image.shape
    if side < max(height, width):
        raise ValueError(f"cannot pad {height}x{width} to the smaller {side}x{side}")
    return np.pad(image, ((0, side - height), (0, side - width), (0, 0)), mode="reflect")


def middle_of(pixels: np.ndarray, side: int) -> np.ndarray:
    """Returns the middle of a picture [H,W,C], at most so many pixels a side: a view of it."""
    top, left = (max(size - side, 0) // 2 for size in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]
