"""Fits: parameters come back, warnings are said, forecasts are scored on what was not seen."""

import jax.numpy as jnp
import numpy as np
import pytest

from analysis.compare import NAIVE, compare
from analysis.one_chain import fit, trajectory, transitions
from analysis.series import Series
from analysis.theories import Families, every_theory

THEORIES = every_theory()
SHARED = {"heritability": 0.9, "mutation": 0.02}
# A chain that each theory would make: its own parameters, in units of generation 0.
TRUTHS = {
    "directional": {"gradient": 0.5},
    "guidance": {"scale": 1.5},
    "neutral": {},
    "no change": {},
    "stabilizing": {"optimum": 1.0, "width2": 2.0},
    "truncation": {"fraction": 0.8},
}


def simulate(name, generations=6, families=10, components=1, images=50, seed=0, share=1.0):
    """A chain under a theory, with the sampling error of real measurements.

    `share` below one shakes the families as if fewer images counted.
    """
    rng = np.random.default_rng(seed)
    theory, n = THEORIES[name], families * images
    values = {k: jnp.asarray(v) for k, v in {**SHARED, **TRUTHS[name]}.items()}
    dof = n - families

    def measure(means, within):
        noise = rng.normal(size=means.shape) * np.sqrt(within / (share * images))
        return means + noise, within * rng.chisquare(share * dof, within.shape) / (share * dof)

    start = rng.normal(0, 0.68, (families, components)), np.full(components, 0.54)
    history = [measure(*start)]

    def population(means, within):
        return Families(jnp.asarray(means), jnp.asarray(within * dof / n))

    for _ in range(generations):
        expected = theory.produce(
            values, population(*history[-1]), population(*history[0]), True, jnp.ones(components)
        )
        history.append(measure(np.asarray(expected.means), np.asarray(expected.within)))
    means, within = (np.stack(parts) for parts in zip(*history, strict=True))
    ones = np.ones(components)
    return Series(
        "simulated", "z", means, within, np.full_like(within, dof),
        np.full(families, images), 0 * ones, ones, True,
    )  # fmt: skip


def test_every_theory_has_a_truth_to_be_tested_with():
    assert set(TRUTHS) == set(THEORIES)
    for name, theory in THEORIES.items():
        assert {p.name for p in theory.parameters} == set(TRUTHS[name])


@pytest.mark.parametrize("name", sorted(set(THEORIES) - {NAIVE}))
def test_the_parameters_come_back(name):
    """Eight components share the parameters; each within four of its standard errors."""
    fitted = fit(THEORIES[name], simulate(name, components=8, seed=1))
    truth = {**SHARED, **TRUTHS[name]}
    for parameter, value in truth.items():
        error = fitted.errors[parameter]
        assert np.isfinite(error), (parameter, fitted.warnings)
        assert abs(fitted.values[parameter] - value) < 4 * error, (parameter, fitted.values)
    assert fitted.values["effective_share"] > 0.7


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_drift_beyond_sampling_is_measured(share):
    fitted = fit(THEORIES["guidance"], simulate("guidance", components=8, seed=2, share=share))
    error = fitted.errors["effective_share"]
    assert abs(fitted.values["effective_share"] - share) < 4 * error


def test_standard_errors_shrink_with_the_root_of_the_data():
    errors = [
        fit(THEORIES["neutral"], simulate("neutral", components=d, seed=3)).errors["heritability"]
        for d in (8, 32)
    ]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.25)


@pytest.mark.parametrize("name", ["guidance", "truncation", "stabilizing"])
def test_the_right_theory_predicts_the_held_out_generation_best(name):
    scores = {}
    for seed in range(3):
        comparison = compare(simulate(name, components=8, seed=seed))
        assert comparison.beats_no_change
        for p in comparison.predictions:
            scores.setdefault(p.fit.theory.name, []).append(p.score)
    totals = {theory: np.sum(values) for theory, values in scores.items()}
    assert max(totals, key=totals.get) == name


