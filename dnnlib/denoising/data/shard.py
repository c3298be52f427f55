"""The training shard, read as a stream (SPEC section 8): one crop at a time, nothing kept in memory.

A file may be damaged, or made to do harm: nothing that it refers to elsewhere is opened, and nothing is read that is larger
than the file has room for.
"""

import contextlib
import hashlib
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dnnlib.errors import UserError, one_line

REMEDY = "copy it again, or make it anew with dataset_tool_h5.py"
_MADE_BY = "make it with dataset_tool_h5.py"
# What h5py makes of a damaged file, depending on where it is met.
_DAMAGE = (OSError, LookupError, RuntimeError, ValueError, TypeError, ArithmeticError, MemoryError)
CHECKSUMS = "crc32"  # the data set of them, uint32 [n]; shards of older versions, and of 2019, have none
_REFERENCE = 16  # bytes that each image takes in `images`; its pixels are elsewhere in the file
_LARGEST_BLOCK = 1 << 26  # bytes of a compressed block of a data set, which is unpacked as a whole
FULL_CHECK = 1000  # a shard of up to so many images is checked whole; of a larger one, so many images are


class Shard:
    """An open shard of clean images, which are read one by one.

    shapes: int32 [n, 3], (3, height, width) of each image.

    Raises UserError, naming --train-h5, for a file that is missing, truncated, not HDF5, empty, not a shard, or that
    holds an image smaller than `crop` pixels; and when an image is read whose size is not what its shape says.
    """

    _option, _part = "--train-h5", "/"  # what errors name; the group in the file

    def __init__(self, path: str | os.PathLike, crop: int):
        """Opens a shard and checks all but its pixels. crop: the side in pixels that all images must have at least."""
        import h5py  # late: it takes a fifth of a second, and evaluations on folders of pictures need none of it

        self.path = Path(path)
        if os.path.isdir(self.path):
            raise self._error("is a folder; name the file that dataset_tool_h5.py wrote")
        if not os.path.isfile(self.path):
            raise self._error(f"no such file; {_MADE_BY}")
        self._size = os.path.getsize(self.path)
        try:
            self._file = h5py.File(self.path, "r")
        except _DAMAGE as error:
            raise self._error(f"is truncated or no HDF5 file ({one_line(error)}); {REMEDY}") from None
        try:
            with self._guarded("what it says of itself"):
                self._check_kind()
            with self._guarded("'images' and 'shapes'"):
                self._open_data_sets(h5py)
            self._check_shapes(crop)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """Makes UserError of what h5py makes of damage. what: is being read, in words."""
        try:
            yield
        except _DAMAGE as error:
            raise self._error(f"{what} cannot be read ({one_line(error)[:200]}); {REMEDY}") from error

    def _check_kind(self) -> None:
        """Raises UserError unless the shard holds clean images."""
        if self._attribute("noisy"):
            raise self._error(
                "holds noisy pictures (it was made with --noisy), and this configuration needs clean ones, to which it adds "
                "noise; train a real_ configuration on it, e.g. real_gauss-blindspot-sigma_global"
            )

    def _attribute(self, name: str) -> bool | float | str | None:
        """Returns an attribute of the file: a plain value, None where it is not there or is none."""
        attributes = self._file.attrs
        if name not in attributes or attributes.get_id(name).shape != ():
            return None
        self._check_type(attributes.get_id(name), name)
        value = attributes[name]
        return value.item() if isinstance(value, np.generic) else value if isinstance(value, str) else None

    def _member(self, name: str):
        """Opens a data set or a group by its path in the file, None where there is none.

        Raises UserError for links and for what lies in other files, which could be anything, also what has no end; and for
        data sets that claim more than the file has room for, or are of types that HDF5 does not survive.
        """
        import h5py

        found, name = self._file["/"], name.strip("/")
        for part in filter(None, name.split("/")):
            if not isinstance(found, h5py.Group) or not found.id.links.exists(part.encode()):
                return None
            if found.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
                raise self._error(f"its {name!r} is a link, and links are not followed; {_MADE_BY}")
            found = found[part]
        if isinstance(found, h5py.Dataset):
            storage = found.id.get_create_plist()
            if storage.get_layout() == h5py.h5d.VIRTUAL or storage.get_external_count():
                raise self._error(f"its {name!r} is stored in other files, and these are not opened; {_MADE_BY}")
            if found.chunks and math.prod(found.chunks) * found.dtype.itemsize > max(self._size, _LARGEST_BLOCK):
                raise self._error(f"its {name!r} claims blocks larger than the file; {REMEDY}")
            self._check_type(found.id, name)
        return found

    def _check_type(self, identifier, name: str) -> None:
        """Raises UserError for a data set or an attribute of a type that is not as h5py writes it: HDF5 crashes on some."""
        import h5py

        stored, known = identifier.get_type(), h5py.h5t.py_create(identifier.dtype, logical=True)
        if not stored.equal(known) or stored.encode()[3:6] != known.encode()[3:6]:  # flags, which `equal` passes over
            raise self._error(f"its {name!r} is of a type that no shard has; {REMEDY}")

    def _read_numbers(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Reads a data set of integers of a known shape. Raises UserError where it is anything else."""
        found = self._member(f"{self._part}/{name}")
        if getattr(found, "shape", None) != shape or not np.issubdtype(found.dtype, np.integer):
            raise self._error(f"its {name!r} are no integers of shape {list(shape)}; {REMEDY}")
        return found[()]

    def _open_data_sets(self, h5py) -> None:
        """Opens the images and reads the shapes. Raises UserError where they are not of the types of a shard."""
        images, shapes = (self._member(f"{self._part}/{name}") for name in ("images", "shapes"))
        if images is None or shapes is None:
            raise self._error(f"has no data sets 'images' and 'shapes'; {_MADE_BY}")
        # The data set stays open: to look it up for each crop would cost more than to read.
        self._images = images
        layout = isinstance(images, h5py.Dataset) and isinstance(shapes, h5py.Dataset)
        layout = layout and images.ndim == 1 and isinstance(h5py.check_vlen_dtype(images.dtype), np.dtype)
        if not layout or shapes.ndim != 2 or not np.issubdtype(shapes.dtype, np.integer):
            raise self._error(f"its data sets 'images' and 'shapes' are not those of a shard; {REMEDY}")
        count = len(images)
        if shapes.shape != (count, 3):
            raise self._error(f"has {count} images but shapes of {list(shapes.shape)}; {REMEDY}")
        if count * _REFERENCE > self._size:
            raise self._error(f"claims {count} images, for which {self._size} bytes have no room; {REMEDY}")
        self.shapes = self._read_numbers("shapes", (count, 3))
        self._checksums = None
        if self._member(f"{self._part}/{CHECKSUMS}") is not None:
            self._checksums = self._read_numbers(CHECKSUMS, (count,))
        self._check_lengths(h5py)

    def _check_lengths(self, h5py) -> None:
        """Raises UserError where an image claims more values than the file has bytes: HDF5 takes the memory, and then looks.

        What it claims stands in the first four bytes of the reference to it.
        """
        identifier, count = self._images.id, len(self._images)
        storage = identifier.get_create_plist()
        if self._file.id.get_create_plist().get_sizes() != (8, 8) or storage.get_nfilters():
            return  # nothing that a tool of this format has written
        raw = b""
        if storage.get_layout() == h5py.h5d.CHUNKED:
            (rows,) = self._images.chunks
            raw = b"".join(identifier.read_direct_chunk((first,))[1] for first in range(0, count, rows))
        elif storage.get_layout() == h5py.h5d.CONTIGUOUS and identifier.get_offset() is not None:
            with open(self.path, "rb") as file:
                file.seek(identifier.get_offset())
                raw = file.read(count * _REFERENCE)
        lengths = np.frombuffer(raw[: count * _REFERENCE], "<u4")[:: _REFERENCE // 4]
        for i in np.flatnonzero(lengths > self._size)[:1]:
            raise self._error(f"image {i} claims {lengths[i]} values, for which {self._size} bytes have no room; {REMEDY}")

    def _check_shapes(self, crop: int) -> None:
        """Raises UserError for a shard that is empty, or has images that are too small."""
        count = len(self.shapes)
        if count == 0:
            raise self._error("holds no image; give dataset_tool_h5.py a folder with pictures of 256 to 512 pixels")
        small = np.flatnonzero(self.shapes[:, 1:].min(axis=1) < crop)
        if len(small):
            _, h, w = self.shapes[small[0]]
            raise self._error(
                f"{len(small)} of {count} images are smaller than the crop of {crop} (the first is {w}x{h}); "
                "use a smaller --train-resolution and --end-resolution"
            )

    def check(self) -> None:
        """Reads images, all or FULL_CHECK of them evenly spread. Raises UserError for one that is not as its shape says."""
        for i in np.unique(np.linspace(0, len(self) - 1, min(len(self), FULL_CHECK)).astype(int)):
            self.read(int(i))

    def __len__(self) -> int:
        return len(self.shapes)

    def read(self, i: int) -> np.ndarray:
        """Reads image i as it is stored: uint8 [3, H, W] (of noisy ones uint8 or uint16 [C, H, W])."""
        try:
            pixels = self._images[i]
        except _DAMAGE as error:
            raise self._error(f"image {i} cannot be read ({one_line(error)[:200]}); {REMEDY}") from error
        shape = tuple(map(int, self.shapes[i]))
        if not self._is_stored_right(shape, pixels.dtype) or pixels.shape != (math.prod(shape),):
            raise self._error(f"image {i} has {pixels.size} {pixels.dtype} values, but is of shape {shape}; {REMEDY}")
        if self._checksums is not None and zlib.crc32(pixels) != self._checksums[i]:
            raise self._error(f"image {i} is not as it was written; {REMEDY}")
        return pixels.reshape(shape)

    def _is_stored_right(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Tells whether an image of that shape and type may be in the shard."""
        return shape[0] == 3 and dtype == np.uint8

    def fingerprint(self) -> str:
        """Tells shards apart by their images' number, order and sizes, and by three of the images."""
        found = hashlib.sha256(np.ascontiguousarray(self.shapes, np.int32).tobytes())
        for i in (0, len(self) // 2, len(self) - 1):
            found.update(np.ascontiguousarray(self.read(i)))
        return found.hexdigest()[:16]

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _error(self, what: str) -> UserError:
        """Returns the error that says what is wrong with the file."""
        return UserError(f"{self._option} {self.path}: {what}")
