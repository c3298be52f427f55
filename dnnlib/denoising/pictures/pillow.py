"""Pictures that Pillow reads and writes: PNG, JPEG and WebP, with their metadata, and some that are only read."""

import io
import os
import stat
import warnings
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, JpegImagePlugin, TiffImagePlugin, WebPImagePlugin

from dnnlib.denoising.pictures import png
from dnnlib.denoising.pictures.limit import Budget
from dnnlib.denoising.pictures.picture import Header, Picture, colours_of, left_out
from dnnlib.errors import UserError, raised_by_library

JPEG_QUALITY = 95
_READ = (  # all that Pillow is let to read, TIFF where tifffile cannot
    "PNG", "JPEG", "BMP", "GIF", "PPM", TiffImagePlugin.TiffImageFile.format, WebPImagePlugin.WebPImageFile.format
)  # fmt: skip
# How segments of a JPEG file begin that are kept, written anew, or told of otherwise.
_SEGMENTS = (b"JFIF", b"Exif", b"http://ns.adobe.com/xap/1.0/", b"ICC_PROFILE", b"MPF", b"Adobe")
_KEPT = ("exif", "icc_profile", "xmp", "dpi", "comment")  # of Pillow's `info`; the EXIF orientation among them, unapplied

# Odd EXIF blocks, palette transparency, large pictures: nothing a user could act on. Set once and not around each
# call, because `warnings.catch_warnings` must not be used from several threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


