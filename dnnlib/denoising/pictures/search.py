"""Finds pictures: in a folder, in all folders below it, or by what a user names on the command line."""

import fnmatch
import functools
import glob
import itertools
import os
from collections.abc import Iterable, Iterator

from dnnlib.denoising.pictures import formats
from dnnlib.errors import UserError
from dnnlib.progress import say


def pictures_in(
    folder: str | os.PathLike, option: str = "", pattern: str | None = None, walk: bool = False, writable_only: bool = False
) -> list[str]:
    """Returns the paths of the pictures in a folder, sorted, without hidden files.

    folder: where they are.
    option: what an error is to name, e.g. '--denoise'.
    pattern: that names must match, case counting (`*.png`); None: all suffixes of the table of formats, in any case.
    walk: with all folders below; what can be reached in two ways, by links between folders, is found once.
    writable_only: without the formats that the program only reads; not for a pattern.

    Raises UserError where the folder cannot be read. None found is an empty list.
    """
    return _pictures_among(_files_in(os.fspath(folder), option, walk, set()), pattern, writable_only)


def find_pictures(input_dir: str, writable_only: bool = False) -> list[str]:
    """Returns the paths of all pictures, by suffix, below a folder, or below all that a glob pattern matches; sorted.

    writable_only: as for `pictures_in`. Raises UserError, naming --input-dir, where nothing is found.
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
    files = (_files_in(root, "--input-dir", True, walked) if os.path.isdir(root) else [root] for root in roots)
    paths = _pictures_among(itertools.chain.from_iterable(files), None, writable_only)
    if not paths:
        raise UserError(f"--input-dir: no picture ({', '.join(formats.suffixes(writable_only))}) in {input_dir}")
    return paths


def find_inputs(inputs: list[str], option: str = "--denoise") -> list[str]:
    """Returns the paths of files, of the pictures directly in folders, and of what glob patterns match, each file once.

    option: that a message names. Raises UserError where one of `inputs` gives nothing.
    """
    paths: dict[str, str] = {}
    for given in inputs:
        if os.path.exists(given):
            matches = [given]
        elif glob.has_magic(given):
            matches = sorted(glob.glob(given, recursive=True))
        else:
            raise UserError(f"{option} {given}: there is no such file or folder")
        found: list[str] = []
        for match in matches:
            found += pictures_in(match, option, writable_only=True) if os.path.isdir(match) else [match]
        if not found:
            reason = "no picture in it" if os.path.isdir(given) else "nothing matches"
            raise UserError(f"{option} {given}: {reason} ({', '.join(formats.suffixes(writable_only=True))})")
        for path in found:
            paths.setdefault(os.path.realpath(path), path)
    return list(paths.values())


def _pictures_among(files: Iterable[str], pattern: str | None, writable_only: bool) -> list[str]:
    """Returns the pictures among files, sorted, each once, by whatever links between folders it was reached."""
    suffixes = formats.suffixes(writable_only)
    real_folder = functools.cache(os.path.realpath)
    found: dict[tuple[str, str], str] = {}
    for path in files:
        folder, name = os.path.split(path)
        wanted = name.lower().endswith(suffixes) if pattern is None else fnmatch.fnmatchcase(name, pattern)
        # What is there and is no file, a pipe, is left out. A link to nothing is not: who reads it will name it.
        if wanted and not name.startswith(".") and (os.path.isfile(path) or not os.path.exists(path)):
            found[real_folder(folder), name] = path
    return sorted(found.values())


def _files_in(root: str, option: str, walk: bool, walked: set[tuple[int, int]]) -> Iterator[str]:
    """Yields the paths of all files in a folder, following links.

    root: the folder.
    option: what an error is to name.
    walk: with all folders below.
    walked: device and inode of folders that are left out; those that are walked now are added.
    """

    def unreadable(error: OSError) -> None:
        if error.filename == root:
            raise UserError(f"{option}{': ' if option else ''}cannot read the folder {root}: {error.strerror}")
        say(f"skipped: cannot read the folder {error.filename}: {error.strerror}")

    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=unreadable):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in walked:
            subfolders.clear()
            continue
        walked.add((status.st_dev, status.st_ino))
        yield from (os.path.join(folder, name) for name in files)
        if not walk:
            return
        subfolders.sort()  # so that of two ways into a folder it is always the same one that counts
