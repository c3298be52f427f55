#!/usr/bin/env python3
"""Makes a network ready to be shipped: copies it to pretrained/, writes its card, and prints its row for config/networks.py.

    python tools/make_card.py --train-run results/00007-train-... --terms terms.md --default rgb \\
        --eval-runs results/_eval/00001-... results/_eval/00002-... results/_eval/00003-...

Everything on the card was recorded by the run directory of the training and by those of three evaluations of the network:
on Kodak, on BSD300, and, in float32, on tests/data/golden/kodak, whose figure the tests see again. The intervals are
bootstrapped over pictures, whose repetitions are averaged first.
"""

import argparse
import csv
import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dnnlib.command_line import CommandLine  # noqa: E402
from dnnlib.denoising.configuration import Configuration  # noqa: E402
from dnnlib.denoising.judging.intervals import interval_of_mean  # noqa: E402
from dnnlib.denoising.network.network_file import network_file_name  # noqa: E402
from dnnlib.denoising.network.shipped import FOLDER, GREY, NO_DEFAULT, RGB  # noqa: E402
from dnnlib.errors import UserError, run_script  # noqa: E402
from dnnlib.files import atomic_path, file_sha256, write_text  # noqa: E402
from dnnlib.tflib.precision import FLOAT32  # noqa: E402

CHECK = "tests/data/golden/kodak"  # the pictures that are evaluated by the tests
SETS = {"kodak": "Kodak", "bsd300": "BSD300", CHECK: CHECK}
MEASURES = {"psnr_noisy": "noisy, dB", "psnr_pme": "PSNR, dB", "ssim_pme": "SSIM"}  # columns of pictures.csv, if there

HEADINGS = ("What it is for", "What it is not for", "Training pictures", "Training", "Quality", "Check")
FACTS = ("commit", "command", "images", "hours", "machine")  # rows under Training

NOISE = {
    "gauss": "Gaussian noise of sigma {} (of 255)",
    "poisson": "Poisson noise, of {} photons where the picture is white",
    "impulse": "impulse noise, which replaces {} of the pixels (1: all)",
}
KNOWN = {
    "known": "It is told the level, or the program estimates it from the picture.",
    "global": "It has learned the level, and needs not be told.",
    "per_image": "It finds the level of each picture by itself, and needs to be told nothing.",
    None: "It needs to be told nothing.",
}
NOT_FOR = """\
* Photographs as a camera's JPEG has them. Their noise is correlated between neighbouring pixels, by the interpolation of
  colours and the compression; the network takes such noise for detail, and leaves it. Train one on your own noisy
  pictures instead, as docs/real-noise.md says.
* Noise of another kind, or out of the range above.
* Measurements that rely on each pixel. What is not in the noisy picture any more is guessed."""


