#!/usr/bin/env python3
"""Makes a training shard (HDF5) out of a folder of pictures."""

import argparse
from collections.abc import Sequence

from dnnlib.command_line import CommandLine
from dnnlib.errors import run_script

EPILOG = """All *.JPEG, *.jpg and *.png (in any case) under the folder are used whose width and height both lie
in 256..512 pixels, in a shuffled order that is always the same. Files that cannot be read are named
and left out.

example:
  python dataset_tool_h5.py --input-dir datasets/ILSVRC2012_val --out datasets/imagenet_val.h5"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = CommandLine(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input-dir", required=True, metavar="DIR", help="folder of pictures, or a glob pattern in quotes")
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="shard to write; an old file is replaced when the new one is complete"
    )
    parser.add_argument("--max-files", type=int, metavar="N", help="use the first N pictures of right size (default: all)")
    parser.add_argument("--workers", type=int, metavar="N", help="pictures decoded at a time (default: one a core)")
    options = parser.parse_args(arguments)

    from dnnlib.denoising.shard_writer import write_shard  # late: --help shall not wait for h5py

    write_shard(options.input_dir, options.out, options.max_files, options.workers)


if __name__ == "__main__":
    run_script(main)
