"""The training loop: which steps it takes, what it feeds them with, and what it prints, records and saves when."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from material import smooth_picture, write_bare_shard, write_picture
from programs import run_here

from config.validation_sets import VALIDATION_SETS
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.crops import NoisyCrops
from dnnlib.denoising.data.noisy_pages import NoisyOptions
from dnnlib.denoising.data.noisy_shard import NoisyShard
from dnnlib.denoising.data.noisy_shard_writer import write_noisy_shard
from dnnlib.denoising.data.shard import Shard
from dnnlib.denoising.data.validation_set import open_validation_set
from dnnlib.denoising.network.architecture import initial_variables, shapes_of
from dnnlib.denoising.network.network_file import load_configured
from dnnlib.denoising.network.noise_parameter import learned_noise_parameter
from dnnlib.denoising.noise.estimation import estimate_parameters
from dnnlib.denoising.noise.learned_parameter import parameter_from_raw, raw_from_parameter
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.training import graph as training_graph
from dnnlib.denoising.training import loop as training_loop
from dnnlib.denoising.training.first_look import FirstLook, first_look
from dnnlib.denoising.training.graph import build_training_graph, initial_training_values
from dnnlib.denoising.training.noise_start import estimate_noise_start, start_at, subsample_beyond_hole
from dnnlib.denoising.training.output import TrainingOutput
from dnnlib.denoising.training.report import Report
from dnnlib.denoising.training.state import TrainingState
from dnnlib.errors import UserError
from dnnlib.submission.run_context import RunContext
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import create_session, initialize, tf

CROP = 32
LINE = re.compile(r" *(\d+): time= *\S+, loss=.{8}, train_psnr=.{8}, train_psnr_pme=.{8}, std_net=.{8}, std_noise=.{8}(.*)")


def test_the_loop(tmp_path, monkeypatch, capsys):
    """Which steps, what they are fed with, when lines and snapshots are due; a skipped step is counted and shown."""
    real = training_graph.add_training_noise
    asked = {"rate": [], "exponent": []}

    def with_a_bad_picture(clean, style, seed, numbers, draw=0):
        noisy, parameter = real(clean, style, seed, numbers, draw)
        bad = tf.reshape(tf.equal(numbers, 5), [-1, 1, 1, 1])
        return tf.where(tf.broadcast_to(bad, tf.shape(noisy)), noisy * np.nan, noisy), parameter

    def give(what, value):
        return lambda *arguments: asked[what].append(arguments) or value

    monkeypatch.setattr(training_graph, "add_training_noise", with_a_bad_picture)
    monkeypatch.setattr(training_loop, "learning_rate", give("rate", 0.0))  # so nothing is learned
    monkeypatch.setattr(training_loop, "loss_exponent", give("exponent", 1e-3))  # so each loss is nearly 1
    pictures = [smooth_picture(CROP, CROP, seed).transpose(2, 0, 1) for seed in range(2)]
    shard = Shard(write_bare_shard(tmp_path / "shard.h5", pictures), CROP)
    write_picture(tmp_path / "own" / "a.png", 30, 40)
    validation_set = open_validation_set(str(tmp_path / "own"), None, VALIDATION_SETS)
    intervals = {"print_interval": 3, "eval_interval": 100, "snapshot_every": 4}
    options = TrainingOptions(num_iter=9, minibatch_size=2, train_resolution=CROP, seed=5, precision="float32", **intervals)
    configuration = Configuration.from_name("impulse50-n2n")
    folder = tmp_path / "run"
    folder.mkdir()
    with tf.Graph().as_default(), RunContext(folder, "test", {}) as run:
        path = training_loop.train(configuration, options, shard, validation_set, run)

    chosen, *lines = capsys.readouterr().out.splitlines()
    assert chosen == "Precision: float32"
    lines = [LINE.fullmatch(line) for line in lines]
    assert [int(line[1]) for line in lines] == [0, 4, 6, 8]  # the first steps at or past 0, 3, 6; and the last
    assert ["skipped=1" in line[2] for line in lines] == [False, True, True, True]
    assert ["valid_psnr" in line[2] for line in lines] == [True, False, False, True]
    asked["rate"] = list(dict.fromkeys(asked["rate"]))  # a line asks once more
    assert asked == {"rate": [(n, options) for n in range(0, 9, 2)], "exponent": [(n, 9) for n in range(0, 9, 2)]}
    stats = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    assert [record["skipped"] for record in stats] == [0, 1, 1, 1]
    assert [record["loss"] for record in stats] == pytest.approx([1, 1, 1, 1], abs=0.02)
    assert all(value is not None for record in stats for value in record.values())
    networks = sorted(found.name for found in folder.glob("network-*"))
    assert networks == ["network-00000004-impulse50-n2n.pickle", "network-final-impulse50-n2n.pickle"]
    assert path == folder / networks[1]
    assert not list(folder.glob("*.state"))
    expected = initial_variables(shapes_of(configuration), 5)
    for name, value in load_configured(path)[0].variables.items():
        np.testing.assert_array_equal(value, expected[name], name)


def test_crops_that_grow(tmp_path, monkeypatch):
    """The steps of the last tenth see larger crops, by the same weights."""
    taken = []
    step = training_loop._Training._step

    def noted(self, batch):
        statistics = step(self, batch)
        taken.append((batch.n, batch.images.shape[1:3], statistics["finite"]))
        return statistics

    monkeypatch.setattr(training_loop._Training, "_step", noted)
    shard = Shard(write_bare_shard(tmp_path / "shard.h5", [smooth_picture(70, 64, 1).transpose(2, 0, 1)]), 64)
    write_picture(tmp_path / "own" / "a.png", 30, 40)
    validation_set = open_validation_set(str(tmp_path / "own"), None, VALIDATION_SETS)
    options = TrainingOptions(
        num_iter=20, minibatch_size=2, train_resolution=CROP, end_resolution=64, precision="float32"
    )
    folder = tmp_path / "run"
    folder.mkdir()
    with tf.Graph().as_default(), RunContext(folder, "test", {}) as run:
        training_loop.train(Configuration.from_name("gauss25-blindspot-sigma_known"), options, shard, validation_set, run)
    assert taken == [(n, (CROP, CROP), 1.0) for n in range(0, 18, 2)] + [(n, (64, 64), 1.0) for n in (18, 20)]


@pytest.mark.parametrize("change", ["renamed", "missing", "another shape"])
def test_a_state_of_another_versions_variables_is_refused(tmp_path, change):
    """Those that are not in it would begin at zero, and with them SOAP's bases: the kernels would never move again."""
    shard = Shard(write_bare_shard(tmp_path / "shard.h5", [smooth_picture(CROP, CROP, 1).transpose(2, 0, 1)]), CROP)
    write_picture(tmp_path / "own" / "a.png", 30, 40)
    validation_set = open_validation_set(str(tmp_path / "own"), None, VALIDATION_SETS)
    options = TrainingOptions(num_iter=2, minibatch_size=1, train_resolution=CROP, optimizer="soap", precision="float32")
    configuration = Configuration.from_name("gauss25-n2c-mono")
    values = initial_training_values(configuration, options)
    basis = values.pop("soap_3x3x96x96/input_basis")
    values |= {
        "renamed": {"dec_conv1b/W/input_basis": basis}, "missing": {},
        "another shape": {"soap_3x3x96x96/input_basis": basis[0]},
    }[change]  # fmt: skip
    state = TrainingState(1, True, values, {}, {"precision": "float32"}, {})
    folder = tmp_path / "run"
    folder.mkdir()
    with (
        tf.Graph().as_default(), RunContext(folder, "test", {}) as run,
        pytest.raises(UserError, match=r"^--resume .*/run: its state has .* of another version"),
    ):  # fmt: skip
        training_loop.train(configuration, options, shard, validation_set, run, state=state)


