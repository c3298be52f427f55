"""A shard of noisy pictures (`dataset_tool_h5.py --noisy`): those to train on, and those held out to validate on."""

import hashlib
import os
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.data.shard import Shard
from dnnlib.denoising.pictures.scale import COLOURS, Scale

HELD_OUT = "held_out"  # the group of the pictures to validate on
PAGE_SIZES = "page_sizes"  # in it, int32 [n,2], where they are the ends of pages: height and width of the whole pages


class Source(NamedTuple):
    """Says what the pictures were before they were stored.

    dtype: 'uint8', 'uint16', or 'float' of any size.
    scale: the values that stood for black and white.
    """

    dtype: str
    scale: Scale


def kind_of(dtype: np.dtype) -> str:
    """Names a type as `Source` does: all sizes of floats are alike."""
    return "float" if dtype.kind == "f" else dtype.name


class NoisyShard(Shard):
    """An open shard of noisy pictures: those to train on, or, with part=HELD_OUT, the others.

    channels: 1 or 3.
    scale: the stored values that stand for black and white.
    source: what the pictures were before.
    names, pages: of the files and the page in each, for held-out pictures.
    page_sizes: (height, width) of the pages of which held-out pictures are strips; None where they are whole.

    Raises UserError as `Shard`, naming `option`, and for clean shards, for pictures that are not of `channels` channels,
    and where black and white or the source are not told. Values outside black..white are kept: noise is not clipped.
    """

    def __init__(self, path: str | os.PathLike, crop: int, channels: int, part: str = "/", option: str = "--train-h5"):
        """Opens a shard and checks it.

        path: of the file.
        crop: the side in pixels that all pictures must have at least.
        channels: 1 or 3, those that the pictures must have.
        part: the group in the file, "/" for the pictures to train on, or HELD_OUT.
        option: what errors name.
        """
        self._option, self._part, self._channels = option, part, channels
        super().__init__(path, crop)
        self.channels = channels
        self.names: list[str] = []
        self.page_sizes: np.ndarray | None = None
        if part == HELD_OUT:
            self.names = [name.decode(errors="surrogateescape") for name in self._file[part]["names"][()]]
            self.pages = self._file[part]["pages"][()]
            self.page_sizes = self._file[part][PAGE_SIZES][()] if PAGE_SIZES in self._file[part] else None

    def to_float(self, stored: np.ndarray) -> np.ndarray:
        """Scales stored pixels to float32 of the same shape, black becoming 0 and white 1."""
        return self.scale.to_float(stored)

    @property
    def limits(self) -> np.ndarray:
        """Returns what `to_float` makes of the values at which noise may have been clipped, bit for bit: of 0, white and the
        type's largest; of floats, which are stored with room below, of black instead of 0."""
        dtype = np.uint8 if self.source.dtype == "uint8" else np.uint16
        stored = [self.scale.black if self.source.dtype == "float" else 0, self.scale.white, np.iinfo(dtype).max]
        return self.to_float(np.array(stored, np.float64))

    def fingerprint(self) -> str:
        """Tells shards apart by all names and contents, as they were when the shard was made, and by the scale."""
        text = f"{self._checksum} {self.scale.black} {self.scale.white}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _check_kind(self) -> None:
        """Reads what the shard says of itself, and raises UserError unless it holds noisy pictures."""
        attributes = self._file.attrs
        if not attributes.get("noisy"):
            raise self._error(
                "holds clean pictures (it was made without --noisy), and a real_ configuration adds no noise to them; "
                "make a shard of noisy ones with dataset_tool_h5.py --noisy"
            )
        if "black" not in attributes or "white" not in attributes:
            raise self._error("does not say which values are black and white; make it anew with dataset_tool_h5.py --noisy")
        black, white = float(attributes["black"]), float(attributes["white"])
        if not np.isfinite([black, white]).all() or black >= white:
            raise self._error(f"its black {black:g} is not below its white {white:g}; make it anew")
        self.scale = Scale(black, white)
        if missing := {"source_dtype", "source_black", "source_white", "checksum"} - set(attributes):
            raise self._error(f"does not say its {min(missing)}: it is of an older version; make it anew with --noisy")
        self.source = Source(attributes["source_dtype"], Scale(attributes["source_black"], attributes["source_white"]))
        self._checksum = attributes["checksum"]
        if self._part not in self._file or (self._part == HELD_OUT and not len(self._file[self._part].get("images", ()))):
            raise self._error("has no held-out pictures to validate on; make it anew with e.g. --holdout 0.05")

    def _check_shapes(self, crop: int) -> None:
        """Raises UserError, as for any shard, and where the channels are not those that are wanted."""
        super()._check_shapes(crop)
        found = int(self.shapes[0, 0])
        if found != self._channels:
            suffix = "with" if found == 1 else "without"
            wanted = COLOURS[self._channels]
            raise self._error(
                f"its pictures are {COLOURS.get(found, found)}, and the configuration is for {wanted} ones; "
                f"take the one {suffix} -mono"
            )

    def _is_stored_right(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        return shape[0] == self._channels and dtype in (np.uint8, np.uint16)
