"""The optimisers against the formulas of their papers, written out in NumPy."""

import numpy as np
import pytest

from dnnlib.tflib.optimizer import Adam
from dnnlib.tflib.runtime import create_session, initialize, tf
from dnnlib.tflib.soap import EARLY_STEPS, Soap

SHAPES = {"conv/W": (3, 3, 4, 5), "conv/b": (5,), "first/W": (3, 3, 1, 4), "next/W": (3, 3, 4, 5), "head/W": (1, 1, 4, 4)}
KERNELS = ("conv/W", "next/W", "head/W")  # of them two of one shape
FACTORS = {"head/W": 10}  # of the learning rate
pytestmark = pytest.mark.isa
ADAM = Adam(0.9, 0.99, 1e-8)
SOAP = Soap(0.95, 0.9, 1e-8, covariance_decay=0.8, refresh_interval=3)


def random_gradients(steps: int, seed: int = 1) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    scales = 10.0 ** rng.integers(-1, 2, (steps, len(SHAPES)))
    return [
        {name: rng.normal(0, scale, SHAPES[name]).astype(np.float32) for name, scale in zip(SHAPES, row, strict=True)}
        for row in scales
    ]


def trained(optimizer, gradients: list[dict], rates: list[float], first: dict) -> dict[str, np.ndarray]:
    """Returns all variables after a step for each of `gradients` and rates (one rate a step)."""
    with tf.Graph().as_default(), create_session() as session:
        variables = [tf.get_variable(n, s, initializer=tf.zeros_initializer()) for n, s in SHAPES.items()]
        fed = [tf.placeholder(tf.float32, s) for s in SHAPES.values()]
        rate = tf.placeholder(tf.float32, [])
        op, finite = optimizer.step(fed, variables, [FACTORS.get(name, 1) * rate for name in SHAPES])
        made = {v.name.partition(":")[0] for v in tf.global_variables()}
        initial = first | optimizer.initial_state(first)
        assert made == set(initial)
        initialize(session, initial)
        for gradient, r in zip(gradients, rates, strict=True):
            session.run([op, finite], {**dict(zip(fed, gradient.values(), strict=True)), rate: r})
        return session.run({v.name.partition(":")[0]: v for v in tf.global_variables()})