def test_a_line_averages_the_steps_since_the_last(tmp_path, capsys):
    class Events:
        def scalars(self, step, values):
            written.append((step, values))

    written = []
    keys = ("loss", "train_psnr", "train_psnr_pme", "std_net", "std_noise")
    with RunContext(tmp_path, "test", {}) as run:
        report = Report(run, Events(), Configuration.from_name("gauss25-n2c"))
        for n, (taken, skipped) in enumerate([([2.0], 0), ([1.0, 4.0], 1), ([], 2), ([8.0], 0)]):
            for i, value in enumerate(taken):
                report.add(dict(zip(keys, (value, 30.0 + i, 100 * value, value / 10, -value), strict=True), finite=1.0))
            for _ in range(skipped):
                report.add(dict.fromkeys(keys, np.nan) | {"finite": 0.0})
            report.line(n, 0.25 * n, None)
    lines = [re.sub(r"time= *[\d.]+, ", "", line) for line in capsys.readouterr().out.splitlines()]
    nothing = ", ".join(f"{key}=     nan" for key in keys)
    assert lines == [
        "       0: loss=  2.0000, train_psnr= 30.0000, train_psnr_pme=200.0000, std_net=  0.2000, std_noise= -2.0000",
        "       1: loss=  2.5000, train_psnr= 30.5000, train_psnr_pme=250.0000, std_net=  0.2500, std_noise= -2.5000"
        ", skipped=1",
        f"       2: {nothing}, skipped=3",
        "       3: loss=  8.0000, train_psnr= 30.0000, train_psnr_pme=800.0000, std_net=  0.8000, std_noise= -8.0000"
        ", skipped=3",
    ]
    stats = [json.loads(line) for line in (tmp_path / "stats.jsonl").read_text().splitlines()]
    assert [(s["n"], s["loss"], s["learning_rate"], s["skipped"]) for s in stats] == [
        (0, 2.0, 0.0, 0), (1, 2.5, 0.25, 1), (2, None, 0.5, 3), (3, 8.0, 0.75, 3),
    ]  # fmt: skip
    assert [step for step, _ in written] == [0, 1, 2, 3]
    assert written[1][1] == {key: stats[1][key] for key in (*keys, "learning_rate", "skipped")}


