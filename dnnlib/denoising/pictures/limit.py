"""How large a picture may be, so that a small file cannot take all memory: the one limit, for all formats and programs."""

from PIL import Image

from dnnlib.errors import UserError

MORE_PIXELS = "if it is to be trusted, --max-pixels allows more"
_WIDEST = 8  # bytes of a pixel for which the limit is meant: RGB and alpha of 16 bits
_PILLOWS = Image.MAX_IMAGE_PIXELS  # it refuses more than twice as many
_told: int | None = None


def allow_pixels(most: int | None) -> None:
    """Sets how many pixels a file may hold in all its pages, as the user told it; None: as many as Pillow allows a picture.

    Raises UserError, naming the option, for a number that cannot be.
    """
    global _told
    if most is not None and most < 1:
        raise UserError(f"--max-pixels {most}: must be 1 or more")
    if most is not None or _told is not None:
        Image.MAX_IMAGE_PIXELS = _PILLOWS if most is None else (most + 1) // 2
    _told = most


class Budget:
    """Counts the pixels of a file, page by page, before any of them is decoded."""

    def __init__(self, file_size: int):
        """Begins with none. file_size: in bytes."""
        self._file_size, self._pages, self._pixels, self._bytes = file_size, 0, 0, 0
        self._most = _told or 2 * (Image.MAX_IMAGE_PIXELS or 1 << 62)

    def add(self, width: int, height: int, pixel_size: int, pages: int = 1) -> None:
        """Counts pages of one size. Raises UserError where that makes too many pixels, or too many bytes of them.

        width, height: of each page.
        pixel_size: bytes of a pixel, in memory.
        pages: how many there are.
        """
        self._pages += pages
        self._pixels += width * height * pages
        self._bytes += width * height * pages * pixel_size
        if width * height > self._most:
            self._refuse(f"{width} x {height} pixels", f"{self._most}")
        # Several pages, or pixels of many bytes, may come to more, if they lie in the file as they are.
        if _told is None and self._bytes <= self._file_size:
            return
        if self._pixels > self._most:
            self._refuse(f"{self._pixels} pixels in {self._pages} pages", f"{self._most}")
        if _told is None and self._bytes > self._most * _WIDEST:
            size = -(-self._bytes // self._pixels)
            self._refuse(f"{self._pixels} pixels of {size} bytes", f"{self._most} of {_WIDEST} bytes")

    def _refuse(self, found: str, allowed: str) -> None:
        """Raises the error. found: what is too much; allowed: how much may be there."""
        raise UserError(f"the picture is too large ({found}, {allowed} are allowed): {MORE_PIXELS}")
