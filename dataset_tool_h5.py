#!/usr/bin/env python3
"""Makes a training shard (HDF5) out of a folder of pictures: clean ones, or, with --noisy, ones that are noisy already."""

import argparse
from collections.abc import Sequence

from dnnlib.command_line import CommandLine
from dnnlib.denoising.pictures import formats
from dnnlib.denoising.pictures.auto_white import number_or_auto
from dnnlib.errors import UserError, run_script

EPILOG = f"""Taken are all pictures of the right size in the folder and the folders in it, in a shuffled order that is
always the same: {formats.kinds(writable_only=False)}. They are stored as 8-bit RGB; of files
with several pages the first. Hidden files are left out, and those that cannot be read are named and left out.

With --noisy: {formats.kinds(writable_only=True)}, all of one kind: 8 bits, 16 bits or floats, grey or
RGB. They are kept as they are, each page as a picture. A part is held out, by the files' names, to validate on.
A single file is taken, too: then a strip of each of its pages is held out, at the end of the longer side, of the
share asked for, but of 64 columns or rows at least. See docs/real-noise.md; of what becomes of each format,
docs/formats.md.

examples:
  python dataset_tool_h5.py --input-dir datasets/ILSVRC2012_val --out datasets/imagenet_val.h5
  python dataset_tool_h5.py --input-dir raw12bit --out camera.h5 --noisy --black 256 --white 4095
  python dataset_tool_h5.py --input-dir picture.tif --out picture.h5 --noisy"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, and writes the shard."""
    # The command line.
    parser = CommandLine(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--input-dir", required=True, metavar="DIR",
        help="folder of pictures, or a quoted pattern; with --noisy also a picture",
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="shard to write; an old file is replaced when the new one is complete"
    )
    parser.add_argument("--max-files", type=int, metavar="N", help="use so many, drawn at random (default: all)")
    parser.add_argument("--workers", type=int, metavar="N", help="files decoded at a time (default: one a core)")
    parser.add_argument(
        "--max-pixels", type=int, metavar="N",
        help="how many pixels a file may hold, in all its pages (default: 178956970; more in pages stored uncompressed)",
    )
    sides = parser.add_argument_group("sizes (of width and height, in pixels)")
    sides.add_argument("--min-size", type=int, metavar="PX", help="leave out smaller pictures (default: 256)")
    sides.add_argument("--max-size", type=int, metavar="PX", help="leave out larger ones (default: 512; with --noisy: none)")
    scale = parser.add_argument_group("black and white (docs/formats.md)")
    scale.add_argument("--black", type=float, metavar="V", help="the value that stands for black, of raw data (default: 0)")
    scale.add_argument(
        "--white", type=number_or_auto, metavar="V",
        help="the value that stands for white, e.g. 4095 for 12 bits in 16; auto: what 99.9 %% of the values of all "
        "pictures are up to (default: as the file says, or the type's largest; floats need it)",
    )
    scale.add_argument(
        "--nodata", type=float, metavar="V",
        help="with --noisy: the value that stands for no value, e.g. -9999; what is learned from is rectangles without it, "
        "and without NaN (default: as the GDAL_NODATA of a TIFF says)",
    )
    parser.add_argument(
        "--axes", metavar="AXES",
        help="what the axes of arrays (.npy) and TIFF files are, a letter each: Y and X; S, samples of RGB; C, channels, "
        "each of which becomes a grey picture; T, Z, ... (default: as the file says; of .npy YX, YXC or PYXC)",
    )
    noisy = parser.add_argument_group("noisy pictures, for the real_ configurations")
    noisy.add_argument("--noisy", action="store_true", help="the pictures are noisy already: keep their bits and channels")
    noisy.add_argument(
        "--holdout", type=float, metavar="SHARE", help="share of them, or of a single one, to validate on (default: 0.05)"
    )

    # What is given.
    options = vars(parser.parse_args(arguments))
    input_dir, out, is_noisy = (options.pop(name) for name in ("input_dir", "out", "noisy"))
    given = {name: value for name, value in options.items() if value is not None}
    for name in ("holdout", "nodata"):
        if name in given and not is_noisy:
            raise UserError(f"--{name} is for --noisy: add that, or leave it out")

    # The work. Imports are late: --help shall not wait for h5py.
    from dnnlib.denoising.pictures.limit import allow_pixels

    allow_pixels(given.pop("max_pixels", None))
    if is_noisy:
        from dnnlib.denoising.data.noisy_pages import NoisyOptions
        from dnnlib.denoising.data.noisy_shard_writer import write_noisy_shard

        write_noisy_shard(input_dir, out, NoisyOptions(**given))
    else:
        from dnnlib.denoising.data.shard_writer import write_shard

        write_shard(input_dir, out, **given)


if __name__ == "__main__":
    run_script(main)
