"""The table of what an evaluation measures of each picture: how a figure is called, and how it is printed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """Describes a column of pictures.csv: a row of the table."""

    name: str
    title: str  # for people
    unit: str = ""
    digits: int = 2  # after the point, in tables
    lower_is_better: bool = False
    compared: bool = False  # whether two networks are compared by it
    short: str = ""  # the title, where there is little room

    def text(self, value: float, digits: int = 0) -> str:
        """Returns a value as tables show it, without the unit. digits: after the point, where more are wanted."""
        return f"{value:.{max(self.digits, digits)}f}"

    @property
    def heading(self) -> str:
        """Returns the title with the unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def short_heading(self) -> str:
        """Returns the same in little room."""
        return self.short or self.heading


_ROWS = (
    Measure("psnr_noisy", "PSNR of the noisy input", "dB"),
    Measure("psnr_mu", "PSNR of the network's mean", "dB"),
    Measure("psnr_pme", "PSNR", "dB", compared=True),
    Measure("gain", "gain over the noisy input", "dB"),
    Measure("ssim_noisy", "SSIM of the noisy input", digits=4),
    Measure("ssim_mu", "SSIM of the network's mean", digits=4),
    Measure("ssim_pme", "SSIM", digits=4, compared=True),
    Measure("nll", "negative log-likelihood", "nats", digits=3, lower_is_better=True, compared=True, short="NLL"),
    Measure("within_1", "true values within 1 std", digits=4),
    Measure("within_2", "true values within 2 std", digits=4),
    Measure("within_3", "true values within 3 std", digits=4),
)  # fmt: skip
MEASURES = {row.name: row for row in _ROWS}
COMPARED = tuple(row.name for row in _ROWS if row.compared)
