"""Which axis of an array is which: how channels, depth and time become pages [H,W,C], and the pages an array again.

Axes are named as tifffile names them: Y and X, of a page; S, the samples of its pixels, of which one is grey, three are RGB,
and one more is alpha; C, channels that are no RGB, each of them a grey page; and any other letter, T, Z, ..., of many pages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from dnnlib.denoising.pictures.picture import colours_of
from dnnlib.errors import UserError

_WANTED = "a capital letter for each axis, none twice, Y and X among them, as in YX, ZYX, TCZYX, YXC or YXS"
_SAMPLES = (1, 2, 3, 4)  # grey, grey and alpha, RGB, RGB and alpha


def check_axes(axes: str | None, option: str = "--axes") -> None:
    """Raises UserError, naming the option, for axes that no array has. None: they are not told."""
    if axes is None:
        return
    letters = set(axes)
    if not (axes.isascii() and axes.isalpha() and axes.isupper()) or len(letters) < len(axes) or not letters >= {"Y", "X"}:
        raise UserError(f"{option} {axes}: must be {_WANTED}")


@dataclass(frozen=True)
class Arrangement:
    """Says how an array is made of pages.

    axes: a letter for each of its axes.
    shape: of the array.
    alpha: numbers along C of what the file calls alpha, which is no page, and stays as it is.
    """

    axes: str
    shape: tuple[int, ...]
    alpha: tuple[int, ...] = ()

    @property
    def colours(self) -> int:
        """Returns how many channels of a page are no alpha: 1 or 3."""
        return colours_of(self._size("S"))

    @property
    def page_shape(self) -> tuple[int, int, int]:
        """Returns height, width and channels of a page."""
        return self._size("Y"), self._size("X"), self._size("S")

    @property
    def count(self) -> int:
        """Returns how many pages there are."""
        channels = self._size("C")
        return prod(self.shape) // prod(self.page_shape) // max(channels, 1) * (channels - len(self.alpha))

    @property
    def first(self) -> tuple[int, ...]:
        """Returns the numbers of the pages that are the channels of one picture, the first."""
        if "C" not in self.axes:
            return (0,)
        behind = [self._size(axis) for axis in self._others[self._others.index("C") + 1 :]]
        return tuple(prod(behind) * i for i in range(self._size("C") - len(self.alpha)))

    def views(self, array: np.ndarray) -> Iterator[np.ndarray]:
        """Yields the pages of an array of this shape, each a view [H,W,C] of it, in the order of its axes."""
        samples = "S" if "S" in self.axes else ""
        moved = array.transpose([self.axes.index(axis) for axis in f"{self._others}YX{samples}"])
        moved = moved if samples else moved[..., np.newaxis]
        channel = self._others.find("C")
        for index in np.ndindex(moved.shape[:-3]):
            if channel < 0 or index[channel] not in self.alpha:
                yield moved[index]

    def filled(self, array: np.ndarray, pages: Iterator[np.ndarray]) -> np.ndarray:
        """Returns a copy of an array of this shape, of its type and order, with other pages, as many as it has of them."""
        whole = array.copy(order="K") if self.alpha else np.empty_like(array)
        for view in self.views(whole):
            view[...] = next(pages)
        return whole

    def repeated(self, pages: int) -> "Arrangement":
        """Returns the arrangement of many such arrays, one after the other."""
        return Arrangement(f"P{self.axes}", (pages, *self.shape), self.alpha)

    def without_samples(self) -> "Arrangement":
        """Returns the arrangement of an array with one value for each pixel of this one's pages."""
        kept = [(axis, size) for axis, size in zip(self.axes, self.shape, strict=True) if axis != "S"]
        return Arrangement("".join(axis for axis, _ in kept), tuple(size for _, size in kept))

    @property
    def _others(self) -> str:
        """Returns the axes along which there are pages."""
        return "".join(axis for axis in self.axes if axis not in "YXS")

    def _size(self, axis: str) -> int:
        """Returns how long an axis is, 1 where there is no such axis."""
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1


def arrangement_of(shape: tuple[int, ...], axes: str | None) -> Arrangement:
    """Returns how an array is made of pages: as the user told its axes, or, where those are None, as is usual.

    Raises UserError for axes that no array has, or not this one, and for arrays that have no usual ones, or no pixels.
    """
    check_axes(axes)
    found = usual_arrangement(shape) if axes is None else told_arrangement(axes, [shape])
    if not prod(shape):
        raise UserError("the picture has no pixels")
    return found


def told_arrangement(axes: str, shapes: Sequence[tuple[int, ...]]) -> Arrangement:
    """Returns the arrangement of an array of which the user told the axes.

    axes: that `check_axes` has passed.
    shapes: that the array may be taken to have; the first that fits is it.

    Raises UserError, naming both, where none fits.
    """
    for shape in shapes:
        if len(shape) == len(axes):
            found = Arrangement(axes, tuple(shape))
            samples = found.page_shape[2]
            if samples not in _SAMPLES:
                raise UserError(
                    f"--axes {axes} does not fit the array's shape {list(shape)}: an axis S has 1 (grey) to 4 (RGB and "
                    f"alpha), not {samples}; channels that are no RGB are C"
                )
            return found
    of_shape = " or ".join(f"{list(shape)}" for shape in dict.fromkeys(shapes))
    raise UserError(f"--axes {axes} does not fit the array's shape {of_shape}: give {_WANTED}")


def usual_arrangement(shape: tuple[int, ...]) -> Arrangement:
    """Returns how an array is taken of which nobody told the axes: [H,W], [H,W,C] or [P,H,W,C].

    One channel is grey and three are RGB; two or four are channels of which nothing says that one is alpha. Raises UserError
    for other shapes.
    """
    if len(shape) == 2:
        return Arrangement("YX", shape)
    if len(shape) in (3, 4) and shape[-1] in _SAMPLES:
        pages = "P" if len(shape) == 4 else ""
        return Arrangement(f"{pages}YX{'S' if shape[-1] in (1, 3) else 'C'}", shape)
    raise UserError(
        f"an array of shape {list(shape)} does not say which axis is which: give --axes (in Python axes=), as ZYX, CYX; "
        "without it are taken [H,W], [H,W,C] and [P,H,W,C], C being 1 (grey), 3 (RGB), 2 or 4 (channels, each by itself)"
    )


def doubt_of(found: Arrangement, option: str = "--axes ") -> str | None:
    """Returns what the user should know of an arrangement that nobody told; None: nothing but what is known anyway.

    option: by which the user could tell it.
    """
    channels = len(found.first)
    if channels == 1:
        return None
    meant = {2: "grey and alpha", 4: "RGB and alpha"}.get(channels)
    told = f"; if it is {meant}: {option}{found.axes.replace('C', 'S')}" if meant and not found.alpha else ""
    return f"each channel denoised by itself{told}"
