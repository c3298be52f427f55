"""What a shipped network must have: its file, and a card that says where it is from and what it is worth."""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

from dnnlib.denoising.network.shipped import GREY, NO_DEFAULT, RGB
from dnnlib.files import file_sha256

PROGRAM = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("make_card", PROGRAM / "tools" / "make_card.py")
make_card = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_card)


def sections(card: str) -> dict[str, str]:
    """The text under each heading of a card."""
    _, *parts = re.split(r"^## ", card, flags=re.MULTILINE)
    return {heading: text.strip() for heading, _, text in (part.partition("\n") for part in parts)}


def recorded_psnr(card: str) -> float:
    """The figure in dB that the evaluation of the tests must give again."""
    return float(re.search(r"`RESULT ([0-9.]+)`", sections(card)["Check"])[1])


def faults(name: str, row: Mapping, folder: Path) -> list[str]:
    """What is wrong with a row of the table, or with the files that it stands for."""
    file, card = folder / f"{name}.pickle", folder / f"{name}.md"
    if not file.is_file() or not card.is_file():
        return ["a file is missing"]
    found = sections(card.read_text("utf-8"))
    rows = re.findall(r"^\| (\w+) \| (.+) \|$", found.get("Training", ""), re.MULTILINE)
    facts = {fact: cells.split(" | ") for fact, cells in rows}  # of each training
    quality = found.get("Quality", "")
    number = r"[0-9]+\.[0-9]+"
    kodak, bsd = (
        re.search(rf"^\| {name} \| [0-9]+ \|.*?\| ({number}) \| ({number}) to ({number}) \|", quality, re.MULTILINE)
        for name in ("Kodak", "BSD300")
    )
    checks = {
        "digest": row["sha256"] == file_sha256(file),
        "kind": row["default"] in (RGB, GREY, NO_DEFAULT),
        "headings": list(found) == list(make_card.HEADINGS) and all(found.values()),
        "facts": all(all(facts.get(fact, [""])) for fact in make_card.FACTS),
        "commit": all(re.fullmatch("`[0-9a-f]{40}`", commit) for commit in facts.get("commit", [""])),
        "BSD300": bsd and float(bsd[2]) <= float(bsd[1]) <= float(bsd[3]),
        "Kodak": kodak and float(kodak[2]) <= float(kodak[1]) <= float(kodak[3]) and float(kodak[1]) == row["kodak"],
        "JPEGs": "JPEG" in found.get("What it is not for", "") and "correlated" in found.get("What it is not for", ""),
        "check": re.search(rf"`RESULT {number}`", found.get("Check", "")),
    }
    return [what for what, right in checks.items() if not right]
