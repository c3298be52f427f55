"""How the scale of a picture is decided: what is told, what tags state, the type; and what is refused or warned of."""

import struct

import numpy as np
import pytest
import tifffile

from dnnlib.denoising.pictures.decided_scale import decide, decided
from dnnlib.denoising.pictures.files import read_picture
from dnnlib.denoising.pictures.scale import Scale, Stated
from dnnlib.errors import UserError

RNG = np.random.default_rng(5)
RAMP = np.linspace(0, 1, 64 * 64).reshape(64, 64, 1)


def integers(lowest: int, highest: int, dtype=np.uint16) -> np.ndarray:
    """Grey [64,64,1], all values from the lowest to the highest alike."""
    return np.rint(lowest + (highest - lowest) * RAMP).astype(dtype)


# --- what wins


def test_what_is_told_wins_over_what_is_stated_and_that_over_the_type():
    pixels, stated = [integers(0, 4000)], Stated(4095.0, "tag", 64.0)
    for told, expected, origin in [
        (Scale(5.0, 9000.0), Scale(5.0, 9000.0), "told"), (Scale(0.0, 9000.0), Scale(0.0, 9000.0), "told"),
        (Scale(5.0), Scale(5.0, 4095.0), "tag"), (Scale(), Scale(64.0, 4095.0), "tag"),
    ]:  # fmt: skip
        found = decide(pixels, told, stated)
        assert (found.scale, found.origin, found.warning) == (expected, origin, None)
    assert decide([integers(0, 65535)], Scale()).scale == Scale(0.0, 65535.0)
    assert decide([integers(0, 255, np.uint8)], Scale(3.0)).scale == Scale(3.0, 255.0)
    assert decide([RAMP], Scale()).scale == Scale(0.0, 1.0)


def test_what_the_values_contradict_is_not_taken():
    found = decide([integers(0, 60000)], Scale(), Stated(4095.0, "SignificantBits, 12,"))
    assert found.scale == Scale(0.0, 65535.0)
    assert found.warning.startswith("values from 0 to 60,000, though its SignificantBits, 12, says 4,095")


def test_the_largest_value_that_happens_to_be_there_states_nothing():
    pixels = [integers(300, 3867)]
    assert decide(pixels, Scale(), Stated(3867.0, "tag", 300.0, may_be_statistic=True)).origin == "type"
    assert decide(pixels, Scale(), Stated(3999.0, "tag", 300.0, may_be_statistic=True)).scale == Scale(0.0, 3999.0)
    assert decide([integers(0, 4095)], Scale(), Stated(4095.0, "tag", may_be_statistic=True)).scale == Scale(0.0, 4095.0)


# --- what is refused and warned of


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ">f8"])
@pytest.mark.parametrize(
    ("lowest", "highest", "example"),
    [(-40, 350, "--white 255 for 8 bits"), (0, 255, "--white 255"), (0, 4095, "--white 4095"), (100, 60000, "--white 65535"),
     (0, 9.0, "give --white"), (-9999, 1, "give --white")],
)  # fmt: skip
def test_floats_far_beyond_white_are_refused(dtype, lowest, highest, example):
    pixels = (lowest + (highest - lowest) * RAMP).astype(dtype)
    with pytest.raises(UserError, match="white cannot be 1, as it is of floats unless it is told; give --white") as caught:
        decide([pixels], Scale())
    assert "values from " in str(caught.value) and "\n" not in str(caught.value)
    assert example in str(caught.value)
    assert decide([pixels], Scale(float(lowest), float(highest))).warning is None


def test_a_few_odd_values_of_floats_are_warned_of():
    noisy = RAMP + 50 / 255 * RNG.standard_normal(RAMP.shape)
    assert decide([noisy], Scale()).warning is None
    noisy[3, 4] = -9999
    assert decide([noisy], Scale()).warning.startswith("values from -9,999 to 1.")
    noisy[3, 4] = np.nan
    assert decide([noisy], Scale()).warning is None  # who looks at all values refuses it
    noisy[:] = np.nan
    assert decide([noisy], Scale()).used is None


@pytest.mark.parametrize(
    ("pixels", "warning"),
    [
        (integers(12, 4011), "values from 12 to 4,011 of 65,535: if these are 12 bits give --white 4095"),
        (integers(12, 4011, ">u2"), "values from 12 to 4,011 of 65,535: if these are 12 bits give --white 4095"),
        (integers(0, 900), "values from 0 to 900 of 65,535: if these are 10 bits give --white 1023"),
        (integers(0, 200), "values from 0 to 200 of 65,535: if these are 8 bits give --white 255"),
        (integers(0, 16000), "values from 0 to 16,000 of 65,535: if these are 14 bits give --white 16383"),
        (integers(0, 16400), None), (integers(0, 65535), None), (integers(0, 0), None),
        (integers(0, 20, np.uint8), None), (integers(0, 255, np.uint8), None),
        (integers(0, 7, np.uint8), "values from 0 to 7 of 255: if these are 4 bits give --white 15"),
        (RAMP * 0.05, "values from 0 to 0.05 of 1: if white is not 1, give --white"),
        (RAMP * 0.1, None),
    ],
)  # fmt: skip
def test_little_of_the_range_is_warned_of(pixels, warning):
    assert decide([pixels], Scale()).warning == warning
    assert decide([pixels], Scale(0.0, float(np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1))).warning is None


def test_a_hot_pixel_hides_nothing():
    pixels = integers(0, 4000)
    pixels[:, 50:], pixels[0, 1] = 4000, 65535
    expected = r"values from 0 to 65,535 (but for 0.1 %, up to 4,000) of 65,535: if these are 12 bits give --white 4095"
    assert decide([pixels], Scale()).warning == expected


