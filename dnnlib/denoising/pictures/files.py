"""Reads a picture of any format of the table, whatever the file's name ends in."""

import os

from PIL import Image, UnidentifiedImageError

from dnnlib.denoising.pictures import formats
from dnnlib.denoising.pictures.formats import Format
from dnnlib.denoising.pictures.limit import MORE_PIXELS
from dnnlib.denoising.pictures.picture import Header, Picture, mode_of
from dnnlib.denoising.pictures.pillow import open_image
from dnnlib.errors import LONGEST_REASON, UserError, one_line, printable


def read_picture(path: str | os.PathLike, writable_only: bool = True, axes: str | None = None) -> Picture:
    """Reads a picture so that another like it can be written; or any picture, with writable_only=False.

    axes: of arrays and TIFF files, as the user told them, a letter each; None: as the file says, or as is usual.

    Raises UserError, naming the file and what is wrong.
    """
    try:
        row = _format_of(path, writable_only)
        picture = formats.function(row.reader)(path, *_told(row, axes))
        if writable_only and picture.unwritable:
            raise UserError(picture.unwritable)
        return picture
    except Exception as error:  # a damaged file makes libraries raise nearly anything
        raise unreadable(path, error) from error


def read_filled(
    path: str | os.PathLike, nodata: float | None, writable_only: bool = True, axes: str | None = None
) -> Picture:
    """Reads a picture as `read_picture` does, and fills the pixels that have no value, see `Picture.without_holes`.

    nodata: the value that stands for none, as the user told it; None: as the file says.
    """
    picture = read_picture(path, writable_only, axes)
    try:
        return picture.without_holes(nodata)
    except UserError as error:
        raise UserError(f"{os.fspath(path)}: {error}") from error


def read_header(path: str | os.PathLike, axes: str | None = None) -> Header:
    """Reads the size, mode and number of pages of any picture, undecoded where that is possible.

    axes: as for `read_picture`.

    Raises UserError, naming the file and what is wrong.
    """
    try:
        row = _format_of(path, writable_only=False)
        if row.header:
            return formats.function(row.header)(path, *_told(row, axes))
        picture = formats.function(row.reader)(path, *_told(row, axes))
        height, width, channels = picture.pages[0].shape
        return Header(width, height, mode_of(channels, picture.pages[0].dtype), len(picture.pages))
    except Exception as error:
        raise unreadable(path, error) from error


def check_holds_floats(path: str | os.PathLike) -> None:
    """Raises UserError where results like a picture cannot be floats, by its format; one that cannot be read is let pass."""
    try:
        row = _format_of(path, writable_only=True)
    except (OSError, UserError):
        return
    if row.as_floats is None:
        raise UserError(
            f"--float: {os.fspath(path)} is a {row.kind}, which holds no floats: convert it to {formats.with_floats()}, or "
            "leave --float out"
        )


def unreadable(path: str | os.PathLike, error: Exception) -> UserError:
    """Returns the UserError for what a library raised while it read a picture: file and reason in one line."""
    if isinstance(error, UserError):
        reason = str(error)
    elif isinstance(error, UnidentifiedImageError):
        reason = "not a picture, or of an unknown format"
    elif isinstance(error, MemoryError):
        reason = "the picture does not fit in memory"
    elif isinstance(error, Image.DecompressionBombError):
        reason = f"the picture is too large ({one_line(error)}): {MORE_PIXELS}"
    elif isinstance(error, OSError):
        reason = error.strerror or one_line(error)
    else:
        reason = f"the file is damaged ({one_line(error)})"
    return UserError(f"cannot read {os.fspath(path)}: {printable(reason, LONGEST_REASON)}")


def _format_of(path: str | os.PathLike, writable_only: bool) -> Format:
    """Returns the format of a file. Raises OSError where there is no file, or none of a known format."""
    if not os.path.isfile(path):
        open_image(path)  # says why: no such file, a folder, a pipe
    with open(path, "rb") as file:
        start = file.read(formats.START_LENGTH)
    if not start:
        raise OSError("the file is empty")
    row = formats.format_of(start)
    if row not in formats.formats(writable_only):
        raise OSError(f"not a picture of a known kind ({formats.kinds(writable_only)})")
    return row


def _told(row: Format, axes: str | None) -> tuple[str | None, ...]:
    """Returns the arguments that tell a format's functions the axes. Raises UserError where it has axes of its own."""
    if row.takes_axes:
        return (axes,)
    if axes is not None:
        taking = " and ".join(other.kind for other in formats.FORMATS if other.takes_axes)
        raise UserError(f"--axes {axes} is for {taking} files, and this is {row.kind}: denoise it without")
    return ()
