"""The Bayesian head against exact arithmetic on SPEC section 5, and against integrals and samples that it stands for."""

import exact_posterior as exact
import numpy as np
import pytest
from graphs import compute
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import integrate, stats

from dnnlib.denoising.network.posterior import posterior
from dnnlib.denoising.noise.laws import variances
from dnnlib.denoising.noise.learned_parameter import SMALLEST_REAL, parameter_from_raw
from dnnlib.tflib.runtime import tf

pytestmark = pytest.mark.isa
# family, known parameter, learned parameter; two pictures a batch, each with a parameter of its own
GAUSS = ("gauss", [0.1, 0.02], [0.03, 0.2])
POISSON = ("poisson", [30.0, 5.0], [0.03, 0.2])
IMPULSE = ("impulse", [0.5, 0.9], [0.02, 0.3])
POISSONGAUSS = ("poissongauss", [[0.03, 1e-3], [0.2, 1e-4]], [[0.01, 4e-4], [1e-4, 0.02]])  # a and b, the same either way
KNOTS = [1e-3, 2e-3, 5e-3, 1e-2, 9e-3, 4e-3, 1e-3, 3e-3, 0.05, 0.1, 0.2, 0.1, 2e-3, 0.02, 0.01, 3e-3]
CURVE = ("curve", [KNOTS, KNOTS[::-1]], [KNOTS[::-1], KNOTS])  # the same either way, too
COUNTS = {"poissongauss": 2, "curve": 16}  # of parameters, of other families one
ENTRIES = {(1, False): 1, (3, False): 6, (3, True): 3}  # of A, by channels and diagonal
CASES = [
    pytest.param(family, channels, diagonal, learned, id=f"{family[0]}-{channels}-{'diag' if diagonal else 'full'}-{how}")
    for family in (GAUSS, POISSON, IMPULSE, POISSONGAUSS, CURVE)
    for channels, diagonal in ENTRIES
    for learned, how in ((False, "known"), (True, "learned"))
    if (family, channels) != (IMPULSE, 1)
]


def head(outputs, noisy, family, parameter, learned=False, diagonal=False):
    """`posterior` on arrays [N,H,W,...]; parameter: a number for each picture, or one for all."""
    parameter = np.reshape(np.array(parameter, np.float32), [-1, 1, 1, COUNTS.get(family, 1)])
    result = compute(lambda *x: posterior(*x[:2], family, x[2], learned, diagonal), outputs, noisy, parameter)
    assert all(x.dtype == np.float32 for x in result)
    return result


def std_at(mean, family, parameter):
    """Of the noise at a pixel, by the formulas' words; the known parameter."""
    if family == "curve":
        return np.sqrt(np.interp(mean, np.linspace(0, 1, len(parameter)), parameter))
    a, b = parameter if family == "poissongauss" else {"gauss": (0, parameter**2), "poisson": (1 / parameter, 0)}[family]
    return np.sqrt(a * np.asarray(mean) + b)


NOISES = pytest.mark.parametrize(
    ("family", "parameter"), [("gauss", 0.1), ("poisson", 30.0), ("poissongauss", [0.02, 4e-4]), ("curve", KNOTS)],
    ids=lambda x: str(x)[:12],
)


def one_pixel(mean, a, noisy, family, parameter, **options):
    """-> posterior mean [C], loss, net std, noise std of a single pixel."""
    shaped = [np.array(x, np.float32).reshape(1, 1, 1, -1) for x in ([*mean, *a], noisy)]
    result = head(*shaped, family, parameter, **options)
    return result.posterior_mean[0, 0, 0], *[float(x.ravel()[0]) for x in (result.loss, result.net_std, result.noise_std)]


def stds_of_pixel(mean, a, noisy, family, parameter, **options):
    """-> those of posterior, prior and noise of a single pixel."""
    shaped = [np.array(x, np.float32).reshape(1, 1, 1, -1) for x in ([*mean, *a], noisy)]
    result = head(*shaped, family, parameter, **options)
    return [float(x.ravel()[0]) for x in (result.posterior_std, result.prior_std, result.noise_std)]


