"""Decides which values of a picture stand for black and white, and looks whether that can be: the one place for it.

What the user tells wins, then what the file's tags state, then the pixels' type. See docs/formats.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dnnlib.denoising.pictures.outliers import named, outliers
from dnnlib.denoising.pictures.picture import Picture
from dnnlib.denoising.pictures.scale import Scale, Source, Stated, kind_of, largest_of
from dnnlib.errors import UserError

FEW = 1 / 16  # of the range: so much of 16 bits are 12 bits
DIM = 1 / 4  # of the range of 16 bits: 14 bits, the most that cameras have
_FAR = 4.0  # times white: beyond it, or as far below black, no noise brings a hundredth of the values
_OUTSIDE = 2.0  # times white, or 1 below black: what single values of noisy floats hardly reach
_BELOW = 0.04  # of white: means of blocks further below 0 are no noise about black, not even of a sigma of 60
_BLOCK = 16  # pixels a side: the mean has a sixteenth of the noise
_ODD = 0.01  # a share of blocks that do not count
_SAMPLE = 1_000_000  # pixels of a page that its quantiles are taken from
_BITS = (4, 8, 10, 12, 14, 16)  # that pictures are made of


@dataclass(frozen=True)
class Used:
    """Tells which values pages hold: the lowest and the highest, and quantiles, which a few odd pixels do not move.

    lowest, highest: of all.
    low, high: 1 % of the values are below and above.
    top: 0.1 % are above.
    """

    lowest: float
    highest: float
    low: float
    high: float
    top: float

    @property
    def text(self) -> str:
        """Returns the values in words."""
        rest = f" (but for 0.1 %, up to {_number(self.top)})" if self.top < self.highest / 2 else ""
        return f"values from {_number(self.lowest)} to {_number(self.highest)}{rest}"


@dataclass(frozen=True)
class Decided:
    """Holds the scale of pages that are alike.

    scale: with white filled in.
    dtype: of the pixels.
    used: what values there are; None: no finite one.
    origin: 'told', the name of the tag, 'network', 'type', or 'contradicted': the type, for the values go beyond what a tag
        states.
    warning: what may be wrong, in one line, without the file's name; None: nothing.
    """

    scale: Scale
    dtype: np.dtype
    used: Used | None
    origin: str
    warning: str | None = None

    @property
    def note(self) -> str | None:
        """Returns what the user should know of how it was decided; None: nothing but what is known anyway."""
        if self.origin in ("told", "type", "contradicted"):
            return None
        black = f"black {_number(self.scale.black)}, " if self.scale.black else ""
        why = "the network was trained with" if self.origin == "network" else f"its {self.origin} says"
        return f"{black}white {_number(self.scale.white)} as {why}"

    @property
    def uses_few(self) -> bool:
        """Tells whether white is the type's, and what is in use is so little of it that it may well be another."""
        return self.origin == "type" and self.used is not None and self._share <= FEW

    @property
    def _share(self) -> float:
        """Returns the share of the way from black to white that is in use; 1 where nothing tells: all is black."""
        top = self.used.top - self.scale.black
        return top / (self.scale.white - self.scale.black) if top > 0 else 1.0


def decided(picture: Picture, told: Scale, trained: Source | None = None) -> list[Decided]:
    """Returns the scale of each page of a picture; pages of one type and statement are looked at together.

    told: by the user; white None: nothing, and a black of 0: nothing but white.
    trained: what a network of real noise was trained on, which counts where white is not told; None: not known.

    Raises UserError, without the file's name, where it cannot be right, and for what pictures are not made of.
    """
    stated = picture.stated or [None] * len(picture.pages)
    kinds = [(page.dtype, one) for page, one in zip(picture.pages, stated, strict=True)]
    groups = {}
    for kind in dict.fromkeys(kinds):
        pages = [picture.values(i) for i, other in enumerate(kinds) if other == kind]
        groups[kind] = decide(pages, told, kind[1], trained)
    return [groups[kind] for kind in kinds]


