"""Trainings that start from a network file (`--init`): what is taken over, what starts anew, and what is refused."""

import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import plain_networks
import pytest
from graphs import random_images, random_variables
from material import smooth_picture, write_bare_shard, write_network, write_picture
from programs import Finished, Program, run_here

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.network.architecture import (
    ESTIMATOR_SCOPE,
    NOISE_VARIABLE,
    PICTURE_LAYERS,
    initial_variables,
    output_channels,
    shapes_of,
)
from dnnlib.denoising.network.network_file import to_network
from dnnlib.denoising.noise.learned_parameter import parameter_from_raw
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.training import warm_start
from dnnlib.denoising.training.graph import initial_training_values, optimizer_of
from dnnlib.denoising.training.resume import load_resumable
from dnnlib.denoising.training.state import TrainingState
from dnnlib.denoising.training.warm_start import load_start, start_from, take_over
from dnnlib.errors import UserError
from dnnlib.submission.run_context import RunContext
from dnnlib.tflib.layout import free_addresses
from dnnlib.tflib.network import load_network, save_network
from dnnlib.tflib.state_file import load_state

KINDS = [
    "gauss25-n2c", "gauss25-n2n", "gauss25-n2c-mono", "impulse50-n2n", "gauss25-blindspot_mean",
    "gauss25-blindspot_mean-mono", "gauss25-blindspot-sigma_known", "gauss25-blindspot_diag-sigma_global",
    "gauss25-blindspot-sigma_known-mono",
    "poisson30-blindspot-sigma_global-mono", "gauss5_50-blindspot-sigma_per_image", "impulse50-blindspot-sigma_per_image",
    "real_poissongauss-blindspot-sigma_per_image", "real_gauss-blindspot_diag-sigma_per_image-mono",
    "real_curve-blindspot-sigma_global",
]  # fmt: skip
LAST = ("nin_c/W", "nin_c/b")
FACTOR, OFF_DIAGONAL = "nin_c (the covariance)", "nin_c (covariances between colours, at zero)"
NOISE_OUTPUT = [f"{ESTIMATOR_SCOPE}/{name}" for name in LAST]


def named(name: str) -> Configuration:
    return Configuration.from_name(name)