def first_values(seed: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {n: rng.normal(size=s).astype(np.float32) for n, s in SHAPES.items()}


def adam_in_numpy(w, gradients, rates, optimizer):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        m = optimizer.beta1 * m + (1 - optimizer.beta1) * g
        v = optimizer.beta2 * v + (1 - optimizer.beta2) * g * g
        corrected_rate = rate * np.sqrt(1 - optimizer.beta2**t) / (1 - optimizer.beta1**t)
        w = w - corrected_rate * m / (np.sqrt(v) + optimizer.epsilon)
    return w


def soap_in_numpy(w, gradients, rates, optimizer):
    """Goes through the channels with einsum, and takes the bases' signs from NumPy: the results do not depend on them."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    covariance = [np.zeros([w.shape[axis]] * 2) for axis in (2, 3)]
    basis = [np.eye(w.shape[axis]) for axis in (2, 3)]
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        m = optimizer.beta1 * m + (1 - optimizer.beta1) * g
        v = optimizer.beta2 * v + (1 - optimizer.beta2) * np.einsum("yxio,ia,ob->yxab", g, *basis) ** 2
        direction = np.einsum("yxio,ia,ob->yxab", m, *basis) / (np.sqrt(v) + optimizer.epsilon)
        corrected_rate = rate * np.sqrt(1 - optimizer.beta2**t) / (1 - optimizer.beta1**t)
        w = w - corrected_rate * np.einsum("yxab,ia,ob->yxio", direction, *basis)
        products = np.einsum("yxio,yxjo->ij", g, g), np.einsum("yxio,yxip->op", g, g)
        d = optimizer.covariance_decay
        covariance = [d * c + (1 - d) * p for c, p in zip(covariance, products, strict=True)]
        if t <= EARLY_STEPS or (t - 1) % optimizer.refresh_interval == 0:
            basis = [np.linalg.qr(c @ b)[0] for c, b in zip(covariance, basis, strict=True)]
    return w


def cases(optimizer, steps: int):
    """Yields of each variable its name, what the optimiser makes of it, and first value, gradients and rates in float64."""
    gradients, rates, first = random_gradients(steps), list(np.linspace(1e-2, 1e-3, steps)), first_values()
    found = trained(optimizer, gradients, rates, first)
    for name in SHAPES:
        g = [gradient[name].astype(np.float64) for gradient in gradients]
        yield name, found[name], first[name].astype(np.float64), g, [FACTORS.get(name, 1) * r for r in rates]


@pytest.mark.parametrize("steps", [1, 4, 12])
def test_adam_is_adam(steps):
    for name, found, first, g, rates in cases(ADAM, steps):
        expected = adam_in_numpy(first, g, rates, ADAM)
        # Each step moves a weight by some rates at most, and rounds that and the weight.
        np.testing.assert_allclose(found, expected, rtol=0, atol=steps * 4e-6, err_msg=name)


@pytest.mark.parametrize("steps", [1, 2, 7, 12])
def test_soap_is_soap(steps):
    for name, found, first, g, rates in cases(SOAP, steps):
        reference = soap_in_numpy if name in KERNELS else adam_in_numpy
        expected = reference(first, g, rates, SOAP)
        plain = adam_in_numpy(first, g, rates, SOAP)
        error = np.abs(found - expected).max()
        assert error < steps * FACTORS.get(name, 1) * 1e-4, name
        if reference is soap_in_numpy and steps > 2:
            assert np.abs(plain - expected).max() > 100 * error, name  # the basis matters


def test_the_bases_stay_orthonormal_and_make_the_covariance_diagonal():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(4, 4)) * [10, 3, 1, 0.3]
    gradients = [
        {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()} for _ in range(60)
    ]
    for gradient in gradients:
        gradient["conv/W"] = np.einsum("yxio,ji->yxjo", gradient["conv/W"], root).astype(np.float32)
    found = trained(SOAP, gradients, [1e-3] * 60, first_values())
    basis, covariance = found["soap_3x3x4x5/input_basis"][0], found["soap_3x3x4x5/input_covariance"][0]
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-5)
    rotated = basis.T @ covariance @ basis
    scale = np.sqrt(np.outer(np.diag(rotated), np.diag(rotated)))
    assert np.abs(rotated / scale - np.eye(4)).max() < 0.5
    assert np.abs(covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance))) - np.eye(4)).max() > 0.7


@pytest.mark.parametrize("optimizer", [ADAM, SOAP], ids=["adam", "soap"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_step_that_is_not_finite_changes_nothing(optimizer, bad):
    good, first = random_gradients(2), first_values()
    broken = {name: g.copy() for name, g in random_gradients(1, seed=9)[0].items()}
    broken["conv/b"][2] = bad
    without = trained(optimizer, good, [1e-3] * 2, first)
    found = trained(optimizer, [good[0], broken, good[1]], [1e-3] * 3, first)
    for name, value in without.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("kind", [Adam, Soap])
def test_a_large_gradient_is_clipped_and_a_small_one_is_not(kind):
    first = first_values()
    large, small = random_gradients(1)[0], {n: g * 1e-6 for n, g in random_gradients(1, seed=4)[0].items()}
    norm = np.sqrt(sum(np.sum(g.astype(np.float64) ** 2) for g in large.values()))
    clipped = {n: (g * (2.0 / norm)).astype(np.float32) for n, g in large.items()}
    found = trained(kind(0.9, 0.99, 1e-8, clip_norm=2.0), [large, small], [1e-2] * 2, first)
    expected = trained(kind(0.9, 0.99, 1e-8), [clipped, small], [1e-2] * 2, first)
    for name in SHAPES:
        np.testing.assert_allclose(found[name], expected[name], atol=2e-5, err_msg=name)
