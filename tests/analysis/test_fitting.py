"""Fits of experiments: parameters are recovered, the right model wins, mistakes are reported."""

from dataclasses import replace
from itertools import islice

import jax.numpy as jnp
import numpy as np
import pytest

from analysis.arms.design import design
from analysis.comparison.contest import Contest, contest
from analysis.comparison.fit import fit
from analysis.inference.importance import draw_posterior
from analysis.inference.likelihood import log_density
from analysis.inference.maximum import maximize
from analysis.models import every_model
from analysis.prediction.holdout import predictions, score, splits
from analysis.prediction.synthetic import draw_arms, draw_values
from empirical.errors import UserError

MODELS = every_model()
PROCESS = {
    "process_mean": 0.02, "process_within": 0.05, "process_between": 0.04, "process_growth": 0.2,
}  # fmt: skip
TRUTHS = {
    "bounded family, saturating": {
        **PROCESS, "heritability": 0.9, "within_heritability": 0.9, "uptake": 0.3,
        "mutation_variance": 0.01, "confusion": 0.03, "bound": 2.0, "strength": 0.6,
        "saturation": 4.0,
    },
    "Ornstein-Uhlenbeck, log": {
        **PROCESS, "within_return": 0.4, "within_push": -0.8, "between_return": 0.3,
        "between_push": 1.0,
    },
    "refit drift": {
        **PROCESS, "heritability": 0.7, "within_heritability": 0.6, "mutation_variance": 0.1,
    },
}  # fmt: skip


# Ten fits and posteriors each: the simplest model stands for all before a commit.
COVERAGE = [
    pytest.param(name, marks=[] if name == "refit drift" else pytest.mark.slow) for name in TRUTHS
]


@pytest.mark.parametrize("name", COVERAGE)
def test_intervals_hold_the_truth(name):
    """Of 90 % intervals over ten experiments, with parameters drawn from the priors, as many hold
    the truth as a binomial allows."""
    model, held = MODELS[name], []
    drawn = ((truth, design(draw_arms(model, truth, seed=seed)))
             for seed in range(100) for truth in [draw_values(model, seed)])  # fmt: skip
    # Real images never change as much as some of these; selection by data keeps intervals valid.
    sane = ((truth, stacked) for truth, stacked in drawn if np.abs(stacked.measured).max() < 5)
    for truth, stacked in islice(sane, 10):
        draws = draw_posterior(maximize(model, stacked, 3, prior=1.0), stacked)
        for parameter, (low, high) in draws.interval().items():
            if np.isfinite(low):
                held.append(low <= truth[parameter] <= high)
    # Parameters of one fit are correlated: ten fits count, not the hundred parameters.
    assert len(held) > 20
    assert abs(np.mean(held) - 0.9) < 4 * np.sqrt(0.09 / (3 * 10))


def test_draws_of_a_known_posterior():
    """Draws of a parameter without influence are from its prior within its bounds."""
    model = MODELS["bounded family, saturating"]
    (arm,) = draw_arms(model, {}, scales=[1.0], generations=1)
    draws = draw_posterior(maximize(model, design([arm]), prior=1.0), design([arm]), 4000)
    names = [p.name for p in draws.mode.parameters]
    index = names.index("strength")
    p = draws.mode.parameters[index]
    error = p.prior_std / np.sqrt(min(draws.effective, 4000))
    assert draws.k_hat < 0.7
    assert draws.effective > 400
    assert abs(draws.x[:, index].mean() - p.to_real(p.typical)) < 4 * error
    assert abs(draws.contraction[index]) < 4 / np.sqrt(2 * min(draws.effective, 4000))
    assert np.isnan(draws.interval()["strength"]).all()
    low, high = np.transpose([(p.to_real(p.low), p.to_real(p.high)) for p in draws.mode.parameters])
    assert ((low <= draws.x) & (draws.x <= high)).all()


@pytest.fixture(scope="module")
def arms():
    model = MODELS["bounded family, saturating"]
    return draw_arms(model, TRUTHS[model.name], seeds=(0, 1), seed=3)


@pytest.fixture(scope="module")
def result(arms):
    return fit(arms, ["bounded family, saturating", "Ornstein-Uhlenbeck, log"])


def test_the_true_model_wins_every_way(result):
    table = result.comparison()
    assert result.best == "bounded family, saturating"
    assert table["verdict"][0] == "best"
    assert table["aicc"].idxmin() == 0
    for kind in ("generations", "scale", "seed"):
        scores = table.set_index("model")[f"{kind}_log_score"]
        assert scores.idxmax() == result.best
        assert 0.75 <= table[f"{kind}_coverage"][0] <= 1
    assert table["weight"].sum() == pytest.approx(1)


def test_tables_have_their_columns(result):
    first = ["model", "verdict", "log_likelihood", "parameters", "aicc", "weight"]
    assert list(result.comparison().columns[:6]) == first
    parameters = result.parameters()
    columns = ["model", "parameter", "estimate", "low", "high", "meaning", "k_hat"]
    assert list(parameters.columns) == columns
    known = parameters.dropna(subset=["low"])
    assert len(known) > 10
    assert (known["low"] < known["high"]).all()
    # Maximum likelihood and the posterior differ by their priors, not by the data.
    inside = (known["low"] <= known["estimate"]) & (known["estimate"] <= known["high"])
    assert inside.mean() > 0.8
    held = result.held_out
    assert set(held["kind"]) == {"generations", "scale", "seed"}
    assert (held["low"] <= held["predicted"]).all()


