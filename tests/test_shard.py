"""The training shard: what the dataset tool wrote is read exactly, one image at a time; what is wrong takes one line."""

import itertools
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from material import random_images, write_bare_shard, write_picture

from dnnlib.denoising.data import shard as shard_module
from dnnlib.denoising.data.shard import Shard
from dnnlib.denoising.data.shard_writer import write_shard
from dnnlib.denoising.pictures.images import read_image
from dnnlib.errors import UserError

CROP = 32


def refusal(path: Path, crop: int = CROP) -> str:
    """What is said against the file, after the option and the file's name."""
    with pytest.raises(UserError) as caught:
        shard = Shard(path, crop)
        try:
            shard.check()
        finally:
            shard.close()
    text = str(caught.value)
    assert text.startswith(f"--train-h5 {path}: ") and "\n" not in text
    return text.removeprefix(f"--train-h5 {path}: ")


def bare_file(path: Path, **datasets) -> Path:
    """An HDF5 file of the data sets given; lists of arrays become rows of different lengths."""
    with h5py.File(path, "w") as file:
        for name, value in datasets.items():
            if isinstance(value, list):
                dataset = file.create_dataset(name, (len(value),), h5py.vlen_dtype(value[0].dtype))
                for i, item in enumerate(value):
                    dataset[i] = item
            elif value is h5py.Group:
                file.create_group(name)
            else:
                file[name] = value
    return path


# ---- What is right


def test_what_the_dataset_tool_wrote_is_read_exactly(tmp_path, capsys):
    sizes = [(256, 256), (256, 300), (301, 257), (512, 270)]
    pixels = [write_picture(tmp_path / "in" / f"{i}.png", *size, seed=i) for i, size in enumerate(sizes)]
    write_picture(tmp_path / "in" / "grey.png", 260, 256, grey=True)
    photograph = tmp_path / "in" / "photograph.jpg"
    write_picture(photograph, 280, 290, seed=9)
    write_shard(str(tmp_path / "in"), tmp_path / "shard.h5")
    order = [line.split("/")[-1] for line in capsys.readouterr().out.splitlines() if line[0].isdigit()]

    shard = Shard(tmp_path / "shard.h5", 256)
    shard.check()
    assert len(shard) == len(order) == 6
    for i, name in enumerate(order):
        image = shard.read(i)
        assert image.dtype == np.uint8 and list(image.shape) == list(shard.shapes[i])
        np.testing.assert_array_equal(image.transpose(1, 2, 0), read_image(tmp_path / "in" / name))
        if name[0].isdigit():
            np.testing.assert_array_equal(image.transpose(1, 2, 0), pixels[int(name[0])])
    shard.close()


def test_an_image_may_be_just_as_large_as_the_crop(tmp_path):
    path = write_bare_shard(tmp_path / "shard.h5", random_images([(32, 40), (50, 32)]))
    Shard(path, 32).check()
    assert "1 of 2 images are smaller than the crop of 33 (the first is 40x32)" in refusal(
        write_bare_shard(tmp_path / "a.h5", random_images([(32, 40), (33, 33)])), 33
    )


@pytest.mark.parametrize("integers", [np.int64, np.uint16, ">i4"])
def test_shapes_may_be_any_integers(tmp_path, integers):
    images = random_images([(32, 40), (50, 33)])
    path = write_bare_shard(tmp_path / "shard.h5", images, np.array([i.shape for i in images]).astype(integers))
    shard = Shard(path, CROP)
    for i, image in enumerate(images):
        np.testing.assert_array_equal(shard.read(i), image)


def test_images_are_not_kept_in_memory(tmp_path):
    path = write_bare_shard(tmp_path / "shard.h5", itertools.repeat(np.zeros((3, 512, 512), np.uint8), 100))
    script = (
        "import resource, sys; from dnnlib.denoising.data.shard import Shard\n"
        "shard = Shard(sys.argv[1], 512); kept = [shard.read(i) for i in range(10)]; del kept\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "shard.check(); [shard.read(i).sum() for i in range(len(shard))]\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    root = Path(shard_module.__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script, path], cwd=root, capture_output=True, text=True, timeout=60)
    grown = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 20e6  # the other 90 images are 71 MB


def test_opening_reads_no_image(tmp_path, monkeypatch):
    path = write_bare_shard(tmp_path / "shard.h5", random_images([(40, 40)] * 3))
    monkeypatch.setattr(Shard, "read", lambda *_: pytest.fail("read an image"))
    assert len(Shard(path, CROP)) == 3


@pytest.mark.parametrize("other", [0, 1, 2])
def test_the_fingerprint_tells_shards_of_the_same_sizes(tmp_path, other):
    images = random_images([(40, 40)] * 3)
    before = Shard(write_bare_shard(tmp_path / "shard.h5", images), CROP).fingerprint()
    assert Shard(write_bare_shard(tmp_path / "same.h5", images), CROP).fingerprint() == before
    images[other] = images[other] ^ 1
    assert Shard(write_bare_shard(tmp_path / "other.h5", images), CROP).fingerprint() != before


