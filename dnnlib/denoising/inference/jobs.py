"""Where the results of `--denoise` go. Names only; nothing is read, and no NumPy here."""

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from dnnlib.errors import UserError


class Job(NamedTuple):
    """A picture, its result, and where what is made beside it goes: <stem>-std.png or .tif, <stem>-compare.png."""

    source: str
    result: Path

    def beside(self, ending: str) -> Path:
        return self.result.with_name(f"{self.result.stem}-{ending}")


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