def random_pixels(channels, entries, seed=0):
    """outputs [2,3,5,C+K], noisy [2,3,5,C]: what networks put out, and what they rarely do."""
    rng = np.random.default_rng(seed)
    outputs = np.concatenate(
        [rng.uniform(-0.2, 1.2, [2, 3, 5, channels]), 0.4 * rng.standard_normal([2, 3, 5, entries])], axis=-1
    )
    noisy = outputs[..., :channels] + 0.3 * rng.standard_normal([2, 3, 5, channels])
    outputs[:, 1, 0, channels:] = 1e-3  # sure
    outputs[:, 1, 1, channels:] *= 1e-2
    outputs[:, 1, 2, channels:-1] = 0  # one entry only
    outputs[:, 1, 3, channels + 1 :] = 0
    outputs[:, 1, 4, :channels] = [1e-3, -0.5, 2.0][:channels]
    outputs[:, 2, 0, channels:] *= 10
    noisy[:, 2, 1] = 3.0
    noisy[:, 1, 0] = outputs[:, 1, 0, :channels] + 3e-3  # for impulses: far enough to be doubted, near enough to be possible
    return outputs.astype(np.float32), noisy.astype(np.float32)


@pytest.mark.parametrize(("family", "channels", "diagonal", "learned"), CASES)
def test_equals_exact_arithmetic(family, channels, diagonal, learned):
    family, parameter = family[0], family[1 + learned]
    outputs, noisy = random_pixels(channels, ENTRIES[channels, diagonal])
    result = head(outputs, noisy, family, parameter, learned, diagonal)
    np.testing.assert_array_equal(result.mean, outputs[..., :channels])
    assert result.posterior_mean.shape == noisy.shape and result.loss.shape == noisy.shape[:3]
    noise_std = np.broadcast_to(result.noise_std, noisy.shape[:3])
    for i in np.ndindex(noisy.shape[:3]):
        t = np.float32(parameter[i[0]])
        mean, loss, net, noise = exact.posterior(outputs[i], noisy[i], family, t, learned, diagonal)
        np.testing.assert_allclose(result.posterior_mean[i], mean, rtol=2e-6, atol=2e-6, err_msg=str(i))
        np.testing.assert_allclose(result.loss[i], loss, rtol=2e-6, atol=2e-6, err_msg=str(i))
        np.testing.assert_allclose(noise_std[i], noise, rtol=1e-6)
        # A root of a determinant that is zero, but for rounding of its terms, is no small number (test_symmetric3: the 20)
        size = np.square(outputs[i][channels:], dtype=np.float64).sum()
        of_nothing = (20 * np.finfo(np.float64).eps * size**3) ** (1 / 6) if channels == 3 else 0.0
        atol = of_nothing if net < of_nothing else 1e-6
        np.testing.assert_allclose(result.net_std[i], net, rtol=1e-5, atol=atol, err_msg=str(i))
        std, prior_std = exact.posterior_std(outputs[i], noisy[i], family, t, learned, diagonal)
        # Under impulse noise g stands on an inverse of Sigma_x, otherwise there is no cancellation.
        bounds = {"rtol": 1e-5, "atol": 1e-6} if family == "impulse" else {"rtol": 1e-6, "atol": 0.0}
        np.testing.assert_allclose(result.posterior_std[i], std, **bounds, err_msg=str(i))
        np.testing.assert_allclose(result.prior_std[i], prior_std, rtol=1e-6, err_msg=str(i))


@pytest.mark.parametrize(("channels", "diagonal"), ENTRIES)
def test_a_curve_that_is_a_line_is_poisson_gauss(channels, diagonal):
    """Between 0.001 and 1, where neither has a bend of its own; knots and a, b are rounded to float32, each for itself."""
    outputs, noisy = random_pixels(channels, ENTRIES[channels, diagonal])
    outputs[..., :channels] = np.random.default_rng(4).uniform(0.001, 1, outputs[..., :channels].shape)
    a, b = 0.02, 4e-4
    line, curve = (
        head(outputs, noisy, family, [parameters], True, diagonal)
        for family, parameters in (("poissongauss", [a, b]), ("curve", a * np.linspace(0, 1, 16) + b))
    )
    for name in ("posterior_mean", "loss", "nll", "noise_std", "posterior_std"):
        np.testing.assert_allclose(getattr(curve, name), getattr(line, name), rtol=2e-6, atol=2e-6, err_msg=name)


