"""The commands by which one goes on with a run: the same again, the rest of it, denoising with what it came to."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from dnnlib.denoising.reports.run_facts import FINISHED, RunFacts

_PROGRAM = "python selfsupervised_denoising.py"


def commands_of(facts: RunFacts) -> list[tuple[str, str]]:
    """Returns what each command does, and the command, as a shell takes it."""
    recorded = facts.settings.get("command_line")
    words = [str(word) for word in recorded] if isinstance(recorded, list) else []
    again = shlex.join(_without_resume(words))
    found = [("The same again", again)] if words else []
    if words and facts.trains and facts.state != FINISHED:
        found.append(("Go on, if it was cut off", f"{again} --resume {shlex.quote(str(facts.folder))}"))
    network = _network(facts)
    if network:
        quoted = shlex.quote(network)
        found.append(("Denoise with it", f"{_PROGRAM} --denoise photo.png --out denoised --network {quoted}"))
        if facts.trains:
            validation = _validation(facts)
            found.append(("Evaluate it", f"{_PROGRAM} --eval {quoted}{validation}"))
    return found


def _network(facts: RunFacts) -> str | None:
    """Returns the network that there is: of a training the newest file, of an evaluation what was evaluated."""
    if not facts.trains:
        return str(facts.options["eval"]) if facts.options.get("eval") else None
    names = sorted(facts.folder.glob("network-*.pickle"), key=lambda path: path.name)  # 'final' comes after all numbers
    return str(names[-1]) if names else None


def _validation(facts: RunFacts) -> str:
    """Returns the options that name what was validated on."""
    pairs = (("--validation-set", "validation_set"), ("--dataset-dir", "dataset_dir"), ("--reference-dir", "reference_dir"))
    given = {flag: facts.options.get(name) for flag, name in pairs}
    if given["--validation-set"] == "held_out":
        given["--validation-set"] = facts.options.get("train_h5")
    return "".join(f" {flag} {shlex.quote(str(value))}" for flag, value in given.items() if value)


def _without_resume(words: Sequence[str]) -> list[str]:
    """Returns the words of a command line without --resume and its value."""
    kept: list[str] = []
    skip = False
    for word in words:
        value_of_resume, skip = skip, word == "--resume"
        if skip or word.startswith("--resume=") or (value_of_resume and not word.startswith("--")):
            continue
        kept.append(word)
    return kept


def folder_link(path: Path, start: Path) -> str:
    """Returns the link from a page in one folder to another file, relative, as a URL."""
    return quote(Path(os.path.relpath(path, start)).as_posix())
