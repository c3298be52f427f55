"""The options of `--denoise`. No NumPy, so that a wrong command line is answered at once."""

from dataclasses import dataclass

from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError


@dataclass(frozen=True)
class DenoisingOptions:
    """As given on the command line; None, or False: left out."""

    network: str
    out: str
    sigma: float | None = None  # of 255
    lam: float | None = None  # photons that white stands for
    alpha: float | None = None  # share of the pixels replaced, 0..1
    white: float | None = None  # the value that stands for white
    black: float = 0.0  # the value that stands for black
    tile: int | None = None  # pixels; 0: not cut
    std: bool = False
    compare: bool = False
    hole_size: int | None = None  # of the blind spot; None: as it was trained

    @property
    def given(self) -> dict[str, float | None]:
        """The noise level by the names of the command line."""
        return {"sigma": self.sigma, "lambda": self.lam, "alpha": self.alpha}

    def check(self) -> None:
        """Raises UserError naming the first option that cannot be."""
        levels = {f"--{name}": value for name, value in self.given.items() if value is not None}
        if len(levels) > 1:
            raise UserError(f"{' and '.join(levels)} do not go together: give the one of the network's noise")
        Scale(self.black, self.white).check()
        if self.tile is not None and not 0 <= self.tile < 2**31:
            raise UserError(f"--tile {self.tile}: must be a number of pixels, or 0 for no tiles")
