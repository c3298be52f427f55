"""Sizes of the blind spot: numbers, and width by height."""

import pytest

from dnnlib.denoising.configuration import Configuration, check_hole_size
from dnnlib.denoising.hole import HOLE_SIDES, Hole, Shifts, parse_hole_size
from dnnlib.errors import UserError


def test_squares_are_numbers_as_they_always_were():
    for side in HOLE_SIDES:
        assert parse_hole_size(str(side)) == parse_hole_size(f"{side}x{side}") == Hole(side, side).size == side
        assert Hole.of(side) == Hole(side, side) and type(Hole.of(side).size) is int


@pytest.mark.parametrize(
    ("text", "hole", "shifts"),
    [("9x1", (9, 1), (1, 5)), ("1x3", (1, 3), (2, 1)), ("5x7", (5, 7), (4, 3)), ("3", (3, 3), (2, 2))],
)
def test_width_comes_first(text, hole, shifts):
    found = Hole.of(parse_hole_size(text))
    assert found == hole and str(found.size) == text and found.shifts == shifts
    assert [found.shifts.of_branch(k) for k in range(4)] == [*shifts, *shifts]  # up, sideways, down, sideways
    assert isinstance(found.shifts, Shifts)


@pytest.mark.parametrize(
    "wrong", ["", "0", "2", "11", "-1", "3x", "x3", "3x2", "3x3x3", "3 x 5", "3X5", "1.0", "\u0663", 2, True, 3.0, None]
)
def test_what_cannot_be(wrong):
    with pytest.raises(ValueError, match="must be one of 1, 3, 5, 7, 9, or WIDTHxHEIGHT of them, e.g. 9x1"):
        Hole.of(wrong)
    with pytest.raises(UserError, match=r"^--hole-size .*: must be one of 1, "):
        check_hole_size(Configuration.from_name("gauss25-blindspot-sigma_known"), wrong)


def test_which_covers_which():
    assert Hole.of("9x1").within(Hole.of(9)) and Hole.of("9x1").within(Hole.of("9x1")) and Hole.of(1).within(Hole.of("1x3"))
    assert not Hole.of("9x1").within(Hole.of(7)) and not Hole.of("1x3").within(Hole.of("3x1"))
