"""Which axis is which: of arrays and TIFF files, told and untold; channels that are no RGB go one by one, everywhere."""

import h5py
import numpy as np
import pytest
import tifffile
from graphs import random_variables
from material import smooth_picture
from PIL import Image

import dataset_tool_h5
import selfsupervised_denoising
from config.networks import NETWORKS
from dnnlib.denoising import Denoiser
from dnnlib.denoising.adapting.pages import read_pages
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference.denoise_files import denoise
from dnnlib.denoising.network.architecture import shapes_of
from dnnlib.denoising.network.network_file import to_network
from dnnlib.denoising.network.shipped import network_path
from dnnlib.denoising.options import DEFAULT_NETWORKS, DenoisingOptions
from dnnlib.denoising.pictures.axes import Arrangement
from dnnlib.denoising.pictures.files import read_header, read_picture
from dnnlib.denoising.pictures.images import read_image
from dnnlib.denoising.pictures.scale import UNTOLD
from dnnlib.errors import UserError

RNG = np.random.default_rng(3)
MONO = "gauss25-blindspot-sigma_known-mono"
# Of letters, the shape that each has here: no two are alike, but S and C have the sizes that mean something.
SIZES = {"T": 2, "Z": 5, "C": 4, "Y": 18, "X": 21}


def values(axes, dtype=np.uint16, **sizes):
    shape = [(SIZES | {"S": 3} | sizes)[axis] for axis in axes]
    return RNG.integers(0, 60000, shape).astype(dtype)


def page_of(array, axes, **at):
    """[Y,X,S] at places along the other axes, by NumPy's own indexing."""
    picked = array[tuple(slice(None) if axis in "YXS" else at[axis] for axis in axes)]
    left = "".join(axis for axis in axes if axis in "YXS")
    order = [left.index(axis) for axis in "YXS" if axis in left]
    return picked.transpose(order).reshape(SIZES["Y"], SIZES["X"], -1)


def check_pages(picture, array, axes):
    """That the pages are those of the array, the axis that comes last changing first."""
    others = [axis for axis in axes if axis not in "YXS"]
    sizes = [array.shape[axes.index(axis)] for axis in others]
    places = list(np.ndindex(*sizes))
    for place, page in zip(places, picture.pages, strict=True):
        np.testing.assert_array_equal(page, page_of(array, axes, **dict(zip(others, place, strict=True))), strict=True)
    is_first = [all(n == 0 or axis == "C" for n, axis in zip(place, others, strict=True)) for place in places]
    channels = [i for i, first in enumerate(is_first) if first]
    assert list(picture.first) == channels


ALL = ["YX", "XY", "ZYX", "CYX", "YXC", "CXY", "YCX", "TCZYX", "TZCYX", "YXZ", "YXS", "SYX", "ZYXS", "CYXS"]


@pytest.mark.parametrize("axes", ALL)
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_told_axes(tmp_path, axes, order):
    array = np.asarray(values(axes), order=order)
    np.save(tmp_path / "a.npy", array)
    picture = read_picture(tmp_path / "a.npy", axes=axes)
    assert picture.notes == [] and picture.colours == (3 if "S" in axes else 1)
    check_pages(picture, array, axes)
    header = read_header(tmp_path / "a.npy", axes)
    assert (header.width, header.height, header.pages) == (SIZES["X"], SIZES["Y"], len(picture.pages))
    picture.write(tmp_path / "b.npy", [page.copy() for page in picture.pages])
    assert (tmp_path / "b.npy").read_bytes() == (tmp_path / "a.npy").read_bytes()


