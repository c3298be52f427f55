"""A folder of clean pictures to validate on: the named sets of SPEC section 9, or anybody's own."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dnnlib.denoising.network.architecture import STRIDE
from dnnlib.denoising.pictures.images import image_header, list_images, pad_to_square, read_image, to_float
from dnnlib.errors import UserError

ANY_PICTURE = [f"*.{e}" for s in ("png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp") for e in (s, s.upper())]
LARGEST_SIDE = 2048  # whole pictures go through the network; at this size that takes about 20 GB


@dataclass(frozen=True)
class ValidationSet:
    """paths: pictures sorted by name; side: of the common padded square, in pixels; repeats: passes in an evaluation."""

    name: str
    paths: Sequence[Path]
    side: int
    repeats: int

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def labels(self) -> list[str]:
        return [path.name for path in self.paths]

    def read(self, i: int, channels: int) -> tuple[np.ndarray, int, int]:
        """Picture i padded by reflection: float32 [side, side, channels] in [0, 1], and its true height and width."""
        image = read_image(self.paths[i], channels)
        return pad_to_square(to_float(image), self.side), image.shape[0], image.shape[1]

    def check(self) -> None:
        """Decodes every picture once. Raises UserError naming one that is broken, before hours of work are spent."""
        for path in self.paths:
            read_image(path)


def open_validation_set(name: str, dataset_dir: str | None, known: Mapping[str, Mapping]) -> ValidationSet:
    """A set by name (a key of `known`, config/validation_sets.py, under dataset_dir), or a folder of pictures.

    Reads the pictures' headers only. Raises UserError that names option, folder and remedy.
    """
    if name in known:
        if not dataset_dir:
            raise UserError("--dataset-dir is missing: name the folder that holds the validation sets")
        if not os.path.isdir(dataset_dir):
            raise UserError(f"--dataset-dir {dataset_dir}: no such folder")
        entry = known[name]
        folder, patterns, repeats = Path(dataset_dir) / entry["folder"], [entry["pattern"]], entry["repeats"]
        remedy = f"get it with: {entry['source']}"
    else:
        if not os.path.isdir(name):
            raise UserError(f"--validation-set {name}: is none of {', '.join(known)}, and no folder of that name exists")
        folder, patterns, repeats, remedy = Path(name), ANY_PICTURE, 1, "give a folder with PNG or JPEG files in it"
    if not os.path.isdir(folder):
        raise UserError(f"--validation-set {name}: there is no folder {folder}; {remedy}")
    paths = list_images(folder, patterns)
    if not paths:
        raise UserError(f"--validation-set {name}: no picture in {folder} ({', '.join(patterns[::2])}); {remedy}")
    sizes = [max(image_header(path)[:2]) for path in paths]
    if max(sizes) > LARGEST_SIDE:
        worst = paths[int(np.argmax(sizes))]
        raise UserError(
            f"--validation-set {name}: {worst} has a side of {max(sizes)} pixels, more than {LARGEST_SIDE}; "
            "crop it or leave it out"
        )
    return ValidationSet(name, paths, -(-max(sizes) // STRIDE) * STRIDE, repeats)
