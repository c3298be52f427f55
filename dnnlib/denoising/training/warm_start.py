"""Where the weights of a training start that was given `--init`: at those of a network file, as far as they fit.

Weights are taken over by name, whatever the noise and the size of the blind spot were. Three things need more than that:

* The colours: of a network for RGB one for mono is made that starts as it did on a picture of three equal channels. Kernels
  that see the picture are summed over the colours, and the means that are put out are averaged.
* The outputs: the means are taken over, and so is the factor A of the covariance Sigma_x = A A^T (SPEC 5), where there was
  one. Its off-diagonal entries start at zero where only a diagonal was known. For mono the last entry of the diagonal is
  taken: A is upper triangular, so the entry's absolute value is the very std of the last colour, which on a grey picture is
  that of the grey. An average over the diagonal would not do: the entries may have any sign, and could cancel.
* The noise: `noise_data` and the last layer of the estimator are taken over only where they stand for the same parameters.

No TensorFlow here.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.architecture import ESTIMATOR_SCOPE, NOISE_VARIABLE, PICTURE_LAYERS, shapes_of
from dnnlib.denoising.network.network_file import load_configured
from dnnlib.denoising.noise.learned_parameter import parameter_from_raw, raw_from_parameter
from dnnlib.errors import UserError
from dnnlib.tflib.network import Network

_MEAN, _FACTOR = "mean", "factor"
_OUTPUTS = ("nin_c/W", "nin_c/b")  # of the last layer, the outputs along the last axis
_OF_THE_NOISE = (NOISE_VARIABLE, *(f"{ESTIMATOR_SCOPE}/{name}" for name in _OUTPUTS))
_FRESH_FACTOR, _ZERO_ENTRIES = "nin_c (the covariance)", "nin_c (covariances between colours, at zero)"


def start_from(path: str | os.PathLike, wanted: Configuration, fresh: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the first values of a training that starts from a network file, and says in one line what was not in it.

    path: of the file.
    wanted: what is trained.
    fresh: the first values without the file.

    Raises UserError as `load_start` does.
    """
    network, source = load_start(path, wanted)
    values, stayed = take_over(source, network.variables, wanted, fresh)
    left = f"; fresh: {', '.join(_in_short(stayed))}" if stayed else ""
    print(f"Starting from {path} ({source.name}){left}")
    return values


def load_start(path: str | os.PathLike, wanted: Configuration) -> tuple[Network, Configuration]:
    """Reads the network file that a training of the wanted configuration is to start from, and its configuration.

    Raises UserError, naming the file, where it cannot be read, and where the network does not fit.
    """
    network, source = load_configured(path, "--init")
    what = f"--init {path}: is a network of {source.name}"
    if _layers(replace(source, channels=wanted.channels)) != _layers(wanted):
        kind = "with a blind spot" if wanted.blind_spot else "without a blind spot (n2c, n2n)"
        raise UserError(f"{what}, whose layers are not those of {wanted.name}: name a network {kind}")
    if source.channels < wanted.channels:
        raise UserError(f"{what}, which knows no colours, and {wanted.name} is of colours: name a network for RGB")
    return network, source


