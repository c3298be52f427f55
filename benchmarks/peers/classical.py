"""Denoises real noisy pictures by methods without learning: scikit-image's non-local means and wavelets.

Each as scikit-image's own examples have it, for the noise as scikit-image estimates it (`estimate_sigma`, of white noise),
and once more for the noise as this program does, which sees that neighbours share it: the estimate shall not decide.
Nothing clean is looked at.

  python benchmarks/peers/classical.py --noisy noisy --out results

makes a folder of PNG for each method, with seconds.json, the processor's seconds.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # one core for all
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from dnnlib.denoising.pictures.images import read_image, to_float, to_uint8, write_image  # noqa: E402
from dnnlib.denoising.pictures.search import pictures_in  # noqa: E402
from dnnlib.denoising.training.noise_start import estimate_noise  # noqa: E402
from dnnlib.errors import UserError, run_script  # noqa: E402
from dnnlib.files import write_text  # noqa: E402

WHITE_NOISE, SHARED_NOISE = "skimage", "ours"  # whose estimate


def estimated_as_white(noisy: np.ndarray) -> float:
    """Estimates sigma by scikit-image, averaged over the channels. noisy: float [H,W,3] on the scale [0, 1]."""
    from skimage.restoration import estimate_sigma  # late: it takes a while to import

    return float(estimate_sigma(noisy, average_sigmas=True, channel_axis=-1))


def estimated_as_shared(noisy: np.ndarray) -> float:
    """Estimates sigma as `--noise-init estimate` does. noisy: as above, H and W at least 64."""
    height, width = (side // 64 * 64 for side in noisy.shape[:2])
    (sigma,) = estimate_noise("gauss", noisy[None, :height, :width], 1, (0.0, 1.0))
    return sigma


ESTIMATES = {WHITE_NOISE: estimated_as_white, SHARED_NOISE: estimated_as_shared}


def non_local_means(noisy: np.ndarray, sigma: float) -> np.ndarray:
    """Denoises by the fast form with h = 0.8 sigma, one of scikit-image's examples."""
    return _non_local_means(noisy, h=0.8 * sigma)


def non_local_means_told(noisy: np.ndarray, sigma: float) -> np.ndarray:
    """Denoises by the fast form, which is told sigma, with h = 0.6 sigma, as another of the examples does."""
    return _non_local_means(noisy, h=0.6 * sigma, sigma=sigma)


def _non_local_means(noisy: np.ndarray, **options) -> np.ndarray:
    """Denoises with the patches of the examples."""
    from skimage.restoration import denoise_nl_means  # late, as above

    return denoise_nl_means(noisy, fast_mode=True, patch_size=5, patch_distance=6, channel_axis=-1, **options)


def wavelets(noisy: np.ndarray, sigma: float) -> np.ndarray:
    """Denoises by BayesShrink, colours as YCbCr, as the example has it."""
    from skimage.restoration import denoise_wavelet  # late, as above

    return denoise_wavelet(
        noisy, sigma=sigma, method="BayesShrink", mode="soft", rescale_sigma=True, convert2ycbcr=True, channel_axis=-1
    )


METHODS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "nlm": non_local_means,
    "nlm-told": non_local_means_told,
    "wavelets": wavelets,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Denoises all pictures by all that is asked for."""
    args = command_line().parse_args(argv)
    for method in args.methods:
        for estimate in args.estimates:
            print(denoise_folder(args.noisy, args.out / f"{method}-{estimate}", method, estimate), flush=True)


def command_line() -> argparse.ArgumentParser:
    """Makes the parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noisy", type=Path, required=True, metavar="DIR", help="the noisy pictures")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the folders of results go")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), help="(default: all)")
    parser.add_argument("--estimates", nargs="+", default=list(ESTIMATES), choices=list(ESTIMATES), help="(default: all)")
    return parser


def denoise_folder(noisy: Path, out: Path, method: str, estimate: str) -> str:
    """Denoises the pictures of a folder into another, as PNG, and returns a line about it.

    method, estimate: keys of METHODS and ESTIMATES.
    """
    paths = [Path(path) for path in pictures_in(noisy)]
    if not paths:
        raise UserError(f"--noisy: no picture in {noisy}")
    out.mkdir(parents=True, exist_ok=True)
    start, sigmas = time.process_time(), []
    for path in paths:
        pixels = to_float(read_image(path))
        sigmas.append(ESTIMATES[estimate](pixels))
        write_image(out / f"{path.stem}.png", to_uint8(denoised(pixels, sigmas[-1], METHODS[method])))
    seconds = time.process_time() - start
    write_text(out / "seconds.json", json.dumps({"train": 0.0, "denoise": seconds}) + "\n")
    return f"{out.name}: {len(paths)} pictures, sigma {255 * np.mean(sigmas):.2f} in the mean, {seconds:.0f} s"


def denoised(noisy: np.ndarray, sigma: float, method: Callable[[np.ndarray, float], np.ndarray]) -> np.ndarray:
    """Returns what a method makes of a picture, float [H,W,3]; the picture itself where no noise was found."""
    return np.asarray(method(noisy, sigma)) if sigma > 0 else noisy


if __name__ == "__main__":
    run_script(main)