def decide(
    pages: Sequence[np.ndarray], told: Scale, stated: Stated | None = None, trained: Source | None = None
) -> Decided:
    """Returns the scale of pages of one type.

    pages: [H,W,C], without alpha.
    told, trained: as for `decided`.
    stated: by tags.

    Raises UserError as `decided`.
    """
    dtype = pages[0].dtype
    of_type = told.of(dtype)
    used = _used(pages)
    if told.white is not None:
        told.check()
        odd = used and (_odd_values(pages, told, used) or _below(told, used, pages))
        return Decided(told, dtype, used, "told", odd or (used and _doubt_of_told(told, dtype, used)))
    if stated is not None and used is not None and stated.is_statistic(used.highest):
        stated = None
    if trained is not None and trained.dtype == kind_of(dtype):
        scale = Scale(told.black or trained.scale.black, trained.scale.white)
        if stated is not None or scale != of_type:
            return _decide_as_trained(pages, scale, stated, used)
    if stated is not None and used is not None:
        if used.top <= stated.white or dtype.kind == "f":
            scale = Scale(told.black or stated.black_of(used.lowest), stated.white)
            _check_black(scale, dtype)
            return Decided(scale, dtype, used, stated.tag, _doubt(pages, scale, used))
        contradiction = f"{used.text}, though its {stated.tag} says {_number(stated.white)}: white is taken to be "
        warning = f"{contradiction}{_number(of_type.white)}; if that is wrong, give --white"
        return Decided(of_type, dtype, used, "contradicted", warning)
    _check_black(of_type, dtype)
    return Decided(of_type, dtype, used, "type", used and _doubt(pages, of_type, used))


def _decide_as_trained(
    pages: Sequence[np.ndarray], scale: Scale, stated: Stated | None, used: Used | None
) -> Decided:
    """Returns the scale that a network was trained with, for the pages that it denoises: its noise is learned on that scale.

    pages, stated: as for `decide`.
    used: what values there are.
    """
    dtype = pages[0].dtype
    _check_black(scale, dtype)
    warning = used and (_odd_values(pages, scale, used) or _doubt_of_told(scale, dtype, used))
    if not warning and stated is not None and stated.white != scale.white:
        trained = f"the network was trained with white {_number(scale.white)}"
        warning = f"its {stated.tag} says {_number(stated.white)}, but {trained}, which counts; --white decides"
    return Decided(scale, dtype, used, "network", warning)


def _odd_values(pages: Sequence[np.ndarray], scale: Scale, used: Used) -> str | None:
    """Returns what to say of values that are far beyond all others; None where there are none."""
    found = outliers(pages, used.lowest, used.highest, scale)
    return f"{used.text}: {named(found)}" if found else None


def _doubt(pages: Sequence[np.ndarray], scale: Scale, used: Used) -> str | None:
    """Returns what may be wrong with a scale that nobody told, or with single values. Raises UserError where white cannot be
    right."""
    odd = _odd_values(pages, scale, used)
    try:
        doubt = _doubt_of_type(scale, pages[0].dtype, used)
        doubt = _below(scale, used, pages) or doubt
    except UserError as error:
        raise (UserError(f"{odd}; else {str(error).partition(': ')[2]}") if odd else error) from None
    return (odd or doubt) if pages[0].dtype.kind == "f" else (doubt or odd)


def _check_black(scale: Scale, dtype: np.dtype) -> None:
    """Raises UserError where a black is told that is not below a white that is not."""
    if not math.isfinite(scale.black) or scale.black >= scale.white:
        raise UserError(
            f"--black {scale.black:g}: must be below white, which is {scale.white:g} for {dtype} unless it is told; "
            "give --white too, or a lower --black"
        )


def _doubt_of_told(told: Scale, dtype: np.dtype, used: Used) -> str | None:
    """Returns what may be wrong with what the user told."""
    largest = largest_of(dtype)
    if largest is not None and told.white > largest:
        return f"--white {told.white:g} is above {largest}, the largest value of its {dtype}"
    low, high = ((value - told.black) / (told.white - told.black) for value in (used.low, used.high))
    if high > _FAR or low < -_FAR:
        return f"{used.text}: far beyond black, {told.black:g}, and white, {told.white:g}"
    return None


