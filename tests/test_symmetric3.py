"""The closed forms for symmetric 3x3 matrices; they are plain arithmetic, so NumPy arrays go through them as tensors do."""

import exact_posterior as exact
import numpy as np
import pytest
from graphs import compute
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dnnlib.denoising.network import symmetric3 as s3
from dnnlib.tflib.runtime import tf

pytestmark = pytest.mark.isa
EPS = np.finfo(np.float64).eps
numbers = st.floats(-3, 3).map(lambda x: x if abs(x) > 1e-9 else 0.0)
sixes = hnp.arrays(np.float64, 6, elements=numbers)
threes = hnp.arrays(np.float64, 3, elements=numbers)


def full(m):
    return np.array([[m.s00, m.s01, m.s02], [m.s01, m.s11, m.s12], [m.s02, m.s12, m.s22]], np.float64)


def factor(a):
    return np.array([[a[0], a[1], a[2]], [0, a[3], a[4]], [0, 0, a[5]]])


def in_fractions(matrix):
    return [exact.exactly(row) for row in matrix]


def as_floats(matrix):
    return np.array([[float(x) for x in row] for row in matrix])


@given(sixes)
def test_gram(a):
    size = np.abs(factor(a)) @ np.abs(factor(a)).T  # three products each, on either side
    assert (np.abs(full(s3.gram(a)) - factor(a) @ factor(a).T) <= 3 * EPS * size).all()


magnitudes = st.floats(-12, 3).map(lambda x: 10**x)


@given(sixes, hnp.arrays(np.float64, 6, elements=magnitudes), hnp.arrays(np.float64, 3, elements=magnitudes))
@settings(max_examples=300)
def test_narrowed_diagonal(a, sizes, variances):
    """Also where matrices are nearly singular, and huge or tiny.

    No term is negative, and one difference alone can cancel: m = a1 a4 - a2 a3, off by 2 eps M, M the larger product. With
    X = w0 max(a1, a2)^2 and Y = w1 max(a3, a4)^2 the term T = w0 w1 m^2 is off by 4 eps sqrt(T X Y) (and the square of that
    error). D is T + X or more, so off by 2 eps sqrt(Y) of it at most. So are w0 D times entry 0, which is T + X or more too,
    and w1 D times entry 1, which is T + Y or more, by 2 eps sqrt(X).
    """
    a = a * sizes
    rows = in_fractions(factor(a))
    gram = [[exact.dot(u, v) for v in rows] for u in rows]
    noise = exact.scaled_diagonal([exact.Fraction(float(v)) for v in variances])
    expected = exact.product(exact.product(gram, exact.inverse(exact.plus(gram, noise))), noise)
    weights = 1 / variances
    larger = max(weights[0] * max(a[1:3] ** 2), weights[1] * max(a[3:5] ** 2))
    for i, found in enumerate(s3.narrowed_diagonal(a, weights)):
        assert found == pytest.approx(float(expected[i][i]), rel=EPS * (60 + 16 * np.sqrt(larger)), abs=0)


@given(sixes, threes, threes)
def test_products_and_det(entries, v, d):
    m = s3.Symmetric3(*entries)
    np.testing.assert_allclose(s3.times_vector(m, v), full(m) @ v, rtol=0, atol=1e-13)
    np.testing.assert_allclose(s3.quadratic_form(m, v), v @ full(m) @ v, rtol=0, atol=1e-13 * 27)
    assert abs(s3.det(m) - np.linalg.det(full(m))) <= 40 * EPS * np.linalg.norm(full(m), 2) ** 3  # NumPy's is as large
    np.testing.assert_array_equal(full(s3.add_diagonal(m, d)), full(m) + np.diag(d))


@given(sixes, st.floats(1e-2, 2))
@settings(max_examples=200)
def test_inverse_of_what_is_well_conditioned(a, ridge):
    m = s3.add_diagonal(s3.gram(a), [ridge] * 3)
    expected = np.linalg.inv(full(m))
    bound = 80 * EPS * np.linalg.norm(full(m), 2) ** 3 / np.linalg.det(full(m))  # as below, and NumPy's own
    assume(bound < 1e-3)
    assert np.abs(full(s3.inverse(m)) - expected).max() <= bound * np.abs(expected).max()


@given(sixes, st.floats(1e-6, 1))
@settings(max_examples=100)
def test_rounding_errors_are_bounded_by_the_condition(a, ridge):
    """Against exact arithmetic, also where NumPy's own error would be as large."""
    m = s3.add_diagonal(s3.gram(a), [ridge] * 3)
    matrix = in_fractions(full(m))
    det, inverse = float(exact.det(matrix)), as_floats(exact.inverse(matrix))
    size = np.linalg.norm(full(m), 2)
    assert abs(s3.det(m) - det) <= 20 * EPS * size**3
    bound = 40 * EPS * size**3 / det  # relative: the determinant's, which exceeds that of the adjugate's entries
    assume(bound < 0.5)
    assert np.abs(full(s3.inverse(m)) - inverse).max() <= bound * np.abs(inverse).max()


def test_on_tensors():
    """Maps of many matrices at once, and `diagonal`, which asks for tensors."""
    a = np.random.default_rng(1).standard_normal([6, 4, 5])

    def functions(a):
        maps = tf.unstack(a)
        m = s3.gram(maps)
        return m, s3.inverse(m), s3.det(m), s3.diagonal(maps[:3])

    m, inverse, det, d = compute(functions, a)
    for i, j in np.ndindex(4, 5):
        matrix = factor(a[:, i, j]) @ factor(a[:, i, j]).T
        np.testing.assert_allclose(full(m)[:, :, i, j], matrix, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(full(inverse)[:, :, i, j] @ matrix, np.eye(3), atol=1e-6)
        np.testing.assert_allclose(det[i, j], np.linalg.det(matrix), rtol=1e-6)
        np.testing.assert_array_equal(full(d)[:, :, i, j], np.diag(a[:3, i, j]))
