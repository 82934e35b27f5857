"""Walks and life cycles side by side: tables, held-out predictions, the posterior."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, norm
from scipy.stats import f as variance_ratio

from analysis._arviz import arviz
from analysis.trait_series import MODELS, compare, fit_series, series, steps
from analysis.trait_series.synthetic import draw_series
from analysis.trait_series.walk_intervals import walk_intervals
from empirical.errors import UserError

STABILIZING = {
    "start_mean": 2.0, "start_variance": 1.0, "optimum": 0.0, "width2": 6.0,
    "mutation_variance": 0.05,
}  # fmt: skip
FEW = ["random walk", "neutral", "stabilizing"]


@pytest.fixture(scope="module")
def s():
    return draw_series("stabilizing", STABILIZING, samples=12, n=200, seed=0)


@pytest.fixture(scope="module")
def result(s):
    return compare(s, FEW)


def test_the_true_theory_comes_first(result):
    table = result.comparison()
    assert next(iter(table["model"])) == result.best == "stabilizing"
    assert table["weight"].sum() == pytest.approx(1)
    assert table["aicc"].is_monotonic_increasing


def test_all_likelihoods_are_of_the_same_data(s, result):
    """A walk includes the variances, as one constant with n - 1 degrees of freedom per sample."""
    row = result.comparison().set_index("model").loc["random walk"]
    (walk,) = fit_series(s, ["random walk"])
    assert row["log_likelihood_means"] == pytest.approx(walk.log_likelihood)
    assert row["aicc_means"] == pytest.approx(walk.aicc)
    k = s.n - 1
    pooled = (k * s.variance).sum() / k.sum()
    x = k * s.variance / pooled
    of_variances = (chi2.logpdf(x, k) + np.log(x)).sum()
    assert row["log_likelihood"] == pytest.approx(walk.log_likelihood + of_variances)
    assert row["parameters"] == 3
    assert row["aicc"] == pytest.approx(-2 * row["log_likelihood"] + 2 * 3 * 24 / (24 - 3 - 1))


def test_what_was_held_out_is_not_seen(s, result):
    """Another second half changes no prediction."""
    late = np.arange(12) >= 6
    other = replace(s, mean=np.where(late, 5.0, s.mean), variance=np.where(late, 1.1, s.variance))
    columns = ["model", "generation", "quantity", "predicted", "low", "high"]
    mine, theirs = (
        r.predictions[r.predictions["kind"] == "held out"][columns].set_index(
            ["model", "generation", "quantity"]
        )
        for r in (result, compare(other, FEW))
    )
    assert len(mine) == 3 * 6 * 2
    # Life cycles use random draws of one seed, from maxima that may differ in their last digits.
    np.testing.assert_allclose(mine, theirs.loc[mine.index], rtol=1e-6)


def test_a_random_walk_predicts_its_last_mean(s):
    """With practically exact samples: the last mean, and 90 % within z sqrt(s2 t)."""
    exact = replace(s, n=np.full(12, 10.0**9), variance=np.ones(12))
    table = compare(exact, ["random walk"]).predictions
    of_mean = table[table["quantity"] == "mean"]
    np.testing.assert_allclose(of_mean["predicted"], s.mean[5], rtol=1e-4)
    (walk,) = fit_series(exact.first(6), ["random walk"])
    half = norm.ppf(0.95) * np.sqrt(walk.values["step_variance"] * np.arange(1, 7))
    np.testing.assert_allclose((of_mean["high"] - of_mean["low"]) / 2, half, rtol=1e-3)


def test_a_walk_predicts_variances_as_one_constant(s, result):
    table = result.predictions
    rows = table[(table["model"] == "random walk") & (table["quantity"] == "variance")]
    k = 6 * 199
    pooled = s.variance[:6].mean()
    np.testing.assert_allclose(rows["low"], pooled * variance_ratio.ppf(0.05, 199, k))


def test_parameters_have_meanings_and_intervals(result):
    table = result.parameters().set_index(["model", "parameter"])
    assert (table["meaning"] != "").all()
    rows = table.loc["stabilizing"]
    assert set(rows.index) == set(STABILIZING)
    assert (rows["low"] < rows["estimate"]).all()
    assert (rows["estimate"] < rows["high"]).all()


def test_intervals_of_a_mean_are_those_of_its_formula():
    """Stasis with equal samples: theta is the mean of means, its variance (omega + V/n)/T."""
    rng = np.random.default_rng(3)
    s = series(np.arange(30), rng.normal(2.0, 0.5, 30), np.ones(30), np.full(30, 20))
    (fit,) = fit_series(s, ["stasis"])
    low, high = walk_intervals(fit, s)["theta"]
    half = norm.ppf(0.95) * np.sqrt((fit.values["omega"] + 1 / 20) / 30)
    assert (high - low) / 2 == pytest.approx(half, rel=1e-4)
    assert (high + low) / 2 == pytest.approx(fit.values["theta"])


def test_the_posterior_is_one_that_arviz_reads(result):
    data = result.posterior()
    assert data.attrs["model"] == "stabilizing"
    assert set(data.posterior) == set(STABILIZING)
    loo = arviz().loo(data)
    # Means and variances of twelve samples.
    assert loo.n_data_points == 24
    # About the likelihood at its maximum less the parameters.
    height = result.comparison().set_index("model").loc["stabilizing", "log_likelihood"]
    assert abs(loo.elpd_loo - (height - 5)) < 4
    with pytest.raises(
        UserError, match="no posterior of 'random walk', there are those of neutral"
    ):
        result.posterior("random walk")


def test_times_that_are_no_generations_leave_walks():
    s = series([0, 1.5, 3, 4, 6, 7], [0, 1, 2, 1, 0, 1], np.ones(6), np.full(6, 5))
    result = compare(s)
    assert set(result.walks) == set(MODELS)
    assert result.cycles == {}
    assert "whole generations" in result.left_out
    with pytest.raises(UserError, match="whole generations"):
        compare(s, ["neutral"])


def test_unknown_models_are_named(s):
    with pytest.raises(UserError, match="there is no model 'brownian' of series, there are random"):
        compare(s, ["brownian"])


def test_models_without_an_aicc_have_no_weight():
    few = series([0, 1, 2], [0.0, 1.0, 1.5], [1.0, 1.1, 0.9], [20, 20, 20])
    table = compare(few, ["moving optimum"]).comparison()
    assert np.isinf(table["aicc"]).all()
    assert table["weight"].isna().all()
    both = compare(few, ["neutral", "moving optimum"], predicted=False).comparison()
    assert both.set_index("model")["weight"].to_dict() == {"neutral": 1.0, "moving optimum": 0.0}


def test_progress_is_what_was_announced(s):
    """Fits of the first half and draws are included: nothing slow follows the last step."""
    for predicted in (False, True):
        reports = []
        compare(s, FEW, progress=reports.append, predicted=predicted)
        assert sum(reports) == steps(len(s.time), FEW, predicted)
