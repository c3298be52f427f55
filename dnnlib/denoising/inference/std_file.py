"""The predicted standard deviations: which there are, and each as a picture of 16 bits."""

from pathlib import Path

import numpy as np
import tifffile

from dnnlib.denoising.pictures import png
from dnnlib.denoising.pictures.tiff import needs_bigtiff
from dnnlib.errors import UserError, one_line
from dnnlib.files import atomic_write

# The stds that a network tells, by their options: the attributes of `Prediction`.
STDS = {"std": "posterior_std", "prior-std": "prior_std"}
STD_WHITE = 0.5  # of white, shown as 65535: values between black and white cannot spread more


def to_std16(std: np.ndarray) -> np.ndarray:
    """Scales a std in parts of white, of any shape, to uint16 of the same shape: 65535 for STD_WHITE and above."""
    return np.rint(np.minimum(std / STD_WHITE, 1) * 65535).astype(np.uint16)


def write_std(path: Path, stds: list[np.ndarray]) -> None:
    """Writes uint16 [H,W] as a PNG, or, of any number, as the pages of a TIFF. Raises UserError, naming the file."""
    try:
        with atomic_write(path) as file:
            if path.suffix == ".png":
                file.write(png.encode16(stds[0][:, :, np.newaxis]))
            elif path.suffix == ".tif":
                with tifffile.TiffWriter(file, bigtiff=needs_bigtiff(stds)) as writer:
                    for std in stds:
                        writer.write(std, photometric="minisblack", compression="zlib", metadata=None, contiguous=False)
            else:
                raise ValueError(f"a std is written as .png or .tif, not as {path.name}")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or one_line(error)}") from error
