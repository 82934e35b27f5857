"""Life cycles fitted to trait series: likelihood, drift, nesting, units, refusals."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import polygamma
from scipy.stats import chi2, norm

import qtm
from analysis.trait_series import series
from analysis.trait_series.cycle_fit import fit_cycles, predict
from analysis.trait_series.cycle_likelihood import (
    Samples,
    explain,
    generations_of,
    inverse_trigamma,
)
from analysis.trait_series.cycles import POPULATION_SIZE, Scale, cycle_models
from analysis.trait_series.synthetic import draw_series
from empirical.errors import UserError

UNITS = Scale(centre=0.0, spread=2.0, variance=1.0, first=1.0, first_variance=1.0, generations=6.0)
STABILIZING = {
    "start_mean": 2.0, "start_variance": 1.0, "optimum": 0.0, "width2": 6.0,
    "mutation_variance": 0.05,
}  # fmt: skip


def truth(theory: str) -> dict[str, float]:
    """Return values near the typical ones of a form, at which selection acts."""
    parameters = cycle_models()[theory].variants()[0].parameters(UNITS)
    return {p.name: float(p.from_real(p.to_real(p.typical) + 0.1 * p.spread)) for p in parameters}


def total(theory: str, values: dict, data: Samples) -> float:
    model = cycle_models()[theory].variants()[0]
    return float(explain(model, {k: jnp.asarray(v) for k, v in values.items()}, data).density.sum())


@pytest.mark.parametrize("theory", cycle_models())
def test_a_fit_finds_the_parameters_of_large_samples(theory):
    """Samples of a million: estimates are the truth to within 6 posterior standard deviations, and
    no truth is likelier than the maximum."""
    values = truth(theory)
    s = draw_series(theory, values, samples=7, n=10**6, seed=1)
    fit = fit_cycles(s, [theory])[theory]
    assert fit.log_likelihood >= total(theory, values, fit.data) - 1e-6
    sd = fit.draws.x.std(axis=0)
    for i, p in fit.indexed_parameters():
        assert abs(fit.x[i] - p.to_real(values[p.name])) < 6 * sd[i], p.name


@pytest.mark.parametrize("theory", cycle_models())
def test_a_nested_form_is_never_likelier(theory):
    rng = np.random.default_rng(5)
    for mean in (rng.normal(size=8), np.cumsum(rng.normal(size=8)), np.full(8, 3.0)):
        s = series(np.arange(8), mean, rng.chisquare(9, 8) / 9, np.full(8, 10))
        fits = fit_cycles(s)
        for inner in cycle_models()[theory].contains:
            assert fits[theory].log_likelihood >= fits[inner].log_likelihood - 1e-5


def test_the_likelihood_is_that_of_normal_samples():
    """m' = m and V' = V + V_m by hand; the density of ln s^2 is that of s^2 times s^2."""
    s = series([0, 1, 4], [1.0, 1.2, 0.7], [0.9, 1.3, 1.4], [20, 5, 30])
    values = {"start_mean": 1.1, "start_variance": 1.0, "mutation_variance": 0.1}
    V = 1.0 + 0.1 * s.time
    by_hand = norm.logpdf(s.mean, 1.1, np.sqrt(V / s.n))
    by_hand += chi2.logpdf(s.variance * (s.n - 1) / V, s.n - 1) + np.log(s.variance * (s.n - 1) / V)
    assert total("neutral", values, Samples.from_series(s)) == pytest.approx(
        by_hand.sum(), rel=1e-12
    )


def test_one_individual_has_a_mean_and_no_variance():
    s = series([0, 1, 2, 3], [1.0, 1.2, 0.7, 1.0], [0.9, 0.4, 1.4, 0.0], [20, 1, 30, 8])
    data = Samples.from_series(s)
    np.testing.assert_array_equal(data.measured, [[1, 1], [1, 0], [1, 1], [1, 0]])
    assert data.observations == 6


def test_drift_vanishes_in_a_large_population():
    s = draw_series("stabilizing", STABILIZING, samples=6, n=50, seed=3)
    data = Samples.from_series(s)
    large = {**STABILIZING, POPULATION_SIZE.name: 1e12}
    exact = total("stabilizing", STABILIZING, data)
    assert total("stabilizing", large, data) == pytest.approx(exact, abs=1e-6)


def test_the_filter_agrees_with_simulated_paths():
    """A particle filter of 200,000 paths drawn as the life cycle draws them, N = 60, n = 50: four
    standard errors of it, and 0.05 for what linearising leaves out."""
    values = {**STABILIZING, POPULATION_SIZE.name: 60.0}
    s = draw_series("stabilizing", values, samples=8, n=50, seed=4)
    ours = np.asarray(
        explain(cycle_models()["stabilizing"](), {k: jnp.asarray(v) for k, v in values.items()},
                Samples.from_series(s)).density
    ).sum()  # fmt: skip
    rng, count, N, k = np.random.default_rng(0), 200_000, 60, 49
    cycle = qtm.LifeCycle(qtm.Clonal(), qtm.Stabilizing(0.0, 6.0), qtm.GaussianMutation(0.05))
    m, V = np.full(count, 2.0), np.full(count, 1.0)
    logs, errors = [], []
    for t in range(8):
        if t:
            after = cycle.step(qtm.Moments(m, V))
            m, V = np.asarray(after.mean), np.asarray(after.variance)
            m = m + np.sqrt(V / N) * rng.normal(size=count)
            V = V * rng.chisquare(N - 1, count) / N
        x = s.variance[t] * k / V
        log_w = norm.logpdf(s.mean[t], m, np.sqrt(V / 50)) + chi2.logpdf(x, k) + np.log(x)
        w = np.exp(log_w)
        logs.append(np.log(w.mean()))
        errors.append(w.std() / w.mean() / np.sqrt(count))
        kept = rng.choice(count, count, p=w / w.sum())
        m, V = m[kept], V[kept]
    assert abs(ours - sum(logs)) < 4 * np.sqrt(np.square(errors).sum()) + 0.05


def test_inverse_trigamma_inverts():
    x = np.array([0.6, 1.0, 4.5, 200.0, 1e6])
    inverted = [float(inverse_trigamma(jnp.asarray(y))) for y in polygamma(1, x)]
    np.testing.assert_allclose(inverted, x, rtol=1e-9)


def test_other_units_change_nothing_but_units():
    """z -> 10 z + 3: places move along, widths grow by 100, the likelihood of means falls by ln 10
    a sample."""
    s = draw_series("stabilizing", STABILIZING, samples=8, n=200, seed=2)
    other = series(s.time, 10 * s.mean + 3, 100 * s.variance, s.n)
    a, b = (fit_cycles(data, ["stabilizing"])["stabilizing"] for data in (s, other))
    assert b.log_likelihood == pytest.approx(a.log_likelihood - 8 * np.log(10), abs=1e-6)
    assert b.values["optimum"] == pytest.approx(10 * a.values["optimum"] + 3, rel=1e-3)
    for name in ("width2", "mutation_variance", "start_variance"):
        assert b.values[name] == pytest.approx(100 * a.values[name], rel=1e-3)


@pytest.mark.parametrize("unit", [1e-7, -1e7])
@pytest.mark.parametrize("theory", ["truncation", "directional", "stabilizing", "disruptive"])
def test_intervals_have_the_units_of_the_trait(theory, unit):
    """z -> c z, c from 1e-7 to 1e7: the ends of all intervals go along, to a tenth of their width,
    and so does what is predicted."""
    s = draw_series("stabilizing", STABILIZING, samples=8, n=200, seed=2)
    other = series(s.time, unit * s.mean, unit**2 * s.variance, s.n)
    a, b = (fit_cycles(data, [theory])[theory] for data in (s, other))
    powers = {"start_mean": 1, "optimum": 1, "gradient": -1, "fraction": 0}
    mine, theirs = a.draws.interval(), b.draws.interval()
    for name in mine:
        scaled = np.sort(np.array(theirs[name]) / unit ** powers.get(name, 2))
        np.testing.assert_allclose(scaled, mine[name], atol=0.1 * np.ptp(mine[name]))
    np.testing.assert_allclose(
        predict(b).log_density[:, 1], predict(a).log_density[:, 1], atol=0.05
    )


def test_few_samples_may_lie_thousands_of_generations_apart():
    """Blocks of points give the same explanation as single points."""
    s = draw_series("neutral", {k: STABILIZING[k] for k in
                                ("start_mean", "start_variance", "mutation_variance")},
                    samples=5, n=50, seed=1)  # fmt: skip
    far = series(2000 * s.time, s.mean, s.variance, s.n)
    fit = fit_cycles(far, ["stabilizing"])["stabilizing"]
    x, generations = fit.x + 0.01 * np.arange(600)[:, None] * abs(fit.x), generations_of(far)
    explained = fit.explain(x, generations)
    assert explained.density.shape == (600, 5, 2)
    assert explained.path.shape == (600, 5, 2)
    for i in (0, 249, 250, 599):
        for block, single in zip(explained, fit.explain(x[i : i + 1], generations), strict=True):
            np.testing.assert_array_equal(block[i], single[0])


def test_an_outlier_does_not_break_nesting():
    """Where slopes are steep, the limits of a model fall short of the nested model."""
    s = draw_series("stabilizing", STABILIZING, samples=8, n=400, seed=2)
    wild = series(s.time, np.where(s.time == 4, 1e4, s.mean), s.variance, s.n)
    fits = fit_cycles(wild)
    for fit in fits.values():
        for inner in fit.model.contains:
            assert fit.log_likelihood >= fits[inner].log_likelihood


@pytest.mark.slow
def test_predictions_hold_new_samples():
    """A fit to eight samples: 90 % intervals of the next four hold 90 % of means and variances, to
    four standard errors over series."""
    held = []
    for seed in range(20):
        s = draw_series("stabilizing", STABILIZING, samples=12, n=100, seed=seed)
        predicted = predict(fit_cycles(s, ["stabilizing"], seen=8)["stabilizing"])
        drawn, measured = (
            np.stack([a, b], axis=-1)[..., 8:, :]
            for a, b in ((predicted.sample_mean, predicted.sample_variance), (s.mean, s.variance))
        )
        low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
        held.append(((low <= measured) & (measured <= high)).mean())
    assert abs(np.mean(held) - 0.9) < 4 * np.std(held, ddof=1) / np.sqrt(len(held))


@pytest.mark.slow
def test_an_estimated_population_size_is_found():
    """N = 50 among samples of 2,000: within 4 posterior sd, and far from no drift."""
    values = {**STABILIZING, POPULATION_SIZE.name: 50.0}
    s = draw_series("stabilizing", values, samples=25, n=2000, seed=0)
    fit = fit_cycles(s, ["stabilizing"], population_size=None)["stabilizing"]
    x, i = fit.draws.x, [p.name for p in fit.parameters].index(POPULATION_SIZE.name)
    assert abs(1 / 50 - x[:, i].mean()) < 4 * x[:, i].std()
    without = fit_cycles(s, ["stabilizing"])["stabilizing"]
    assert fit.log_likelihood > without.log_likelihood + 10


def test_times_must_be_generations():
    with pytest.raises(UserError, match=r"whole generations.* is 1\.5"):
        generations_of(series([0, 1.5, 3], [0, 1, 2], [1, 1, 1], [5, 5, 5]))
    with pytest.raises(UserError, match="spans 30,000"):
        generations_of(series([0, 1, 30_000], [0, 1, 2], [1, 1, 1], [5, 5, 5]))


def test_what_cannot_be_fitted_is_reported():
    s = series([0, 1, 2], [0, 1, 2], [1, 1, 1], [5, 5, 5])
    with pytest.raises(UserError, match="there is no life cycle 'walk', there are neutral"):
        fit_cycles(s, ["walk"])
    with pytest.raises(UserError, match="population size is 1, it must be greater than 2"):
        fit_cycles(s, population_size=1)
