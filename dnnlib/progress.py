"""Progress bars on stderr where that is a terminal, and lines on stdout that do not break them."""

import sys

from tqdm import tqdm

from dnnlib.errors import printable


def progress_bar(total: int, unit: str, initial: int = 0) -> tqdm:
    """Shows a bar that disappears when it is closed. What `say` prints in the meantime stands above it."""
    return tqdm(total=total, initial=initial, unit=unit, disable=None if sys.stderr else True, leave=False)


def say(text: str) -> None:
    """Prints a line at once, as `printable`: the progress of hours of work must not wait in a pipe's buffer."""
    if sys.stdout:  # None where the shell closed it
        tqdm.write(printable(text))
        sys.stdout.flush()
