"""Black and white of pictures of all types."""

import math

import numpy as np
import pytest

from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError


@pytest.mark.parametrize(("dtype", "white"), [("u1", 255), ("<u2", 65535), (">u2", 65535), ("f2", 1), ("f4", 1), (">f8", 1)])
def test_white_is_that_of_the_type_unless_told(dtype, white):
    assert Scale(7.0).of(np.dtype(dtype)) == Scale(7.0, white)
    assert Scale(7.0, 99.0).of(np.dtype(dtype)) == Scale(7.0, 99.0)


@pytest.mark.parametrize("dtype", ["i4", "u4", "bool", "c16"])
def test_types_that_pictures_are_not_made_of(dtype):
    with pytest.raises(UserError, match="are not supported: convert it to uint8, uint16 or float32"):
        Scale(0.0, 9.0).of(np.dtype(dtype))


@pytest.mark.parametrize("scale", [Scale(), Scale(256.0, 4095.0)])
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2"])
def test_every_value_comes_back(scale, dtype):
    dtype = np.dtype(dtype)
    values = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    scale = scale.of(dtype)
    parts = scale.to_float(values)
    assert parts.dtype == np.float32
    np.testing.assert_array_equal(scale.to_stored(parts, dtype), values, strict=True)
    np.testing.assert_allclose(parts, (values - float(scale.black)) / (scale.white - scale.black), rtol=0, atol=3e-7 * 255)


def test_integers_are_clipped_and_floats_are_not():
    parts = np.array([-2, 0, 0.5, 1, 3], np.float32)
    assert Scale(100.0, 200.0).to_stored(parts, np.dtype(np.uint8)).tolist() == [0, 100, 150, 200, 255]
    assert Scale(100.0, 200.0).to_stored(parts, np.dtype(np.float32)).tolist() == [-100, 100, 150, 200, 400]
    assert Scale(100.0, 200.0).spread(parts).tolist() == [-200, 0, 50, 100, 300]


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (Scale(math.nan), "--black nan: must be a number"), (Scale(math.inf, 3.0), "--black inf: must be a number"),
        (Scale(0.0, 0.0), "--white 0: must be a number above 0"), (Scale(0.0, math.inf), "--white inf: must be"),
        (Scale(9.0, 5.0), "--white 5: must be a number above --black 9"),
    ],
)  # fmt: skip
def test_what_cannot_be(scale, message):
    with pytest.raises(UserError, match=message):
        scale.check()


def test_what_can_be():
    for scale in (Scale(), Scale(-1.0), Scale(-1.0, 0.0), Scale(300.0)):
        scale.check()
