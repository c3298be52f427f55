"""What a run directory says of its run: task, options, statistics, and whether it still runs.

The directories may be of strangers, of older versions, or broken: whatever cannot be read is left out, and nothing raised.
"""

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dnnlib.files import is_own_file

RUNNING, STOPPED, FINISHED, FAILED = "running", "stopped", "finished", "failed"
_LARGEST = {"training_options.json": 1 << 20, "stats.jsonl": 256 << 20, "run.txt": 1 << 20}  # bytes
_MOST = 1e15  # larger numbers, and NaN, are none that a run writes
_QUIET = 3600.0  # seconds without a change after which a run of another machine counts as stopped


@dataclass(frozen=True)
class RunFacts:
    """Holds what is known of a run."""

    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)  # training_options.json
    stats: Sequence[Mapping[str, float]] = ()  # the numbers in each line of stats.jsonl
    entries: Sequence[Mapping[str, str]] = ()  # of run.txt, one a process that was at work

    @property
    def options(self) -> Mapping[str, Any]:
        """Returns the options as they were resolved."""
        found = self.settings.get("options")
        return found if isinstance(found, Mapping) else {}

    @property
    def trains(self) -> bool:
        """Tells whether it is a training, and no evaluation."""
        return "train" in self.options

    @property
    def configuration(self) -> str:
        """Returns the name of the configuration, empty where it is not known."""
        return str(self.options.get("train") or self.options.get("configuration") or "")

    @property
    def images(self) -> int | None:
        """Returns how many images were trained on or evaluated."""
        last = self.stats[-1] if self.stats else {}
        found = last.get("n", last.get("images"))
        return None if found is None else int(found)

    @property
    def hours(self) -> float | None:
        """Returns how long it took so far: the times of all lines, or of an evaluation from start to end."""
        times = [line["time"] for line in self.stats if "time" in line]
        if self.trains or times:
            return sum(times) / 3600 if times else None
        entry = self.entries[-1] if self.entries else {}
        try:
            started, stopped = (datetime.fromisoformat(entry[key]) for key in ("started", "stopped"))
            return (stopped - started).total_seconds() / 3600
        except (KeyError, ValueError, TypeError):
            return None

    def last(self, name: str) -> float | None:
        """Returns the last figure of that name, None where there is none."""
        return next((line[name] for line in reversed(self.stats) if name in line), None)

    @property
    def state(self) -> str:
        """Returns RUNNING, STOPPED (by a signal, or without an end), FINISHED or FAILED."""
        entry = self.entries[-1] if self.entries else {}
        ended = entry.get("ended")
        if ended is None:
            return RUNNING if self._alive(entry) else STOPPED
        if ended.startswith("finished"):
            return FINISHED
        return STOPPED if ended == "interrupted" else FAILED

    @property
    def reason(self) -> str:
        """Returns how the run ended, as run.txt says it."""
        return (self.entries[-1] if self.entries else {}).get("ended", "")

    def _alive(self, entry: Mapping[str, str]) -> bool:
        """Tells whether the process of an entry is still there; of another machine, whether its files still change."""
        if entry.get("host") == platform.node() and entry.get("pid", "").isdigit():
            try:
                os.kill(int(entry["pid"]), 0)
            except PermissionError:
                return True
            except (OSError, OverflowError):
                return False
            return True
        try:
            return time.time() - max(file.stat().st_mtime for file in self.folder.iterdir()) < _QUIET
        except (OSError, ValueError):
            return False


def read_run(folder: Path) -> RunFacts:
    """Reads what a run directory says, as far as it can be read."""
    lines = (_numbers(_json(line)) for line in _text(folder / "stats.jsonl").splitlines())
    settings = _json(_text(folder / "training_options.json"))
    entries = [_entry(block) for block in _text(folder / "run.txt").split("\n\n")]
    return RunFacts(folder, settings, [line for line in lines if line], [entry for entry in entries if entry])


def _text(path: Path) -> str:
    """Returns a file's text, empty where it is none of ours."""
    try:
        if not is_own_file(path) or path.stat().st_size > _LARGEST[path.name]:
            return ""
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _json(text: str) -> dict[str, Any]:
    """Returns a JSON object, empty where there is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _entry(block: str) -> dict[str, str]:
    """Returns the lines `name: value` of a block."""
    pairs = (line.partition(":") for line in block.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def _numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """Returns the numbers of a JSON object that can be drawn."""
    return {name: x for name, x in line.items() if type(x) in (int, float) and abs(x) < _MOST}