@given(hnp.arrays(np.float64, 16, elements=st.floats(-50, 50)), st.floats(-10, 10))
@settings(max_examples=100, deadline=None)
def test_a_curve_lies_between_its_knots(raw, mean):
    """Whatever was learned, the variance is positive, and between those of the knots on either side."""
    knots = parameter_from_raw(raw, True, SMALLEST_REAL)

    def found(knots, mean):
        return variances("curve", [mean], tf.unstack(knots), True)[0]

    place = min(max(mean, 0), 1) * 15
    near = knots[[int(np.floor(place)), int(np.ceil(place))]]
    slack = 40 * np.finfo(np.float64).eps * knots.max()  # 15 steps are added up
    assert near.min() - slack <= compute(found, knots, np.float64(mean)) <= near.max() + slack
    assert knots.min() >= SMALLEST_REAL**2


def test_one_learned_parameter_for_all_pictures():
    outputs, noisy = random_pixels(3, 6)
    shared, repeated = (head(outputs, noisy, "gauss", t, learned=True) for t in ([0.05], [0.05, 0.05]))
    for a, b in zip(shared[:4], repeated[:4], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("channels", [1, 3])
def test_floors(channels):
    """A known sigma below 1e-3 counts as 1e-3, a learned one does not; Poisson's mean below 1e-3 as 1e-3, always."""
    a, y = [0.3] * (1 if channels == 1 else 6), [0.4, 0.5, 0.6][:channels]
    mean = [0.5] * channels

    def noise_std(mean, family, parameter, learned):
        return one_pixel(mean, a, y, family, parameter, learned=learned)[3]

    assert noise_std(mean, "gauss", 0.0, False) == pytest.approx(1e-3)
    assert noise_std(mean, "gauss", 2e-4, True) == pytest.approx(2e-4)
    dark = [-0.5] * channels
    assert noise_std(dark, "poisson", 10.0, False) == pytest.approx(1e-2)
    assert noise_std(dark, "poisson", 0.1, True) == pytest.approx(1e-2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", ["gauss", "poisson", "poissongauss"])
def test_the_loss_grows_with_a_learned_noise_beyond_reason(family, channels):
    """What is subtracted for its std would outweigh the logarithm from 30 times white on, and the noise run away."""
    a, y = [0.3] * (1 if channels == 1 else 6), [0.4, 0.5, 0.6][:channels]
    parameters = [[10.0**k, 0.1] if family == "poissongauss" else 10.0**k for k in range(1, 9)]
    losses = [one_pixel([0.5] * channels, a, y, family, parameter, learned=True)[1] for parameter in parameters]
    assert all(np.diff(losses) > 1)


def test_impulse_determinant_has_a_floor():
    """Few impulses and a sure network: the mixture is nearly a point, and the loss must not go to minus infinity."""
    outputs, noisy = [0.5, 0.2, 0.7, *[1e-4] * 6], [0.5001, 0.2, 0.6999]
    loss = one_pixel(outputs[:3], outputs[3:], noisy, "impulse", 1e-4)[1]
    expected = exact.posterior(np.float32(outputs), np.float32(noisy), "impulse", np.float32(1e-4))[1]
    assert loss == pytest.approx(expected, rel=1e-6)


def test_epsilon_on_the_precision():
    """(Sx^-1 + Sn^-1 + e I)^-1 with both inverses equal to e: a third of each, and a third of nothing."""
    pme, *_ = one_pixel([0.3, 0.6, 0.9], [1000.0, 0, 0, 1000.0, 0, 1000.0], [0.6, 0.6, 0.3], "gauss", 1000.0)
    np.testing.assert_allclose(pme, [0.3, 0.4, 0.4], rtol=1e-6)


def test_determinants_that_rounding_makes_negative():
    """Sigma_x of rank two, so the sign of its computed determinant is a matter of luck."""
    rng = np.random.default_rng(1)
    outputs = rng.standard_normal([1, 20, 20, 9]).astype(np.float32)
    outputs[..., 3] = 0  # the first column of A
    noisy = random_pixels(3, 6)[1][:1, :1, :1] + np.zeros_like(outputs[..., :3])
    net_std = head(outputs, noisy, "gauss", [0.1]).net_std
    assert np.isfinite(net_std).all() and 0.2 < np.mean(net_std == 0) < 0.8
    outputs[..., 3:] *= 1e7
    loss = head(outputs, noisy, "gauss", [0.0]).loss
    assert 0.2 < np.mean(np.isneginf(loss)) < 0.8  # log 0; training skips such a step


def test_impulse_is_not_defined_for_mono():
    with pytest.raises(ValueError, match="colour"):
        one_pixel([0.5], [0.1], [0.4], "impulse", 0.5)


# --- what the formulas stand for


def normal_pdf(x, mean, std):
    return stats.norm.pdf(x, mean, std)


@pytest.mark.parametrize(("mean", "a", "y"), [(0.5, 0.2, 0.9), (0.1, -0.05, 0.3), (0.8, 0.7, -0.4)])
@NOISES
def test_mono_is_an_integral_over_clean_values(mean, a, y, family, parameter):
    sigma = std_at(mean, family, parameter)

    def integral(f):
        near = sorted([mean, y, (mean + y) / 2])
        return integrate.quad(f, mean - 12 * abs(a), mean + 12 * abs(a), points=near, limit=300, epsabs=1e-13)[0]

    def joint(x):
        return normal_pdf(x, mean, abs(a)) * normal_pdf(y, x, sigma)

    evidence = integral(joint)
    pme, loss, net_std, noise_std = one_pixel([mean], [a], [y], family, parameter)
    np.testing.assert_allclose(pme, integral(lambda x: x * joint(x)) / evidence, rtol=1e-6)
    np.testing.assert_allclose(loss, -2 * np.log(evidence) - np.log(2 * np.pi), rtol=1e-6, atol=1e-6)  # no factor 0.5
    prior_variance = integral(lambda x: (x - mean) ** 2 * normal_pdf(x, mean, abs(a)))
    np.testing.assert_allclose([net_std, noise_std], [np.sqrt(prior_variance), sigma], rtol=1e-6)
    posterior_mean = integral(lambda x: x * joint(x)) / evidence
    variance = integral(lambda x: (x - posterior_mean) ** 2 * joint(x)) / evidence
    found = stds_of_pixel([mean], [a], [y], family, parameter)[0]
    np.testing.assert_allclose(found, np.sqrt(variance), rtol=1e-6)


def matrices(a):
    factor = np.array([[a[0], a[1], a[2]], [0, a[3], a[4]], [0, 0, a[5]]])
    return factor @ factor.T


RGB_MEAN, RGB_A, RGB_Y = [0.3, 0.5, 0.7], [0.2, 0.1, -0.15, 0.25, 0.05, 0.1], [0.45, 0.4, 0.9]


@NOISES
def test_rgb_is_gaussian_conditioning(family, parameter):
    variances = std_at(RGB_MEAN, family, parameter) ** 2
    sigma_x = matrices(RGB_A)
    sigma_y = sigma_x + np.diag(variances)
    difference = np.subtract(RGB_Y, RGB_MEAN)
    pme, loss, net_std, noise_std = one_pixel(RGB_MEAN, RGB_A, RGB_Y, family, parameter)
    np.testing.assert_allclose(pme, RGB_MEAN + sigma_x @ np.linalg.solve(sigma_y, difference), atol=1e-4)  # but for e
    log_pdf = stats.multivariate_normal.logpdf(RGB_Y, RGB_MEAN, sigma_y)
    np.testing.assert_allclose(loss, -log_pdf - 1.5 * np.log(2 * np.pi), rtol=1e-6)
    np.testing.assert_allclose(net_std, np.linalg.det(sigma_x) ** (1 / 6), rtol=1e-6)
    np.testing.assert_allclose(noise_std, np.prod(np.sqrt(variances)) ** (1 / 3), rtol=1e-6)


@NOISES
@pytest.mark.parametrize("learned", [False, True])
def test_nll_is_that_of_the_noisy_colour_for_each_value(family, parameter, learned):
    """Also where the loss has another factor, or a term that keeps the noise from vanishing."""
    parameter = 1 / parameter if family == "poisson" and learned else parameter
    std = std_at(RGB_MEAN, family, 1 / parameter if family == "poisson" and learned else parameter)
    shaped = [np.array(x, np.float32).reshape(1, 1, 1, -1) for x in ([*RGB_MEAN, *RGB_A], RGB_Y)]
    expected = -stats.multivariate_normal.logpdf(RGB_Y, RGB_MEAN, matrices(RGB_A) + np.diag(std**2)) / 3
    parameter = [parameter]
    np.testing.assert_allclose(head(*shaped, family, parameter, learned).nll, expected, rtol=1e-6, atol=1e-6)
    shaped = [np.array(x, np.float32).reshape(1, 1, 1, -1) for x in ([RGB_MEAN[0], 0.2], RGB_Y[0])]
    expected = -stats.norm.logpdf(RGB_Y[0], RGB_MEAN[0], np.hypot(0.2, std[0]))
    np.testing.assert_allclose(head(*shaped, family, parameter, learned).nll, expected, rtol=1e-6, atol=1e-6)


def test_poisson_gauss_has_the_variance_of_photons_and_electronics():
    """Samples of the process that the formula is derived from, at several gains and brightnesses."""
    rng = np.random.default_rng(1)
    for a, b, x in [(0.02, 4e-4, 0.7), (0.1, 1e-4, 0.2), (1e-3, 2e-3, 0.9)]:
        y = a * rng.poisson(x / a, 1_000_000) + np.sqrt(b) * rng.standard_normal(1_000_000)
        assert y.mean() == pytest.approx(x, rel=3e-3)
        assert one_pixel([x], [0.1], [x], "poissongauss", [a, b])[3] ** 2 == pytest.approx(y.var(), rel=0.01)


def impulse_samples(alpha, n=2_000_000):
    """Clean colours x ~ N(mu, Sigma_x), and noisy ones y: x, or a uniform colour with probability alpha."""
    rng = np.random.default_rng(1)
    x = rng.multivariate_normal(RGB_MEAN, matrices(RGB_A), n)
    y = np.where(rng.random([n, 1]) < alpha, rng.random([n, 3]), x)
    return x, y


@pytest.mark.parametrize("alpha", [0.3, 0.8])
def test_impulse_against_samples(alpha):
    x, y = impulse_samples(alpha)
    shares = []  # of what is seen in the posterior mean
    for seen in ([0.35, 0.52, 0.7], [0.55, 0.6, 0.75], [0.45, 0.75, 0.7], [0.2, 0.2, 0.9]):  # more and more surprising
        near = np.linalg.norm(y - seen, axis=1) < 0.04
        pme, loss, _, noise_std = one_pixel(RGB_MEAN, RGB_A, seen, "impulse", alpha)
        sampled, error = x[near].mean(axis=0), x[near].std(axis=0) / np.sqrt(near.sum())
        np.testing.assert_array_less(np.abs(pme - sampled), 4 * error + 3e-3, err_msg=f"{seen} {pme} {sampled}")
        shares.append(np.linalg.norm(pme - RGB_MEAN) / np.linalg.norm(np.subtract(seen, RGB_MEAN)))

        mu_y, sigma_y = y.mean(axis=0), np.cov(y.T)
        expected = (seen - mu_y) @ np.linalg.solve(sigma_y, seen - mu_y) + np.log(np.linalg.det(sigma_y))
        np.testing.assert_allclose(loss, expected, atol=2e-2)
        np.testing.assert_allclose(noise_std * 255, alpha * 100, rtol=1e-6)
    assert min(shares) < 0.2 and max(shares) > 0.6  # both were tried: what is believed, and what is not


# --- the std of the posterior


def weighed_std(x, weights):
    """Of samples x [n,3] with weights -> root of trace(covariance) / 3, and the standard error of its logarithm.

    The trace changes by w (q - trace) / sum(w) with a sample, q its squared distance from the mean.
    """
    weights = weights / weights.sum()
    q = np.sum((x - weights @ x) ** 2, axis=1)
    trace = weights @ q
    return np.sqrt(trace / 3), np.sqrt(np.sum((weights * (q - trace)) ** 2)) / trace / 2


@pytest.mark.parametrize("seen", [RGB_Y, [0.2, 0.2, 0.9]])
@NOISES
def test_posterior_std_against_samples(family, parameter, seen):
    """Clean colours drawn from the prior count by how likely they make the noisy one."""
    x = np.random.default_rng(1).multivariate_normal(RGB_MEAN, matrices(RGB_A), 2_000_000)
    likelihood = np.exp(-0.5 * np.sum(((seen - x) / std_at(RGB_MEAN, family, parameter)) ** 2, axis=1))
    std, error = weighed_std(x, likelihood)
    assert error < 0.01
    found, prior, _ = stds_of_pixel(RGB_MEAN, RGB_A, seen, family, parameter)
    assert abs(np.log(found / std)) < 5 * error and found < 0.9 * prior


SURPRISES = [[0.3, 0.5, 0.7], [0.35, 0.52, 0.7], [0.55, 0.6, 0.75], [0.45, 0.75, 0.7], [0.2, 0.2, 0.9]]


@pytest.mark.parametrize("alpha", [0.3, 0.8])
def test_posterior_std_under_impulses_against_samples(alpha):
    """Of the colours that were replaced, each is as likely to be seen as y; of those that were kept, the ones near y.

    Near: drawn about y with a std of 1e-4, which adds less than 1e-4 to the logarithm of a std of 0.01 or more.
    """
    random = np.random.default_rng(1)
    precision = np.linalg.inv(matrices(RGB_A))
    shares = []
    for seen in SURPRISES:
        replaced = random.multivariate_normal(RGB_MEAN, matrices(RGB_A), 200_000)
        kept = seen + 1e-4 * random.standard_normal([200_000, 3])
        density = stats.multivariate_normal.pdf(kept, RGB_MEAN, matrices(RGB_A))
        weights = np.concatenate([np.full(len(replaced), alpha), (1 - alpha) * density])
        std, error = weighed_std(np.concatenate([replaced, kept]), weights)
        assert error < 0.01
        found, prior, _ = stds_of_pixel(RGB_MEAN, RGB_A, seen, "impulse", alpha)
        # e adds 3e to the trace of Sigma_x. It moves log det Sigma_x by the trace of the precision, q by the square, and so
        # log g by half of both, and log std by half as much again.
        weighed = precision @ np.subtract(seen, RGB_MEAN)
        by_epsilon = 1e-6 * ((np.trace(precision) + weighed @ weighed) / 4 + 3 / np.trace(matrices(RGB_A)) / 2)
        assert abs(np.log(found / std)) < 5 * error + 1e-4 + by_epsilon
        shares.append(found / prior)
    assert min(shares) < 0.5 and max(shares) > 0.95  # both were tried: what is believed, and what is not


@NOISES
def test_posterior_std_is_that_of_the_posterior_means_error(family, parameter):
    """Of 100,000 pixels, each with a clean value, a prior that is right, and noise."""
    random, shape = np.random.default_rng(1), [1, 250, 400]
    mu, a = random.uniform(0.05, 0.95, shape), random.uniform(0.01, 0.3, shape)
    x = mu + a * random.standard_normal(shape)
    y = x + std_at(mu, family, parameter) * random.standard_normal(shape)
    outputs, noisy = np.stack([mu, a], axis=-1).astype(np.float32), y[..., None].astype(np.float32)
    result = head(outputs, noisy, family, [parameter])
    ratio = (x - result.posterior_mean[..., 0]) / result.posterior_std
    assert np.mean(ratio**2) == pytest.approx(1, abs=5 * np.sqrt(2 / x.size))


SOME_PIXELS = hnp.arrays(np.float32, (1, 1, 8, 9), elements=st.floats(-3, 3, width=32))
NOISE_LEVELS = st.floats(-6, 3).map(lambda x: 10**x)


@given(SOME_PIXELS, NOISE_LEVELS, st.sampled_from([*ENTRIES]))
@settings(max_examples=60, deadline=None)
def test_posterior_std_is_at_most_those_of_prior_and_noise(outputs, sigma, case):
    channels, diagonal = case
    outputs = outputs[..., : channels + ENTRIES[case]]
    noisy = np.full([1, 1, 8, channels], 0.5, np.float32)
    for family, parameter in ("gauss", sigma), ("poissongauss", [sigma, sigma**2]):
        result = head(outputs, noisy, family, [parameter], learned=True, diagonal=diagonal)
        assert np.isfinite(result.posterior_std).all() and (result.posterior_std >= 0).all()
        assert (result.posterior_std <= (1 + 2e-7) * result.prior_std).all()
        a, b = parameter if family == "poissongauss" else (0.0, sigma**2)
        noise = a * np.maximum(outputs[..., :channels], float(exact.FLOOR)) + b
        assert (result.posterior_std <= (1 + 2e-7) * np.sqrt(noise.mean(axis=-1))).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_limits_of_the_posterior_std(channels):
    """No noise, and nothing left of the picture; also where the network is sure, or the noise is none at all."""
    mean, y = RGB_MEAN[:channels], RGB_Y[:channels]
    a = RGB_A if channels == 3 else [0.2]
    sure = [0.0] * len(a)
    for sigma in (1e-3, 1e-8):
        assert stds_of_pixel(mean, a, y, "gauss", sigma, learned=True)[0] == pytest.approx(sigma, rel=1e-3)
    assert stds_of_pixel(mean, a, y, "gauss", 0.0, learned=True)[0] < 1e-14
    assert stds_of_pixel(mean, sure, y, "gauss", 0.0, learned=True)[0] == 0
    assert stds_of_pixel(mean, sure, y, "gauss", 0.1)[0] == 0
    found, prior, _ = stds_of_pixel(mean, a, y, "gauss", 1e4)
    assert found == pytest.approx(prior, rel=1e-6) and prior > 0.1


def test_limits_of_the_posterior_std_under_impulses():
    prior = stds_of_pixel(RGB_MEAN, RGB_A, RGB_Y, "impulse", 0.5)[1]
    assert stds_of_pixel(RGB_MEAN, RGB_A, RGB_Y, "impulse", 1.0)[0] == prior  # nothing is seen
    assert stds_of_pixel(RGB_MEAN, RGB_A, [9.0, -9.0, 9.0], "impulse", 0.5)[0] == prior  # not believed
    assert stds_of_pixel(RGB_MEAN, RGB_A, RGB_MEAN, "impulse", 1e-6)[0] < 1e-3 * prior  # and believed


# --- gradients


@pytest.mark.parametrize(("family", "channels", "diagonal", "learned"), CASES)
def test_gradient_of_the_loss(family, channels, diagonal, learned):
    """Against differences of the exact loss; with respect to all outputs, and to the parameter where it is learned."""
    family, parameter = family[0], np.array(family[1 + learned], np.float32)
    outputs, noisy = random_pixels(channels, ENTRIES[channels, diagonal], seed=3)
    outputs[..., channels:] += np.sign(outputs[..., channels:]) * np.float32(0.05)

    def gradient(outputs, noisy, parameter):
        loss = posterior(outputs, noisy, family, parameter, learned, diagonal).loss
        return tf.gradients(tf.reduce_sum(loss), [outputs, parameter] if learned else [outputs])

    by_output, *by_parameter = compute(gradient, outputs, noisy, parameter.reshape(2, 1, 1, -1))

    def loss(outputs, i, t):
        return exact.posterior(outputs, noisy[i], family, t, learned, diagonal)[1]

    h = 1e-6
    for i in [(0, 0, 0), (1, 0, 2), (1, 2, 4)]:
        pixel, t = outputs[i].astype(np.float64), parameter[i[0]].astype(np.float64)
        steps = h * np.eye(len(pixel))
        expected = [(loss(pixel + step, i, t) - loss(pixel - step, i, t)) / (2 * h) for step in steps]
        np.testing.assert_allclose(by_output[i], expected, rtol=1e-4, atol=1e-4)
    if learned:
        for n, t in enumerate(parameter.astype(np.float64)):
            pixels = [(n, r, c) for r, c in np.ndindex(3, 5)]
            for k, step in enumerate(h * np.eye(t.size)):
                step = step.reshape(t.shape)
                change = sum(loss(outputs[i], i, t + step) - loss(outputs[i], i, t - step) for i in pixels)
                # Where no pixel lies near a knot there is no gradient, and no change but that of rounding, of 1e-14 or so.
                np.testing.assert_allclose(by_parameter[0][n].ravel()[k], change / (2 * h), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("family", "channels", "diagonal", "learned"), CASES)
def test_gradient_is_finite_where_the_network_is_sure(family, channels, diagonal, learned):
    """A is zero, mu is black or darker, sigma is zero: training must get through it."""
    outputs = np.zeros([1, 1, 2, channels + ENTRIES[channels, diagonal]], np.float32)
    outputs[0, 0, 1, :channels] = -0.1
    noisy = np.full([1, 1, 2, channels], 0.2, np.float32)
    parameter = np.float32({"gauss": 1e-3 if learned else 0.0}.get(family[0], family[1 + learned][0]))

    def gradient(outputs, noisy, parameter):
        result = posterior(outputs, noisy, family[0], parameter, learned, diagonal)
        return result, tf.gradients(tf.reduce_sum(result.loss), outputs)

    for x in (y for part in compute(gradient, outputs, noisy, parameter.reshape(1, 1, 1, -1)) for y in part):
        assert np.isfinite(x).all()