def open_image(path: str | os.PathLike) -> Image.Image:
    """Opens a picture and reads its header. Raises UserError where it is too large, and whatever Pillow or the file system
    do."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise OSError("not a regular file")  # opening a pipe would wait for ever
    if status.st_size == 0:
        raise OSError("the file is empty")
    image = Image.open(path, formats=_READ)
    try:
        Budget(status.st_size).add(image.width, image.height, 1)  # of 8 bytes at most, as the limit is meant for
    except UserError:
        image.close()
        raise
    return image


def read_header(path: str | os.PathLike) -> Header:
    """Reads what the file says of its (first) picture. Raises whatever Pillow does."""
    with open_image(path) as image:
        return Header(image.width, image.height, image.mode)


# --- Readers


def read_png(path: str | os.PathLike) -> Picture:
    """Reads a PNG file, of 8 or 16 bits. Raises UserError or whatever Pillow does."""
    with open_image(path) as image, open(path, "rb") as file:
        data, notes = file.read(), []
        png.check_length(data)
        if png.bit_depth(data) == 16:
            pixels = png.decode16(data)
            if png.has_chunk(data, b"tRNS"):
                notes.append("its transparent colour is left out")
        else:
            pixels = decoded(image, notes)
        if others := png.other_chunks(data):
            notes.append(left_out("chunks", others))
        chunks = png.metadata_chunks(data)
        return Picture("PNG", [pixels], colours_of(pixels.shape[2]), chunks, notes, _animation(image))


def read_jpeg(path: str | os.PathLike) -> Picture:
    """Reads a JPEG file, of several pictures (MPO) the first. Raises UserError or whatever Pillow does."""
    with open_image(path) as image:
        notes = ["only the first of the pictures in the file is kept"] if _frames(image) > 1 else []
        pixels = decoded(image, notes)
        others = [name for name, start in image.applist if not start.startswith(_SEGMENTS) and name != "COM"]
        if others:
            notes.append(left_out("segments", list(dict.fromkeys(others))))
        options = {"format": "JPEG", "quality": JPEG_QUALITY, "subsampling": JpegImagePlugin.get_sampling(image)}
        return Picture("JPEG", [pixels], colours_of(pixels.shape[2]), _metadata(image) | options, notes)


def read_webp(path: str | os.PathLike) -> Picture:
    """Reads a WebP file. Raises UserError or whatever Pillow does."""
    with open_image(path) as image:
        notes: list[str] = []
        pixels = decoded(image, notes)
        lossless = {"lossless": True, "exact": True}  # exact: colours below transparent alpha, too
        options = {"format": "WEBP", **(lossless if _is_lossless(path) else {"quality": JPEG_QUALITY})}
        return Picture("WebP", [pixels], colours_of(pixels.shape[2]), _metadata(image) | options, notes, _animation(image))


def read_plain(path: str | os.PathLike) -> Picture:
    """Reads the first picture of a file of a format that is not written. Raises UserError or whatever Pillow does."""
    with open_image(path) as image:
        pixels = decoded(image, notes := [])
        return Picture(image.format, [pixels], colours_of(pixels.shape[2]), notes=notes)


def decoded(image: Image.Image, notes: list[str]) -> np.ndarray:
    """Decodes an open picture to uint8 [H,W,C], C being 1 (grey), 2 (and alpha), 3 (RGB) or 4 (and alpha).

    What is stored in other ways is converted, and a line for the user is added to `notes`. Alpha is not blended.
    """
    mode = image.mode
    wanted = {"1": "L", "L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA"}.get(mode, "RGB")
    if "transparency" in image.info:  # of a palette entry or of one colour, which noise and denoising change
        wanted = {"L": "LA", "LA": "LA"}.get(wanted, "RGBA")
    if mode in ("I", "F") or mode.startswith("I;"):
        raise UserError("of this kind, pictures of more than 8 bits are not supported: convert it to a 16-bit PNG or TIFF")
    if wanted != mode:
        notes.append(f"{ {'P': 'palette', 'PA': 'palette', '1': '1-bit'}.get(mode, mode)} converted to {wanted}")
        image = image.convert(wanted)
    pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], -1)


def _metadata(image: Image.Image) -> dict[str, Any]:
    """Returns the arguments of Pillow's `save` that keep a picture's metadata."""
    kept = {key: image.info[key] for key in _KEPT if image.info.get(key)}
    if image.mode == "CMYK":
        kept.pop("icc_profile", None)  # it is of CMYK
    return kept


def _frames(image: Image.Image) -> int:
    """Counts the pictures of a file; formats that hold only one do not say so."""
    return getattr(image, "n_frames", 1)


def _animation(image: Image.Image) -> str | None:
    """Returns why a file of several frames cannot be written again; None for one frame."""
    return f"an animation of {_frames(image)} frames; save them as pictures of their own" if _frames(image) > 1 else None


def _is_lossless(path: str | os.PathLike) -> bool:
    """Tells whether a WebP file holds its picture in a chunk of the lossless kind."""
    with open(path, "rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            if head[:4] in (b"VP8L", b"VP8 "):
                return head[:4] == b"VP8L"
            size = int.from_bytes(head[4:], "little")
            file.seek(size + size % 2, os.SEEK_CUR)
    return False


# --- Writers


def write_png(picture: Picture, pages: list[np.ndarray], file: BinaryIO) -> None:
    """Writes a PNG file of 8 or 16 bits with the metadata chunks that are kept."""
    encode = png.encode16 if pages[0].dtype == np.uint16 else encoded_png
    file.write(png.with_chunks(encode(pages[0]), picture.kept))


def write_with_options(picture: Picture, pages: list[np.ndarray], file: BinaryIO) -> None:
    """Writes a JPEG or WebP file by the arguments of Pillow's `save` that are kept."""
    file.write(encoded(pages[0], picture.kept))


def encoded_png(pixels: np.ndarray) -> bytes:
    """Encodes uint8 [H,W,1..4] as a PNG file."""
    return encoded(pixels, {"format": "PNG"})


def encoded(pixels: np.ndarray, options: dict[str, Any]) -> bytes:
    """Encodes uint8 [H,W,1..4] in memory, since Pillow reports a full disk as "encoder error".

    options: arguments of Pillow's `save`, the format among them.
    """
    buffer = io.BytesIO()
    with raised_by_library():
        Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, **options)
    return buffer.getvalue()
