"""The options of --eval that judge a result: what a network is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from dnnlib.errors import UserError
from dnnlib.option_fields import option

_judging_option = partial(option, group="judging a result", commands=("eval",))


@dataclass(frozen=True)
class JudgingOptions:
    """Holds what an evaluated network is compared with, picture by picture."""

    compare_with: Sequence[str] | None = _judging_option(
        None, "also evaluate these networks (files, or shipped ones by name), or take earlier evaluations of them "
        "(evaluation.json), and say which differences hold",
        metavar="FILE", nargs="+", parse=str,
    )  # fmt: skip
    baselines: bool = _judging_option(
        False, "also denoise by scikit-image's non-local means and wavelets, which are told sigma; for Gaussian noise"
    )

    def check(self) -> None:
        """Raises UserError naming the first option that cannot be."""
        if "" in (self.compare_with or ()):
            raise UserError("--compare-with: the name of a file is empty; name networks, or evaluation.json of earlier ones")