def _doubt_of_type(scale: Scale, dtype: np.dtype, used: Used) -> str | None:
    """Returns what may be wrong with a scale that nobody told. Raises UserError where it cannot be right."""
    low, high, lowest, highest, top = (
        (value - scale.black) / (scale.white - scale.black)
        for value in (used.low, used.high, used.lowest, used.highest, used.top)
    )
    if dtype.kind == "f":
        if high > _FAR or low < -_FAR:
            asked = ", as it is of floats unless it is told" if scale.white == 1 else ""
            raise UserError(
                f"{used.text}: white cannot be {_number(scale.white)}{asked}; give --white (and --black), the values that "
                f"stand for white (and black){_example(used.high)}"
            )
        if math.isfinite(highest - lowest) and (highest > _OUTSIDE or lowest < 1 - _OUTSIDE):
            return (
                f"{used.text}: if white is not {_number(scale.white)} or black not {_number(scale.black)}, give --white "
                "and --black"
            )
    largest = largest_of(dtype)
    if scale.white != (largest or 1.0) or top <= 0:
        return None  # a tag says it; or all is black
    if top > (DIM if dtype.kind != "f" and dtype.itemsize == 2 else FEW):
        return None
    of = f"{used.text} of {_number(scale.white)}"
    bits = next(bits for bits in _BITS if used.top < 2**bits)
    if largest is None or 2**bits > largest:
        return f"{of}: if white is not {_number(scale.white)}, give --white"
    return f"{of}: if these are {bits} bits give --white {2**bits - 1}"


def _below(scale: Scale, used: Used, pages: Sequence[np.ndarray]) -> str | None:
    """Returns what is wrong where a black of 0, which nobody told, lies amid the values: below it networks know noise only.

    Raises UserError instead where the type is of signed integers, which are made for such values.

    scale: that is decided.
    used: the values of the pages.
    pages: as for `decide`.
    """
    limit = -_BELOW * scale.white
    if scale.black or used.low >= limit:
        return None
    if not any(np.count_nonzero((means := _block_means(page)) < limit) > 2 + _ODD * means.size for page in pages):
        return None
    lowest = math.floor(used.lowest) if pages[0].dtype.kind == "i" else used.lowest
    line = f"{used.text}, and black is 0, which is not below them: give --black, the value that stands for black"
    if pages[0].dtype.kind == "i":
        raise UserError(f"{line}, e.g. --black {lowest}")
    return f"{line}, e.g. --black {lowest:.4g}"


def _block_means(page: np.ndarray) -> np.ndarray:
    """Returns the finite means of blocks of a page [H,W,C], float64: values with next to no noise. Empty of small pages."""
    height, width = (size // _BLOCK * _BLOCK for size in page.shape[:2])
    if page.shape[1] == 1:  # pixels one after the other
        runs = page[: len(page) // _BLOCK**2 * _BLOCK**2].reshape(-1, _BLOCK**2, page.shape[2])
        means = runs.mean(axis=1, dtype=np.float64)
    else:
        blocks = page[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, page.shape[2])
        means = blocks.mean(axis=(1, 3), dtype=np.float64)
    return means[np.isfinite(means)]


def likely_white(top: float) -> str:
    """Returns whites for values of up to about `top`, in words that go on with another."""
    likely = [f"{2**bits - 1} if these are {bits} bits," for bits in _BITS[:-1] if top < 2**bits <= 2**6 * (top + 1)]
    return " ".join([*likely, "or"])


def _example(value: float) -> str:
    """Returns an example of a white for values up to about `value`; nothing where no number of bits fits."""
    bits = next((bits for bits in _BITS[1:] if value <= 1.4 * 2**bits), None)  # noise is above white
    return f", e.g. --white {2**bits - 1} for {bits} bits" if bits and value > 2**5 else ""


def sampled(page: np.ndarray, most: int) -> np.ndarray:
    """Returns the finite values, float64, of about `most` pixels, spread evenly, of a page [H,W,C]."""
    step = max(1, math.isqrt(page.shape[0] * page.shape[1] // max(most, 1)))
    values = page[::step, ::step].astype(np.float64).ravel()
    return values[np.isfinite(values)]


def _used(pages: Sequence[np.ndarray]) -> Used | None:
    """Measures pages; None where they have no finite value."""
    finite = []
    lowest, highest = math.inf, -math.inf
    for page in pages:
        if page.size:
            finite.append(sampled(page, _SAMPLE // len(pages)))
            with np.errstate(invalid="ignore"):  # NaN is refused elsewhere
                lowest = min(lowest, float(np.fmin.reduce(page, axis=None)))
                highest = max(highest, float(np.fmax.reduce(page, axis=None)))
    values = np.concatenate(finite) if finite else np.empty(0)
    if not values.size:
        return None
    low, high, top = (float(value) for value in np.quantile(values, [0.01, 0.99, 0.999], method="nearest"))
    return Used(lowest, highest, low, high, top)


def _number(value: float) -> str:
    """Writes a value: whole ones as 4,011, others, and very large ones, with three digits."""
    is_whole = 1000 <= abs(value) < 1e9 or (abs(value) < 1000 and value == round(value))
    return f"{value:,.0f}" if is_whole else f"{value:.3g}"
