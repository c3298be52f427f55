"""Damaged and hostile shards: nothing outside the file is opened, nothing large is made, and one line says what is wrong."""

import contextlib
import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from material import random_images, write_bare_shard

from dnnlib.denoising.data.noisy_pictures import held_out_pictures
from dnnlib.denoising.data.noisy_shard import HELD_OUT, NoisyShard
from dnnlib.denoising.data.shard import Shard
from dnnlib.errors import UserError


def refusal(path: Path) -> str:
    """What is said against a shard of clean images."""
    with pytest.raises(UserError) as caught, contextlib.closing(Shard(path, 8)) as shard:
        shard.check()
    text = str(caught.value)
    assert text.startswith(f"--train-h5 {path}: ") and "\n" not in text
    return text


def opened_for(path: Path, change) -> str:
    """What is said against a good shard of two images after `change` was made to its HDF5 file."""
    write_bare_shard(path, random_images([(40, 40)] * 2))
    with h5py.File(path, "a") as file:
        change(file)
    return refusal(path)


def replaced(name: str, make):
    """A change that puts what `make` makes in the place of a data set."""

    def change(file: h5py.File) -> None:
        del file[name]
        make(file)

    return change


def virtual(source: str):
    layout = h5py.VirtualLayout((2, 3), "i4")
    layout[:] = h5py.VirtualSource(source, "shapes", (2, 3))
    return replaced("shapes", lambda file: file.create_virtual_dataset("shapes", layout))


def test_what_lies_in_other_files_is_not_opened(tmp_path):
    """Also where it is a pipe, to open which would never end."""
    other, pipe = write_bare_shard(tmp_path / "other.h5", random_images([(40, 40)] * 2)), str(tmp_path / "pipe")
    os.mkfifo(pipe)
    path = tmp_path / "shard.h5"
    for target in (str(other), pipe):
        raw = replaced("shapes", lambda f, to=target: f.create_dataset("shapes", (2, 3), "i4", external=[(to, 0, 24)]))
        assert "'shapes' is stored in other files" in opened_for(path, raw)
        assert "'shapes' is stored in other files" in opened_for(path, virtual(target))
        for name in ("images", "shapes"):
            link = h5py.ExternalLink(target, f"/{name}")
            linked = replaced(name, lambda f, link=link, name=name: f.__setitem__(name, link))
            assert f"{name!r} is a link" in opened_for(path, linked)


def test_claims_of_gigabytes(tmp_path):
    rows, path = 2**29, tmp_path / "shard.h5"
    many = replaced("shapes", lambda f: f.create_dataset("shapes", (rows, 3), "i1", chunks=(1024, 3), fillvalue=100))
    assert "2 images but shapes of" in opened_for(path, many)

    def more(file: h5py.File) -> None:
        many(file)
        del file["images"]
        file.create_dataset("images", (rows,), h5py.vlen_dtype(np.uint8), chunks=(1024,))

    assert f"claims {rows} images, for which" in opened_for(path, more)
    block = {"chunks": (rows, 3), "maxshape": (None, 3), "compression": "gzip", "fillvalue": 100}
    large = replaced("shapes", lambda f: f.create_dataset("shapes", (2, 3), "i1", **block))
    assert "'shapes' claims blocks larger than the file" in opened_for(path, large)


def test_types_that_hdf5_does_not_survive(tmp_path):
    path = write_bare_shard(tmp_path / "shard.h5", random_images([(40, 40)] * 2))
    data = path.read_bytes()
    with h5py.File(path) as file:
        stored = file["images"].id.get_type().encode()[2:]
    assert data.count(stored) == 1  # of the list of values of any length, whose kind is the second byte
    path.write_bytes(data.replace(stored, stored[:1] + b"\x05" + stored[2:]))
    assert "'images' is of a type that no shard has" in refusal(path)


# ---- Shards of noisy pictures


def tiny(path):
    """A shard of few bytes, so that most of them are structure."""
    with h5py.File(path, "w") as file:
        for group, count in ((file, 3), (file.create_group(HELD_OUT), 2)):
            images = random_images([(8, 9)] * count)
            rows = group.create_dataset("images", (count,), h5py.vlen_dtype(np.uint8))
            for i, image in enumerate(images):
                rows[i] = image.ravel()
            group["shapes"] = np.array([image.shape for image in images], np.int32)
        file.attrs.update({"noisy": True, "black": 0.0, "white": 255.0})
        file.attrs.update(source_dtype="uint8", source_black=0.0, source_white=255.0, checksum="00" * 32)
        group.create_dataset("names", data=[b"a.png", b"b.png"], dtype=h5py.string_dtype())
        group["pages"] = np.array([0, 1], np.int32)
        group["page_sizes"] = np.array([[8, 30]] * 2, np.int32)
    return path


def load_all(path):
    for part in ("/", HELD_OUT):
        with contextlib.closing(NoisyShard(path, 8, 3, part)) as shard:
            pictures = held_out_pictures(shard, None) if part == HELD_OUT else shard
            pictures.check()


@pytest.mark.parametrize("signature", [b"TREE", b"HEAP", b"SNOD", b"GCOL"])
def test_wherever_a_structure_is_damaged_one_line_says_so(tmp_path, signature):
    """In turn at each place where one begins: of groups, attributes, names, pictures."""
    path = tiny(tmp_path / "shard.h5")
    load_all(path)
    data = path.read_bytes()
    places = [match.start() for match in re.finditer(signature, data)]
    assert places
    for place in places:
        path.write_bytes(data[:place] + b"\0\0\0\0" + data[place + 4 :])
        with pytest.raises(UserError, match="shard.h5: .*; "):
            load_all(path)


ATTRIBUTES = {
    "black": ["a", np.nan, np.inf, [1.0, 2.0], 255.0],
    "source_white": ["b", np.nan, [3.0], -1.0],
    "source_dtype": [8, "int99", ["uint8"], h5py.Empty("S1")],
    "checksum": [5, "\xe4", ["a", "b"], np.zeros(3)],
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_that_are_not_as_they_should_be(tmp_path, name):
    for value in ATTRIBUTES[name]:
        path = tiny(tmp_path / "shard.h5")
        with h5py.File(path, "a") as file:
            file.attrs[name] = value
        with pytest.raises(UserError, match=name):
            load_all(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("names", [b"a.png"]), ("names", [1, 2]), ("names", [b"a" * 5000, b"b"]), ("pages", [0, -1]), ("pages", [[0], [1]]),
        ("pages", [0.5, 1.5]), ("page_sizes", [[8, 30]]), ("page_sizes", [1, 2]), ("names", None), ("pages", None),
    ],
)  # fmt: skip
def test_names_and_pages_that_do_not_fit(tmp_path, name, value):
    path = tiny(tmp_path / "shard.h5")
    with h5py.File(path, "a") as file:
        del file[HELD_OUT][name]
        if value is not None:
            dtype = h5py.string_dtype() if isinstance(value[0], bytes) else None
            file[HELD_OUT].create_dataset(name, data=value, dtype=dtype)
    with pytest.raises(UserError, match=r"shard\.h5: .*held-out|shard\.h5: .*integers"):
        load_all(path)
