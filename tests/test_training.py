"""Training steps on synthetic pictures: every kind of loss, noise and parameter; what changes, what repeats."""

import functools

import numpy as np
import pytest
from graphs import compute
from material import smooth_picture

from config.configurations import CONFIGURATIONS
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.evaluation.metrics import psnr
from dnnlib.denoising.network.architecture import initial_variables, shapes_of
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.training import graph as training_graph
from dnnlib.denoising.training.graph import build_training_graph, optimizer_of
from dnnlib.tflib.optimizer import Adam
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import create_session, fetch_variables, initialize, tf

CROP, BATCH = 32, 2
PICTURES = np.stack([smooth_picture(CROP, CROP, seed) for seed in range(BATCH)])


class Trainer:
    """The training graph of a configuration with a session on it."""

    def __init__(self, name: str, seed: int = 1, weights: int = 1, microbatch: int = BATCH):
        configuration = Configuration.from_name(name)
        self.channels = configuration.channels
        with tf.Graph().as_default() as graph:
            options = TrainingOptions(
                minibatch_size=BATCH, microbatch_size=microbatch, train_resolution=CROP, seed=seed, precision="float32"
            )
            self.graph = build_training_graph(configuration, options, Replicas())
            self.session = create_session(graph)
            trainable = {v.op.name for v in tf.trainable_variables()}
            self._others = [v for v in tf.global_variables() if v.op.name not in trainable]
        self.initial = initial_variables(shapes_of(configuration), weights)
        assert trainable == set(self.initial)
        self.reset()

    def reset(self) -> None:
        """Back to the initial weights, and to the first picture."""
        initialize(self.session, self.initial)
        self.n = 0

    def step(self, rate: float = 1e-3, exponent: float = 1.0, pictures: np.ndarray = PICTURES) -> dict:
        """One training step; returns the statistics of its batch."""
        statistics = self.session.run(self.graph.step, self.feed(rate, exponent, pictures))
        self.n += BATCH
        return statistics

    def feed(self, rate: float, exponent: float, pictures: np.ndarray) -> dict:
        return self.graph.feed(np.arange(self.n, self.n + BATCH), pictures[..., : self.channels], rate, exponent)

    def variables(self) -> dict[str, np.ndarray]:
        return fetch_variables(self.session)

    def moments(self) -> list[np.ndarray]:
        """What Adam keeps: two moments for each variable, and the powers of its two betas."""
        return self.session.run(self._others)


@functools.cache
def built(*arguments) -> Trainer:
    """Building takes longer than training here, so tests share a graph."""
    return Trainer(*arguments)


@pytest.fixture(scope="module", autouse=True)
def nothing_is_kept():
    yield
    built.cache_clear()


def trainer_of(*arguments) -> Trainer:
    """As `Trainer`, at its beginning, but perhaps used before."""
    trainer = built(*arguments)
    trainer.reset()
    return trainer


def as_bytes(arrays) -> list[bytes]:
    return [np.asarray(array).tobytes() for array in arrays]


# ---- Every kind of graph

# Each pipeline, noise, parameter, covariance and number of channels; the other configurations combine the same parts.
KINDS = [
    "gauss25-n2c-mono", "poisson5_50-n2n", "impulse0_100-n2n", "impulse50-blindspot_mean",
    "gauss25-blindspot-sigma_known", "gauss25-blindspot_diag-sigma_global", "gauss5_50-blindspot-sigma_per_image",
    "poisson30-blindspot-sigma_known", "poisson30-blindspot-sigma_global-mono",
    "impulse50-blindspot-sigma_global", "impulse0_100-blindspot-sigma_per_image",
]  # fmt: skip
FIELDS = ("noise_style", "pipeline", "noise_params", "diagonal", "channels")
ALL = [Configuration(*map(row.get, FIELDS)).name for row in CONFIGURATIONS]


def test_the_kinds_cover_the_configurations():
    def parts(names):
        found = set()
        for c in map(Configuration.from_name, names):
            found |= {c.noise_style, c.pipeline, (c.blind_spot, c.channels), (c.noise.family, c.noise_params), c.diagonal}
        return found

    # What is missing is learned per image as for the others, and known as the others know it.
    assert parts(ALL) - parts(KINDS) == {("poisson", "per_image"), ("impulse", "known")}


