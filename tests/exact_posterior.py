"""SPEC section 5 for one pixel in exact rational arithmetic, with general matrices. To compare the closed forms with.

Colours are lists of C numbers, matrices lists of rows. Roots, logarithms and exponentials are taken in float64 at the end.
"""

import math
from fractions import Fraction

E = Fraction(1e-6)
FLOOR = Fraction(1e-3)


def exactly(numbers):
    return [Fraction(float(x)) for x in numbers]


def identity(n):
    return scaled_diagonal([Fraction(1)] * n)


def scaled_diagonal(d):
    return [[d[i] if i == j else Fraction(0) for j in range(len(d))] for i in range(len(d))]


def plus(*matrices):
    return [[sum(entries) for entries in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)]


def times(factor, matrix):
    return [[factor * x for x in row] for row in matrix]


def dot(u, v):
    return sum(a * b for a, b in zip(u, v, strict=True))


def outer(u, v):
    return [[a * b for b in v] for a in u]


def matrix_vector(m, v):
    return [dot(row, v) for row in m]


def product(m, n):
    return [[dot(row, column) for column in zip(*n, strict=True)] for row in m]


def quadratic_form(m, v):
    return dot(v, matrix_vector(m, v))


def solve(m, columns):
    """Gauss-Jordan elimination: -> (m^-1 columns, det m)."""
    n, determinant = len(m), Fraction(1)
    rows = [list(a) + list(b) for a, b in zip(m, columns, strict=True)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        if rows[pivot][i] == 0:
            return None, Fraction(0)
        if pivot != i:
            rows[i], rows[pivot] = rows[pivot], rows[i]
            determinant = -determinant
        determinant *= rows[i][i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for r in range(n):
            if r != i:
                rows[r] = [x - rows[r][i] * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [row[n:] for row in rows], determinant


def inverse(m):
    return solve(m, identity(len(m)))[0]


def det(m):
    return solve(m, identity(len(m)))[1]


def prior_covariance(a, channels, diagonal):
    """Sigma_x, from the outputs after the mean."""
    if diagonal or channels == 1:
        return scaled_diagonal([x * x for x in a])
    factor = [[a[0], a[1], a[2]], [Fraction(0), a[3], a[4]], [Fraction(0), Fraction(0), a[5]]]
    return [[dot(u, v) for v in factor] for u in factor]


def between_knots(knots, m):
    """Of knots evenly spaced from 0 to 1: linear between them, constant outside."""
    place = min(max(m, 0), 1) * (len(knots) - 1)
    left = min(int(place), len(knots) - 2)
    return knots[left] + (place - left) * (knots[left + 1] - knots[left])


def noise_variances(family, mu, t, learned):
    """The squares of 5.1's s."""
    if family == "gauss":
        s = t if learned else max(t, FLOOR)
        return [s * s for _ in mu]
    if family == "poissongauss":
        return [t[0] * max(m, FLOOR) + t[1] for m in mu]
    if family == "curve":
        return [between_knots(t, m) for m in mu]
    return [max(m, FLOOR) * t if learned else max(m, FLOOR) / t for m in mu]


def posterior(outputs, noisy, family, parameter, learned=False, diagonal=False):
    """-> posterior mean (C floats), loss, net std, noise std, as floats; parameter as in `network.posterior`."""
    y, outputs = exactly(noisy), exactly(outputs)
    t = exactly(parameter) if family in ("poissongauss", "curve") else Fraction(float(parameter))
    channels = len(y)
    mu, a = outputs[:channels], outputs[channels:]
    sigma_x = prior_covariance(a, channels, diagonal)
    if family == "impulse":
        return _impulse(y, mu, sigma_x, t)
    variances = noise_variances(family, mu, t, learned)
    sigma_y = plus(sigma_x, scaled_diagonal(variances))
    difference = [p - m for p, m in zip(y, mu, strict=True)]
    s = [math.sqrt(v) for v in variances]
    loss = float(quadratic_form(inverse(sigma_y), difference)) + math.log(det(sigma_y))
    if channels == 1:
        mean = [(y[0] * sigma_x[0][0] + mu[0] * variances[0]) / sigma_y[0][0]]
    else:
        loss *= 0.5
        inverse_x = inverse(plus(sigma_x, times(E, identity(3))))
        inverse_n = inverse(scaled_diagonal([v + E for v in variances]))
        evidence = [p + q for p, q in zip(matrix_vector(inverse_x, mu), matrix_vector(inverse_n, y), strict=True)]
        mean = matrix_vector(inverse(plus(inverse_x, inverse_n, times(E, identity(3)))), evidence)
    if learned:
        loss -= 0.1 * sum(s) / channels
    root = 1 / (2 * channels)  # of a determinant: a geometric mean of standard deviations
    return [float(m) for m in mean], loss, float(det(sigma_x)) ** root, math.prod(s) ** (1 / channels)


def posterior_std(outputs, noisy, family, parameter, learned=False, diagonal=False):
    """5.5 -> std of posterior, of prior: the root mean square over the channels; arguments as of `posterior`."""
    y, outputs = exactly(noisy), exactly(outputs)
    t = exactly(parameter) if family in ("poissongauss", "curve") else Fraction(float(parameter))
    channels = len(y)
    mu = outputs[:channels]
    sigma_x = prior_covariance(outputs[channels:], channels, diagonal)
    if family == "impulse":
        sigma_x = plus(sigma_x, times(E, identity(3)))
        share, kept = map(Fraction, _impulse_weights(y, mu, sigma_x, t))
        share = share / (share + kept)
        difference = [p - m for p, m in zip(y, mu, strict=True)]
        covariance = plus(times(share, sigma_x), times(share * (1 - share), outer(difference, difference)))
    else:  # Sigma_x (Sigma_x + Sigma_n)^-1 Sigma_n, for Sigma_x may have no inverse
        sigma_n = scaled_diagonal(noise_variances(family, mu, t, learned))
        covariance = product(product(sigma_x, inverse(plus(sigma_x, sigma_n))), sigma_n)
    return tuple(math.sqrt(sum(m[i][i] for i in range(channels)) / channels) for m in (covariance, sigma_x))


def _impulse_weights(y, mu, sigma_x, alpha):
    """-> alpha, (1 - alpha) g, as floats."""
    difference = [p - m for p, m in zip(y, mu, strict=True)]
    exponent = -0.5 * float(quadratic_form(inverse(sigma_x), difference))
    g = math.exp(exponent) / math.sqrt((2 * math.pi) ** 3 * max(det(sigma_x), Fraction(1e-9)))
    return float(alpha), float(1 - alpha) * g


def _impulse(y, mu, sigma_x, alpha):
    sigma_x = plus(sigma_x, times(E, identity(3)))
    floor = Fraction(1e-9)
    share, kept = _impulse_weights(y, mu, sigma_x, alpha)
    mean = [(share * float(m) + kept * float(p)) / (share + kept) for m, p in zip(mu, y, strict=True)]

    mu_y = [alpha / 2 + (1 - alpha) * m for m in mu]
    uniform = plus([[Fraction(1, 4)] * 3] * 3, times(Fraction(1, 12), identity(3)))
    second = plus(times(alpha, uniform), times(1 - alpha, plus(sigma_x, outer(mu, mu))))
    sigma_y = plus(second, times(-1, outer(mu_y, mu_y)))
    residual = [p - m for p, m in zip(y, mu_y, strict=True)]
    loss = float(quadratic_form(inverse(sigma_y), residual)) + math.log(max(det(sigma_y), floor))
    return mean, loss, float(det(sigma_x)) ** (1 / 6), float(alpha) * 100 / 255
