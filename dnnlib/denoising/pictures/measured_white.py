"""Measures a white that all pictures have in common: what `--white auto` takes."""

from collections.abc import Sequence

import numpy as np

from dnnlib.denoising.pictures.decided_scale import sampled
from dnnlib.denoising.pictures.files import read_filled
from dnnlib.errors import UserError

SHARE = 0.999  # of the values are up to white: a few odd ones do not count
_SAMPLE, _LEAST = 4_000_000, 1000  # pixels of all pictures together, and of each page at least


def measured_white(
    paths: Sequence[str], black: float, nodata: float | None = None, writable_only: bool = True, axes: str | None = None
) -> float:
    """Returns the value that all but a thousandth of the values in all pages of all pictures do not exceed.

    paths: of the files. One that cannot be read is left out here: who needs it will say why.
    black, nodata: as the user told them. Pixels without a value do not count.
    writable_only, axes: as for `read_picture`.

    Raises UserError where no file can be read, for files of several types, and where no such value is above black.
    """
    samples: list[np.ndarray] = []
    first_of: dict[str, str] = {}  # type -> the first file that has it
    failure = None
    for path in paths:
        try:
            picture = read_filled(path, nodata, writable_only, axes)
        except UserError as error:
            failure = failure or error
            continue
        for i, page in enumerate(picture.pages):
            first_of.setdefault(page.dtype.newbyteorder("=").name, path)
            most = max(_SAMPLE // (len(paths) * len(picture.pages)), _LEAST)
            samples.append(sampled(picture.values(i), most).astype(np.float32))
        if len(first_of) > 1:
            types = " and ".join(f"{name} is {dtype}" for dtype, name in first_of.items())
            raise UserError(f"--white auto: {types}, which have no white in common: take one type at a time")
    values = np.concatenate(samples) if samples else np.empty(0)
    if not values.size:
        raise failure or UserError("--white auto: the pictures have no values to measure: give --white")
    white = float(np.quantile(values, SHARE, method="nearest"))
    if white <= black:
        raise UserError(f"--white auto: no values are above black, {black:g}: give --white, or a lower --black")
    return white
