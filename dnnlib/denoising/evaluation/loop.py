"""Evaluates one network file: on a validation set as the published figures were measured (SPEC section 7), or, of real
noise, on noisy pictures, against clean ones where there are any."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.noisy_pictures import NoisyPictures
from dnnlib.denoising.data.validation_set import ValidationSet
from dnnlib.denoising.evaluation.added_noise import Scores
from dnnlib.denoising.evaluation.baselines import measure_baselines
from dnnlib.denoising.evaluation.graph import Denoised
from dnnlib.denoising.evaluation.measuring import measure
from dnnlib.denoising.evaluation.needed_hole import advice_from_pictures
from dnnlib.denoising.evaluation.real_noise import RealScores
from dnnlib.denoising.evaluation.rivals import Rival, data_of
from dnnlib.denoising.judging.comparison import compare, compared_json, lines
from dnnlib.denoising.judging.record import FILE_NAME, Record, evaluation_json
from dnnlib.denoising.judging.text import figure_rows, figures
from dnnlib.denoising.noise.families import as_shown
from dnnlib.denoising.reports.run_page import RunPage
from dnnlib.progress import say
from dnnlib.submission.environment import environment
from dnnlib.submission.run_context import RunContext
from dnnlib.tflib.network import Network
from dnnlib.tflib.precision import FLOAT32
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import device_name


def evaluate(
    network: Network, configuration: Configuration, pictures: ValidationSet | NoisyPictures, run: RunContext,
    replicas: Replicas | None = None, precision: str = FLOAT32, about: Mapping[str, Any] | None = None,
    rivals: Sequence[Rival] = (), baselines: bool = False, page: RunPage | None = None,
) -> Scores | RealScores:  # fmt: skip
    """Evaluates in an entered run: prints and records the averages and how sure they are, writes those of each picture to
    `pictures.csv`, all of it to `evaluation.json`, and exports the pictures of the first pass.

    network, configuration: of `load_configured`.
    pictures: NoisyPictures for real noise.
    run: where the results go.
    replicas: of one process; None: the first device.
    precision: FLOAT32 or BF16.
    about: of the network, its name as the user knows it, and the sha256 of its file.
    rivals: what it is compared with, picture by picture.
    baselines: whether it is also compared with methods without learning; for Gaussian noise.
    page: of the run, which is told what to show.

    Raises UserError for pictures that cannot be used.
    """
    # All pictures.
    count, passes = len(pictures), pictures.repeats
    images_dir = run.run_dir / "img"
    images_dir.mkdir(exist_ok=True)
    replicas = replicas or Replicas()
    facts = {"device": device_name(), "replicas": replicas.count}
    run.write_options(**facts)

    def on_picture(index: int, denoised: Denoised) -> None:
        if index < count:
            denoised.export(images_dir, index, "png")

    scores, record, looked_at = measure(network, configuration, pictures, replicas, precision, about or {}, on_picture)

    # What came of it.
    run.append_stats({"images": count * passes, **scores.report()})
    _print(count * passes, scores)
    intervals = record.intervals(count)
    for line in figures(intervals, count):
        say(line)
    _write_table(pictures.labels * passes, scores, run)
    others = [rival.record or _measured(rival, pictures, replicas, precision) for rival in rivals]
    others += measure_baselines(pictures, configuration) if baselines else []
    compared = compare(record, others, count)
    table = lines(record, compared, count) if compared else []
    for line in table:
        say(line)
    if page is not None:
        validated = looked_at.validated(scores.pictures)
        page.validated = replace(validated, figures=figure_rows(intervals), comparison=table)
    data, others_json = data_of(pictures, configuration), compared_json(compared, count)
    run.write_json(FILE_NAME, evaluation_json(record, data, others_json, environment() | facts))
    as_trained = configuration.hole_size == network.static_kwargs.get("hole_size", 1)
    if isinstance(scores, RealScores) and as_trained:  # with a smaller hole it may see what it was trained not to
        advice = advice_from_pictures(pictures, configuration.hole_size) or scores.advice()
        if advice:
            say(advice)
    if (result := scores.means().get("valid_psnr_pme")) is not None:
        say(f"RESULT {result:8.4f}")
    return scores


def _measured(rival: Rival, pictures: ValidationSet | NoisyPictures, replicas: Replicas, precision: str) -> Record:
    """Evaluates another network on the same noisy pictures. Parameters as for `evaluate`."""
    say(f"Evaluating {rival.name} ({rival.configuration.name}), to compare")
    about = {"name": rival.name, "sha256": rival.sha256}
    return measure(rival.network, rival.configuration, pictures, replicas, precision, about).record


def _write_table(labels: list[str], scores: Scores | RealScores, run: RunContext) -> None:
    """Writes a row for each picture and pass, in the first with the index of `img/`; empty cells for what is unknown."""
    rows = []
    for index, label in enumerate(labels):
        values = [of_all[index] for of_all in scores.pictures.values()]
        rows.append([index, label, *("" if np.isnan(value) else f"{value:.6g}" for value in values)])
    run.write_table("pictures.csv", ["index", "picture", *scores.pictures], rows)


def _print(count: int, scores: Scores | RealScores) -> None:
    """Prints the averages: on one line with added noise, one a line with real noise."""
    if isinstance(scores, Scores):
        say(f"{count} images: " + ", ".join(f"{key}={value:8.4f}" for key, value in scores.report().items()))
        return
    say(f"{count} images:")
    for name, value in as_shown(scores.report()).items():
        say(f"  {name:18s} {value:{'10.4g' if name in scores.parameters else '10.4f'}}")
