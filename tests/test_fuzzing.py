"""Files with random damage, of all kinds that users may get from others: each is read, or refused in one line, and within
2 s of CPU time and 1 GB of memory. Of a fixed seed; `fuzz_child.py` is the process that reads them.

HDF5 itself is not up to that: among random bytes of a tiny noisy shard, about one change in 6,000 makes its library go round
for ever, which nothing in Python can end. So of shards a few may be killed, if it was inside HDF5 that they were.
"""

import hashlib
import json
import os
import random
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from material import random_images, write_bare_shard
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from test_shard_hostile import tiny

from dnnlib.denoising.pictures import png
from dnnlib.denoising.training.state import TrainingState
from dnnlib.tflib.network import Network, save_network

CHILD = Path(__file__).with_name("fuzz_child.py")
ROOT = CHILD.resolve().parent.parent
FILES = 400  # of each whole file below
LARGEST = 100_000  # bytes, for which 1 GB is allowed
HANGS = 2  # of shards, see above: of 400 changes 0.07 are expected
SPECIAL = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)


# --- whole files


def picture(*shape, dtype=np.uint8) -> np.ndarray:
    """Of a whole file: floats are from 0 to 1, as they are without --white."""
    values = np.random.default_rng(0).integers(0, 200, shape)
    return (values / 200 if np.dtype(dtype).kind == "f" else values).astype(dtype)


def whole_tiffs(folder: Path) -> Iterator[Path]:
    exif = ImageFileDirectory_v2()
    exif[34665] = {36867: "2020:01:01 00:00:00", 34855: 400}
    Image.fromarray(picture(20, 30, 3)).save(folder / "exif.tif", tiffinfo=exif)
    Image.fromarray(picture(20, 30, 3)).quantize(9).save(folder / "palette.tif")
    Image.fromarray(picture(32, 32, 3)).save(folder / "jpeg.tif", compression="jpeg")
    tifffile.imwrite(folder / "ome.ome.tif", picture(2, 3, 9, 8), metadata={"axes": "ZCYX"}, photometric="minisblack")
    ours = {"Info": "words", "Labels": list("abc"), "axes": "CYX"}
    tifffile.imwrite(folder / "imagej.tif", picture(3, 9, 8), imagej=True, metadata=ours, truncate=True)
    kinds = {
        "grey": ({}, (9, 8), "u1"), "lzw": ({"compression": "lzw", "predictor": True}, (9, 8, 3), "u2"),
        "zlib": ({"compression": "zlib", "rowsperstrip": 2}, (9, 8, 4), "u1"),
        "zstd": ({"compression": "zstd"}, (9, 8), "f4"),
        "lzma": ({"compression": "lzma"}, (9, 8), "i2"), "tiles": ({"tile": (16, 16), "bigtiff": True}, (40, 30), "u2"),
        "planes": ({"planarconfig": "separate", "byteorder": ">"}, (3, 9, 8), "u1"), "pages": ({}, (5, 9, 8), "u1"),
    }  # fmt: skip
    for name, (options, shape, dtype) in kinds.items():
        photometric = "rgb" if 3 in shape or shape[-1] == 4 else "minisblack"
        tifffile.imwrite(folder / f"{name}.tif", picture(*shape, dtype=dtype), photometric=photometric, **options)
    yield from folder.glob("*.tif")


def whole_pngs(folder: Path) -> Iterator[Path]:
    Image.fromarray(picture(9, 8, 3)).save(folder / "rgb.png", dpi=(300, 300), icc_profile=b"x" * 200)
    Image.fromarray(picture(9, 8, 3)).quantize(9).save(folder / "palette.png", transparency=3)
    (folder / "deep.png").write_bytes(png.encode16(picture(9, 8, 4, dtype=np.uint16)))
    yield from folder.glob("*.png")


