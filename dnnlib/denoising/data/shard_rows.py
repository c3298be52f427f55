"""How pictures get into an HDF5 file one by one, so that a full disk is met before HDF5 meets it."""

import errno
import os
import zlib
from pathlib import Path

import h5py
import numpy as np

from dnnlib.denoising.data.shard import CHECKSUMS

_ROWS_PER_CHUNK = 1024  # of 16-byte references to the pictures, which HDF5 keeps elsewhere in the file
_RESERVE = 32 * 2**20  # bytes of disk taken ahead; half of it must hold shapes, checksums, what HDF5 keeps back, and, for
_SMALL = 2**20  # a picture of so many bytes, that too; for larger ones their size is added


class ShardFile:
    """An HDF5 file that is being written, as a context manager; at its end what was reserved and not needed is given back.

    Raises OSError where the disk is full.
    """

    def __init__(self, path: Path):
        self.path, self._reserved = path, 0

    def __enter__(self) -> "ShardFile":
        self._take(0, _RESERVE)
        self.file = h5py.File(self.path, "w", locking=False)  # unlocked: the lock on the temporary file is ours
        return self

    def __exit__(self, kind, *_) -> None:
        used = None
        if kind is None:
            self.file.attrs["complete"] = True
            self.file.flush()
            used = self.file.id.get_filesize()
        self.file.close()
        if used is not None and self.path.stat().st_size > used:
            os.truncate(self.path, used)

    def make_room(self, size: int) -> None:
        """Takes disk space ahead for `size` more bytes, which are to be written next. Raises OSError where there is none."""
        used, more = self.file.id.get_filesize(), max(size - _SMALL, 0)
        if used + _RESERVE // 2 + more > self._reserved:
            self._reserved = used + _RESERVE + more
            self._take(used, _RESERVE + more)

    def _take(self, start: int, size: int) -> None:
        """Takes the disk space of `size` bytes of the file, from `start` on; raises OSError where there is less.

        HDF5 does not survive a full disk: after a failed write it cannot close its file, and the process crashes when it
        ends. So it never writes where space was not taken before. Systems that cannot reserve go without.
        """
        if not hasattr(os, "posix_fallocate"):
            return
        with open(self.path, "rb+") as file:
            try:
                os.posix_fallocate(file.fileno(), start, size)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise


class ShardRows:
    """Writes the data sets `images` (vlen, flattened), `shapes` (int32 [n,3]) and `crc32` of a file or of a group in it.

    The checksums are ours: HDF5 has none for values of any length.
    """

    def __init__(self, shard: ShardFile, group: h5py.Group, dtype: np.dtype, most: int | None = None):
        """Makes the data sets, empty.

        shard: the file.
        group: where in it they are.
        dtype: of the pictures.
        most: how many pictures will come at most, None where that is not known.
        """
        self._shard, self._group, self._dtype = shard, group, dtype
        rows = most or _ROWS_PER_CHUNK
        self._images = group.create_dataset(
            "images", (rows,), h5py.vlen_dtype(dtype), maxshape=(most,), chunks=(min(rows, _ROWS_PER_CHUNK),)
        )
        self._shapes: list[tuple[int, ...]] = []
        self._checksums: list[int] = []

    def __len__(self) -> int:
        return len(self._shapes)

    def append(self, pixels: np.ndarray) -> None:
        """Writes a picture [C,H,W] behind the others."""
        self._shard.make_room(pixels.nbytes)
        if len(self) == len(self._images):
            self._images.resize(len(self) + _ROWS_PER_CHUNK, axis=0)
        flat = np.ascontiguousarray(pixels, self._dtype).ravel()
        self._images[len(self)] = flat
        self._checksums.append(zlib.crc32(flat))
        self._shapes.append(pixels.shape)

    def close(self) -> None:
        """Writes shapes and checksums; to be called after the last picture."""
        self._images.resize(len(self), axis=0)
        self._group.create_dataset("shapes", data=np.array(self._shapes, np.int32).reshape(-1, 3))
        self._group.create_dataset(CHECKSUMS, data=np.array(self._checksums, np.uint32))
