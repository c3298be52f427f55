"""Where the results of `--denoise` go. Names only; nothing is read, and no NumPy here."""

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from dnnlib.errors import UserError
from dnnlib.files import LONGEST_NAME, shortened


class Output(NamedTuple):
    """Says where the result of one picture goes.

    source: the picture's path.
    result: the denoised one's.
    """

    source: str
    result: Path

    def extra(self, ending: str) -> Path:
        """Returns the path of what is made beside the result: <stem>-std.png or .tif, <stem>-compare.png, ...; of a stem for
        which names would be too long, its beginning."""
        stem = shortened(self.result.stem, LONGEST_NAME - len(f"-{ending}"))
        return self.result.with_name(f"{stem}-{ending}")


def plan_outputs(paths: list[str], out: str, extra_endings: list[str]) -> list[Output]:
    """Decides where the results go.

    paths: of the pictures.
    out: folder of the results.
    extra_endings: of what is made beside results, like 'std.png'.

    Raises UserError where two results would have one name, or one would be written over an input.
    """
    folder = os.path.realpath(out)
    for path in paths:
        if os.path.realpath(os.path.dirname(path) or ".") == folder:
            raise UserError(f"--out {out}: is the folder of the input {path}; name another")
    outputs = [Output(path, Path(out) / os.path.basename(path)) for path in paths]
    sources = {os.path.realpath(path): path for path in paths}  # links lead elsewhere
    written = {output: [output.result, *(output.extra(ending) for ending in extra_endings)] for output in outputs}
    counts = Counter(path for output in outputs for path in written[output])
    for output in outputs:
        for path in written[output]:
            if counts[path] > 1:
                two = f"two results would be named {path.name}"
                raise UserError(f"--denoise {output.source}: {two}; denoise them one by one")
            if (source := sources.get(os.path.realpath(path))) is not None:
                raise UserError(f"--out {out}: {path.name} there is the input {source} itself; name another folder")
            if path.is_dir():
                raise UserError(f"--out {out}: the folder {path} is in the way of a result")
    return outputs


def make_folder(folder: str, option: str = "--out") -> None:
    """Makes a folder, and tries whether files can be written there. Raises UserError if not.

    folder: that the user named, or the one of a file.
    option: by which the user did.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError:
        raise UserError(f"{option} {folder}: a file is in the way; name a folder") from None
    except OSError as error:
        raise UserError(f"{option} {folder}: cannot write there ({error.strerror}); name another folder") from error
