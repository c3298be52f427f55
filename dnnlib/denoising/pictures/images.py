"""The one reader and writer of pictures: files <-> uint8 arrays, and the padding and rounding of the protocol."""

import fnmatch
import io
import os
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from dnnlib.errors import UserError, one_line
from dnnlib.files import atomic_write

# Only plain raster formats: Pillow knows others too, and hands some of them (EPS) to outside programs.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", TiffImagePlugin.TiffImageFile.format, WebPImagePlugin.WebPImageFile.format)
STD_SHOWN = 10 / 255  # the std that pictures to look at show as white (SPEC 7.1)
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 95},
    ".jpeg": {"format": "JPEG", "quality": 95},
}

# Odd EXIF blocks, palette transparency, large pictures: nothing a user could act on. Set once and not around each
# call, because `warnings.catch_warnings` must not be used from several threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


def read_image(path: str | os.PathLike, channels: int = 3) -> np.ndarray:
    """Reads a picture as uint8 [H, W, channels], values 0..255; channels is 3 (RGB) or 1 (SPEC 6.1).

    Alpha is dropped, not blended; grey is repeated to three channels; channels=1 is the rounded mean over the channels.
    Palette and CMYK pictures become RGB, 1-bit ones 0 and 255. Of 16-bit values the upper 8 bits are kept, in grey as in
    colour. The EXIF orientation is not applied: published figures are of the pixels as stored.

    Raises UserError, naming the file and what is wrong: missing, no picture, truncated, too large, 32-bit values.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, not {channels}")
    try:
        with open_image(path) as image:
            pixels = _decode(image)
    except Exception as error:  # a damaged file makes Pillow raise nearly anything: SyntaxError, struct.error, zlib.error...
        raise unreadable(path, error) from error
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return ((pixels.sum(axis=2, dtype=np.uint16, keepdims=True) + 1) // 3).astype(np.uint8)  # a third is never a half


def image_header(path: str | os.PathLike) -> tuple[int, int, str]:
    """Width, height and Pillow's mode (`RGB`, `L`, ...) of a picture, undecoded. Raises UserError as `read_image`."""
    try:
        with open_image(path) as image:
            return image.width, image.height, image.mode
    except Exception as error:
        raise unreadable(path, error) from error


def list_images(folder: str | os.PathLike, patterns: Sequence[str]) -> list[Path]:
    """Files directly in `folder` whose name matches one of the patterns (`*.png`; case counts), sorted by name, each once.

    Raises UserError where the folder is missing, is no folder or cannot be read. No match is an empty list.
    """
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if any(fnmatch.fnmatchcase(entry.name, pattern) for pattern in patterns) and entry.is_file()
            ]
    except OSError as error:
        raise UserError(f"cannot read the folder {os.fspath(folder)}: {error.strerror or one_line(error)}") from error
    return [Path(folder) / name for name in sorted(names)]


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
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    try:
        encoded = io.BytesIO()  # in memory first: Pillow reports a full disk as "encoder error"
        Image.fromarray(np.ascontiguousarray(image)).save(encoded, **options)
        with atomic_write(path) as file:
            file.write(encoded.getbuffer())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or one_line(error)}") from error


def to_float(image: np.ndarray) -> np.ndarray:
    """uint8, any shape -> float32 in [0, 1], by multiplication with float32(1/255) as the 2019 program did.

    Division differs in the last bit of a few values, and then the Poisson noise of the protocol differs altogether.
    """
    return image.astype(np.float32) * np.float32(1 / 255)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Float values on the scale [0, 1], any shape -> uint8 of the same shape: floor(clip(255 x + 0.5, 0, 255)) (SPEC 6.3).

    What is outside the range ends at 0 or 255, infinities too; NaN becomes 0.
    """
    if not np.issubdtype(image.dtype, np.floating):
        raise TypeError(f"expected floating-point values in [0, 1], got {image.dtype}")
    clipped = np.clip(image.astype(np.promote_types(image.dtype, np.float32), copy=False), 0, 1)  # before 255 x can overflow
    return np.minimum(np.nan_to_num(clipped) * 255 + 0.5, 255).astype(np.uint8)  # the cast is the floor: none is negative


def pad_to_multiple(image: np.ndarray, multiple: int) -> np.ndarray:
    """[H, W, C], each side padded to a multiple as `pad_to_square` does."""
    height, width, _ = image.shape
    return np.pad(image, ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="reflect")


def pad_to_square(image: np.ndarray, side: int) -> np.ndarray:
    """[H, W, C] -> [side, side, C] by reflection (edge pixel not repeated) at the bottom and right (SPEC 7).

    An axis of one pixel has nothing to reflect: its pixel is repeated. Raises ValueError where side < H or W.
    """
    height, width, _ = image.shape
    if side < max(height, width):
        raise ValueError(f"cannot pad {height}x{width} to the smaller {side}x{side}")
    return np.pad(image, ((0, side - height), (0, side - width), (0, 0)), mode="reflect")


def open_image(path: str | os.PathLike) -> Image.Image:
    """Opens a picture and reads its header; raises whatever Pillow or the file system do."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise OSError("not a regular file")  # opening a pipe would wait for ever
    if status.st_size == 0:
        raise OSError("the file is empty")
    return Image.open(path, formats=_FORMATS)


def _decode(image: Image.Image) -> np.ndarray:
    """uint8 [H, W, 1 or 3] of an open picture, without its alpha channel."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format == "PNG"):  # older Pillow opens a 16-bit grey PNG as I
        return (np.asarray(image) >> 8).astype(np.uint8)[:, :, np.newaxis]
    if mode in ("I", "F"):
        raise OSError("pictures of 32-bit values are not supported, save it as an 8-bit or 16-bit PNG")
    if mode in ("1", "L", "LA"):
        return np.array(image.convert("L"))[:, :, np.newaxis]
    return np.array(image.convert("RGB"))


def unreadable(path: str | os.PathLike, error: Exception) -> UserError:
    """The UserError for what a library raised while it read a picture: file and reason in one line."""
    if isinstance(error, UnidentifiedImageError):
        reason = "not a picture, or of an unknown format"
    elif isinstance(error, MemoryError):
        reason = "the picture does not fit in memory"
    elif isinstance(error, Image.DecompressionBombError):
        reason = f"the picture is too large ({one_line(error)})"
    elif isinstance(error, OSError):
        reason = error.strerror or one_line(error)
    else:
        reason = f"the file is damaged ({one_line(error)})"
    return UserError(f"cannot read {os.fspath(path)}: {reason}")