@pytest.mark.slow
def test_links_that_arms_cannot_tell_apart_are_a_tie(arms):
    """At CFG 1 alone all links of a theory agree, and so do their verdicts."""
    plain = [arm for arm in arms if arm.label == 1.0]
    names = ["bounded family, saturating", "bounded family, log"]
    result = fit(plain, names)
    table = result.comparison().set_index("model").loc[names]
    assert table["verdict"].nunique() == 1
    assert table["generations_log_score"].nunique() == 1
    assert contest(*(result.of(name) for name in names), design(plain)).tie


def test_a_better_model_wins_by_more_than_sampling_error(arms):
    stacked = design(arms)
    true, other = (
        maximize(MODELS[name], stacked, 3)
        for name in ("bounded family, saturating", "Ornstein-Uhlenbeck, log")
    )
    met, turned = contest(true, other, stacked), contest(other, true, stacked)
    assert not met.tie
    assert met.gap > 2 * met.error > 0
    assert (turned.gap, turned.error) == pytest.approx((-met.gap, met.error))
    # Twice half the difference of the criterion.
    assert 2 * met.gap == pytest.approx(other.aicc - true.aicc)
    assert met.likelihood == pytest.approx(true.log_likelihood - other.log_likelihood)


def test_what_an_idle_parameter_costs_decides_nothing():
    """A gap without error that is only the penalty of an extra parameter is a tie."""
    idle = Contest(gap=-1.3, error=0.1, likelihood=0.2, parameters=1)
    assert idle.tie
    assert not idle.distinct
    assert not Contest(gap=-1.3, error=0.1, likelihood=-1.93, parameters=1).tie
    assert Contest(gap=-1.3, error=0.1, likelihood=-1.93, parameters=2).tie
    assert Contest(gap=5.0, error=2.6, likelihood=5.0, parameters=0).tie


def test_what_is_held_out_is_not_seen(arms):
    """Changing what a split hides changes no prediction."""
    split = splits(arms, "scale")[0]
    hidden = split.scored.any(axis=1)
    changed = [
        replace(arm, measured=np.concatenate([arm.measured[:1], arm.measured[1:] + 3]))
        if out else arm
        for arm, out in zip(arms, hidden, strict=True)
    ]  # fmt: skip
    for name in ("Ornstein-Uhlenbeck, log", "linear extrapolation"):
        ours, theirs = (predictions(MODELS[name], a, split) for a in (arms, changed))
        np.testing.assert_allclose(ours["predicted"], theirs["predicted"])
        assert score(ours).log_score > score(theirs).log_score


def test_the_density_of_correlated_components_is_the_multivariate_normal():
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(0)
    rest, sampling = rng.normal(size=(3, 4)), rng.uniform(0.1, 1, (3, 4))
    tau, r = np.array([0.5, 0.7, 0.2]), 0.4
    densities = log_density(*map(jnp.asarray, (rest, sampling, tau[:, None])), r)
    for q in range(3):
        covariance = np.diag(sampling[q]) + tau[q] ** 2 * ((1 - r) * np.eye(4) + r)
        by_hand = multivariate_normal(np.zeros(4), covariance).logpdf(rest[q])
        assert float(densities[q]) == pytest.approx(by_hand)


def test_what_cannot_be_known_is_reported(arms):
    """Arms without guidance do not identify its strength."""
    plain = [arm for arm in arms if arm.label == 1.0]
    fitted = maximize(MODELS["bounded family, saturating"], design(plain), 2)
    sentence = "strength has no influence: identifying it takes arms with CFG scales other than 1"
    assert sentence in fitted.uninfluential
    assert sentence in fitted.warnings
    assert "strength" in fitted.unidentified


def test_arms_of_unequal_length_are_fitted(arms):
    short = replace(arms[0], measured=arms[0].measured[:3], sampling=arms[0].sampling[:3],
                    scales=arms[0].scales[:2])  # fmt: skip
    stacked = design([short, *arms[1:5]])
    assert stacked.observations == 3 * (2 + 4 * 6)
    assert np.isfinite(maximize(MODELS["refit drift"], stacked, 2).log_likelihood)


def test_mistakes_are_reported(arms):
    with pytest.raises(UserError, match="no model 'magic', there are"):
        fit(arms, ["magic"])
    with pytest.raises(UserError, match="holdout 'luck' is unknown"):
        fit(arms, ["no change"], holdout=["luck"])
    with pytest.raises(UserError, match="a fit needs a run"):
        fit([])
    with pytest.raises(UserError, match="holding out a scale takes arms with two or more"):
        splits(arms[:1], "scale")
    with pytest.raises(UserError, match="no transition"):
        maximize(MODELS["no change"], design(arms, np.zeros((len(arms), 6))))


def test_forecasts_to_compare_with_are_no_theory(arms):
    with pytest.raises(UserError, match="a fit needs a theory beside those that all are compared"):
        fit(arms, ["no change"])
