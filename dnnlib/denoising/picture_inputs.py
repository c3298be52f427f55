"""Which pictures `--denoise` takes, and where their results go. Names only; nothing is read, and no NumPy here."""

import glob
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from dnnlib.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".npy")  # what is taken from a folder, in any case


class Job(NamedTuple):
    """A picture, its result, and where what is made beside it goes: <stem>-std.png or .tif, <stem>-compare.png."""

    source: str
    result: Path

    def beside(self, ending: str) -> Path:
        return self.result.with_name(f"{self.result.stem}-{ending}")


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
            raise UserError(f"--denoise {given}: {reason} ({', '.join(SUFFIXES)})")
        for path in found:
            paths.setdefault(os.path.realpath(path), path)
    return list(paths.values())


def plan(paths: list[str], out: str, beside: list[str]) -> list[Job]:
    """A job for each input. beside: endings of what is made beside results, like 'std.png'.

    Raises UserError where two results would have one name, or one would be written over an input.
    """
    folder = os.path.realpath(out)
    for path in paths:
        if os.path.realpath(os.path.dirname(path) or ".") == folder:
            raise UserError(f"--out {out}: is the folder of the input {path}; name another")
    jobs = [Job(path, Path(out) / os.path.basename(path)) for path in paths]
    sources = {os.path.realpath(path): path for path in paths}  # links lead elsewhere
    results = {job: [job.result, *(job.beside(ending) for ending in beside)] for job in jobs}
    counts = Counter(result for job in jobs for result in results[job])
    for job in jobs:
        for result in results[job]:
            if counts[result] > 1:
                raise UserError(f"--denoise {job.source}: two results would be named {result.name}; denoise them one by one")
            if (source := sources.get(os.path.realpath(result))) is not None:
                raise UserError(f"--out {out}: {result.name} there is the input {source} itself; name another folder")
            if result.is_dir():
                raise UserError(f"--out {out}: the folder {result} is in the way of a result")
    return jobs


def make_folder(out: str) -> None:
    """Makes the folder of the results, and tries whether files can be written there. Raises UserError if not."""
    try:
        os.makedirs(out, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except FileExistsError:
        raise UserError(f"--out {out}: a file is in the way; name a folder") from None
    except OSError as error:
        raise UserError(f"--out {out}: cannot write there ({error.strerror}); name another folder") from error


def pictures_in(folder: str, option: str) -> list[str]:
    """Paths of the pictures directly in a folder, sorted, without hidden files. Raises UserError naming the option."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UserError(f"{option} {folder}: cannot read the folder ({error.strerror})") from error
    paths = [os.path.join(folder, name) for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    return [path for path in paths if not os.path.isdir(path)]
