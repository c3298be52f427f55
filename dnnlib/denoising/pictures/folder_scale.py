"""Looks at the scales of all pictures of a folder together: one may be dark, but where most are, white is wrong."""

from collections import Counter

from dnnlib.denoising.pictures.decided_scale import Decided, likely_white
from dnnlib.errors import UserError

_ENOUGH = 32  # pictures after which it is clear what most of a folder are


class FolderScale:
    """Collects what was decided of the pictures of a folder; `check_clean` and `warnings` judge it."""

    def __init__(self, option: str):
        """Begins with no picture. option: what errors begin with, the option that named the folder."""
        self._option = option
        self._judged = 0  # pictures of which nothing but the type says what white is
        self._few = self._dim = 0  # of them: those that use few of the values, and those that are warned of, with them
        self._top, self._largest = 0.0, 0.0  # of those that use few
        self._examples: dict[str, str] = {}  # kind of warning -> the first of that kind, with the file's name
        self._others: Counter[str] = Counter()

    def add(self, path: str, found: Decided) -> None:
        """Takes note of what was decided of a picture."""
        if found.used is None:
            return  # one of 8 bits that was not looked at
        if found.origin == "type":
            self._judged += 1
            self._dim += found.warning is not None
        elif found.warning:
            self._others[found.origin] += 1
        if found.warning:
            self._examples.setdefault("few" if found.uses_few else found.origin, f"{path}: {found.warning}")
        if found.uses_few:
            self._few += 1
            self._top, self._largest = max(self._top, found.used.top), found.scale.white

    def check_clean(self, complete: bool) -> None:
        """Raises UserError where clean pictures would be nearly black: most use few of the values that their type has.

        complete: whether these are all; else it is not judged before there are enough of them.
        """
        if 2 * self._few <= self._judged or not (complete or self._judged >= _ENOUGH):
            return
        raise UserError(
            f"{self._option}: {self._few} of {self._judged} pictures whose white nothing tells have values of up to about "
            f"{self._top:,.0f} of {self._largest:,.0f}, and would be nearly black: give --white, "
            f"{likely_white(self._top)} {self._largest:.0f} if they are as dark as that"
        )

    def warnings(self) -> list[str]:
        """Returns lines that say what may be wrong with the scale of the whole."""
        lines = []
        if self._few or 2 * self._dim > self._judged:
            example = self._examples.get("few") or self._examples["type"]
            lines.append(f"Warning: {self._dim} of {self._judged} pictures use little of their range, e.g. {example}")
        for origin, count in self._others.items():
            lines.append(f"Warning: white is in doubt for {count} pictures, e.g. {self._examples[origin]}")
        return lines
