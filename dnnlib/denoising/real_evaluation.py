"""Evaluates a network of real noise on noisy pictures, against clean ones where there are any."""

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.noisy_pictures import NoisyPictures
from dnnlib.denoising.real_validation import RealEvaluationGraph, RealScores
from dnnlib.denoising.validation import Denoised
from dnnlib.progress import progress_bar, say
from dnnlib.submission.run_context import RunContext
from dnnlib.tflib.network import Network
from dnnlib.tflib.precision import FLOAT32, dtype_of
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import device_name, initialize


def evaluate(
    network: Network, configuration: Configuration, pictures: NoisyPictures, run: RunContext,
    replicas: Replicas | None = None, precision: str = FLOAT32,
) -> RealScores:  # fmt: skip
    """Evaluates in an entered run: prints and records the averages, and exports the pictures.

    replicas: of one process; None: the first device. precision: FLOAT32 or BF16. Raises UserError for pictures that cannot
    be used.
    """
    images_dir = run.run_dir / "img"
    images_dir.mkdir(exist_ok=True)
    replicas = replicas or Replicas()
    with replicas.scope():
        evaluation = RealEvaluationGraph(configuration, replicas, dtype=dtype_of(precision))
    with replicas.session() as session, progress_bar(len(pictures), "image") as bar:
        run.write_options(device=device_name(), replicas=replicas.count)
        initialize(session, network.variables)

        def on_picture(index: int, denoised: Denoised) -> None:
            denoised.export(images_dir, index, "png")
            bar.update()

        scores = evaluation.validate(session, pictures, on_picture)
    means = {**scores.parameters, **scores.means()}
    run.append_stats({"images": len(pictures), **means})
    say(f"{len(pictures)} images:")
    for name, value in means.items():
        say(f"  {name:18s} {value:10.4g}" if name in scores.parameters else f"  {name:18s} {value:10.4f}")
    as_trained = configuration.hole_size == network.static_kwargs.get("hole_size", 1)
    if as_trained and (advice := scores.advice()):  # with a smaller hole it may see what it was trained not to
        say(advice)
    if scores.quality:
        say(f"RESULT {scores.quality['valid_psnr_pme']:8.4f}")
    return scores