def weights(name: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Of a network that could have been trained: nothing in it is zero."""
    return random_variables(shapes_of(named(name)), seed)


def taken(source: str, wanted: str) -> tuple[dict, dict, dict, list[str]]:
    """What a network has, what there would be without it, what there is with it, and what of that is fresh."""
    theirs, fresh = weights(source), initial_variables(shapes_of(named(wanted)), 1)
    values, stayed = take_over(named(source), theirs, named(wanted), fresh)
    return theirs, fresh, values, stayed


def check_equal(found: Mapping, expected: Mapping, names) -> None:
    for name in names:
        np.testing.assert_array_equal(found[name], expected[name], name)


def fits(source: str, wanted: str) -> bool:
    one, other = named(source), named(wanted)
    return one.blind_spot == other.blind_spot and one.channels >= other.channels


# ---- The mapping


def test_the_layers_that_see_the_picture():
    """They are those whose kernels depend on the number of channels, but for the last layer."""
    for name in ("gauss25-n2c", "gauss25-blindspot_mean"):
        colour, grey = shapes_of(named(name)), shapes_of(named(f"{name}-mono"))
        assert [n for n in colour if colour[n] != grey[n]] == [*(f"{layer}/W" for layer in PICTURE_LAYERS), *LAST]


@pytest.mark.parametrize("name", KINDS)
def test_the_outputs_are_those_that_there_are(name):
    c = named(name)
    outputs = [*warm_start._means_of(c), *warm_start._factor_of(c)]
    assert len(set(outputs)) == len(outputs) == output_channels(c.pipeline, c.channels, c.diagonal)


def test_all_pairs(tmp_path):
    """Each gives just the variables of what is wanted, in arrays of their own, or is refused."""
    theirs = {name: weights(name) for name in KINDS}
    fresh = {name: initial_variables(shapes_of(named(name)), 1) for name in KINDS}
    paths = {}
    for name in KINDS:
        paths[name] = tmp_path / f"{name}.pickle"
        save_network(to_network(named(name), theirs[name]), paths[name])
    for source, wanted in itertools.product(KINDS, KINDS):
        if not fits(source, wanted):
            with pytest.raises(UserError, match=rf"--init .*{source}\.pickle: is a network of {source}, .* {wanted}"):
                load_start(paths[source], named(wanted))
            continue
        network, configuration = load_start(paths[source], named(wanted))
        assert configuration == named(source)
        values, stayed = take_over(configuration, network.variables, named(wanted), fresh[wanted])
        assert {n: v.shape for n, v in values.items()} == shapes_of(named(wanted)) and list(values) == list(fresh[wanted])
        for name, value in values.items():
            assert value.dtype == np.float32 and np.isfinite(value).all()
            assert not np.may_share_memory(value, fresh[wanted][name])
            assert not np.may_share_memory(value, network.variables.get(name, np.zeros(1)))
            assert (name in stayed) == (value.tobytes() == fresh[wanted][name].tobytes()), (source, wanted, name)
        if source == wanted:
            assert not stayed
            check_equal(values, theirs[source], values)


@pytest.mark.parametrize("pair", [
    ("gauss25-n2c", "poisson30-n2n"), ("impulse50-n2n", "gauss25-n2c"),
    ("gauss25-blindspot-sigma_known", "poisson5_50-blindspot-sigma_known"),
    ("gauss25-blindspot_diag-sigma_global", "real_gauss-blindspot_diag-sigma_global"),
    ("gauss25-blindspot-sigma_global", "gauss25-blindspot-sigma_known"),
    ("gauss5_50-blindspot-sigma_per_image", "gauss25-blindspot-sigma_known"),
    ("gauss5_50-blindspot-sigma_per_image", "real_gauss-blindspot-sigma_per_image"),
])  # fmt: skip
def test_all_is_taken_over(pair):
    theirs, _, values, stayed = taken(*pair)
    assert not stayed
    check_equal(values, theirs, values)


@pytest.mark.parametrize(("source", "wanted", "expected"), [
    ("gauss25-blindspot-sigma_known", "gauss25-blindspot-sigma_global", [NOISE_VARIABLE]),
    ("gauss25-blindspot-sigma_global", "poisson30-blindspot-sigma_global", [NOISE_VARIABLE]),
    ("poisson30-blindspot-sigma_global", "real_poisson-blindspot-sigma_global", [NOISE_VARIABLE]),  # of which the root
    ("gauss5_50-blindspot-sigma_per_image", "poisson5_50-blindspot-sigma_per_image", NOISE_OUTPUT),
    ("gauss5_50-blindspot-sigma_per_image", "real_poissongauss-blindspot-sigma_per_image", NOISE_OUTPUT),
    ("real_poissongauss-blindspot-sigma_global", "real_curve-blindspot-sigma_global", [NOISE_VARIABLE]),
])  # fmt: skip
def test_other_noise_is_learned_anew(source, wanted, expected):
    theirs, fresh, values, stayed = taken(source, wanted)
    assert stayed == expected
    check_equal(values, fresh, stayed)
    check_equal(values, theirs, values.keys() - set(stayed))


def test_an_estimator_that_is_not_there_is_fresh():
    theirs, fresh, values, stayed = taken("gauss25-blindspot-sigma_global", "gauss5_50-blindspot-sigma_per_image")
    assert stayed == [name for name in fresh if name.startswith(f"{ESTIMATOR_SCOPE}/")] and len(stayed) > 30
    check_equal(values, fresh, stayed)
    check_equal(values, theirs, values.keys() - set(stayed))


# ---- What the networks put out

FEATURES = random_images(2, 3, 4, 96, seed=3)  # of the layer before the last


def last_layer(variables: Mapping) -> np.ndarray:
    """What a network puts out for FEATURES, float64 [N,H,W,K]."""
    return FEATURES.astype(np.float64) @ variables["nin_c/W"][0, 0].astype(np.float64) + variables["nin_c/b"]


def covariance(outputs: np.ndarray, diagonal: bool) -> np.ndarray:
    """Sigma_x [N,H,W,3,3] of outputs [N,H,W,K], as SPEC 5 words it."""
    entries = outputs[..., 3:]
    a = np.zeros((*entries.shape[:-1], 3, 3))
    a[(..., *(np.diag_indices(3) if diagonal else np.triu_indices(3)))] = entries
    return a @ np.swapaxes(a, -1, -2)


def test_from_a_diagonal_covariance_to_a_full_one():
    """Mean and covariance are what they were. Both are sums of the same products, rounded anew."""
    theirs, _, values, stayed = taken("gauss25-blindspot_diag-sigma_known", "gauss25-blindspot-sigma_known")
    assert stayed == [OFF_DIAGONAL]
    before, after = last_layer(theirs), last_layer(values)
    np.testing.assert_allclose(after[..., :3], before[..., :3], rtol=0, atol=1e-12)
    np.testing.assert_allclose(covariance(after, False), covariance(before, True), rtol=0, atol=1e-12)
    assert np.abs(covariance(before, True)).max() > 0.1


def test_from_a_full_covariance_to_a_diagonal_one():
    """Means and the diagonal of A are what they were."""
    theirs, _, values, stayed = taken("gauss25-blindspot-sigma_known", "gauss25-blindspot_diag-sigma_known")
    assert not stayed
    before, after = last_layer(theirs), last_layer(values)
    np.testing.assert_allclose(after, before[..., [0, 1, 2, 3, 6, 8]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("wanted", ["gauss25-blindspot-sigma_known", "gauss25-blindspot_diag-sigma_known"])
def test_from_the_mean_alone_to_the_posterior(wanted):
    theirs, fresh, values, stayed = taken("gauss25-blindspot_mean", wanted)
    assert stayed == [FACTOR]
    np.testing.assert_array_equal(values["nin_c/W"][..., :3], theirs["nin_c/W"])
    np.testing.assert_array_equal(values["nin_c/b"][:3], theirs["nin_c/b"])
    np.testing.assert_array_equal(values["nin_c/W"][..., 3:], fresh["nin_c/W"][..., 3:])
    np.testing.assert_array_equal(values["nin_c/b"][3:], fresh["nin_c/b"][3:])
    check_equal(values, theirs, values.keys() - set(LAST))


def test_from_the_posterior_to_the_mean_alone():
    theirs, _, values, stayed = taken("gauss25-blindspot-sigma_global", "gauss25-blindspot_mean")
    assert not stayed and NOISE_VARIABLE not in values
    np.testing.assert_array_equal(values["nin_c/W"], theirs["nin_c/W"][..., :3])
    np.testing.assert_array_equal(values["nin_c/b"], theirs["nin_c/b"][:3])


def network_outputs(name: str, variables: Mapping, picture: np.ndarray) -> np.ndarray:
    """What the network alone puts out for a picture [N,H,W,C], in float64."""
    network = plain_networks.blind_spot_unet if named(name).blind_spot else plain_networks.plain_unet
    return network(picture, {key: value.astype(np.float64) for key, value in variables.items()})


# Three layers have other weights than before, each rounded to 24 bits. So a sum of n products of size 1/sqrt(n) is off by
# 6e-8 sqrt(n) at most; n is below 900, and the layers after it keep the size.
BOUND = 3 * 6e-8 * 30


@pytest.mark.parametrize(("source", "wanted"), [
    ("gauss25-n2n", "poisson30-n2c-mono"),
    ("gauss25-blindspot_mean", "gauss25-blindspot_mean-mono"),
    ("gauss25-blindspot-sigma_known", "gauss25-blindspot-sigma_known-mono"),
    ("gauss25-blindspot_diag-sigma_known", "gauss25-blindspot-sigma_known-mono"),
    ("impulse50-blindspot-sigma_known", "gauss25-blindspot_mean-mono"),
])  # fmt: skip
def test_of_colours_for_grey(source, wanted):
    """On a grey picture the mean of the three means is put out, and the last colour's std, which is that of blue."""
    theirs, _, values, stayed = taken(source, wanted)
    assert not stayed
    grey = random_images(1, 32, 32, 1, seed=5).astype(np.float64)
    before = network_outputs(source, theirs, np.repeat(grey, 3, axis=-1))
    after = network_outputs(wanted, values, grey)
    np.testing.assert_allclose(after[..., 0], before[..., :3].mean(axis=-1), rtol=0, atol=BOUND)
    assert before.std() > 0.1
    if named(wanted).pipeline == "blindspot":
        blue = covariance(before, named(source).diagonal)[..., 2, 2]
        np.testing.assert_allclose(np.abs(after[..., 1]), np.sqrt(blue), rtol=0, atol=BOUND)


def test_the_covariance_is_fresh_for_grey_too():
    theirs, fresh, values, stayed = taken("gauss25-blindspot_mean", "gauss25-blindspot-sigma_known-mono")
    assert stayed == [FACTOR]
    np.testing.assert_array_equal(values["nin_c/W"][..., 1], fresh["nin_c/W"][..., 1])
    np.testing.assert_allclose(values["nin_c/W"][..., 0], theirs["nin_c/W"].mean(axis=-1), rtol=1e-6, atol=1e-7)


def estimator_of(variables: Mapping) -> dict[str, np.ndarray]:
    """The estimator's variables by their names in a network of its own, float64."""
    scope = f"{ESTIMATOR_SCOPE}/"
    return {n.removeprefix(scope): value.astype(np.float64) for n, value in variables.items() if n.startswith(scope)}


def test_the_estimator_of_colours_for_grey():
    source, wanted = "gauss5_50-blindspot-sigma_per_image", "real_gauss-blindspot-sigma_per_image-mono"
    theirs, _, values, stayed = taken(source, wanted)
    assert not stayed
    grey = random_images(1, 32, 32, 1, seed=6).astype(np.float64)
    before = plain_networks.plain_unet(np.repeat(grey, 3, axis=-1), estimator_of(theirs))
    after = plain_networks.plain_unet(grey, estimator_of(values))
    np.testing.assert_allclose(after, before, rtol=0, atol=BOUND)
    assert before.std() > 0.1


# ---- The file, and what is said of it


@pytest.mark.parametrize(("source", "wanted", "text"), [
    ("gauss25-blindspot-sigma_known", "gauss25-n2c",
     "whose layers are not those of gauss25-n2c: name a network without a blind spot (n2c, n2n)"),
    ("gauss25-n2n", "gauss25-blindspot_mean-mono",
     "whose layers are not those of gauss25-blindspot_mean-mono: name a network with a blind spot"),
    ("gauss25-n2c-mono", "gauss25-n2n", "which knows no colours, and gauss25-n2n is of colours: name a network for RGB"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path, source, wanted, text):
    path = write_network(tmp_path / "any", source)
    for asked in (load_start, lambda path, c: start_from(path, c, {})):
        with pytest.raises(UserError) as caught:
            asked(path, named(wanted))
        assert str(caught.value) == f"--init {path}: is a network of {source}, {text}"


@pytest.mark.parametrize(("source", "wanted", "said"), [
    ("gauss25-blindspot-sigma_known", "poisson30-blindspot-sigma_known", ""),
    ("gauss25-blindspot-sigma_known", "gauss25-blindspot-sigma_global", "; fresh: noise_data"),
    ("gauss25-blindspot_mean", "gauss5_50-blindspot-sigma_per_image", f"; fresh: {FACTOR}, param_estimation_net/*"),
    ("gauss25-blindspot_diag-sigma_global", "real_poisson-blindspot-sigma_global", f"; fresh: noise_data, {OFF_DIAGONAL}"),
    ("gauss5_50-blindspot-sigma_per_image", "real_poisson-blindspot-sigma_per_image-mono",
     "; fresh: param_estimation_net/nin_c"),
])  # fmt: skip
def test_what_is_fresh_is_said_in_one_line(tmp_path, capsys, source, wanted, said):
    path = write_network(tmp_path / "any", source)
    start_from(path, named(wanted), initial_variables(shapes_of(named(wanted)), 1))
    assert capsys.readouterr().out == f"Starting from {path} ({source}){said}\n"


@pytest.mark.parametrize("optimizer", ["adam", "soap"])
def test_the_optimiser_starts_anew(tmp_path, optimizer):
    """Its state is the one that it always begins with, beside the network's weights."""
    path = write_network(tmp_path / "any", "gauss25-n2n")
    options = TrainingOptions(init=str(path), optimizer=optimizer, seed=7)
    values = initial_training_values(named("impulse50-n2c"), options)
    theirs = load_network(path).variables
    check_equal(values, theirs, theirs)
    state = optimizer_of(options).initial_state(theirs)
    check_equal(values, state, state)
    assert values.keys() == theirs.keys() | state.keys()


# ---- Whole trainings

SOURCE, NAME = "gauss25-blindspot-sigma_known", "gauss25-blindspot-sigma_global-mono"
TRAIN = (
    f"--train {NAME} --train-h5 shard.h5 --validation-set own --train-resolution 32 --minibatch-size 2 --num-iter 4 "
    "--print-interval 2 --num-gpus 0 --precision float32"
)
INIT = "--init start.pickle"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("place")
    write_bare_shard(place / "shard.h5", [smooth_picture(70, 80, seed).transpose(2, 0, 1) for seed in range(2)])
    write_picture(place / "own" / "a.png", 32, 30)
    return place


def write_start(place: Path) -> Path:
    """Writes the network to start from, of a larger blind spot than what is trained."""
    network = to_network(named(SOURCE), weights(SOURCE))
    network.static_kwargs["hole_size"] = 3
    save_network(network, place / "start.pickle")
    return place / "start.pickle"


@pytest.fixture
def start(place) -> Path:
    """The path of that network. A test may remove it."""
    return write_start(place)


def run_dir(results: Path) -> Path:
    (found,) = results.glob("00000-*")
    return found


def final_network(results: Path) -> bytes:
    return (run_dir(results) / f"network-final-{NAME}.pickle").read_bytes()


def first_values(folder: Path) -> Mapping[str, np.ndarray]:
    """Those of all variables of a run that has not gone far: two states are kept, and the first is of no images."""
    return load_state(folder / "training-state-00000000.state")[0]


def stopped_after_a_step(place: Path, arguments: str) -> Finished:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunContext, "abort_requested", lambda self: True)
        return run_here(place, arguments)


@pytest.fixture(scope="module")
def whole(place) -> Finished:
    """A training in one go, of three steps."""
    write_start(place)
    return run_here(place, f"{TRAIN} {INIT} --result-dir whole")


def test_a_training_says_where_it_starts(whole):
    assert whole.stdout.splitlines()[2] == f"Starting from start.pickle ({SOURCE}); fresh: noise_data"
    assert whole.stdout.count("Starting from") == 1 and len(re.findall(r"^ *\d+: time", whole.stdout, re.MULTILINE)) == 3


def test_a_training_starts_from_it_and_is_resumed_without_it(place, start, whole):
    """The same network at the end as in one go, though the file is gone by then; and only with the option it began with."""
    stopped_after_a_step(place, f"{TRAIN} {INIT} --result-dir parts --state-interval 100")
    folder = run_dir(place / "parts")
    first = first_values(folder)
    fresh = initial_variables(shapes_of(named(NAME)), 1)
    expected, _ = take_over(named(SOURCE), weights(SOURCE), named(NAME), fresh)
    check_equal(first, expected, expected)

    start.unlink()
    with pytest.raises(UserError, match="--resume .*: --init was start.pickle and is not given$"):
        run_here(place, f"{TRAIN} --result-dir parts --resume")
    with pytest.raises(UserError, match="--init was start.pickle and is other.pickle$"):
        run_here(place, f"{TRAIN} --init other.pickle --result-dir parts --resume")
    with pytest.raises(UserError, match="start.pickle: there is no such file"):  # a new run needs it
        run_here(place, f"{TRAIN} {INIT} --result-dir new --resume auto")
    assert not (place / "new").exists()
    resumed = run_here(place, f"{TRAIN} {INIT} --result-dir parts --resume auto")
    assert "from image 2" in resumed.stdout and "Starting from" not in resumed.stdout
    assert final_network(place / "parts") == final_network(place / "whole")


def test_a_run_of_before_there_was_the_option_is_resumed(tmp_path):
    options = TrainingOptions().fixed_on_resume(NAME, "f00d", "kodak")
    older = {name: value for name, value in options.items() if name != "init"}
    assert len(older) == len(options) - 1
    report = {"steps": [], "skipped": 0, "in_a_row": 0, "seconds": 0.0}
    TrainingState(8, True, {}, report, older, {}).save(tmp_path)
    assert load_resumable(tmp_path, options).images == 8
    with pytest.raises(UserError, match="--init was not given and is start.pickle"):
        load_resumable(tmp_path, options | {"init": "start.pickle"})


def test_the_noise_is_estimated_all_the_same(place, start):
    """Sigma starts at the estimate, not where the network had it; the rest is the network's."""
    source = NAME.removesuffix("-mono")
    save_network(to_network(named(source), weights(source)), start)
    options = "--train-resolution 64 --noise-init estimate --result-dir estimated"
    done = stopped_after_a_step(place, f"{TRAIN} {INIT} {options}")
    lines = done.stdout.splitlines()
    assert lines[2] == f"Starting from start.pickle ({source})"
    estimate = float(re.fullmatch(r"Estimated sigma to start from: ([\d.]+)", lines[3])[1])
    assert estimate == pytest.approx(25, abs=2.5)
    first = first_values(run_dir(place / "estimated"))
    assert 255 * parameter_from_raw(first[NOISE_VARIABLE]) == pytest.approx(estimate, abs=0.01)
    np.testing.assert_array_equal(first["nin_b/W"], weights(source)["nin_b/W"])


@pytest.mark.slow
def test_several_workers_start_from_the_chiefs_values(place, start, whole, tmp_path):
    """The other one has no such file. The network at the end is that of one process alone."""
    for name in ("shard.h5", "own"):
        (tmp_path / name).symlink_to(place / name)
    addresses = ",".join(free_addresses(2))
    workers = f"{TRAIN} {INIT} --result-dir workers --workers {addresses} --open-ports"
    programs = [Program(folder, "selfsupervised_denoising.py", f"{workers} --task {task}")
                for task, folder in enumerate((place, tmp_path))]  # fmt: skip
    ended = [program.ended() for program in programs]
    assert [program.status for program in ended] == [0, 0], [program.stderr for program in ended]
    assert ["Starting from" in program.stdout for program in ended] == [True, False]
    assert final_network(place / "workers") == final_network(place / "whole")


def test_a_dry_run_looks_at_the_file(place, start):
    with pytest.raises(UserError, match="--init start.pickle: is a network of .* without a blind spot"):
        run_here(place, f"{TRAIN} {INIT} --train gauss25-n2c -n")
