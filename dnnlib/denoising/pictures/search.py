"""Finds the pictures under a folder or a glob pattern."""

import functools
import glob
import itertools
import os
from collections.abc import Iterator

from dnnlib.errors import UserError

ALL_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".npy")  # what is taken from a folder, in any case
SUFFIXES = (".jpeg", ".jpg", ".png")  # in any case


def find_pictures(input_dir: str, suffixes: tuple[str, ...] = SUFFIXES) -> list[str]:
    """Paths of all pictures, by suffix (in any case), under a folder, or under all that a glob pattern matches; sorted.

    What can be reached in two ways, by links between folders, is found once. Raises UserError where nothing is found.
    """
    if os.path.isdir(input_dir):
        roots = [input_dir]
    elif glob.has_magic(input_dir):
        roots = sorted(glob.glob(input_dir, recursive=True))
        if not roots:
            raise UserError(f"--input-dir: nothing matches {input_dir}")
    elif os.path.exists(input_dir):
        raise UserError(f"--input-dir: {input_dir} is not a folder; give the folder that holds the pictures")
    else:
        raise UserError(f"--input-dir: there is no folder {input_dir}")
    walked: set[tuple[int, int]] = set()
    files = itertools.chain.from_iterable(_walk(root, walked) if os.path.isdir(root) else [root] for root in roots)
    real_folder = functools.cache(os.path.realpath)
    paths = sorted(
        {
            (real_folder(os.path.dirname(path)), os.path.basename(path)): path  # a pattern may match by several ways, too
            for path in files
            if path.lower().endswith(suffixes)
        }.values()
    )
    if not paths:
        names = "*.JPEG, *.jpg or *.png" if suffixes == SUFFIXES else f"picture ({', '.join(suffixes)})"
        raise UserError(f"--input-dir: no {names} in {input_dir}")
    return paths


def _walk(root: str, walked: set[tuple[int, int]]) -> Iterator[str]:
    """All files under a folder; links are followed, but no folder is walked that is in `walked` already."""

    def unreadable(error: OSError) -> None:
        if error.filename == root:
            raise UserError(f"--input-dir: cannot read the folder {root}: {error.strerror}")
        print(f"skipped: cannot read the folder {error.filename}: {error.strerror}", flush=True)

    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=unreadable):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in walked:
            subfolders.clear()
            continue
        walked.add((status.st_dev, status.st_ino))
        subfolders.sort()  # so that of two ways into a folder it is always the same one that counts
        yield from (os.path.join(folder, name) for name in files)


def find_inputs(inputs: list[str]) -> list[str]:
    """Files, the pictures directly in folders, and what glob patterns match, each file once. Raises UserError where one of
    `inputs` gives nothing."""
    paths: dict[str, str] = {}
    for given in inputs:
        if os.path.exists(given):
            matches = [given]
        elif glob.has_magic(given):
            matches = sorted(glob.glob(given, recursive=True))
        else:
            raise UserError(f"--denoise {given}: there is no such file or folder")
        folders = [pictures_in(match, "--denoise") if os.path.isdir(match) else [match] for match in matches]
        found = [path for folder in folders for path in folder]
        if not found:
            reason = "no picture in it" if os.path.isdir(given) else "nothing matches"
            raise UserError(f"--denoise {given}: {reason} ({', '.join(ALL_SUFFIXES)})")
        for path in found:
            paths.setdefault(os.path.realpath(path), path)
    return list(paths.values())


def pictures_in(folder: str, option: str) -> list[str]:
    """Paths of the pictures directly in a folder, sorted, without hidden files. Raises UserError naming the option."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UserError(f"{option} {folder}: cannot read the folder ({error.strerror})") from error
    names = [name for name in names if name.lower().endswith(ALL_SUFFIXES) and not name.startswith(".")]
    paths = [os.path.join(folder, name) for name in names]
    return [path for path in paths if not os.path.isdir(path)]