def test_no_theory_is_preferred_when_nothing_happens():
    """A still trait: the forecast of no change scores as well as the best, within noise."""
    rng = np.random.default_rng(0)
    start = rng.normal(0, 0.68, (10, 1))
    means = start + rng.normal(size=(7, 10, 1)) * 1e-3
    within = 0.54 * (1 + 1e-3 * rng.normal(size=(7, 1)))
    dof, ones = np.full((7, 1), 490.0), np.ones(1)
    still = Series("s", "z", means, within, dof, np.full(10, 50), 0 * ones, ones, True)
    comparison = compare(still)
    naive = comparison.of(NAIVE)
    assert naive.within_error < 0.01
    assert comparison.best.score - naive.score < 0.05


def test_the_held_out_generation_is_not_seen():
    seen = simulate("guidance", components=8)
    changed = seen.means.copy()
    changed[-1] += 5
    other = Series(**{**seen.__dict__, "means": changed})
    ours, theirs = compare(seen), compare(other)
    for theory in THEORIES:
        assert ours.of(theory).fit.values == theirs.of(theory).fit.values
        assert ours.of(theory).fit.log_likelihood == theirs.of(theory).fit.log_likelihood
        assert theirs.of(theory).score < ours.of(theory).score - 1


def test_what_cannot_be_known_is_said():
    """One transition of one trait: a theory of four parameters has nothing to hold on to."""
    series = simulate("directional", generations=1, components=1)
    fits = [fit(theory, series) for theory in THEORIES.values()]
    assert any("bound" in w or "identified" in w for f in fits for w in f.warnings)
    for fitted in fits:
        for parameter, error in fitted.errors.items():
            if parameter == "effective_share" and fitted.values[parameter] > 0.999:
                continue  # drift as small as sampling makes it: where a good fit ends
            assert np.isfinite(error) == (not any(parameter in w for w in fitted.warnings))


def test_the_density_is_that_of_its_formula():
    """One transition by hand: normal family means, log chi-squared variance."""
    from scipy.stats import chi2, norm

    series = simulate("no change", generations=1)
    fitted = fit(THEORIES["no change"], series)
    share = fitted.values["effective_share"]
    dof, w0, w1 = share * series.dof[1, 0], series.within[0, 0], series.within[1, 0]
    by_hand = norm.logpdf(series.means[1], series.means[0], np.sqrt(w0 / (share * 50))).sum()
    # The density of ln s^2 is that of s^2 times s^2.
    by_hand += chi2.logpdf(w1, dof, scale=w0 / dof) + np.log(w1)
    assert fitted.log_likelihood == pytest.approx(by_hand, rel=1e-9)
    assert float(transitions(fitted).log_density[0]) == pytest.approx(by_hand, rel=1e-9)


def test_the_naive_forecast_is_what_was_measured_last():
    series = simulate("guidance", images=4)
    found = transitions(fit(THEORIES[NAIVE], series))
    np.testing.assert_allclose(found.within, series.within[:-1])
    np.testing.assert_allclose(found.means, series.means[:-1])


def test_a_forecast_of_the_variance_between_prompts_holds_the_drift():
    """Few images and strong drift: the expected V_B is the noise of family means as much as V_B."""
    errors = []
    for seed in range(20):
        series = simulate("guidance", generations=2, images=8, components=8, seed=seed, share=0.3)
        expected = transitions(fit(THEORIES["guidance"], series))
        share = fit(THEORIES["guidance"], series).values["effective_share"]
        means, within = np.asarray(expected.means)[1], np.asarray(expected.within)[1]
        forecast = means.var(axis=0, ddof=1) + within / (8 * share)
        errors.append(np.log(forecast.mean() / series.between[2].mean()))
    assert abs(np.mean(errors)) < 4 * np.std(errors, ddof=1) / np.sqrt(20)


def test_a_free_run_without_noise_is_the_recursion():
    series = simulate("guidance", images=10**8)
    fitted = fit(THEORIES["guidance"], series)
    mean, within, between = trajectory(fitted)
    np.testing.assert_allclose(within, series.within, rtol=2e-3)
    np.testing.assert_allclose(between, series.between, rtol=2e-3)
    np.testing.assert_allclose(mean, series.means.mean(axis=1), atol=2e-3)


def test_too_few_generations_is_said():
    series = simulate("neutral", generations=1)
    with pytest.raises(ValueError, match="2 generations or more, got 1"):
        compare(series)
    with pytest.raises(ValueError, match="from 1 to 1, got 2"):
        fit(THEORIES["neutral"], series, generations=2)
