"""What tests need to run pieces of TensorFlow graphs on arrays, each in a graph and session of its own."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from dnnlib.tflib.runtime import create_session, initialize, tf

TEST_DATA = Path(__file__).parent / "data"
GOLDEN = TEST_DATA / "golden"


@contextlib.contextmanager
def fresh_graph() -> Iterator[None]:
    """An empty default graph, on the CPU. (Not a fixture: property tests want one per example.)"""
    with tf.Graph().as_default(), tf.device("/cpu:0"):
        yield


def compute(function, *arrays, variables: Mapping[str, np.ndarray] | None = None, static: bool = True):
    """Runs `function` of as many placeholders as there are arrays; it returns tensors in any nesting that a session fetches.

    variables: values of the variables that it makes. static: whether it may know all of the arrays' shapes while it is
    built (as in training), or of maps [N,H,W,C] the channels alone (as in evaluation).
    """
    with prepared(function, *arrays, static=static) as (session, run):
        initialize(session, variables or {})
        return run()


@contextlib.contextmanager
def prepared(function, *arrays, static: bool = True):
    """Makes what `compute` runs: a session, whose variables are yet to be initialized, and what runs the function in it."""
    with fresh_graph():
        placeholders = []
        for array in map(np.asarray, arrays):
            known = static or array.ndim != 4
            shape = array.shape if known else [None, None, None, array.shape[-1]]
            placeholders.append(tf.placeholder(array.dtype, shape))
        fetches = function(*placeholders)
        with create_session() as session:
            yield session, lambda: session.run(fetches, dict(zip(placeholders, arrays, strict=True)))


def random_variables(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Weights that keep the size of the signal, and biases that are not zero: nothing can hide behind a zero."""
    rng = np.random.default_rng(seed)
    values = {}
    for name, shape in shapes.items():
        std = np.sqrt(2 / np.prod(shape[:-1])) if name.endswith("/W") else 0.1
        values[name] = (std * rng.standard_normal(shape)).astype(np.float32)
    return values


def random_images(*shape: int, seed: int = 0) -> np.ndarray:
    """float32, uniform in [0, 1]."""
    return np.random.default_rng(seed).random(shape, np.float32)


def nhwc(x: np.ndarray) -> np.ndarray:
    """The golden arrays are NCHW."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def nchw(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
