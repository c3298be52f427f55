"""A shard of noisy pictures (`dataset_tool_h5.py --noisy`): those to train on, and those held out to validate on."""

import hashlib
import os

import numpy as np

from dnnlib.denoising.data.shard import REMEDY, Shard
from dnnlib.denoising.pictures.scale import COLOURS, SOURCE_TYPES, Scale, Source

HELD_OUT = "held_out"  # the group of the pictures to validate on
_LONGEST_NAME = 4096  # bytes, with the folders that it is in
CORNERS = "corners"  # in it, int32 [n,2], where they are other parts of pages: row and column of their first pixel
PAGE_SIZES = "page_sizes"  # in it, int32 [n,2], where they are parts of pages, mostly their ends: height and width


class NoisyShard(Shard):
    """An open shard of noisy pictures: those to train on, or, with part=HELD_OUT, the others.

    channels: 1 or 3.
    scale: the stored values that stand for black and white.
    source: what the pictures were before.
    names, pages: of the files and the page in each, for held-out pictures.
    page_sizes: (height, width) of the pages of which held-out pictures are parts; None where they are whole.
    corners: (row, column) of these parts; None where they are the ends of the pages.

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
        self.corners: np.ndarray | None = None
        if part == HELD_OUT:
            try:
                with self._guarded("names and pages of what is held out"):
                    self._read_names()
            except BaseException:
                self.close()
                raise

    def _read_names(self) -> None:
        """Reads which files and pages the held-out pictures are. Raises UserError where that is not as it should be."""
        count, names = len(self), self._member(f"{HELD_OUT}/names")
        if getattr(names, "shape", None) != (count,):
            raise self._error(f"its held-out pictures have no names; {REMEDY}")
        for name in (names[i] for i in range(count)):  # one by one: many could be the same long one
            if not isinstance(name, bytes) or len(name) > _LONGEST_NAME:
                raise self._error(f"a held-out picture has no name that a file can have; {REMEDY}")
            self.names.append(name.decode(errors="surrogateescape"))
        self.pages = self._read_numbers("pages", (count,))
        if self._member(f"{HELD_OUT}/{PAGE_SIZES}") is not None:
            self.page_sizes = self._read_numbers(PAGE_SIZES, (count, 2))
        if self._member(f"{HELD_OUT}/{CORNERS}") is not None:
            self.corners = self._read_numbers(CORNERS, (count, 2))
        if self.pages.min() < 0:
            raise self._error(f"a held-out picture is of page {self.pages.min()}; {REMEDY}")

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
        if not self._attribute("noisy"):
            raise self._error(
                "holds clean pictures (it was made without --noisy), and a real_ configuration adds no noise to them; "
                "make a shard of noisy ones with dataset_tool_h5.py --noisy"
            )
        attributes = self._file.attrs
        if "black" not in attributes or "white" not in attributes:
            raise self._error("does not say which values are black and white; make it anew with dataset_tool_h5.py --noisy")
        self.scale = self._read_scale("")
        if missing := {"source_dtype", "source_black", "source_white", "checksum"} - set(attributes):
            raise self._error(f"does not say its {min(missing)}: it is of an older version; make it anew with --noisy")
        dtype, self._checksum = self._attribute("source_dtype"), self._attribute("checksum")
        if dtype not in SOURCE_TYPES:
            raise self._error(f"its source_dtype is none that pictures have; {REMEDY}")
        if not isinstance(self._checksum, str) or not self._checksum.isascii():
            raise self._error(f"its checksum is none; {REMEDY}")
        self.source = Source(dtype, self._read_scale("source_"))
        images = self._member(f"{self._part}/images")
        if self._part == HELD_OUT and not getattr(images, "size", None):
            raise self._error("has no held-out pictures to validate on; make it anew with e.g. --holdout 0.05")

    def _read_scale(self, prefix: str) -> Scale:
        """Reads black and white. prefix: of the attributes' names. Raises UserError where they are no such numbers."""
        black, white = (self._attribute(f"{prefix}{name}") for name in ("black", "white"))
        if not all(isinstance(value, (int, float)) for value in (black, white)) or not np.isfinite([black, white]).all():
            raise self._error(f"its {prefix}black and {prefix}white are no numbers; make it anew with --noisy")
        if black >= white:
            raise self._error(f"its {prefix}black {black:g} is not below its {prefix}white {white:g}; make it anew")
        return Scale(float(black), float(white))

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