def test_a_state_whose_variables_are_not_those_of_the_training(tmp_path):
    """Also where its checksum is right: one line says what is wrong, before the first step."""
    shard = Shard(write_bare_shard(tmp_path / "shard.h5", [np.zeros((3, CROP, CROP), np.uint8)]), CROP)
    configuration = Configuration.from_name("gauss25-n2c")
    options = TrainingOptions(num_iter=4, train_resolution=CROP, precision="float32")
    values = initial_training_values(configuration, options)
    name = next(iter(values))
    report = {"steps": [], "skipped": 0, "in_a_row": 0, "seconds": 0.0}
    for wrong, text in (
        ({}, "no variable"),
        ({name: values[name][..., :1]}, f"a variable {name!r} of another shape or type"),
        ({name: values[name].astype(np.float64)}, f"a variable {name!r} of another shape or type"),
    ):
        variables = {**values, **wrong} if wrong else {}
        state = TrainingState(4, True, variables, report, {"precision": "float32"}, {})
        (tmp_path / "run").mkdir(exist_ok=True)
        refused = pytest.raises(UserError, match=f"--resume .*run: its state has {text}")
        with tf.Graph().as_default(), refused, RunContext(tmp_path / "run", "test", {}) as run:
            training_loop.train(configuration, options, shard, shard, run, state=state)


def test_a_file_where_the_folder_of_pictures_goes(tmp_path):
    (tmp_path / "img").touch()
    refused = pytest.raises(UserError, match="img: cannot be written")
    with refused, RunContext(tmp_path, "test", {}) as run:
        TrainingOutput(run, Configuration.from_name("gauss25-n2c"), {}, None, None)


def test_a_report_goes_on_from_a_state_of_any_version():
    """States hold the steps since the last line as rows without names, and always have."""
    configuration = Configuration.from_name("real_poissongauss-blindspot-sigma_global")
    step = {"loss": 1.0, "std_net": 2.0, "std_noise": 3.0, "a": 0.01, "b": 0.002}
    report = Report(None, None, configuration)
    report.add(step | {"finite": 1.0, "stop": 0.0})
    report.add(step | {"finite": 0.0, "stop": 0.0})
    saved = report.as_json()
    assert 0 <= saved.pop("seconds") < 60
    assert saved == {"steps": [[1.0, 2.0, 3.0, 0.01, 0.002]], "skipped": 1, "in_a_row": 1}
    again = Report(None, None, configuration)
    again.restore(saved | {"seconds": 1.0})
    assert again.skipped_in_a_row == 1
    again.add({name: 3 * value for name, value in step.items()} | {"finite": 1.0, "stop": 0.0})
    assert again.as_json()["steps"] == [[1.0, 2.0, 3.0, 0.01, 0.002], [3.0, 6.0, 9.0, 0.03, 0.006]]


@pytest.mark.parametrize(("hole", "least"), [(1, 0.3), (3, 0.75), (5, 0.95)])
def test_the_start_under_noise_that_neighbours_share(hole, least):
    """Blurred by (1, 2, 1): at one pixel apart a third of its std is seen, at three all of it."""
    random = np.random.default_rng(1).standard_normal((4, 192, 192, 1))
    for axis in (1, 2):
        random = np.roll(random, 1, axis) + 2 * random + np.roll(random, -1, axis)
    (found,) = estimate_parameters("gauss", subsample_beyond_hole(0.1 / 6 * random, hole))
    assert least <= found / 0.1 <= least + 0.1
    assert subsample_beyond_hole(random[:, :64, :64], hole).shape == (4, 64, 64, 1)  # too small to take pixels apart