@pytest.mark.parametrize("axes", ALL)
def test_plain_tiffs_of_told_axes(tmp_path, axes):
    array = values(axes)
    shape = (-1, *array.shape[-2:]) if array.shape[-1] != 3 else (-1, *array.shape[-3:])
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:  # with no word of the axes, so of the shape of the pages only
        for page in array.reshape(shape):
            writer.write(page, photometric="rgb" if page.shape[-1] == 3 else "minisblack", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        plain = (len(tiff.pages), *tiff.pages[0].shape) if len(tiff.pages) > 1 else tiff.pages[0].shape
    if plain != array.shape:
        with pytest.raises(UserError, match=f"--axes {axes} does not fit the array's shape .{', '.join(map(str, plain))}"):
            read_picture(tmp_path / "a.tif", axes=axes)
        return
    picture = read_picture(tmp_path / "a.tif", axes=axes)
    check_pages(picture, array, axes)
    assert read_header(tmp_path / "a.tif", axes).pages == len(picture.pages)
    picture.write(tmp_path / "b.tif", [page + 1 for page in picture.pages])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), array + 1)


@pytest.mark.parametrize(
    ("axes", "options"),
    [
        ("TZCYX", {"imagej": True}), ("CYX", {"imagej": True}), ("ZYX", {"imagej": True}), ("TCZYX", {"ome": True}),
        ("CYX", {"ome": True}), ("ZCYX", {"ome": True}), ("YXC", {}), ("TCYX", {}), ("CYX", {}), ("YXZ", {}),
    ],
)  # fmt: skip
def test_axes_are_read_from_the_file(tmp_path, axes, options):
    """Of ImageJ, OME and tifffile; and the result says the same."""
    array = values(axes, C=7)
    tifffile.imwrite(tmp_path / "a.tif", array, metadata={"axes": axes}, photometric="minisblack", **options)
    picture = read_picture(tmp_path / "a.tif")
    check_pages(picture, array, axes)
    header = read_header(tmp_path / "a.tif")
    assert (header.width, header.height, header.pages, header.channels) == (21, 18, len(picture.pages), len(picture.first))
    check_pages(read_picture(tmp_path / "a.tif", axes=axes), array, axes)
    picture.write(tmp_path / "b.tif", [page + 1 for page in picture.pages])
    with tifffile.TiffFile(tmp_path / "a.tif") as before, tifffile.TiffFile(tmp_path / "b.tif") as after:
        assert [(s.axes, s.shape) for s in after.series] == [(s.axes, s.shape) for s in before.series]
        assert before.imagej_metadata == after.imagej_metadata and before.ome_metadata == after.ome_metadata
        np.testing.assert_array_equal(after.asarray(), array + 1)


# --- what is alpha


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize(
    ("photometric", "samples", "extras", "colours", "pages", "kept"),
    [
        ("minisblack", 2, (2,), 1, 1, 1), ("minisblack", 2, (1,), 1, 1, 1), ("minisblack", 2, (0,), 1, 2, 0),
        ("minisblack", 4, (0, 0, 0), 1, 4, 0), ("minisblack", 3, (0, 0), 1, 3, 0), ("minisblack", 4, (0, 0, 2), 1, 3, 1),
        ("rgb", 3, (), 3, 1, 0), ("rgb", 4, (2,), 3, 1, 1), ("rgb", 4, (1,), 3, 1, 1), ("rgb", 4, (0,), 1, 4, 0),
        ("rgb", 5, (0, 2), 1, 4, 1), ("rgb", 5, (2, 0), 1, 4, 1),
    ],
)  # fmt: skip
def test_alpha_of_tiffs_is_what_the_tag_says(tmp_path, photometric, samples, extras, colours, pages, kept, separate):
    array = RNG.integers(0, 250, (18, 21, samples), np.uint8)
    stored = np.moveaxis(array, -1, 0) if separate else array
    plan = {"photometric": photometric, "planarconfig": "separate" if separate else "contig", "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", stored, extrasamples=extras, **plan)
    picture = read_picture(tmp_path / "a.tif")
    assert (picture.colours, len(picture.pages), len(picture.first)) == (colours, pages, pages)
    assert read_header(tmp_path / "a.tif").pages == pages
    picture.write(tmp_path / "b.tif", [np.concatenate([p[..., :colours] + 1, p[..., colours:]], 2) for p in picture.pages])
    alpha = [samples - len(extras) + i for i, kind in enumerate(extras) if kind]
    expected = array + 1
    expected[..., alpha] = array[..., alpha]
    assert len(alpha) == kept
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        np.testing.assert_array_equal(tiff.asarray(), np.moveaxis(expected, -1, 0) if separate else expected)
        assert tiff.pages[0].extrasamples == extras and tiff.pages[0].photometric.name == photometric.upper()
    as_samples = {2: "YXS", 4: "YXS"}.get(samples)
    if as_samples and not separate:
        told = read_picture(tmp_path / "a.tif", axes=as_samples)
        assert len(told.pages) == 1 and told.colours == (1 if samples == 2 else 3)


