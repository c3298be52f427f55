"""A folder of clean pictures to validate on: the named sets of SPEC section 9, or anybody's own."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dnnlib.denoising.network.architecture import STRIDE
from dnnlib.denoising.pictures import formats
from dnnlib.denoising.pictures.files import read_header
from dnnlib.denoising.pictures.folder_scale import FolderScale
from dnnlib.denoising.pictures.images import pad_to_square, pixels_sha256, read_clean, read_image, to_float
from dnnlib.denoising.pictures.scale import UNTOLD, Scale
from dnnlib.denoising.pictures.search import pictures_in
from dnnlib.errors import UserError
from dnnlib.progress import say

LARGEST_SIDE = 2048  # whole pictures go through the network; at this size that takes about 20 GB


@dataclass(frozen=True)
class ValidationSet:
    """Finds and reads clean pictures to validate on, each when it is needed.

    name: as the user gave it.
    paths: of the pictures, sorted by name.
    side: of the common padded square, in pixels.
    repeats: passes in an evaluation.
    told: the values of black and white, as the user told them.
    """

    name: str
    paths: Sequence[Path]
    side: int
    repeats: int
    told: Scale = UNTOLD

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def labels(self) -> list[str]:
        """Returns the pictures' names, for tables and lines."""
        return [path.name for path in self.paths]

    def read(self, i: int, channels: int) -> tuple[np.ndarray, int, int]:
        """Reads picture i, padded by reflection: float32 [side, side, channels] in [0, 1], and its true height and width."""
        image = read_image(self.paths[i], channels, self.told)
        return pad_to_square(to_float(image), self.side), image.shape[0], image.shape[1]

    def sha256(self, channels: int) -> str:
        """Returns the digest of the pictures' pixels as an evaluation sees them; their names do not matter."""
        return pixels_sha256(read_image(path, channels, self.told) for path in self.paths)

    def check(self) -> None:
        """Decodes every picture once. Raises UserError naming one that is broken, before hours of work are spent, and where
        white cannot be what it is taken to be; prints a line where it may not be."""
        scales = FolderScale(f"--validation-set {self.name}")
        for path in self.paths:
            scales.add(str(path), read_clean(path, 3, self.told)[1])
        scales.check_clean(complete=True)
        for line in scales.warnings():
            say(line)


def open_validation_set(
    name: str, dataset_dir: str | None, known: Mapping[str, Mapping], told: Scale = UNTOLD
) -> ValidationSet:
    """Opens a set by name (a key of `known`, config/validation_sets.py, under dataset_dir), or a folder of pictures.

    told: the values of black and white, as the user told them.

    Reads the pictures' headers only. Raises UserError that names option, folder and remedy.
    """
    # The folder.
    if name in known:
        if not dataset_dir:
            raise UserError("--dataset-dir is missing: name the folder that holds the validation sets")
        if not os.path.isdir(dataset_dir):
            raise UserError(f"--dataset-dir {dataset_dir}: no such folder")
        entry = known[name]
        folder, pattern, repeats = Path(dataset_dir) / entry["folder"], entry["pattern"], entry["repeats"]
        remedy = f"get it with: {entry['source']}"
    else:
        if not os.path.isdir(name):
            raise UserError(f"--validation-set {name}: is none of {', '.join(known)}, and no folder of that name exists")
        folder, pattern, repeats, remedy = Path(name), None, 1, "give a folder with pictures in it"
    if not os.path.isdir(folder):
        raise UserError(f"--validation-set {name}: there is no folder {folder}; {remedy}")
    # The pictures.
    paths = [Path(path) for path in pictures_in(folder, f"--validation-set {name}", pattern)]
    if not paths:
        looked_for = pattern or ", ".join(f"*{suffix}" for suffix in formats.suffixes(writable_only=False))
        raise UserError(f"--validation-set {name}: no picture in {folder} ({looked_for}); {remedy}")
    # Their sizes.
    headers = [read_header(path) for path in paths]
    sizes = [max(header.width, header.height) for header in headers]
    if max(sizes) > LARGEST_SIDE:
        worst = paths[int(np.argmax(sizes))]
        raise UserError(
            f"--validation-set {name}: {worst} has a side of {max(sizes)} pixels, more than {LARGEST_SIDE}; "
            "crop it or leave it out"
        )
    return ValidationSet(name, paths, -(-max(sizes) // STRIDE) * STRIDE, repeats, told)
