"""Fits of walks to a series: no nested model is more likely, and weak results are reported."""

import time
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from analysis.trait_series import (
    MODELS,
    description,
    fit_series,
    log_likelihood,
    moments,
    series,
    variance_test,
    walk_table,
    work,
)
from empirical.errors import UserError

NESTED = [
    ("directional walk", "random walk"),
    ("Ornstein-Uhlenbeck", "random walk"),
    ("Ornstein-Uhlenbeck", "directional walk"),
    ("Ornstein-Uhlenbeck", "stasis"),
]


def made(kind, T, seed, even=True, n=None, scale=1.0):
    """Draw a series of one kind, with variances of 1 and n of 1 to 50."""
    rng = np.random.default_rng(seed)
    t = np.arange(T, dtype=float) if even else np.sort(rng.uniform(0, 100, T))
    means = {
        "noise": rng.normal(0, 1, T),
        "walk": np.cumsum(rng.normal(0, 1, T)),
        "trend": np.cumsum(rng.normal(0.4, 0.3, T)),
        "approach": 5 * np.exp(-t / 10) + rng.normal(0, 0.1, T),
        "constant": np.zeros(T),
    }
    sizes = rng.integers(1, 50, T) if n is None else np.full(T, n)
    return series(t, scale * (means[kind] + 100), scale**2 * np.ones(T), sizes)


def dense_log_likelihood(model, values, s):
    mean, covariance = moments(model, values, s)
    return stats.multivariate_normal(mean, covariance).logpdf(s.mean)


@pytest.mark.parametrize("kind", ["noise", "walk", "trend", "approach", "constant"])
@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize(("n", "scale"), [(None, 1.0), (10**6, 1e-3)])
def test_no_model_falls_below_one_that_it_contains(kind, even, n, scale):
    s = made(kind, 15, 3, even, n, scale)
    fits = {fit.model: fit for fit in fit_series(s)}
    for parent, child in NESTED:
        assert fits[parent].log_likelihood > fits[child].log_likelihood - 1e-7
    for model, fit in fits.items():
        assert log_likelihood(model, fit.values, s) == pytest.approx(
            fit.log_likelihood, abs=1e-8, rel=1e-10
        )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("even", [True, False])