@pytest.mark.parametrize(("channels", "note"), [(2, "is grey and alpha: --axes YXS"), (4, "RGB and alpha: --axes YXS")])
def test_no_array_says_alpha(tmp_path, channels, note):
    array = values("YXC", C=channels)
    np.save(tmp_path / "a.npy", array)
    picture = read_picture(tmp_path / "a.npy")
    check_pages(picture, array, "YXC")
    assert len(picture.notes) == 1 and note in picture.notes[0]
    np.save(tmp_path / "b.npy", array[None])
    check_pages(read_picture(tmp_path / "b.npy"), array[None], "PYXC")
    tifffile.imwrite(tmp_path / "a.tif", np.stack([array, array]), photometric="minisblack", planarconfig="contig")
    (said,) = read_picture(tmp_path / "a.tif").notes
    *_, told = said.split()
    assert told == "PYXS" and len(read_picture(tmp_path / "a.tif", axes=told).pages) == 2
    tifffile.imwrite(tmp_path / "b.tif", np.moveaxis(array, -1, 0), photometric="minisblack", planarconfig="separate")
    *_, told = read_picture(tmp_path / "b.tif").notes[0].split()
    assert told == "SYX" and len(read_picture(tmp_path / "b.tif", axes=told).pages) == 1
    with pytest.raises(UserError, match=f"it has {channels} channels that are no RGB"):
        read_image(tmp_path / "a.npy")  # as one clean picture


# --- what is refused


@pytest.mark.parametrize("axes", ["", "YXY", "Z", "CY", "yx", "Y X", "YX1", "ÝX"])
def test_axes_that_no_array_has(tmp_path, axes):
    options = DenoisingOptions(network="n", out="o", axes=axes)
    with pytest.raises(UserError, match=f"--axes {axes}: must be a capital letter for each axis"):
        options.check()
    with pytest.raises(UserError, match="--axes"):
        dataset_tool_h5.main([f"--input-dir={tmp_path}", f"--out={tmp_path / 'o.h5'}", f"--axes={axes}"])


@pytest.mark.parametrize(
    ("axes", "shape", "words"),
    [
        ("ZYX", (40, 30), r"--axes ZYX does not fit the array's shape \[40, 30\]"),
        ("YX", (2, 40, 30), r"--axes YX does not fit the array's shape \[2, 40, 30\]"),
        ("YXS", (40, 30, 5), r"--axes YXS does not fit the array's shape \[40, 30, 5\]: an axis S has 1"),
        (None, (2, 40, 30), r"an array of shape \[2, 40, 30\] does not say which axis is which: give --axes"),
        (None, (2, 2, 40, 30, 3), r"an array of shape \[2, 2, 40, 30, 3\]"),
    ],
)
def test_axes_that_do_not_fit(tmp_path, axes, shape, words):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    for read in (read_picture, read_header):
        with pytest.raises(UserError, match=words):
            read(tmp_path / "a.npy", axes=axes)