def whole_arrays(folder: Path) -> Iterator[Path]:
    for name, array in {"a": picture(9, 8), "b": picture(2, 9, 8, 3, dtype="f8"), "c": picture(9, 8, 4, dtype="i2")}.items():
        np.save(folder / f"{name}.npy", array)
    yield from folder.glob("*.npy")


def whole_shards(folder: Path) -> Iterator[Path]:
    yield write_bare_shard(folder / "clean.h5", random_images([(9, 8)] * 2))


def whole_noisy_shards(folder: Path) -> Iterator[Path]:
    yield tiny(folder / "noisy.h5")


def whole_networks(folder: Path) -> Iterator[Path]:
    settings = {"input_shape": [None, 3, None, None], "noise_style": "gauss", "diagonal_covariance": False}
    variables = {f"layer{i}/weight": np.ones([3, 3, 2, 2], np.float32) for i in range(3)}
    save_network(Network("net", settings, "blindspot_pipeline", variables), folder / "network.pickle")
    yield folder / "network.pickle"


def whole_states(folder: Path) -> Iterator[Path]:
    report = {"steps": [[1.0, 2.0, 3.0]], "skipped": 0, "in_a_row": 0, "seconds": 0.5}
    variables = {"w": np.ones([3, 4], np.float32), "m": np.zeros(3)}
    TrainingState(images=8, reported=True, variables=variables, report=report, options={}, files={}).save(folder)
    yield folder / "training-state-00000008.state"


# --- damage


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A file with one to four changes; half of the places are near the start, where most of the structure is."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        size = max(len(changed), 1)
        at = chance.randrange(min(size, 300) if chance.random() < 0.5 else size)
        what = chance.randrange(6)
        if what == 0 and changed:
            changed[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            changed[at : at + 1] = bytes([chance.randrange(256)])
        elif what == 2:
            width = chance.choice((1, 2, 4, 8))
            number = chance.choice(SPECIAL) & ((1 << 8 * width) - 1)
            changed[at : at + width] = number.to_bytes(width, chance.choice(("little", "big")))
        elif what == 3:
            del changed[at : at + chance.choice((1, 4, 12, 100))]
        elif what == 4:
            start = chance.randrange(size)
            changed[at:at] = changed[start : start + chance.choice((1, 4, 12, 100))]
        else:
            del changed[at + chance.randrange(size) :]
    return bytes(changed[:LARGEST])


def with_right_chunks(data: bytes, chance: random.Random) -> bytes:
    """A PNG file of which one chunk is damaged, and its checksum right: else decoders would look no further."""
    chunks, position = [], 8
    while position + 12 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        chunks.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + size]))
        position += size + 12
    which = chance.randrange(len(chunks))
    name, content = chunks[which]
    if name == b"IDAT" and chance.random() < 0.5:
        content = zlib.compress(damaged(zlib.decompress(content), chance))
    else:
        content = damaged(content, chance)
    chunks[which] = name, content
    parts = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    return data[:8] + b"".join(parts)


def with_right_checksum(data: bytes, chance: random.Random) -> bytes:
    """A state whose body is damaged, and its checksum right."""
    first, _, body = data.split(b"\n", 2)
    body = damaged(body, chance)
    return first + b"\n" + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


Damage = Callable[[bytes, random.Random], bytes]
KINDS: dict[str, tuple[str, Callable[[Path], Iterator[Path]], tuple[Damage, ...]]] = {
    "TIFF": ("picture", whole_tiffs, (damaged,)),
    "PNG": ("picture", whole_pngs, (damaged, with_right_chunks, with_right_chunks)),
    "npy": ("picture", whole_arrays, (damaged,)),
    "shard": ("clean shard", whole_shards, (damaged,)),
    "noisy shard": ("noisy shard", whole_noisy_shards, (damaged,)),
    "network": ("network", whole_networks, (damaged,)),
    "state": ("state", whole_states, (damaged, with_right_checksum)),
}  # fmt: skip


# --- the reading of them


