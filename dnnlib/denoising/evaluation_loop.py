"""Evaluates one network file on a validation set, as the published figures were measured (SPEC section 7)."""

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.validation import Denoised, EvaluationGraph
from dnnlib.denoising.validation_set import ValidationSet
from dnnlib.progress import progress_bar
from dnnlib.submission.run_context import RunContext
from dnnlib.tflib.network import Network
from dnnlib.tflib.precision import FLOAT32, dtype_of
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import device_name, initialize


def evaluate(
    network: Network, configuration: Configuration, validation_set: ValidationSet, run: RunContext,
    replicas: Replicas | None = None, precision: str = FLOAT32,
) -> float:
    """Evaluates in an entered run; prints the PSNRs, exports the pictures of the first pass, and returns the
    posterior mean's average PSNR in dB. replicas: of one process; None: the first device. precision: FLOAT32 or BF16."""
    count, passes = len(validation_set.paths), validation_set.repeats
    images_dir = run.run_dir / "img"
    images_dir.mkdir(exist_ok=True)
    replicas = replicas or Replicas()
    with replicas.scope():
        evaluation = EvaluationGraph(configuration, replicas, dtype=dtype_of(precision))
    with replicas.session() as session, progress_bar(count * passes, "image") as bar:
        run.write_options(device=device_name(), replicas=replicas.count)
        initialize(session, network.variables)

        def on_picture(index: int, denoised: Denoised) -> None:
            if index < count:
                denoised.export(images_dir, index, "png")
            bar.update()

        scores = evaluation.validate(session, validation_set, passes, on_picture)
    means = {"noisy_psnr": float(np.mean(scores.noisy)), **scores.means()}
    run.append_stats({"images": count * passes, **means})
    print(f"{count * passes} images: " + ", ".join(f"{key}={value:8.4f}" for key, value in means.items()))
    print(f"RESULT {means['valid_psnr_pme']:8.4f}")
    return means["valid_psnr_pme"]