def test_other_files_have_axes_of_their_own(tmp_path):
    Image.fromarray(np.zeros([9, 9, 3], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="--axes YXC is for TIFF and NumPy files, and this is PNG"):
        read_picture(tmp_path / "a.png", axes="YXC")


def test_pages_that_are_no_array(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for side in (20, 30):
            writer.write(np.zeros([side, side], np.uint8), metadata=None)
    assert len(read_picture(tmp_path / "a.tif").pages) == 2
    with pytest.raises(UserError, match=r"--axes ZYX does not fit its pages, which are of shapes \["):
        read_picture(tmp_path / "a.tif", axes="ZYX")


@pytest.mark.parametrize(
    "words",
    [
        '{"shape": [9, 9], "axes": "YX"}', '{"shape": [1e400], "axes": 3}', '{"shape": [3, 20, 30], "axes": "ZZX"}',
        "ImageJ=1\nchannels=99", '<OME xmlns="http://www.openmicroscopy.org/x">',
    ],
)  # fmt: skip
def test_texts_that_do_not_fit_the_pages_count_for_nothing(tmp_path, words):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for _ in range(3):
            writer.write(np.zeros([20, 30], np.uint8), metadata=None, description=words)
    picture = read_picture(tmp_path / "a.tif")
    assert [page.shape for page in picture.pages] == [(20, 30, 1)] * 3 and picture.first == (0,)


def test_many_narrow_pages_may_be_channels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values("YXC", C=7), photometric="minisblack")
    (note,) = read_picture(tmp_path / "a.tif").notes
    assert note == "18 pictures of 7 x 21: if the last axis is channels, --axes YXC"
    assert read_picture(tmp_path / "a.tif", axes="YXC").notes == []


# --- through the programs


def noisy(axes, **sizes):
    """uint8 of a smooth picture's channels, sigma 25, of 64 and more pixels a side."""
    shape = [(SIZES | {"Y": 64, "X": 70} | sizes)[axis] for axis in axes]
    smooth = smooth_picture(64, 70)[..., 0]
    whole = np.broadcast_to(smooth, (*(size for size, axis in zip(shape, axes, strict=True) if axis not in "YX"), 64, 70))
    order = [axis for axis in axes if axis not in "YX"] + ["Y", "X"]
    clean = whole.transpose([order.index(axis) for axis in axes])
    return np.clip(clean + RNG.normal(0, 25, shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def mono():
    configuration = Configuration.from_name(MONO)
    with Denoiser(to_network(configuration, random_variables(shapes_of(configuration), 2)), configuration) as found:
        yield found


@pytest.mark.parametrize("axes", ["YXC", "CYX", "TCYX"])
def test_the_api_denoises_each_channel(mono, axes):
    image = noisy(axes, C=2)
    result, std = mono(image, sigma=25, axes=axes)
    assert result.shape == std.shape == image.shape and std.dtype == np.float32
    moved, moved_result, moved_std = (
        np.moveaxis(x, (axes.index("Y"), axes.index("X")), (-2, -1)).reshape(-1, 64, 70) for x in (image, result, std)
    )
    for page, one, one_std in zip(moved, moved_result, moved_std, strict=True):
        expected, expected_std = mono(page, sigma=25)
        np.testing.assert_array_equal(one, expected)
        np.testing.assert_array_equal(one_std, expected_std)


def test_the_api_says_what_may_be_alpha(mono):
    with pytest.warns(UserWarning, match="each channel denoised by itself; if it is grey and alpha: axes=YXS"):
        result, _ = mono(image := noisy("YXC", C=2), sigma=25)
    assert (result != image).mean(axis=(0, 1)).min() > 0.5
    result, std = mono(image, sigma=25, axes="YXS")
    np.testing.assert_array_equal(result[..., 1], image[..., 1])
    assert std.shape == (64, 70)
    for axes, words in (("CYX", "--axes CYX does not fit the array's shape .64, 70."), ("YY", "--axes YY: must be")):
        with pytest.raises(UserError, match=words):
            mono(image[..., 0], axes=axes)


def test_denoise_takes_the_mono_network(tmp_path, capsys):
    """And what comes out is what it makes of each channel."""
    packed, stack = noisy("YXC", C=4), noisy("TCYX", C=3, T=2)
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "packed.npy", packed)
    tifffile.imwrite(tmp_path / "in" / "stack.tif", stack[:, None], imagej=True, metadata={"axes": "TZCYX"})
    options = {"network": DEFAULT_NETWORKS, "out": str(tmp_path / "out"), "std": True}
    denoise([str(tmp_path / "in")], DenoisingOptions(**options), NETWORKS)
    printed = capsys.readouterr().out
    (name,) = (name for name, row in NETWORKS.items() if row["default"] == "grey")
    assert printed.startswith(f"grey pictures: by the shipped network {name}")
    assert "packed.npy: 70 x 64, 4 channels, uint8, sigma" in printed and "(learned, channel by channel)" in printed
    assert "stack.tif: 70 x 64, 3 channels, uint8, 2 pages, sigma" in printed
    with Denoiser.load(network_path(name, "network", NETWORKS)) as denoiser:
        expected, _ = denoiser(packed, axes="YXC")
        np.testing.assert_array_equal(np.load(tmp_path / "out" / "packed.npy"), expected)
        expected, _ = denoiser(stack, axes="TCYX")
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "stack.tif"), expected)
    assert len(tifffile.TiffFile(tmp_path / "out" / "packed-std.tif").pages) == 4


