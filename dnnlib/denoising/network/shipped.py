"""Networks that come with the program: which file a name stands for, and which network is the default for a picture.

The table of them (config/networks.py) is data that the callers pass down.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

from dnnlib.errors import UserError
from dnnlib.files import file_sha256

FOLDER = Path(__file__).resolve().parents[3] / "pretrained"
RGB, GREY, NO_DEFAULT = "rgb", "grey", "none"  # kinds of pictures, as the table has them


def network_path(text: str | os.PathLike, option: str, known: Mapping[str, Mapping]) -> str | os.PathLike:
    """Returns the network file that a user means: the file of that name, if there is one, or else a shipped network's.

    text: as the user gave it: a path, or a name of the table.
    option: what a message calls it.
    known: the table.

    Raises UserError where there is neither, and for a shipped file that is missing or is not what was shipped.
    """
    name = os.fspath(text)
    if os.path.isfile(name):
        return text
    if name in known:
        return _shipped_file(name, option, known[name]["sha256"])
    if os.path.exists(name):  # a folder, or a device: who reads it knows what to say of it
        return text
    raise UserError(f"{option} {name}: there is no such file{_instead(name, known)}")


def default_networks(known: Mapping[str, Mapping]) -> dict[str, str]:
    """Returns the names of the networks that pictures are denoised with where none is named, by kind: RGB, GREY.

    known: the table. A kind that has none of its own gets that of the other; without any default there is no entry.
    """
    own = {row["default"]: name for name, row in known.items() if row["default"] != NO_DEFAULT}
    return {kind: own.get(kind) or own[other] for kind, other in ((RGB, GREY), (GREY, RGB)) if own}


def _shipped_file(name: str, option: str, sha256: str) -> Path:
    """Returns the file of a shipped network, after a look at its digest. Parameters as for `network_path`."""
    path = FOLDER / f"{name}.pickle"
    remedy = "fetch it again, in a git checkout with `git checkout -- pretrained`"
    try:
        found = file_sha256(path)
    except OSError as error:
        raise UserError(f"{option} {name}: {path} cannot be read ({error.strerror}); {remedy}") from error
    if found != sha256:
        digests = f"its SHA-256 is {found[:12]}... instead of {sha256[:12]}..."
        raise UserError(f"{option} {name}: {path} is not the file that was shipped ({digests}); {remedy}")
    return path


def _instead(text: str, known: Mapping[str, Mapping]) -> str:
    """Returns what a message says of the names that could be meant by one that is neither a file nor in the table."""
    if not known:
        return "; check the name"
    close = difflib.get_close_matches(text, known, n=2)
    guess = f"did you mean {' or '.join(close)}? " if close else ""
    return f", and no such shipped network; {guess}shipped are {', '.join(known)}"
