"""Evaluates one network file: on a validation set as the published figures were measured (SPEC section 7), or, of real
noise, on noisy pictures, against clean ones where there are any."""

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.noisy_pictures import NoisyPictures
from dnnlib.denoising.data.validation_set import ValidationSet
from dnnlib.denoising.evaluation.added_noise import Evaluation, Scores
from dnnlib.denoising.evaluation.graph import Denoised
from dnnlib.denoising.evaluation.real_noise import RealScores, RealValidation
from dnnlib.progress import progress_bar, say
from dnnlib.submission.run_context import RunContext
from dnnlib.tflib.network import Network
from dnnlib.tflib.precision import FLOAT32, dtype_of
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import device_name, initialize


def evaluate(
    network: Network, configuration: Configuration, pictures: ValidationSet | NoisyPictures, run: RunContext,
    replicas: Replicas | None = None, precision: str = FLOAT32,
) -> Scores | RealScores:  # fmt: skip
    """Evaluates in an entered run: prints and records the averages, writes those of each picture to `pictures.csv`, and
    exports the pictures of the first pass.

    network, configuration: of `load_configured`.
    pictures: NoisyPictures for real noise.
    run: where the results go.
    replicas: of one process; None: the first device.
    precision: FLOAT32 or BF16.

    Raises UserError for pictures that cannot be used.
    """
    # The graph.
    count, passes = len(pictures), pictures.repeats
    images_dir = run.run_dir / "img"
    images_dir.mkdir(exist_ok=True)
    replicas = replicas or Replicas()
    kind = RealValidation if configuration.noise.real else Evaluation
    with replicas.scope():
        evaluation = kind(configuration, replicas, dtype=dtype_of(precision))

    # All pictures.
    with replicas.session() as session, progress_bar(count * passes, "image") as bar:
        run.write_options(device=device_name(), replicas=replicas.count)
        initialize(session, network.variables)

        def on_picture(index: int, denoised: Denoised) -> None:
            if index < count:
                denoised.export(images_dir, index, "png")
            bar.update()

        scores = evaluation.validate(session, pictures, passes, on_picture)

    # What came of it.
    run.append_stats({"images": count * passes, **scores.report()})
    _print(count * passes, scores)
    _write_table(pictures.labels * passes, scores, run)
    as_trained = configuration.hole_size == network.static_kwargs.get("hole_size", 1)
    if isinstance(scores, RealScores) and as_trained and (advice := scores.advice()):
        say(advice)  # with a smaller hole it may see what it was trained not to
    if (result := scores.means().get("valid_psnr_pme")) is not None:
        say(f"RESULT {result:8.4f}")
    return scores


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
    for name, value in scores.report().items():
        say(f"  {name:18s} {value:{'10.4g' if name in scores.parameters else '10.4f'}}")
