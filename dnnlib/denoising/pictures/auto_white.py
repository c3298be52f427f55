"""`--white auto`: the word, and the line that says what it took. No NumPy at the top: command lines are read by it."""

from collections.abc import Sequence

AUTO_WHITE = "auto"


def number_or_auto(text: str) -> float | str:
    """Parses the value of --white. Raises ValueError for what is neither a number nor `auto`."""
    return text if text == AUTO_WHITE else float(text)


def found_white(
    white: float | str | None, paths: Sequence[str], black: float, nodata: float | None = None,
    writable_only: bool = True, axes: str | None = None,
) -> float | None:  # fmt: skip
    """Returns white as it is told; for AUTO_WHITE it is measured in all pictures, and said.

    paths, black, nodata, writable_only, axes: as for `measured_white`, which also says what is raised.
    """
    if white != AUTO_WHITE:
        return white
    from dnnlib.denoising.pictures.measured_white import SHARE, measured_white
    from dnnlib.progress import say

    white = measured_white(paths, black, nodata, writable_only, axes)
    say(f"white is {white:g}, which {100 * SHARE:g} % of the values of all pictures do not exceed (--white auto)")
    return white
