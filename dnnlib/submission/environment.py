"""What a run was made with: versions, commit, host; and how settings are put down as JSON and as plain text."""

import functools
import importlib.metadata
import json
import math
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

PROGRAM_DIR = Path(__file__).resolve().parents[2]

# Shown name -> the distributions that may provide it.
_PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tf-nightly", "tf-nightly-cpu"),
    "numpy": ("numpy",),
    "h5py": ("h5py",),
    "pillow": ("pillow",),
    "scipy": ("scipy",),
    "scikit-image": ("scikit-image",),
}


def environment() -> dict:
    """Tells about this process: `packages`, `host`, `cpu_count`, `command_line`, and `git_commit` if there is one."""
    commit = git_commit(PROGRAM_DIR)
    return {
        "packages": {"python": platform.python_version(), **package_versions()},
        **({"git_commit": commit} if commit else {}),
        "host": platform.node(),
        "cpu_count": os.cpu_count(),
        "command_line": list(sys.orig_argv),
    }


def package_versions() -> dict[str, str | None]:
    """Returns installed versions by package, None where a package is absent. Imports none of them."""
    return {name: next(filter(None, map(_version, providers)), None) for name, providers in _PACKAGES.items()}


def _version(distribution: str) -> str | None:
    """Returns the installed version of a distribution, None where it is absent."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.lru_cache
def git_commit(folder: Path) -> str | None:
    """Returns the commit checked out in `folder`; None where that is no top of a git checkout, or git is not installed."""
    # A hook or another tool may have pointed git elsewhere by its GIT_* variables.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def ask(*arguments: str) -> str:
        """Returns what `git rev-parse` prints."""
        command = ["git", "-C", os.fspath(folder), "rev-parse", *arguments]
        result = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=True)
        return os.fsdecode(result.stdout).removesuffix("\n")

    try:
        # The program may lie, without a repository of its own, in a folder under somebody else's.
        return ask("--verify", "HEAD") if os.path.samefile(ask("--show-toplevel"), folder) else None
    except (OSError, subprocess.SubprocessError):
        return None


def jsonable(value):
    """Returns `value` as JSON's own types: numpy scalars and arrays become numbers and lists, paths text.

    NaN and infinities, which JSON lacks, become None. Raises TypeError for what has no such form.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numpy, without importing it
        plain = value.tolist()
        value = plain if type(plain) is not type(value) else float(value)  # longdouble's "plain" form is itself
        return jsonable(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    raise TypeError(f"not a JSON value: {value!r}")


def settings_json(settings: dict) -> str:
    """Returns settings as indented JSON."""
    return json.dumps(jsonable(settings), indent=2, allow_nan=False) + "\n"


def settings_text(settings: dict) -> str:
    """Returns one setting a line, `name: value`, for people; groups are indented."""
    return "".join(f"{line}\n" for line in _lines(settings, ""))


def _lines(group: dict, indent: str):
    """Yields the lines of a group of settings."""
    width = max((len(str(name)) for name, value in group.items() if not isinstance(value, dict)), default=0) + 1
    for name, value in group.items():
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{str(name) + ':':<{width}} {_readable(name, value)}".rstrip()


def _readable(name, value) -> str:
    """Returns a setting's value as text of one line."""
    if value is None:
        return "none"
    if name == "command_line":
        text = shlex.join(value)
    elif isinstance(value, (list, tuple)):
        text = ", ".join(map(str, value))
    else:
        text = str(value)
    # A line end inside a value must not look like the next setting, and UTF-8 has no room for lone surrogates.
    return text if text.isprintable() else repr(text)