def test_check_of_a_large_shard_looks_at_images_evenly_spread(tmp_path, monkeypatch):
    path = write_bare_shard(tmp_path / "shard.h5", random_images([(32, 32)] * 21))
    seen = []
    monkeypatch.setattr(Shard, "read", lambda _, i: seen.append(i))
    Shard(path, CROP).check()
    assert seen == list(range(21))
    seen.clear()
    monkeypatch.setattr(shard_module, "FULL_CHECK", 6)
    Shard(path, CROP).check()
    assert seen == [0, 4, 8, 12, 16, 20]


# ---- What is wrong


def test_no_such_file(tmp_path):
    for path in (tmp_path / "none.h5", tmp_path / "none" / "none.h5", tmp_path / ("x" * 300)):
        assert "no such file" in refusal(path)


def test_a_folder(tmp_path):
    assert "is a folder" in refusal(tmp_path)


def test_not_hdf5(tmp_path):
    path = tmp_path / "shard.h5"
    for data in (b"", b"a text", bytes(10_000), b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(data)
        assert "HDF5" in refusal(path) and "dataset_tool_h5.py" in refusal(path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.9999])
def test_truncated(tmp_path, share):
    path = write_bare_shard(tmp_path / "shard.h5", random_images([(40, 50)] * 5))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert "truncated" in refusal(path)


def test_the_data_sets_are_missing(tmp_path):
    images = [np.zeros(3 * 40 * 40, np.uint8)]
    shapes = np.array([[3, 40, 40]])
    for i, datasets in enumerate([{}, {"images": images}, {"shapes": shapes}, {"Images": images, "shapes": shapes}]):
        assert "has no data sets 'images' and 'shapes'" in refusal(bare_file(tmp_path / f"{i}.h5", **datasets))


def test_empty(tmp_path):
    assert "holds no image" in refusal(write_bare_shard(tmp_path / "shard.h5", []))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_as_many_shapes_as_images(tmp_path, count):
    shapes = np.tile(np.array([[3, 40, 40]], np.int32), (count, 1))
    path = write_bare_shard(tmp_path / "shard.h5", random_images([(40, 40)] * 2), shapes)
    assert f"has 2 images but shapes of [{count}, 3]" in refusal(path)


@pytest.mark.parametrize(
    "shape",
    [
        (3, 40, 41),  # too many values
        (3, 40, 39),  # too few
        (1, 120, 40),  # not three channels
        (12, 20, 20),
        (3, 2**31 - 1, 2**31 - 1),  # the product overflows 32 and nearly 64 bits
        (3, 2**30, 2**30),
    ],
)
def test_an_image_is_not_as_its_shape_says(tmp_path, shape):
    shapes = np.array([(3, 40, 40), shape, (3, 40, 40)], np.int32)
    path = write_bare_shard(tmp_path / "shard.h5", random_images([(40, 40)] * 3), shapes)
    said = refusal(path, 16)
    assert "image 1 has 4800 uint8 values" in said and str(shape) in said


def test_negative_shapes(tmp_path):
    path = write_bare_shard(tmp_path / "shard.h5", random_images([(40, 40)]), [(3, -40, -40)])
    assert "smaller than the crop" in refusal(path)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.float32])
def test_images_of_another_type(tmp_path, dtype):
    path = write_bare_shard(tmp_path / "shard.h5", random_images([(40, 40)]), dtype=dtype)
    assert f"{np.dtype(dtype)}" in refusal(path)


GOOD_IMAGES = [np.zeros(3 * 40 * 40, np.uint8)] * 2
GOOD_SHAPES = np.array([[3, 40, 40]] * 2, np.int32)
STRANGE = {
    "images as one array": {"images": np.zeros((2, 3, 40, 40), np.uint8)},
    "images of one value": {"images": np.zeros(2, np.uint8)},
    "images as text": {"images": np.array([b"a", b"b"], h5py.string_dtype())},
    "images as a number": {"images": 5},
    "images as a folder": {"images": h5py.Group},
    "images behind a link that leads nowhere": {"images": h5py.SoftLink("/none")},
    "images in a file that is not there": {"images": h5py.ExternalLink("none.h5", "/images")},
    "shapes as a number": {"shapes": 5},
    "shapes as a row": {"shapes": GOOD_SHAPES[0]},
    "shapes without channels": {"shapes": GOOD_SHAPES[:, 1:]},
    "shapes as text": {"shapes": np.array([[b"3", b"40", b"40"]] * 2)},
    "shapes that are no numbers": {"shapes": GOOD_SHAPES * np.nan},
    "shapes as a folder": {"shapes": h5py.Group},
    "shapes of nothing": {"shapes": h5py.Empty("i4")},
}


@pytest.mark.parametrize("case", STRANGE)
def test_another_layout(tmp_path, case):
    datasets = {"images": GOOD_IMAGES, "shapes": GOOD_SHAPES, **STRANGE[case]}
    assert refusal(bare_file(tmp_path / "shard.h5", **datasets))


def test_damaged_inside(tmp_path):
    """HDF5 reports a damaged structure as OSError, KeyError or RuntimeError, depending on where it is met."""
    path = write_bare_shard(tmp_path / "shard.h5", random_images([(40, 50)] * 3))
    data = path.read_bytes()
    for signature in (b"TREE", b"HEAP", b"SNOD", b"GCOL"):  # B-tree, names, entries, and the images' heap
        at = data.index(signature)
        path.write_bytes(data[:at] + b"\0\0\0\0" + data[at + 4 :])
        assert refusal(path)
