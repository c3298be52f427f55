"""The training shard, read as a stream (SPEC section 8): one crop at a time, nothing kept in memory."""

import hashlib
import math
import os
from pathlib import Path

import numpy as np

from dnnlib.errors import UserError, one_line

_REMEDY = "copy it again, or make it anew with dataset_tool_h5.py"
_DAMAGE = (OSError, KeyError, RuntimeError)  # what h5py makes of a damaged file, depending on where it is met
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
            raise self._error("no such file; make it with dataset_tool_h5.py")
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise self._error(f"is truncated or no HDF5 file ({one_line(error)}); {_REMEDY}") from None
        try:
            self._check_kind()
            self._open_data_sets(h5py)
            self._check_shapes(crop)
        except BaseException:
            self.close()
            raise

    def _check_kind(self) -> None:
        """Raises UserError unless the shard holds clean images."""
        if self._file.attrs.get("noisy"):
            raise self._error(
                "holds noisy pictures (it was made with --noisy), and this configuration needs clean ones, to which it adds "
                "noise; train a real_ configuration on it, e.g. real_gauss-blindspot-sigma_global"
            )

    def _open_data_sets(self, h5py) -> None:
        """Opens the images and reads the shapes. Raises UserError where they are not of the types of a shard."""
        try:
            if not {"images", "shapes"} <= set(self._file[self._part]):
                raise self._error("has no data sets 'images' and 'shapes'; make it with dataset_tool_h5.py")
            self._images, shapes = (self._file[self._part][name] for name in ("images", "shapes"))
            # The data set stays open: to look it up for each crop would cost more than to read.
            layout = isinstance(self._images, h5py.Dataset) and isinstance(shapes, h5py.Dataset)
            layout = layout and self._images.ndim == 1 and isinstance(h5py.check_vlen_dtype(self._images.dtype), np.dtype)
            if not layout or shapes.ndim != 2 or not np.issubdtype(shapes.dtype, np.integer):
                raise self._error(f"its data sets 'images' and 'shapes' are not those of a shard; {_REMEDY}")
            self.shapes = shapes[()]
        except _DAMAGE as error:
            raise self._error(f"'images' and 'shapes' cannot be read ({one_line(error)}); {_REMEDY}") from None

    def _check_shapes(self, crop: int) -> None:
        """Raises UserError for a shard that is empty, or has shapes that do not fit, or images that are too small."""
        count = len(self._images)
        if self.shapes.shape != (count, 3):
            raise self._error(f"has {count} images but shapes of {list(self.shapes.shape)}; {_REMEDY}")
        if count == 0:
            raise self._error("holds no image; give dataset_tool_h5.py a folder with pictures of 256 to 512 pixels")
        small = np.flatnonzero(self.shapes[:, 1:].min(axis=1) < crop)
        if len(small):
            _, h, w = self.shapes[small[0]]
            raise self._error(
                f"{len(small)} of {count} images are smaller than the crop of {crop} (the first is {w}x{h}); "
                "use a smaller --train-resolution"
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
            raise self._error(f"image {i} cannot be read ({one_line(error)}); {_REMEDY}") from None
        shape = tuple(map(int, self.shapes[i]))
        if not self._is_stored_right(shape, pixels.dtype) or pixels.shape != (math.prod(shape),):
            raise self._error(f"image {i} has {pixels.size} {pixels.dtype} values, but is of shape {shape}; {_REMEDY}")
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