def test_the_start_knows_where_a_shard_was_clipped(tmp_path):
    """Half of each picture is saturated: what a run starts from is the noise of the other half."""
    random = np.random.default_rng(2)
    clean = np.full((2, 256, 256, 1), 0.5)
    clean[:, :128] = 1.2
    for i, picture in enumerate(256 + 3839 * (clean + 0.05 * random.standard_normal(clean.shape))):
        np.save(tmp_path / f"{i}.npy", np.clip(np.rint(picture), 0, 4095).astype(np.uint16))
    options = NoisyOptions(black=256.0, white=4095.0)
    write_noisy_shard(str(tmp_path), tmp_path / "shard.h5", options)
    configuration = Configuration.from_name("real_gauss-blindspot-sigma_global-mono")
    shard = NoisyShard(tmp_path / "shard.h5", 256, 1)
    options = TrainingOptions(train_resolution=256, noise_init="estimate", precision="float32")
    with tf.Graph().as_default(), create_session() as session:
        graph = build_training_graph(configuration, options, Replicas())
        (raw,) = estimate_noise_start(configuration, NoisyCrops(shard, 256, 1, seed=1), graph, session)
    assert raw == pytest.approx(raw_from_parameter(0.05), abs=0.1)


@pytest.mark.parametrize(
    ("taps", "hole", "said", "files"),
    [((1,), 1, "", 2), ((1, 2, 1), 1, "--hole-size 3", 2), ((1, 2, 1), 3, "", 20), ((1, 2, 1), 1, "--hole-size 3", 20)],
)
def test_a_first_look_names_the_hole_that_shared_noise_needs(taps, hole, said, files, tmp_path):
    """Of few pictures it is not sure."""
    random = np.random.default_rng(3)
    for i in range(files + 1):  # one is held out
        noise = random.standard_normal((64, 64, 1))
        for axis in (0, 1):
            noise = sum(tap / np.linalg.norm(taps) * np.roll(noise, j, axis) for j, tap in enumerate(taps))
        np.save(tmp_path / f"{i}.npy", (0.5 + 0.05 * noise).astype(np.float32))
    write_noisy_shard(str(tmp_path), tmp_path / "shard.h5", NoisyOptions(white=1.0, min_size=64))
    shard = NoisyShard(tmp_path / "shard.h5", 64, 1)
    found = first_look(NoisyCrops(shard, 64, 1, seed=1), hole)
    assert found.enough == (files >= 20)
    assert (f"train with {said}," in found.advice) if said else found.advice is None
    assert np.sqrt(np.median(found.points.variances)) == pytest.approx(0.05, rel=0.25)  # each is of noise that is shared


def test_what_the_pictures_tell_is_said_before_the_training(tmp_path, monkeypatch):
    """Also where the start is no estimate."""
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", np.random.default_rng(i).random((64, 64), np.float32))
    write_noisy_shard(str(tmp_path), tmp_path / "shard.h5", NoisyOptions(white=1.0, min_size=64))
    monkeypatch.setattr(training_loop, "first_look", lambda *given: first_look(*given)._replace(advice="SHARED"))
    training = "--train real_gauss-blindspot-sigma_global-mono --train-h5 shard.h5 --train-resolution 64 --num-iter 4"
    lines = run_here(tmp_path, training).stdout.splitlines()
    (first,) = (i for i, line in enumerate(lines) if line.startswith("       0: time="))
    assert lines[:first].count("SHARED") == 1


def test_the_noisy_pictures_count_more_than_the_residual(capsys):
    """Where they are enough. The residual says what they do not."""
    training = object.__new__(training_loop._Training)
    scores = SimpleNamespace(advice=lambda: "of the residual")
    for look, said in (
        (None, "of the residual"), (("shared", False), "of the residual"), (("shared", True), "shared"),
        ((None, True), "of the residual"),
    ):  # fmt: skip
        training._look = None if look is None else FirstLook(None, *look)
        training._say_advice(scores)
        assert capsys.readouterr().out.strip() == said


@pytest.mark.parametrize("kind", ["global", "per_image"])
def test_a_start_at_an_estimate(kind):
    """An estimator says the same of any picture, whatever it has learned."""
    configuration = Configuration.from_name(f"real_poissongauss-blindspot-sigma_{kind}-mono")
    values = {name: value + 0.01 for name, value in initial_variables(shapes_of(configuration), 1).items()}
    raw = [-3.0, 0.5]
    start_at(configuration, values, raw)
    with tf.Graph().as_default(), create_session() as session:
        noisy = tf.constant(np.random.default_rng(1).random((3, 64, 64, 1)), tf.float32)
        found = learned_noise_parameter(configuration, noisy)
        initialize(session, {v.op.name: values[v.op.name] for v in tf.global_variables()})
        found = session.run(found)
    wanted = parameter_from_raw(np.array(raw), configuration.noise.learns_root, configuration.noise_floor)
    np.testing.assert_allclose(found, np.broadcast_to(wanted, found.shape), rtol=1e-4)
