"""What the axes of a TIFF file's pages are: by the tags of a page, by the texts of ImageJ, OME and tifffile, or as told."""

import json
import re
from collections.abc import Sequence
from math import prod

import tifffile

from dnnlib.denoising.pictures.axes import Arrangement, told_arrangement
from dnnlib.errors import UserError

_ALPHA = (1, 2)  # of ExtraSamples: alpha, multiplied into the colours or not
_OME_SIZES = r"\b(DimensionOrder|Size[CZT])\s*=\s*[\"'](\w{1,9})[\"']"
_MANY, _NARROW = 8, 16  # pages, and pixels: more of the former than of the latter are hardly pictures


def page_arrangement(page: tifffile.TiffPage) -> Arrangement:
    """Returns how one page, of values that are taken as they are stored, is made of pages [H,W,C] of grey or RGB.

    Alpha is only what the tag ExtraSamples says is alpha. What is neither grey nor RGB, are channels, each by itself.
    """
    axes, shape = page.axes, page.shape
    if "S" not in axes:
        return Arrangement(axes, shape)
    extras, samples = page.extrasamples, page.samplesperpixel
    alpha = tuple(samples - len(extras) + i for i, kind in enumerate(extras) if kind in _ALPHA)
    wanted = 3 if page.photometric == tifffile.PHOTOMETRIC.RGB else 1
    if samples - len(alpha) == wanted and alpha in ((), (samples - 1,)):
        return Arrangement(axes, shape)
    return Arrangement(axes.replace("S", "C"), shape, alpha)


def whole_arrangement(
    tiff: tifffile.TiffFile, singles: Sequence[Arrangement], axes: str | None, notes: list[str]
) -> tuple[Arrangement | None, tuple[int, ...]]:
    """Returns how all pages of a file together are one array; and the numbers of the pages that are the first picture's
    channels, where they are not.

    singles: how each page is taken by itself.
    axes: of the whole, as the user told them, or None.
    notes: a line is added for axes that may be others.

    None: each page is by itself. Raises UserError where the axes that are told do not fit.
    """
    shapes = {single.shape for single in singles}
    if len(shapes) > 1:
        if axes is not None:
            sizes = " and ".join(f"{list(shape)}" for shape in list(shapes)[:3])
            raise UserError(f"--axes {axes} does not fit its pages, which are of shapes {sizes}: split them into files")
        return None, singles[0].first
    (shape,) = shapes
    count = len(singles)
    plain = shape if count == 1 else (count, *shape)
    described, there = _described(tiff, count)
    fits = prod(there) == prod(plain)
    if axes is not None:
        return told_arrangement(axes, [*([there] if fits else []), plain]), ()
    if not fits or not described:
        if fits and len(there) == 3 and count > _MANY and count > there[-1] and there[-1] <= _NARROW:
            notes.append(f"{count} pictures of {there[-1]} x {there[-2]}: if the last axis is channels, --axes YXC")
        return None, singles[0].first
    # Pages that lie as the text says are taken by their own tags, which know more of their samples.
    inner = len(shape)
    if {"Y", "X"} <= set(described[-inner:].replace("S", "")) and there[-inner:] == shape:
        first = Arrangement(described, there).first if "C" in described[:-inner] else singles[0].first
        return None, first
    samples = there[described.index("S")] if "S" in described else 1
    return (Arrangement(described, there) if samples in (1, 3) else None), singles[0].first


def _described(tiff: tifffile.TiffFile, count: int) -> tuple[str, tuple[int, ...]]:
    """Returns the axes and the shape of the whole that a text of the file describes; of axes that it does not name, ''.

    count: how many pages there are.
    """
    first = tiff.pages.first
    try:
        if tiff.is_ome:
            said = dict(re.findall(_OME_SIZES, (tiff.ome_metadata or "").partition("<Channel")[0]))
            outer, found = _outer(said["DimensionOrder"], {axis: int(said[f"Size{axis}"]) for axis in "CZT"}, count)
            return outer + first.axes, (*found, *first.shape)
        if tiff.is_imagej:
            said = tiff.imagej_metadata or {}
            sizes = {"C": said.get("channels", 1), "Z": said.get("slices", 1), "T": said.get("frames", 1)}
            outer, found = _outer("XYCZT", sizes, count)
            return outer + first.axes, (*found, *first.shape)
        words = json.loads(first.shaped_description or "{}")
        axes, shape = words.get("axes", ""), tuple(int(size) for size in words.get("shape", ()))
        is_named = axes.isalpha() and len(axes) == len(shape) == len(set(axes)) and {"Y", "X"} <= set(axes)
        return (axes if is_named else ""), (shape if all(size > 0 for size in shape) else ())
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):  # whatever is in the text
        return "", ()


def _outer(order: str, sizes: dict[str, int], count: int) -> tuple[str, tuple[int, ...]]:
    """Returns the axes along which there are pages, and how long they are; axes of one are left out.

    order: of the axes, the fastest first, as XYCZT.
    sizes: of C, Z and T.
    count: how many pages there are; where the channels are the samples of each page, they are no axis.
    """
    if prod(sizes.values()) != count:
        sizes = sizes | {"C": 1}
    axes = [axis for axis in reversed(order) if sizes.get(axis, 1) > 1]
    return "".join(axes), tuple(int(sizes[axis]) for axis in axes)