class Run(NamedTuple):
    """Holds what a run directory says of its run: training_options.json, and the lines of stats.jsonl."""

    folder: Path
    settings: Mapping[str, Any]
    stats: Sequence[Mapping[str, Any]]

    @property
    def options(self) -> Mapping[str, Any]:
        """Returns the options of the command line, as they were resolved."""
        return self.settings["options"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and the runs, writes network and card, and prints the row."""
    given = command_line().parse_args(arguments)
    training = read_run(given.train_run)
    if "train" not in training.options:
        raise UserError(f"--train-run {given.train_run}: is of an evaluation; name the training's")
    trainings, before = in_order(training, given.earlier_runs, given.started_from), trainings_of(given.started_from)
    configuration = Configuration.from_name(training.options["train"])
    source = training.folder / network_file_name(None, configuration.name)
    if not source.is_file():
        raise UserError(f"--train-run {given.train_run}: there is no {source.name} in it; put it back")
    digest = file_sha256(source)
    evaluations = by_set([read_run(folder) for folder in given.eval_runs], digest)
    name = given.name or configuration.name
    text = card(name, configuration, trainings, evaluations, terms_of(given.terms), before)
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / f"{name}.pickle") as path:
        shutil.copyfile(source, path)
    write_text(out / f"{name}.md", text)
    kodak = picture_means(evaluations["kodak"].folder / "pictures.csv")["psnr_pme"].mean()  # as on the card, to the digit
    print(f"Written: {out / name}.pickle and .md. The row for config/networks.py:")
    print(f"{name:40s}  {digest}  {given.default:7s}  {kodak:.2f}")


def command_line() -> CommandLine:
    """Makes the parser."""
    parser = CommandLine(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train-run", required=True, metavar="DIR", help="run directory of the training, which has ended")
    parser.add_argument("--earlier-runs", nargs="*", default=(), metavar="DIR",
                        help="if it started from another network (--init): the run directory that that one is in, and so "
                             "on, the first training first")
    parser.add_argument("--started-from", metavar="CARD",
                        help="if the first of all these runs started from a network with a card (--init): that card")
    parser.add_argument("--eval-runs", required=True, nargs="+", metavar="DIR",
                        help=f"run directories of its evaluations on kodak, bsd300 and {CHECK}, in any order")
    parser.add_argument("--terms", required=True, metavar="TEXT_OR_FILE",
                        help="which pictures it was trained on, where they are from, and under which terms; Markdown")
    parser.add_argument("--default", default=NO_DEFAULT, choices=(RGB, GREY, NO_DEFAULT),
                        help="kind of picture that it is the default for (default: none)")
    parser.add_argument("--name", metavar="NAME", help="what it is called (default: its configuration)")
    parser.add_argument("--out", default=str(FOLDER), metavar="DIR", help="folder for both files (default: pretrained)")
    return parser


def read_run(folder: str, ended: bool = True) -> Run:
    """Reads what a run says of itself. Raises UserError for a folder that is none. ended: whether it must have ended."""
    path = Path(folder)
    if ended and not (path / "_finished.txt").is_file():
        raise UserError(f"{folder}: is no directory of a run that has ended; name one like results/<id>-... that has")
    try:
        settings = json.loads((path / "training_options.json").read_text("utf-8"))
        stats = [json.loads(line) for line in (path / "stats.jsonl").read_text("utf-8").splitlines()]
        return Run(path, settings, stats)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: {error}; name the folder of a training or an evaluation, as it was written") from error


def in_order(training: Run, earlier: Sequence[str], card_path: str | None = None) -> list[Run]:
    """Returns all trainings that a network has gone through, the first one first.

    training: the last one; earlier: folders of those before it; card_path: of the network that the first started from.
    Raises UserError where one did not start from the network of the one before.
    """
    runs = [*(read_run(folder, ended=False) for folder in earlier), training]
    for before, after in zip([None, *runs], runs, strict=False):
        start = after.options.get("init")
        if before is None and (start and Path(start).stem) != (card_path and Path(card_path).stem):
            raise UserError(
                f"{after.folder}: started from {start or 'no network'}; say so: --earlier-runs for a training's, "
                "--started-from for one with a card, neither for none"
            )
        if before is not None and not (start and (before.folder / Path(start).name).is_file()):
            raise UserError(f"{after.folder}: did not start (--init) from a network in {before.folder}; leave that out")
    return runs


def trainings_of(card_path: str | None) -> list[dict[str, str]]:
    """Returns what a card says of each training of its network, by FACTS; None: nothing. Raises UserError for no card."""
    if card_path is None:
        return []
    try:
        lines = Path(card_path).read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"--started-from {card_path}: {error}; name the card of a network") from error
    rows = [line.strip("| ").split(" | ") for line in lines]
    facts = {fact: cells for fact, *cells in rows if fact in FACTS}
    if set(facts) != set(FACTS):
        raise UserError(f"--started-from {card_path}: is no card of a network, or one without its trainings")
    return [dict(zip(facts, cells, strict=True)) for cells in zip(*facts.values(), strict=True)]


def by_set(evaluations: Sequence[Run], digest: str) -> dict[str, Run]:
    """Returns the evaluations by what they are on, in the order of SETS.

    digest: of the network file that they must be of. Raises UserError where one is missing or is of something else.
    """
    found = {}
    for run in evaluations:
        where = str(run.options.get("validation_set"))
        name = CHECK if Path(where).as_posix().endswith(f"/{CHECK}") else where
        if name not in SETS:
            raise UserError(f"--eval-runs {run.folder}: is on {where}, not on any of {', '.join(SETS)}; leave it out")
        if run.options.get("network_sha256") != digest:
            raise UserError(f"--eval-runs {run.folder}: is not of the network file of --train-run; evaluate that")
        if name == CHECK and run.options.get("precision") != FLOAT32:
            raise UserError(f"--eval-runs {run.folder}: is not in float32; evaluate on {CHECK} without --precision")
        found[name] = run
    for name in SETS:
        if name not in found:
            raise UserError(f"--eval-runs: none is on {name}; evaluate the network with --validation-set {name}")
    return {name: found[name] for name in SETS}


def terms_of(text_or_file: str) -> str:
    """Returns the text that was given, or that of the file whose name was given."""
    path = Path(text_or_file)
    try:
        return path.read_text("utf-8").strip() if path.is_file() else text_or_file.strip()
    except (OSError, ValueError):  # a text that is too long for a name
        return text_or_file.strip()


def card(
    name: str, configuration: Configuration, trainings: Sequence[Run], evaluations: Mapping[str, Run], terms: str,
    before: Sequence[Mapping[str, str]] = (),
) -> str:  # fmt: skip
    """Returns the card.

    name: of the network.
    configuration: its own.
    trainings: the runs that it is from, the first one first.
    evaluations: by the names of SETS.
    terms: of the training pictures.
    before: what `trainings_of` returns for the card of the network that the first training started from.
    """
    sections = dict(zip(HEADINGS, (
        f"{purpose(configuration)}\n\n```sh\n{usage(name)}\n```", NOT_FOR, terms, training_table(trainings, before),
        quality_table({SETS[key]: run for key, run in evaluations.items() if key != CHECK}), check(name, evaluations[CHECK]),
    ), strict=True))  # fmt: skip
    blocks = [f"# {name}", *(f"## {heading}\n\n{text}" for heading, text in sections.items())]
    return "\n\n".join(blocks) + "\n"


def purpose(configuration: Configuration) -> str:
    """Says which pictures and which noise a network is for."""
    noise = configuration.noise
    if noise.real or noise.family not in NOISE:
        raise UserError(f"{configuration.name}: noise of this kind has no words on a card yet; add them to NOISE")
    low, high = (f"{noise.row.level.user_from_known(x):g}" for x in (noise.low, noise.high))
    level = NOISE[noise.family].format(low if low == high else f"{low} to {high}")
    pictures = "Grey pictures" if configuration.channels == 1 else "RGB pictures"
    return f"{pictures} with {level}, independent from pixel to pixel. {KNOWN[configuration.noise_params]}"


def usage(name: str) -> str:
    """Returns a command that denoises with the network."""
    return f"python selfsupervised_denoising.py --denoise photo.png --out denoised --network {name}"


def training_table(trainings: Sequence[Run], before: Sequence[Mapping[str, str]] = ()) -> str:
    """Returns what was recorded of trainings, one after the other, as a table with a column for each.

    before: the columns of trainings before them.
    """
    # How many images each saw: the last one all, the others those in the name of the file that was taken of them.
    starts = [Path(run.options["init"]).name for run in trainings[1:]]
    images = [images_in(start, run) for start, run in zip([*starts, None], trainings, strict=True)]
    columns = [*before, *(training_facts(run, count) for run, count in zip(trainings, images, strict=True))]
    heads = ["first", *["then, from that network"] * (len(columns) - 1)] if len(columns) > 1 else [""]
    rows = [["", *heads], ["---"] * (1 + len(heads)), *([fact, *(column[fact] for column in columns)] for fact in FACTS)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def images_in(file_name: str | None, training: Run) -> int:
    """Returns how many images a training had seen when it wrote a network file; None, or a final one: all."""
    number = (file_name or "").split("-")[1:2]
    return int(number[0]) if number and number[0].isdigit() else training.stats[-1]["n"]


def training_facts(training: Run, images: int) -> dict[str, str]:
    """Returns what was recorded of a training of so many images, by FACTS. Raises UserError where its commit was not."""
    settings = training.settings
    if not settings.get("git_commit"):
        raise UserError(f"{training.folder}: the training has recorded no git_commit; train in a git checkout")
    parts = (training.folder / "run.txt").read_text("utf-8").count("started:")
    hours = sum(line["time"] for line in training.stats) / 3600
    machine = [f"{settings['device']}, {settings['cpu_count']} processors" if settings.get("device") else "unknown"]
    machine += [settings["precision"], *(f"{key} {settings['packages'][key]}" for key in ("tensorflow", "python"))]
    return {
        "commit": f"`{settings['git_commit']}`",
        "command": f"`{public_command(settings['command_line'])}`",
        "images": f"{images:,}",
        "hours": f"{hours:.1f}" + (f", in {parts} parts; commit and command are the last one's" if parts > 1 else ""),
        "machine": ", ".join(machine),
    }


def public_command(words: Sequence[str]) -> str:
    """Returns a command as one that others can give: of absolute paths, which are of one machine, the last part."""
    shown = ["python"]
    for word in words[1:]:
        flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        shown.append(f"{flag}{equals}{Path(value).name if value.startswith('/') else value}")
    return shlex.join(shown)


def quality_table(evaluations: Mapping[str, Run]) -> str:
    """Returns mean and interval of each measure on each set as a table. evaluations: by the names of the sets."""
    tables = {name: picture_means(run.folder / "pictures.csv") for name, run in evaluations.items()}
    there = [key for key in MEASURES if all(key in table for table in tables.values())]
    head = ["", "pictures"]
    for key in there:
        head += [MEASURES[key]] if key == "psnr_noisy" else [MEASURES[key], "95 % interval"]
    rows = [head, ["---"] * len(head)]
    for name, table in tables.items():
        cells = [name, str(len(table["psnr_pme"]))]
        for key in there:
            digits = 4 if key == "ssim_pme" else 2
            cells.append(f"{table[key].mean():.{digits}f}")
            if key != "psnr_noisy":
                cells.append(" to ".join(f"{bound:.{digits}f}" for bound in interval(table[key])))
        rows.append(cells)
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    how = " and ".join(sorted({f"`--eval --precision {run.options['precision']}`" for run in evaluations.values()}))
    return f"{text}\n\nMeans over pictures, by {how}; the intervals are bootstrapped over the pictures of the set."


def picture_means(path: Path) -> dict[str, np.ndarray]:
    """Reads pictures.csv, and returns each measure of each picture, averaged over the passes."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    pictures = list(dict.fromkeys(row["picture"] for row in rows))
    measures = [key for key in rows[0] if key in MEASURES]
    return {
        key: np.array([np.mean([float(row[key]) for row in rows if row["picture"] == name]) for name in pictures])
        for key in measures
    }


def interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of the mean over the pictures, as an evaluation prints it."""
    found = interval_of_mean(values)
    return found.low, found.high


def check(name: str, evaluation: Run) -> str:
    """Returns the section by which a user, and the tests, see whether the network computes what it should."""
    command = f"python selfsupervised_denoising.py --eval={name} --validation-set={CHECK}"
    return f"```sh\n{command}\n```\n\nends with `RESULT {evaluation.stats[-1]['valid_psnr_pme']:.4f}`."


if __name__ == "__main__":
    run_script(main)