START = 255 * (np.log1p(np.exp(-4)) + 1e-3)  # a learned parameter, shown times 255 (SPEC 3.3)


def expected_noise_std(c: Configuration) -> tuple[float, float]:
    """The range of the first step's `std_noise` (SPEC 5.4)."""
    if c.pipeline != "blindspot":
        return 0.0, 0.0
    if c.noise.family == "poisson":
        return 0.01, 255.0  # depends on the network's mean
    if c.noise_params != "known":
        return (START, START) if c.noise.family == "gauss" else (START * 100 / 255, START * 100 / 255)
    unit = 255 if c.noise.family == "gauss" else 100
    return unit * c.noise.low, unit * c.noise.high


def check_steps(name: str) -> None:
    configuration = Configuration.from_name(name)
    trainer = trainer_of(name)
    steps = [trainer.step() for _ in range(3)]
    for statistics in steps:
        assert statistics["stop"] == 0
        assert all(value.shape == () and np.isfinite(value) for value in statistics.values()), statistics
        assert statistics["finite"] == 1 and statistics["std_net"] >= 0 and statistics["std_noise"] >= 0
        assert 0 < statistics["train_psnr"] < 60 and 0 < statistics["train_psnr_pme"] < 60
    if configuration.pipeline != "blindspot":
        assert all(s["train_psnr"] == s["train_psnr_pme"] and s["std_net"] == 0 for s in steps)
    else:
        assert all(s["train_psnr"] != s["train_psnr_pme"] and s["std_net"] > 0 for s in steps)
    low, high = expected_noise_std(configuration)
    assert low * (1 - 1e-5) <= steps[0]["std_noise"] <= high * (1 + 1e-5)
    # After three steps all have moved; the layers before the estimator's last, which starts at zero, do from the second on.
    for variable, value in trainer.variables().items():
        assert value.dtype == np.float32 and np.isfinite(value).all()
        assert (value != trainer.initial[variable]).any(), variable


@pytest.mark.parametrize("name", KINDS)
def test_three_steps(name):
    check_steps(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ALL if name not in KINDS])
def test_three_steps_of_the_other_configurations(name):
    check_steps(name)
    built.cache_clear()  # these are many


@pytest.fixture
def inside(monkeypatch):
    """What `build_model` is given and gives while a training graph is built; Adam is left out, so that this is quick."""
    seen = {}
    real = training_graph.build_model

    def build_model(c, noisy, parameter, target, exponent, dtype):
        model = real(c, noisy, parameter, target, exponent)
        seen.update(noisy=noisy, target=target, **model._asdict())
        return model

    monkeypatch.setattr(training_graph, "build_model", build_model)
    monkeypatch.setattr(Adam, "step", lambda *_: (tf.no_op(), tf.constant(True)))
    return seen


def test_the_statistics_are_those_of_the_batch(inside):
    trainer = Trainer("poisson30-blindspot-sigma_known")
    found, statistics = trainer.session.run([inside, trainer.graph.step], trainer.feed(0.0, 1.0, PICTURES))
    clean = PICTURES.astype(np.float32) / 255
    expected = {
        "loss": np.mean(found["loss"]),
        "train_psnr": np.mean([psnr(*pair) for pair in zip(found["mean"], clean, strict=True)]),
        "train_psnr_pme": np.mean([psnr(*pair) for pair in zip(found["posterior_mean"], clean, strict=True)]),
        "std_net": 255 * np.mean(found["net_std"]),
        "std_noise": 255 * np.mean(found["noise_std"]),
        "finite": 1,
        "stop": 0,
    }
    assert statistics == pytest.approx(expected, rel=1e-4)
    assert np.std(found["net_std"]) > 0 and np.std(found["noise_std"]) > 0


def test_an_image_without_any_error_does_not_make_the_mean_infinite():
    one = np.full([1, 8, 8, 3], 0.5, np.float32)
    other = one + np.float32(10 / 255)
    images, references = np.concatenate([one, one]), np.concatenate([one, other])
    value = compute(training_graph._mean_psnr, images, references)
    assert value == pytest.approx((108.13 + psnr(one, other)) / 2, abs=0.01)


