"""Pictures that Pillow reads and writes: PNG, JPEG and WebP, with their metadata."""

import io
import os
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, JpegImagePlugin

from dnnlib.denoising.pictures import png
from dnnlib.denoising.pictures.images import open_image
from dnnlib.denoising.pictures.picture import Picture
from dnnlib.errors import UserError

_JPEG_QUALITY = 95
_KEPT = ("exif", "icc_profile", "xmp", "dpi", "comment")  # of Pillow's `info`; the EXIF orientation among them, unapplied


def read_with_pillow(path: str | os.PathLike) -> Picture:
    """Raises UserError or whatever Pillow does."""
    with open_image(path) as image:
        kind = {"PNG": "PNG", "WEBP": "WebP"}.get(image.format or "", "JPEG")  # some JPEGs are MPO to Pillow
        frames = getattr(image, "n_frames", 1)
        notes = []
        if frames > 1:
            if kind != "JPEG":
                raise UserError(f"an animation of {frames} frames; save them as pictures of their own")
            notes.append("only the first of the pictures in the file is kept")
        if kind == "PNG":
            return _read_png(path, image)
        pixels = decoded(image, notes)
        options: dict[str, Any] = {key: image.info[key] for key in _KEPT if image.info.get(key)}
        if image.mode == "CMYK":
            options.pop("icc_profile", None)  # it is of CMYK
        if kind == "JPEG":
            options |= {"format": "JPEG", "quality": _JPEG_QUALITY, "subsampling": JpegImagePlugin.get_sampling(image)}
        elif _is_lossless(path):
            options |= {"format": "WEBP", "lossless": True, "exact": True}  # exact: colours below transparent alpha, too
        else:
            options |= {"format": "WEBP", "quality": _JPEG_QUALITY}

    def encode(pages: list[np.ndarray], file: BinaryIO) -> None:
        file.write(_encoded(pages[0], options))

    return Picture(kind, [pixels], colours_of(pixels), encode, notes)


def decoded(image: Image.Image, notes: list[str]) -> np.ndarray:
    """uint8 [H,W,C] of an open picture, C being 1 (grey), 2 (and alpha), 3 (RGB) or 4 (and alpha).

    What is stored in other ways is converted, and a line for the user is added to `notes`.
    """
    mode = image.mode
    wanted = {"1": "L", "L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA"}.get(mode, "RGB")
    if "transparency" in image.info:  # of a palette entry or of one colour, which noise and denoising change
        wanted = {"L": "LA", "LA": "LA"}.get(wanted, "RGBA")
    if mode in ("I", "F") or mode.startswith("I;"):
        raise UserError("of this kind, pictures of more than 8 bits cannot be written: convert it to a 16-bit PNG or TIFF")
    if wanted != mode:
        notes.append(f"{ {'P': 'palette', 'PA': 'palette', '1': '1-bit'}.get(mode, mode)} converted to {wanted}")
        image = image.convert(wanted)
    pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], -1)


def colours_of(pixels: np.ndarray) -> int:
    """Channels of [H,W,C] without alpha."""
    return 1 if pixels.shape[2] <= 2 else 3


def _read_png(path: str | os.PathLike, image: Image.Image) -> Picture:
    with open(path, "rb") as file:
        data = file.read()
    chunks, notes = png.metadata_chunks(data), []
    if png.bit_depth(data) == 16:
        pixels = png.decode16(data)
        if png.has_chunk(data, b"tRNS"):
            notes.append("its transparent colour is left out")

        def encode(pages: list[np.ndarray], file: BinaryIO) -> None:
            file.write(png.with_chunks(png.encode16(pages[0]), chunks))
    else:
        pixels = decoded(image, notes)

        def encode(pages: list[np.ndarray], file: BinaryIO) -> None:
            file.write(png.with_chunks(_encoded(pages[0], {"format": "PNG"}), chunks))

    return Picture("PNG", [pixels], colours_of(pixels), encode, notes)


def _encoded(pixels: np.ndarray, options: dict[str, Any]) -> bytes:
    """In memory, since Pillow reports a full disk as "encoder error"."""
    encoded = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(encoded, **options)
    return encoded.getvalue()


def _is_lossless(path: str | os.PathLike) -> bool:
    """Whether a WebP file holds its picture in a chunk of the lossless kind."""
    with open(path, "rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            if head[:4] in (b"VP8L", b"VP8 "):
                return head[:4] == b"VP8L"
            size = int.from_bytes(head[4:], "little")
            file.seek(size + size % 2, os.SEEK_CUR)
    return False