def test_the_likelihood_is_the_dense_one(model, even):
    s = made("walk", 60, 1, even)
    for variance, alpha in ((1e-4, 1e-9), (0.3, 0.2), (50.0, 30.0)):
        values = {"ancestor": 99.0, "theta": 101.0, "step_mean": 0.1, "alpha": alpha}
        values |= {"step_variance": variance, "omega": variance}
        dense = dense_log_likelihood(model, values, s)
        assert log_likelihood(model, values, s) == pytest.approx(dense, abs=1e-8, rel=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_no_start_climbs_higher(seed):
    """Ornstein-Uhlenbeck has several maxima on series like these, uneven and short."""
    s = made(("walk", "noise", "approach", "trend")[seed], 12, seed + 10, even=False)
    (fitted,) = fit_series(s, ["Ornstein-Uhlenbeck"])
    rng = np.random.default_rng(seed)

    def values(x):
        alpha, step_variance = np.exp(x[2:])
        return {"ancestor": x[0], "theta": x[1], "alpha": alpha, "step_variance": step_variance}

    def depth(x):
        return -log_likelihood("Ornstein-Uhlenbeck", values(np.clip(x, -200, 200)), s)

    for _ in range(10):
        start = [*rng.choice(s.mean, 2), rng.uniform(-8, 4), rng.uniform(-8, 4)]
        end = minimize(depth, start, method="Nelder-Mead", options={"maxiter": 800})
        assert -end.fun < fitted.log_likelihood + 1e-6


def test_bounds_are_reported():
    # Neighbours differ more than distant samples: no return is fast enough.
    apart = 100 + (-1.0) ** np.arange(80) * np.random.default_rng(0).uniform(0.5, 1.5, 80)
    s = series(range(80), apart, np.ones(80), np.full(80, 40))
    fits = {fit.model: fit for fit in fit_series(s)}
    quick = fits["Ornstein-Uhlenbeck"]
    assert quick.at_bound == ("alpha",)
    assert "full return between all samples" in quick.warnings[0]
    # After the first sample, which it fits exactly, it is stasis.
    rest = series(s.time[1:], s.mean[1:], s.variance[1:], s.n[1:])
    (still,) = fit_series(rest, "stasis")
    held = quick.values["step_variance"] / (2 * quick.values["alpha"])
    assert held == pytest.approx(still.values["omega"], rel=1e-5)
    assert quick.values["theta"] == pytest.approx(still.values["theta"], rel=1e-6)
    assert fits["stasis"].at_bound == ()

    constant = {fit.model: fit for fit in fit_series(made("constant", 9, 0, n=40))}
    assert constant["random walk"].values == {"ancestor": pytest.approx(100), "step_variance": 0.0}
    assert constant["stasis"].at_bound == ("omega",)
    assert "sampling error alone" in constant["stasis"].warnings[0]

    faster = series(range(12), np.arange(12) ** 2.0, np.ones(12), np.full(12, 40))
    (slow,), (straight,) = (fit_series(faster, m) for m in ("Ornstein-Uhlenbeck", MODELS[1]))
    assert slow.at_bound == ("alpha",)
    assert "directional walk" in slow.warnings[0]
    assert slow.log_likelihood == pytest.approx(straight.log_likelihood, abs=1e-7)

    table = walk_table(list(fits.values())).set_index("model")
    assert table["at_bound"].to_dict() == {
        "random walk": "", "directional walk": "", "stasis": "", "Ornstein-Uhlenbeck": "alpha"
    }  # fmt: skip


def test_few_samples_are_reported():
    s = made("walk", 4, 0)
    fits = fit_series(s)
    assert {fit.model for fit in fits if np.isfinite(fit.aicc)} == {"random walk", "stasis"}
    for fit in fits[2:]:
        assert fit.weight == 0
        least = {"directional walk": 5, "Ornstein-Uhlenbeck": 6}[fit.model]
        assert f"no AICc and no weight: it needs {least} samples" in fit.warnings[-1]
    assert walk_table(fits)["aicc"].isna().tolist() == [False, False, True, True]
    assert sum(fit.weight for fit in fits) == pytest.approx(1)
    with pytest.raises(UserError, match=r"3 samples, too few .* random walk needs 4, directional"):
        fit_series(made("walk", 3, 0))
    with pytest.raises(UserError, match=r"4 samples, too few .* Ornstein-Uhlenbeck needs 6"):
        fit_series(s, "Ornstein-Uhlenbeck")


def test_one_individual_is_weighed_as_its_size():
    """Its mean has the pooled variance; its variance entry changes nothing."""
    s = made("walk", 12, 5)
    n = s.n.copy()
    n[[2, 7]] = 1
    variance = np.linspace(0.9, 1.1, 12)
    pooled = np.average(variance, weights=n - 1)
    fits = {}
    for unknown in (0.0, 77.0, np.nan):
        variance[[2, 7]] = unknown
        for pool in (True, False):
            alone = series(s.time, s.mean, variance, n, pool=pool)
            np.testing.assert_allclose(alone.error[[2, 7]], pooled)
            (fits[unknown, pool],) = fit_series(alone, "random walk")
    assert fits[0.0, True] == fits[77.0, True] == fits[np.nan, True]
    assert fits[0.0, False] == fits[77.0, False] != fits[0.0, True]
    with pytest.raises(UserError, match="no sample of two individuals"):
        series(s.time, s.mean, s.variance, np.ones(12))


def test_unequal_variances_are_tested_and_pooled_as_requested():
    rng = np.random.default_rng(2)
    samples = [rng.normal(0, sd, n) for sd, n in ((1, 9), (1, 12), (3, 20), (1, 7), (2, 15))]
    variance, n = [x.var(ddof=1) for x in samples], [len(x) for x in samples]
    s = series(range(5), [x.mean() for x in samples], variance, n)
    test, exact = variance_test(s), stats.bartlett(*samples)
    assert test.statistic == pytest.approx(exact.statistic, rel=1e-10)
    assert test.p_value == pytest.approx(exact.pvalue, rel=1e-10)
    assert (test.freedom, test.left_out) == (4, 0)
    with pytest.warns(UserWarning, match="not equal .*p = .* without pooling"):
        pooled = fit_series(s, "random walk")
    assert description(s).endswith(f"4 df, p = {test.p_value:.3g}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apart = fit_series(s, "random walk", pool=False)
        assert apart == fit_series(s.pooling(False), "random walk")
    assert apart != pooled
    np.testing.assert_allclose(s.pooling(False).error, s.variance / s.n)

    # A sample of one and one of variance 0 cannot be compared.
    more = series(range(7), [*s.mean, 0, 0], [*variance, 5, 0], [*n, 1, 8], pool=False)
    test = variance_test(more)
    assert test.statistic == pytest.approx(exact.statistic, rel=1e-10)
    assert (test.samples, test.left_out) == (5, 2)
    np.testing.assert_allclose(more.error[-2:] * [1, 8], more.pooled_variance)
    assert "the pooled one for 2 of one individual or variance 0" in description(more)
    assert variance_test(series(range(3), [1, 2, 3], [1, 0, 0], [5, 5, 5])) is None


def test_equal_variances_are_not_doubted():
    s = series(range(6), range(6), np.full(6, 0.1), [3, 5, 8, 20, 10, 2])
    assert variance_test(s).p_value == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_series(s, "stasis")


def test_long_series_are_quick():
    """500 samples take a second or less on one idle core; dense matrices took minutes."""
    s, reports, begun = made("noise", 500, 0, n=30), [], time.process_time()
    fits = {fit.model: fit for fit in fit_series(s, progress=reports.append)}
    assert time.process_time() - begun < 15
    assert len(reports) == work()
    for parent, child in NESTED:
        assert fits[parent].log_likelihood > fits[child].log_likelihood - 1e-7


@pytest.mark.parametrize("factor", [1e-100, 1e-12, 1e12, 1e100])
def test_units_do_not_matter(factor):
    s = made("approach", 15, 2)
    other = series(s.time, s.mean * factor, s.variance * factor**2, s.n)
    for fit, same in zip(fit_series(s), fit_series(other), strict=True):
        assert fit.model == same.model
        height = same.log_likelihood + 15 * np.log(factor)
        assert height == pytest.approx(fit.log_likelihood, abs=1e-6)


def test_what_cannot_be_fitted_is_reported():
    s = made("walk", 8, 0)
    with pytest.raises(UserError, match="no model 'OU' of series, there are random walk, dir"):
        fit_series(s, ["OU"])
    with pytest.raises(UserError, match="no model named"):
        fit_series(s, [])
    with pytest.raises(UserError, match="too large or too small"):
        series(s.time, s.mean * 1e200, s.variance, s.n)
    with pytest.raises(UserError, match="it must be a list of numbers"):
        series(s.time[:, None], s.mean, s.variance, s.n)