def test_the_command_tells_all_readers_the_axes(tmp_path, monkeypatch):
    """Also for --white auto."""
    image = noisy("CYX", C=2)
    np.save(tmp_path / "a.npy", image)
    monkeypatch.chdir(tmp_path)
    selfsupervised_denoising.denoise({"denoise": ["a.npy"], "axes": "CYX", "out": "out", "white": "auto"})
    result = np.load("out/a.npy")
    assert result.shape == image.shape and (result != image).mean(axis=(1, 2)).min() > 0.5
    large = values("CYX", C=2, Y=160, X=170)
    np.save("b.npy", large)
    for page, channel in zip(read_pages(["b.npy"], UNTOLD, "CYX"), large, strict=True):  # of --adapt
        np.testing.assert_array_equal(page.pixels[..., 0], channel)


@pytest.mark.parametrize("kind", [[], ["--noisy"]])
def test_shards_take_each_channel_as_a_grey_picture(tmp_path, capsys, kind):
    (tmp_path / "in").mkdir()
    one, two = noisy("CYX", C=4), noisy("CYX", C=4)
    np.save(tmp_path / "in" / "one.npy", one)
    tifffile.imwrite(tmp_path / "in" / "two.tif", two, imagej=True, metadata={"axes": "CYX"})
    out = tmp_path / "shard.h5"
    dataset_tool_h5.main([f"--input-dir={tmp_path / 'in'}", f"--out={out}", "--min-size=64", "--axes=CYX", *kind])
    with h5py.File(out) as file:
        groups = [file, file["held_out"]] if kind else [file]
        images = [np.reshape(x, shape) for g in groups for x, shape in zip(g["images"], g["shapes"], strict=True)]
    channels = {image[0].tobytes() for image in images}
    assert len(images) == 8 and channels == {page.tobytes() for page in (*one, *two)}
    assert {image.shape for image in images} == {(1 if kind else 3, 64, 70)}
    printed = capsys.readouterr().out
    assert "two.tif, 4 pictures" in printed if kind else "two.tif, channel 4 of 4" in printed


def test_an_arrangement_counts():
    found = Arrangement("ZYXC", (5, 18, 21, 4), alpha=(1,))
    assert (found.count, found.first, found.page_shape) == (15, (0, 1, 2), (18, 21, 1))
    assert Arrangement("CZYX", (4, 5, 18, 21)).first == (0, 5, 10, 15)
