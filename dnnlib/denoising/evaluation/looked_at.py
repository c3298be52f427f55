"""Collects what a report shows of a validation while its pictures come out one by one."""

from collections.abc import Mapping, Sequence

import numpy as np

from dnnlib.denoising.evaluation.graph import Denoised
from dnnlib.denoising.evaluation.metrics import psnr
from dnnlib.denoising.judging.calibration import WITHIN, Reliability, shares_within
from dnnlib.denoising.judging.intervals import by_picture
from dnnlib.denoising.reports.gallery import Gallery
from dnnlib.denoising.reports.run_page import Validated


class LookedAt:
    """Takes each picture of a validation, and keeps what a page shows of it: some pictures, and how right the std is."""

    def __init__(self, labels: Sequence[str]):
        """Begins without pictures. labels: their names."""
        self._labels = labels
        self._gallery = Gallery(labels)
        self._shares: list[dict[str, float]] = []
        self.reliability = Reliability()

    def add(self, index: int, denoised: Denoised) -> None:
        """Takes a picture and its result. index: it runs on from pass to pass, of which only the first is shown."""
        if denoised.clean is not None and denoised.posterior_std is not None:
            self.reliability.add(denoised.error, denoised.posterior_std)
            self._shares.append(shares_within(denoised.error, denoised.posterior_std))
        if index < len(self._labels):
            found = None if denoised.clean is None else psnr(denoised.posterior_mean, denoised.clean)
            self._gallery.add(index, denoised.to_look_at(), found)

    def validated(self, pictures: Mapping[str, np.ndarray]) -> Validated:
        """Returns what there is to show. pictures: the scores of each, by name."""
        count = len(self._labels)
        means = {name: by_picture(pictures[name], count) for name in ("psnr_pme", "psnr_noisy") if name in pictures}
        within = {k: float(np.mean([of[name] for of in self._shares])) for k, name in WITHIN.items() if self._shares}
        psnr, noisy = means.get("psnr_pme"), means.get("psnr_noisy")
        return Validated(self._labels, self._gallery, psnr, noisy, curve=self.reliability.curve(), within=within)
