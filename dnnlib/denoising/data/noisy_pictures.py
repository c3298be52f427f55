"""Noisy pictures to validate on, as a shard's held-out part or a folder has them, with clean references or without."""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dnnlib.denoising.data.noisy_shard import HELD_OUT, NoisyShard
from dnnlib.denoising.pictures import formats
from dnnlib.denoising.pictures.decided_scale import Decided, decided
from dnnlib.denoising.pictures.files import read_header, read_picture
from dnnlib.denoising.pictures.folder_scale import FolderScale
from dnnlib.denoising.pictures.images import middle_of, pixels_sha256
from dnnlib.denoising.pictures.picture import Picture
from dnnlib.denoising.pictures.scale import COLOURS, UNTOLD, Scale, Source, kind_of
from dnnlib.denoising.pictures.search import pictures_in
from dnnlib.errors import UserError
from dnnlib.progress import say

LARGEST_SIDE = 1024  # pixels; of larger pictures the middle is what is measured


@dataclass(frozen=True)
class NoisyPictures:
    """Finds and reads noisy pictures to validate on, each when it is needed.

    name: of all of them, as the user gave it.
    names, pages: of the files, and the page in each.
    stored(i): picture i as it was stored, [H,W,C].
    scale: the values that stand for black and white; of a folder, as the user told them.
    references: the folder of clean pictures of the same names, or None.
    source: what a shard's pictures were before; None for pictures of a folder.
    page_sizes: (height, width) of the whole pages, where the pictures are parts of pages; None otherwise.
    corners: (row, column) where these parts begin; None: they are strips at the end.
    found(i): how black and white of picture i were decided; None where all have the one scale.
    """

    names: Sequence[str]
    pages: Sequence[int]
    stored: Callable[[int], np.ndarray]
    scale: Scale
    references: Path | None = None
    source: Source | None = None
    page_sizes: Sequence[Sequence[int]] | None = None
    corners: Sequence[Sequence[int]] | None = None
    found: Callable[[int], Decided] | None = None
    name: str = ""

    repeats = 1  # passes in an evaluation

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> list[str]:
        """Returns the names, with the page where a file has several."""
        several = {name for name, page in zip(self.names, self.pages, strict=True) if page}
        return [f"{n} page {page + 1}" if n in several else n for n, page in zip(self.names, self.pages, strict=True)]

    def read(self, i: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Reads picture i and its reference, if there is one: float32 [H,W,C], black being 0 and white 1; the middle of
        large ones. Raises UserError where the reference is missing, or of another size or number of channels."""
        stored = self.stored(i)
        noisy = self.scale_of(i, stored.dtype).to_float(stored)
        reference = None if self.references is None else self._reference(i, stored)[0]
        return middle_of(noisy, LARGEST_SIDE), None if reference is None else middle_of(reference, LARGEST_SIDE)

    def sha256(self, _channels: int) -> str:
        """Returns the digest of the pictures' pixels as an evaluation sees them, and of their references."""
        return pixels_sha256(part for i in range(len(self)) for part in self.read(i) if part is not None)

    def scale_of(self, i: int, dtype: np.dtype) -> Scale:
        """Returns the values that stand for black and white in picture i, of pixels of a type."""
        return self.scale.of(dtype) if self.found is None else self.found(i).scale

    def check(self) -> None:
        """Reads everything once. Raises UserError for what is wrong, before hours of work are spent, and prints a line where
        white may not be what it is taken to be."""
        if self.references is not None:
            missing = [name for name in self.names if not (self.references / name).is_file()]
            if missing:
                raise UserError(
                    f"--reference-dir {self.references}: has no {missing[0]}, the reference of a noisy picture of that name "
                    f"({len(missing)} of {len(self)} are missing)"
                )
        noisy, clean = FolderScale("--validation-set"), FolderScale("--reference-dir")
        for i, label in enumerate(self.labels):
            stored = self.stored(i)
            if self.found is not None:
                noisy.add(label, self.found(i))
            if self.references is not None:
                clean.add(str(self.references / self.names[i]), self._reference(i, stored)[1])
        clean.check_clean(complete=True)
        for line in (*noisy.warnings(), *clean.warnings()):
            say(line)

    def _reference(self, i: int, stored: np.ndarray) -> tuple[np.ndarray, Decided]:
        """Reads a reference, and returns how black and white were decided: as of the noisy picture if both are of one type,
        as those of one camera are; else as of any picture."""
        path = self.references / self.names[i]
        picture = read_picture(path)
        if self.pages[i] >= len(picture.pages):
            raise UserError(f"--reference-dir: {path} has {len(picture.pages)} pages, the noisy file more")
        pixels = picture.pages[self.pages[i]][:, :, : picture.colours]
        if self.page_sizes is not None and pixels.shape[:2] == tuple(self.page_sizes[i]):
            height, width = stored.shape[:2]
            top, left = (pixels.shape[0] - height, pixels.shape[1] - width) if self.corners is None else self.corners[i]
            pixels = pixels[top : top + height, left : left + width]
        if pixels.shape != stored.shape:
            raise UserError(
                f"--reference-dir: {path} is {_size(pixels)}, but the noisy picture is {_size(stored)}: both must be alike"
            )
        source = self.source or Source(kind_of(stored.dtype), self.scale_of(i, stored.dtype))
        told = source.scale if kind_of(pixels.dtype) == source.dtype else UNTOLD
        try:
            picture.check_whole(self.pages[i])
            found = decided(picture, told)[self.pages[i]]
        except UserError as error:
            raise UserError(f"--reference-dir: {path}: {error}") from error
        return found.scale.to_float(pixels), found


def held_out_pictures(shard: NoisyShard, reference_dir: str | None) -> NoisyPictures:
    """Returns the pictures of an open shard's held-out part. Raises UserError where there is no `reference_dir`."""

    def stored(i: int) -> np.ndarray:
        """Reads a picture by its number in the held-out part."""
        return shard.read(i).transpose(1, 2, 0)

    where = {"page_sizes": shard.page_sizes, "corners": shard.corners, "name": os.fspath(shard.path)}
    return NoisyPictures(shard.names, shard.pages, stored, shard.scale, _folder(reference_dir), shard.source, **where)


def open_noisy_pictures(given: str, channels: int, scale: Scale, reference_dir: str | None) -> NoisyPictures:
    """Opens what --validation-set names for a network of a real_ configuration.

    given: a folder, or a shard with a held-out part.
    channels: of the network, 1 or 3.
    scale: of a folder's pictures, as the user told it; a shard knows its own.
    reference_dir: the folder of the clean pictures, or None.

    Raises UserError.
    """
    # A shard.
    if os.path.isfile(given):
        return held_out_pictures(NoisyShard(given, 1, channels, HELD_OUT, "--validation-set"), reference_dir)
    # A folder.
    if not os.path.isdir(given):
        raise UserError(f"--validation-set {given}: is neither a folder of noisy pictures nor a shard of dataset_tool_h5.py")
    paths = pictures_in(given, "--validation-set", writable_only=True)
    if not paths:
        raise UserError(f"--validation-set {given}: no picture in it ({', '.join(formats.suffixes(writable_only=True))})")

    numbers = [(i, page) for i, path in enumerate(paths) for page in range(_page_count(path))]
    @functools.lru_cache(maxsize=1)  # the pages of a file come one after the other
    def read(path: str) -> tuple[Picture, list[Decided]]:
        """Reads a file, and decides what is black and white in its pages. Raises UserError."""
        picture = read_picture(path)
        try:
            for page in range(len(picture.pages)):
                picture.check_whole(page)
            return picture, decided(picture, scale)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error

    def stored(n: int) -> np.ndarray:
        """Reads a picture by its number among all pages. Raises UserError for one that the network is not for."""
        i, page = numbers[n]
        picture, _ = read(paths[i])
        if picture.colours != channels:
            kind, wanted = COLOURS[picture.colours], COLOURS[channels]
            raise UserError(f"{paths[i]}: is {kind}, and the network is for {wanted} pictures")
        return picture.pages[page][:, :, :channels]

    def found(n: int) -> Decided:
        """Returns how black and white of a picture were decided. n: as for `stored`."""
        i, page = numbers[n]
        return read(paths[i])[1][page]

    names, pages = [os.path.basename(paths[i]) for i, _ in numbers], [page for _, page in numbers]
    return NoisyPictures(names, pages, stored, scale, _folder(reference_dir), found=found, name=given)


def _page_count(path: str) -> int:
    """Counts the pages of a file, undecoded: 1 where reading it will say what is wrong with it."""
    try:
        return read_header(path).pages
    except UserError:
        return 1


def _folder(reference_dir: str | None) -> Path | None:
    """Returns the path of the references, if there are any. Raises UserError where there is no such folder."""
    if reference_dir is not None and not os.path.isdir(reference_dir):
        raise UserError(f"--reference-dir {reference_dir}: no such folder")
    return None if reference_dir is None else Path(reference_dir)


def _size(pixels: np.ndarray) -> str:
    """Describes a picture [H,W,C] for a message."""
    return f"{pixels.shape[1]} x {pixels.shape[0]} {'grey' if pixels.shape[2] == 1 else 'RGB'}"
