"""The size of the blind spot: a number of pixels, the side of a square; or 'WxH', its width and height.

Wider ones than high are for noise that the pixels of a row share. Plain data, no NumPy.
"""

import re
from typing import NamedTuple

HOLE_SIDES = (1, 3, 5, 7, 9)  # pixels
HoleSize = int | str

WANTED = f"{', '.join(map(str, HOLE_SIDES))}, or WIDTHxHEIGHT of them, e.g. 9x1"


class Hole(NamedTuple):
    """Holds the sides of a blind spot in pixels, both odd."""

    width: int
    height: int

    @classmethod
    def of(cls, size: HoleSize) -> "Hole":
        """Makes it of a size. Raises ValueError for one that cannot be."""
        found = re.fullmatch(r"([0-9])(?:x([0-9]))?", str(size)) if type(size) in (int, str) else None
        hole = cls(int(found[1]), int(found[2] or found[1])) if found else cls(0, 0)
        if not set(hole) <= set(HOLE_SIDES):
            raise ValueError(f"must be one of {WANTED}")
        return hole

    @property
    def size(self) -> HoleSize:
        """Returns it as options, files and messages have it: squares as numbers, as they were before there were others."""
        return self.width if self.width == self.height else f"{self.width}x{self.height}"

    @property
    def shifts(self) -> "Shifts":
        """Returns by how much the branches are shifted to open it."""
        return Shifts(rows=(self.height + 1) // 2, columns=(self.width + 1) // 2)

    def within(self, other: "Hole") -> bool:
        """Tells whether it is covered by another one."""
        return self.width <= other.width and self.height <= other.height


class Shifts(NamedTuple):
    """Says how far from the pixel the branches end: none sees rows, or columns, nearer than this (AT-BSN, CVPR 2024).

    So the four of them leave out a rectangle of height 2 * rows - 1 and width 2 * columns - 1.
    """

    rows: int  # of the branches that look up and down
    columns: int  # of those that look left and right

    def of_branch(self, quarter_turns: int) -> int:
        """Returns that of the branch that sees the picture after some quarter turns, and looks up then."""
        return self.columns if quarter_turns % 2 else self.rows


def parse_hole_size(text: str) -> HoleSize:
    """Parses the value of --hole-size: '5' and '5x5' are 5. What cannot be stays as it is, for a check to name it."""
    try:
        return Hole.of(text).size
    except ValueError:
        return text
