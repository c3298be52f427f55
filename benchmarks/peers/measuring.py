"""What a method made of noisy pictures, beside the clean ones: the same measures for all methods, and the table of them.

PSNR and SSIM are the program's own (`dnnlib/denoising/evaluation/metrics.py`): of results rounded to 8 bits and clipped.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnnlib.denoising.evaluation.metrics import psnr, ssim
from dnnlib.denoising.judging.intervals import Interval
from dnnlib.denoising.judging.paired import difference
from dnnlib.denoising.pictures.images import read_image, to_float
from dnnlib.denoising.pictures.search import pictures_in
from dnnlib.errors import UserError
from dnnlib.files import write_text

COLUMNS = (
    "method", "psnr", "gain", "gain_low", "gain_high", "ssim", "ssim_gain", "ssim_gain_low", "ssim_gain_high", "pictures",
    "train_seconds", "denoise_seconds", "machine", "date",
)  # fmt: skip
NOISY = "noisy"


class Measured(NamedTuple):
    """Holds what a method reached: means over pictures, and by how much they are above those of the noisy pictures."""

    psnr: float  # dB
    gain: Interval  # dB
    ssim: float
    ssim_gain: Interval
    pictures: int


def measure(noisy: Path, clean: Path, result: Path) -> Measured:
    """Measures the pictures of a folder, as RGB of 8 bits.

    noisy, clean: folders of what they were made of, and of what they should be.
    result: the folder of the results. Pictures belong together by their names without suffix.

    The intervals are of 95 %, of the paired differences; NaN of a single picture.
    Raises UserError where names or sizes do not match.
    """
    rows = []
    for name, paths in matched(noisy, clean, result):
        before, wanted, found = (to_float(read_image(path)) for path in paths)
        if not before.shape == wanted.shape == found.shape:
            shapes = " and ".join(f"{x.shape[1]}x{x.shape[0]}" for x in (before, wanted, found))
            raise UserError(f"{name} has different sizes in the three folders: {shapes}")
        rows.append([function(x, wanted) for x in (before, found) for function in (psnr, ssim)])
    psnr_noisy, ssim_noisy, psnr_found, ssim_found = np.array(rows).T
    gains = [difference(*both) for both in ((psnr_found, psnr_noisy), (ssim_found, ssim_noisy))]
    intervals = [Interval(gain.mean, gain.low, gain.high) for gain in gains]
    return Measured(float(psnr_found.mean()), intervals[0], float(ssim_found.mean()), intervals[1], len(rows))


def matched(*folders: Path) -> Iterator[tuple[str, list[Path]]]:
    """Yields the name of each picture without its suffix, and its path in each folder, in the order of the names.

    Raises UserError where a folder has none, two of one name, or others than the first.
    """
    by_name = [_by_name(folder) for folder in folders]
    for folder, found in zip(folders[1:], by_name[1:], strict=True):
        if odd := sorted(set(found) ^ set(by_name[0])):
            has, lacks = (folder, folders[0]) if odd[0] in found else (folders[0], folder)
            raise UserError(f"{has} has a picture {odd[0]} and {lacks} has none: give folders of the same pictures")
    yield from ((name, [found[name] for found in by_name]) for name in sorted(by_name[0]))


def _by_name(folder: Path) -> dict[str, Path]:
    """Returns the pictures of a folder by their names without suffix."""
    found: dict[str, Path] = {}
    for path in map(Path, pictures_in(folder)):
        if path.stem in found:
            raise UserError(f"{folder} has two pictures of the name {path.stem}: remove one")
        found[path.stem] = path
    if not found:
        raise UserError(f"no picture in {folder}")
    return found


# --- the table


def write_row(path: Path, row: Mapping[str, object]) -> None:
    """Puts a row into a table of results, in the place of an older one of the same method.

    path: of the CSV; it need not be there.
    row: by the names of COLUMNS.
    """
    rows = {old["method"]: old for old in read_rows(path)} if path.exists() else {}
    rows[str(row["method"])] = {name: str(row[name]) for name in COLUMNS}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    write_text(path, text.getvalue())


def read_rows(path: Path) -> list[dict[str, str]]:
    """Reads a table of results. Raises UserError where it has other columns."""
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise UserError(f"{path} is no table of results: its columns are not {', '.join(COLUMNS)}")
        return list(reader)


def row_of(method: str, found: Measured, seconds: Mapping[str, float], machine: str, date: str) -> dict[str, object]:
    """Makes a row of the table.

    seconds: of a processor, by 'train' and 'denoise', as far as they are known.
    """
    row = {"method": method, "psnr": f"{found.psnr:.3f}", "ssim": f"{found.ssim:.4f}", "pictures": found.pictures}
    row |= dict(zip(("gain", "gain_low", "gain_high"), (f"{x:.3f}" for x in found.gain), strict=True))
    row |= dict(zip(("ssim_gain", "ssim_gain_low", "ssim_gain_high"), (f"{x:.4f}" for x in found.ssim_gain), strict=True))
    row |= {f"{name}_seconds": f"{seconds[name]:.0f}" if name in seconds else "" for name in ("train", "denoise")}
    return row | {"machine": machine, "date": date}


def as_markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Returns the table as the docs have it."""
    lines = [
        "| | PSNR, dB | above the noisy ones, dB | SSIM | above the noisy ones | processor, training | denoising |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [row["method"], f"{float(row['psnr']):.2f}"]
        if row["method"] == NOISY:
            cells += ["", f"{float(row['ssim']):.3f}", "", "", ""]
        else:
            cells.append("{:+.2f} ({:+.2f} to {:+.2f})".format(*(float(row[k]) for k in ("gain", "gain_low", "gain_high"))))
            cells.append(f"{float(row['ssim']):.3f}")
            names = ("ssim_gain", "ssim_gain_low", "ssim_gain_high")
            cells.append("{:+.3f} ({:+.3f} to {:+.3f})".format(*(float(row[k]) for k in names)))
            cells += [_time(row[f"{name}_seconds"]) for name in ("train", "denoise")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _time(seconds: str) -> str:
    """Returns seconds for people; '' stays ''."""
    if not seconds or float(seconds) == 0:
        return ""
    return f"{float(seconds):.0f} s" if float(seconds) < 600 else f"{float(seconds) / 60:.0f} min"
