"""What methods without learning make of the same noisy pictures, told sigma: scikit-image's non-local means and wavelets.

Each with the settings of scikit-image's own examples, and once more calibrated: with those, of a few, whose self-supervised
loss on the picture itself is the least (Batson, Royer: Noise2Self, 2019).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.validation_set import ValidationSet
from dnnlib.denoising.evaluation.added_noise import noisy_inputs
from dnnlib.denoising.evaluation.metrics import gain, psnr, ssim
from dnnlib.denoising.judging.record import Record
from dnnlib.parallel import cores, ordered_map
from dnnlib.progress import progress_bar, say


@dataclass(frozen=True)
class Baseline:
    """Describes a method: a row of the table.

    make: (sigma, channels) -> a denoiser of float arrays [H,W,C] or, of one channel, [H,W].
    choices: of arguments that are calibrated, in units of sigma where they are numbers; none: it is taken as it is.
    """

    name: str
    make: Callable[[float, int], Callable]
    choices: Mapping[str, Sequence] | None = None

    def denoise(self, noisy: np.ndarray, sigma: float) -> np.ndarray:
        """Denoises a picture, float32 [H,W,C], of a sigma on the same scale, and returns one like it."""
        if sigma <= 0:
            return noisy
        channels = noisy.shape[-1]
        pixels = noisy if channels > 1 else noisy[..., 0]
        method = self.make(sigma, channels)
        chosen = _calibrated(method, pixels, self._arguments(sigma)) if self.choices else {}
        return np.asarray(method(pixels, **chosen), np.float32).reshape(noisy.shape)

    def _arguments(self, sigma: float) -> dict[str, list]:
        """Returns the choices of each argument, as the method takes them."""
        return {name: [x * sigma if isinstance(x, float) else x for x in values] for name, values in self.choices.items()}


def measure_baselines(pictures: ValidationSet, configuration: Configuration) -> list[Record]:
    """Denoises all pictures with all their repetitions by each method, and returns what came of it.

    pictures: clean ones.
    configuration: says what noise is added to them: Gaussian.
    """
    total = len(pictures) * pictures.repeats
    say(f"Denoising by {len(BASELINES)} methods without learning, to compare")
    rows = []
    with progress_bar(total, "image") as bar:
        for row in ordered_map(_measured, _inputs(pictures, configuration, total), cores(), ahead=1):
            rows.append(row)
            bar.update()
    return [_record(baseline.name, [row[baseline.name] for row in rows]) for baseline in BASELINES]


def _inputs(pictures: ValidationSet, configuration: Configuration, total: int) -> Iterator[tuple]:
    """Yields clean picture, noisy picture, and sigma of 1, float32 [H,W,C], without padding."""
    for _, picture in noisy_inputs(pictures, configuration, total):
        height, width = picture.size
        yield picture.clean, picture.noisy[:height, :width], picture.parameter


def _measured(item: tuple) -> dict[str, dict[str, float]]:
    """Denoises a picture by each method, and returns the measures by the methods' names. item: as of `_inputs`."""
    clean, noisy, sigma = item
    found, psnr_noisy = {}, psnr(noisy, clean)
    for baseline in BASELINES:
        denoised = baseline.denoise(noisy, sigma)
        found[baseline.name] = {
            "psnr_noisy": psnr_noisy, "psnr_pme": psnr(denoised, clean), "ssim_pme": ssim(denoised, clean)
        }  # fmt: skip
    return found


def _record(name: str, rows: Sequence[Mapping[str, float]]) -> Record:
    """Puts together what was measured of each picture."""
    values = {measure: np.array([row[measure] for row in rows]) for measure in rows[0]}
    return Record(name, {"baseline": True}, values | {"gain": gain(values["psnr_pme"], values["psnr_noisy"])})


def _calibrated(method: Callable, pixels: np.ndarray, choices: Mapping[str, Sequence]) -> dict:
    """Returns the arguments of the least self-supervised loss: pixels are hidden, and told from the others."""
    from skimage.restoration import calibrate_denoiser  # late: it takes a while to import

    _, (tried, losses) = calibrate_denoiser(pixels, method, dict(choices), approximate_loss=True, extra_output=True)
    return tried[int(np.argmin(losses))]


def _non_local_means(sigma: float, channels: int) -> Callable:
    """Buades, Coll, Morel (2005), in the fast form of Darbon et al. (2008)."""
    from skimage.restoration import denoise_nl_means  # late, as above

    axis = -1 if channels > 1 else None
    return partial(
        denoise_nl_means, sigma=sigma, h=0.6 * sigma, fast_mode=True, patch_size=5, patch_distance=6, channel_axis=axis
    )


def _wavelets(sigma: float, channels: int) -> Callable:
    """Chang, Yu, Vetterli: BayesShrink (2000), colours as YCbCr."""
    from skimage.restoration import denoise_wavelet  # late, as above

    options = {"convert2ycbcr": True, "channel_axis": -1} if channels > 1 else {"channel_axis": None}
    return partial(
        denoise_wavelet, sigma=sigma, wavelet="db2", method="BayesShrink", mode="soft", rescale_sigma=True, **options
    )


BASELINES = (
    Baseline("non-local means", _non_local_means),
    Baseline("non-local means, calibrated", _non_local_means, {"h": (0.2, 0.4, 0.6, 0.8)}),
    Baseline("wavelets (BayesShrink)", _wavelets),
    Baseline("wavelets, calibrated", _wavelets, {"sigma": (0.5, 0.75, 1.0, 1.25), "wavelet": ("db1", "db2", "sym4")}),
)