def take_over(
    source: Configuration, variables: Mapping[str, np.ndarray], wanted: Configuration, fresh: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns the wanted configuration's variables, by name, and the names of those that are the fresh ones.

    source: the configuration that a network was trained for; it fits, as `load_start` checks.
    variables: of that network, float32 by name.
    wanted: the configuration that is to be trained.
    fresh: its variables as drawn anew, float32 by name. Nothing of them is changed.

    A part of the last layer is named by what it puts out.
    """
    same_noise = _learned_of(source) == _learned_of(wanted)
    values, stayed = {}, []
    for name, first in fresh.items():
        if name in _OUTPUTS:
            values[name] = _outputs_from(source, variables[name], wanted, first)
        elif name not in variables or (name in _OF_THE_NOISE and not same_noise):
            values[name] = first.copy()
            stayed.append(name)
        elif name == NOISE_VARIABLE:
            values[name] = _noise_from(source, variables[name], wanted)
        elif source.channels > wanted.channels and _sees_picture(name):
            values[name] = _for_grey(variables[name], source.channels)
        else:
            values[name] = variables[name].copy()
    if _factor_of(wanted) and not _factor_of(source):
        stayed.append(_FRESH_FACTOR)
    elif set(_factor_of(wanted)) - set(_factor_of(source)):
        stayed.append(_ZERO_ENTRIES)
    return values, stayed


def _layers(c: Configuration) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the network's variables by name, without the last layer and what learns the noise."""
    return {
        name: shape for name, shape in shapes_of(c).items()
        if name not in (*_OUTPUTS, NOISE_VARIABLE) and not name.startswith(f"{ESTIMATOR_SCOPE}/")
    }  # fmt: skip


def _learned_of(c: Configuration) -> tuple[str, bool]:
    """Returns what the learned noise parameters stand for: those of which family, and whether the roots of them."""
    return c.noise.family, c.noise.learns_root


def _noise_from(source: Configuration, raw: np.ndarray, wanted: Configuration) -> np.ndarray:
    """Returns the raw values that stand for the same noise where the floors differ."""
    if source.noise_floor == wanted.noise_floor:
        return raw.copy()
    root = source.noise.learns_root
    parameters = parameter_from_raw(raw, root, source.noise_floor).ravel()
    values = [raw_from_parameter(float(x), root, wanted.noise_floor) for x in parameters]
    return np.reshape(values, raw.shape).astype(np.float32)


def _sees_picture(name: str) -> bool:
    """Tells whether a variable is a kernel, of the network or the estimator, that the picture goes into."""
    return name.removeprefix(f"{ESTIMATOR_SCOPE}/") in [f"{layer}/W" for layer in PICTURE_LAYERS]


def _for_grey(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Sums the last so many input channels of a kernel [k,k,I,O], those of the picture, up into one."""
    others, colours = kernel[:, :, :-channels], kernel[:, :, -channels:]
    grey = colours.sum(axis=2, keepdims=True, dtype=np.float64)
    return np.concatenate([others, grey.astype(np.float32)], axis=2)


def _means_of(c: Configuration) -> list[tuple]:
    """Returns what the first outputs are."""
    return [(_MEAN, i, i) for i in range(c.channels)]


def _factor_of(c: Configuration) -> list[tuple]:
    """Returns what the other outputs are: the entries of A, by row and column, in the order of `symmetric3.gram`."""
    if c.pipeline != "blindspot":
        return []
    return [(_FACTOR, i, j) for i in range(c.channels) for j in range(i, c.channels) if i == j or not c.diagonal]


def _outputs_from(source: Configuration, theirs: np.ndarray, wanted: Configuration, fresh: np.ndarray) -> np.ndarray:
    """Returns the kernel or the bias of the last layer.

    source: the network's configuration.
    theirs: its kernel or bias, [..., outputs].
    wanted: the configuration to be trained.
    fresh: its kernel or bias, as drawn anew.
    """
    place = {output: i for i, output in enumerate([*_means_of(source), *_factor_of(source)])}
    to_mono = source.channels > wanted.channels
    last = source.channels - 1
    values = np.empty_like(fresh)
    for i, output in enumerate([*_means_of(wanted), *_factor_of(wanted)]):
        kind = output[0]
        if kind == _MEAN and to_mono:
            values[..., i] = theirs[..., : source.channels].mean(axis=-1, dtype=np.float64)
        elif kind == _FACTOR and not _factor_of(source):
            values[..., i] = fresh[..., i]
        else:
            found = place.get((kind, last, last) if to_mono else output)
            values[..., i] = 0.0 if found is None else theirs[..., found]
    return values


def _in_short(names: Iterable[str]) -> list[str]:
    """Shortens names of variables: to those of layers, or to the estimator's scope where its first layer is among them."""
    layers = list(dict.fromkeys(name.removesuffix("/W").removesuffix("/b") for name in names))
    if f"{ESTIMATOR_SCOPE}/enc_conv0" in layers:  # all of them, then
        others = [layer for layer in layers if not layer.startswith(f"{ESTIMATOR_SCOPE}/")]
        return [*others, f"{ESTIMATOR_SCOPE}/*"]
    return layers