def read_all(reader: str, whole: Path, paths: list[Path], folder: Path) -> dict[Path, str]:
    """What came of each file: as `fuzz_child.outcome` says, or how the process ended that read it."""
    found: dict[Path, str] = {}
    while rest := [path for path in paths if path not in found]:
        (folder / "list").write_text("\n".join(map(str, [whole, *rest])))
        command = [sys.executable, str(CHILD), reader, str(folder / "list")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, timeout=900)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
        ended = {line[1]: line[2] for line in lines if line[0] == "end"}
        begun = [line[1] for line in lines if line[0] == "begin"]
        assert begun, f"it did not begin: {done.stderr[-2000:]}"
        found |= {Path(path): said for path, said in ended.items()}
        if done.returncode:
            found[Path(begun[-1])] = f"killed ({-done.returncode}) in: {done.stderr[-1500:]}"
    return {path: found[path] for path in paths}


def hung_in_hdf5(said: str) -> bool:
    """Whether a process was killed for its time, and in a call of h5py."""
    innermost = re.search(r'most recent call first\):\n\s*File "([^"]+)"', said)
    return said.startswith("killed (27)") and innermost is not None and "/h5py/" in innermost[1]


def files_of(kind: str, folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Each whole file of a kind, and FILES damaged ones."""
    _, make, ways = KINDS[kind]
    (folder / "whole").mkdir()
    for whole in sorted(make(folder / "whole")):
        chance, paths = random.Random(f"{kind} {whole.name}"), []
        data = whole.read_bytes()
        assert len(data) <= LARGEST
        for i in range(FILES):
            place = folder / f"{whole.stem}-{i}"
            place.mkdir()
            paths.append(place / whole.name)
            paths[-1].write_bytes(chance.choice(ways)(data, chance))
        yield (whole.parent, [path.parent for path in paths]) if kind == "state" else (whole, paths)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_any_file_is_read_or_refused_in_one_line(tmp_path, kind):
    wrong, hangs, counts = [], 0, {"result": 0, "refused": 0}
    for whole, paths in files_of(kind, tmp_path):
        found = read_all(KINDS[kind][0], whole, [whole, *paths], tmp_path)
        assert found.pop(whole) == "result", "the whole file can be read"
        for path, said in found.items():
            what = said.partition(":")[0]
            if what in counts:
                counts[what] += 1
            elif "shard" in kind and hung_in_hdf5(said):
                hangs += 1
            else:
                wrong.append(f"{path}: {said}")
    assert not wrong, f"{len(wrong)} of {sum(counts.values()) + len(wrong)}: " + "\n".join(wrong[:5])
    assert hangs <= HANGS
    assert counts["refused"] > FILES / 10  # they are damaged


def test_a_child_that_takes_too_long_or_too_much_is_noticed(tmp_path, monkeypatch):
    """Of the harness itself."""
    np.save(tmp_path / "a.npy", np.zeros([4, 5], np.uint8))
    names = ("slow", "large", "crash", "a")
    code = (
        "import fuzz_child, os, sys\n"
        "def read(path):\n"
        "    if path.endswith('slow'):\n        while True: pass\n"
        "    if path.endswith('large'): bytearray(2 << 30)\n"
        "    if path.endswith('crash'): os.abort()\n"
        "fuzz_child.READERS['picture'] = read\n"
        "fuzz_child.main(sys.argv[1], open(sys.argv[2]).read().splitlines())\n"
    )
    (tmp_path / "child.py").write_text(f"import sys\nsys.path.insert(0, {str(CHILD.parent)!r})\n{code}")
    monkeypatch.setattr("test_fuzzing.CHILD", tmp_path / "child.py")
    found = read_all("picture", tmp_path / "a.npy", [tmp_path / name for name in names], tmp_path)
    slow, large, crash, whole = (found[tmp_path / name] for name in names)
    assert slow.startswith("killed (27)") and "in read" in slow and not hung_in_hdf5(slow)
    assert "MemoryError" in large and crash.startswith("killed (6)") and whole == "result"