def test_a_white_that_is_told_wrong_is_warned_of():
    assert decide([integers(0, 255, np.uint8)], Scale(0.0, 4095.0)).warning.startswith("--white 4095 is above 255, the")
    assert "far beyond black, 0, and white, 4095" in decide([integers(0, 65535)], Scale(0.0, 4095.0)).warning


def test_a_black_that_is_not_below_white():
    for pixels, message in ((integers(0, 9), "--black 65535: must be below white, which is 65535 for uint16"),
                            (integers(0, 9, np.uint8), "--black 65535: .*which is 255 for uint8")):  # fmt: skip
        with pytest.raises(UserError, match=message):
            decide([pixels], Scale(65535.0))
    with pytest.raises(UserError, match="--black 4095: must be below white, which is 4095"):
        decide([integers(0, 4000)], Scale(4095.0), Stated(4095.0, "tag"))


# --- tags of TIFF files


def tiff(path, pixels, **options):
    tifffile.imwrite(path, pixels[..., 0], photometric="minisblack", **options)
    return path


def scales(path) -> list[tuple[Scale, str]]:
    return [(found.scale, found.origin) for found in decided(read_picture(path), Scale())]


def range_tags(lowest: int, highest: int) -> list[tuple]:
    return [(280, 3, 1, lowest, True), (281, 3, 1, highest, True)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"extratags": range_tags(0, 4095)}, (Scale(0.0, 4095.0), "MaxSampleValue")),
        ({"extratags": range_tags(256, 4095)}, (Scale(256.0, 4095.0), "MaxSampleValue")),
        ({"extratags": range_tags(0, 3900)}, (Scale(0.0, 65535.0), "type")),  # the largest in the picture
        ({"extratags": range_tags(0, 65535)}, (Scale(0.0, 65535.0), "type")),
        ({"extratags": [(281, 3, 1, 0, True)]}, (Scale(0.0, 65535.0), "type")),
        ({"ome": True, "metadata": {"axes": "YX", "SignificantBits": 12}}, (Scale(0.0, 4095.0), "SignificantBits, 12,")),
        ({"ome": True, "metadata": {"axes": "YX", "SignificantBits": 16}}, (Scale(0.0, 65535.0), "type")),
        ({"ome": True, "metadata": {"axes": "YX"}}, (Scale(0.0, 65535.0), "type")),
        ({"imagej": True, "metadata": {"min": 0.0, "max": 4095.0}}, (Scale(0.0, 65535.0), "type")),  # what is shown
    ],
)  # fmt: skip
def test_tags_that_state_the_range(tmp_path, options, expected):
    pixels = integers(0, 3900)
    assert scales(tiff(tmp_path / "a.tif", pixels, **options)) == [expected]


def test_bounds_of_floats(tmp_path):
    path = tiff(tmp_path / "a.tif", (RAMP * 250).astype(np.float32), extratags=[(341, 11, 1, 255.0, True)])
    assert scales(path) == [(Scale(0.0, 255.0), "SMaxSampleValue")]


def test_pages_that_are_alike_are_looked_at_together(tmp_path):
    """The first page holds little, but its tag tells of all pages; those without a tag are of another kind."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for highest, tags in ((500, range_tags(0, 3000)), (3000, range_tags(0, 3000)), (3000, ())):
            file.write(integers(0, highest)[..., 0], extratags=tags, photometric="minisblack", metadata=None)
        file.write(integers(0, 9, np.uint8)[..., 0], photometric="minisblack", metadata=None)
    assert scales(tmp_path / "a.tif") == [(Scale(0.0, 65535.0), "type")] * 3 + [(Scale(0.0, 255.0), "type")]


def packed_12_bits(values: np.ndarray, order: str) -> bytes:
    """A TIFF file of grey [H,W] with 12 bits a pixel, two pixels in three bytes. order: of the bytes in its tags."""
    height, width = values.shape
    even, odd = values[:, ::2].astype(int), values[:, 1::2].astype(int)
    packed = np.stack([even >> 4, (even & 15) << 4 | odd >> 8, odd & 255], axis=2).astype(np.uint8).tobytes()
    tags = [(256, width), (257, height), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    tags.append((279, len(packed)))
    directory = struct.pack(f"{order}H", len(tags))
    directory += b"".join(struct.pack(f"{order}HHII", code, 4, 1, value) for code, value in tags)
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(packed))
    return start + packed + directory + bytes(4)


def test_packed_12_bits(tmp_path):
    """In the result, of 16 bits, another tag says the same."""
    values = integers(0, 4095)[..., 0]
    (tmp_path / "a.tif").write_bytes(packed_12_bits(values, "<"))
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.pages[0][..., 0], values)
    assert scales(tmp_path / "a.tif") == [(Scale(0.0, 4095.0), "BitsPerSample, 12,")]
    picture.write(tmp_path / "b.tif", picture.pages)
    assert scales(tmp_path / "b.tif") == [(Scale(0.0, 4095.0), "MaxSampleValue")]


def test_packed_12_bits_that_only_imagecodecs_reads(tmp_path, monkeypatch):
    def missing(_page):
        raise NotImplementedError("packints_decode of 12-bit integers requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", missing)
    (tmp_path / "a.tif").write_bytes(packed_12_bits(integers(0, 4095)[..., 0], ">"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="a.tif: 12-bit values .* without the package imagecodecs: pip install imagecodecs"):
        read_picture(tmp_path / "a.tif")