@pytest.mark.parametrize("name", ["gauss25-n2c", "impulse50-n2c", "gauss25-n2n", "impulse50-n2n", "gauss25-blindspot_mean"])
def test_what_the_simple_pipelines_are_trained_towards(name, inside):
    """n2c: the clean picture; n2n: another instance of noise; blindspot_mean: the input itself."""
    trainer = Trainer(name)
    found = {p: trainer.session.run(inside, trainer.feed(0.0, p, PICTURES)) for p in (2.0, 1.25, 0.5)}
    clean, noisy, target = PICTURES.astype(np.float32) / 255, found[2.0]["noisy"], found[2.0]["target"]
    if name.endswith("n2c"):
        np.testing.assert_allclose(target, clean, atol=1e-6)
    elif name.endswith("n2n"):
        noise, other_noise = noisy - clean, target - clean
        assert np.std(other_noise) == pytest.approx(np.std(noise), rel=0.1)
        independent = noise[(noise != 0) & (other_noise != 0)], other_noise[(noise != 0) & (other_noise != 0)]
        limit = 0.06 if name.startswith("gauss") else 0.6  # instead of the same clean pixel two colours: they correlate
        assert abs(np.corrcoef(*independent)[0, 1]) < limit
    else:
        target = noisy
    for exponent, values in found.items():
        difference = np.abs(values["mean"] - target)
        if name != "impulse50-n2n":
            exponent = 2.0  # SPEC 6.2: it is annealed for impulse noise in the target alone
        np.testing.assert_allclose(values["loss"], (difference + 1e-8) ** exponent, rtol=1e-4, atol=1e-6)


# ---- What repeats

def test_a_seed_gives_the_same_weights_bit_for_bit():
    trainer, ends = trainer_of("gauss25-blindspot_diag-sigma_global"), []
    for _ in range(2):
        trainer.reset()
        losses = [float(trainer.step()["loss"]) for _ in range(4)]
        ends.append((losses, as_bytes(trainer.variables().values()), as_bytes(trainer.moments())))
    assert ends[0] == ends[1]


def test_the_noise_depends_on_seed_and_picture():
    """At a learning rate of zero nothing else can change the loss."""
    trainers = [trainer_of("gauss25-n2c-mono"), trainer_of("gauss25-n2c-mono", 2)]
    losses = [[float(trainer.step(rate=0.0)["loss"]) for _ in range(4)] for trainer in trainers]
    assert len(set(losses[0] + losses[1])) == 8
    for trainer in trainers:
        assert as_bytes(trainer.variables().values()) == as_bytes(trainer.initial.values())
    trainers[0].reset()
    assert losses[0] == [float(trainers[0].step(rate=0.0)["loss"]) for _ in range(4)]


def test_initial_weights():
    """SPEC 3.1 and 3.3: He-normal kernels, zero biases, and a noise estimate that starts near zero."""
    shapes = shapes_of(Configuration.from_name("gauss5_50-blindspot-sigma_per_image"))
    values, again, other = initial_variables(shapes, 1), initial_variables(shapes, 1), initial_variables(shapes, 2)
    assert as_bytes(values.values()) == as_bytes(again.values())
    for name, value in values.items():
        assert value.dtype == np.float32 and value.shape == shapes[name]
        if name.endswith("/b") or name == "param_estimation_net/nin_c/W":
            assert not value.any()
            continue
        gain = 1.0 if name == "nin_c/W" else np.sqrt(2)
        std = gain / np.sqrt(np.prod(value.shape[:-1]))
        assert np.std(value) == pytest.approx(std, rel=5 / np.sqrt(2 * value.size))
        assert abs(np.mean(value)) < 5 * std / np.sqrt(value.size)
        assert (value != other[name]).mean() > 0.99
    assert (values["enc_conv1/W"] != values["enc_conv2/W"]).mean() > 0.99
    assert initial_variables({"noise_data": (1, 1, 1, 1)}, 1)["noise_data"] == 0


# ---- Learning, skipped steps


def test_the_loss_falls_and_the_picture_gets_better():
    trainer = trainer_of("gauss25-blindspot-sigma_known")
    constant = np.broadcast_to(np.array([40, 120, 200], np.uint8), PICTURES.shape)
    steps = [trainer.step(rate=1e-3, pictures=constant) for _ in range(30)]
    losses, psnrs = ([float(s[key]) for s in steps] for key in ("loss", "train_psnr_pme"))
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 1
    assert np.mean(psnrs[-5:]) > 20.2 + 3  # the noisy picture has 20.2 dB


def adam_by_hand(gradients, rates) -> list[float]:
    """SPEC 6.1, in float64; a gradient that is not finite changes nothing."""
    x, m, v, t, values = 1.0, 0.0, 0.0, 0, []
    for gradient, rate in zip(gradients, rates, strict=True):
        if np.isfinite(gradient):
            t += 1
            m = 0.9 * m + 0.1 * gradient
            v = 0.99 * v + 0.01 * gradient**2
            x -= rate * np.sqrt(1 - 0.99**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)
        values.append(x)
    return values


def test_adam_by_hand():
    gradients = [0.5, -2.0, np.nan, 3.0, np.inf, 1e-9, -np.inf, 1e-3]
    rates = [0.0, 0.1, 0.1, 0.05, 0.1, 0.1, 0.1, 0.2]
    with tf.Graph().as_default(), create_session() as session:
        x = tf.get_variable("x", [], initializer=tf.ones_initializer())
        y = tf.get_variable("y", [3], initializer=tf.ones_initializer())
        gradient, rate = tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, [])
        optimizer = optimizer_of(TrainingOptions())
        bowl = gradient * x + tf.reduce_sum(y)
        train_op, finite = optimizer.step(tf.gradients(bowl, [x, y]), [x, y], [rate, rate])
        first = {"x": np.float32(1), "y": np.ones(3, np.float32)}
        initialize(session, first | optimizer.initial_state(first))
        values, taken, others = [], [], []
        for g, r in zip(gradients, rates, strict=True):
            taken.append(bool(session.run([train_op, finite], {gradient: g, rate: r})[1]))
            values.append(float(session.run(x)))
            others.append(session.run(y).tobytes())
    assert taken == list(np.isfinite(gradients))
    np.testing.assert_allclose(values, adam_by_hand(gradients, rates), rtol=1e-5)
    for i in (2, 4, 6):  # y's gradient was finite, but one bad gradient stops the whole step
        assert values[i] == values[i - 1] and others[i] == others[i - 1]


@pytest.mark.parametrize("microbatch", [1, BATCH])
def test_the_gradients_are_those_of_the_mean_loss(microbatch):
    """The loss of a plain network is quadratic in its last bias: differences give the slope exactly, but for rounding."""
    trainer, delta = trainer_of("gauss25-n2c-mono", 1, 1, microbatch), 0.25

    def loss_at(bias):
        initialize(trainer.session, trainer.initial | {"nin_c/b": np.float32([bias])})
        trainer.n = 0
        return float(trainer.step(rate=0.0)["loss"])

    slope = (loss_at(delta) - loss_at(-delta)) / (2 * delta)
    loss_at(0.0)
    mean = fetch_variables(trainer.session, trainable=False)["nin_c/b/Adam"]
    assert float(mean[0]) == pytest.approx((1 - TrainingOptions().beta1) * slope, rel=1e-4)


def test_the_gradients_count_and_not_the_loss():
    """sqrt is finite at zero, its slope is not."""
    with tf.Graph().as_default(), create_session() as session:
        tf.get_variable("x", [], initializer=tf.zeros_initializer())
        (x,) = tf.trainable_variables()
        train_op, finite = optimizer_of(TrainingOptions()).step(tf.gradients(tf.sqrt(x), [x]), [x], [tf.constant(0.1)])
        session.run(tf.global_variables_initializer())
        assert not session.run([train_op, finite])[1]
        assert session.run(x) == 0


def test_a_step_with_bad_gradients_changes_nothing():
    trainer = trainer_of("gauss25-blindspot_diag-sigma_global")
    assert trainer.step()["finite"] == 1
    before = trainer.variables()
    before["dec_conv3a/b"][7] = np.nan
    with trainer.session.graph.as_default():
        (broken,) = [v for v in tf.trainable_variables() if v.op.name == "dec_conv3a/b"]
    broken.load(before["dec_conv3a/b"], trainer.session)
    moments = trainer.moments()
    for _ in range(2):
        assert trainer.step()["finite"] == 0
    assert as_bytes(trainer.variables().values()) == as_bytes(before.values())
    assert as_bytes(trainer.moments()) == as_bytes(moments)
    broken.load(np.zeros_like(before["dec_conv3a/b"]), trainer.session)
    assert trainer.step()["finite"] == 1
    assert as_bytes(trainer.moments()) != as_bytes(moments)
