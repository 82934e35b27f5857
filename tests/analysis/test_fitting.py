"""Fits of experiments: parameters come back, the right model wins, mistakes are said."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.contest import against
from analysis.design import design
from analysis.fitting import fit
from analysis.holdout import predictions, score, splits
from analysis.likelihood import log_density
from analysis.maximum import maximize
from analysis.models import every_model
from analysis.synthetic import draw_arms
from empirical.errors import UserError

MODELS = every_model()
PROCESS = {"process_mean": 0.02, "process_within": 0.05, "process_between": 0.04}
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


@pytest.mark.parametrize("name", TRUTHS)
def test_intervals_hold_the_truth(name):
    """Of 90 % intervals over ten experiments as many hold the truth as a binomial allows."""
    held = []
    for seed in range(10):
        fitted = maximize(MODELS[name], design(draw_arms(MODELS[name], TRUTHS[name], seed=seed)), 3)
        for parameter, (low, high) in fitted.interval().items():
            if parameter in TRUTHS[name] and np.isfinite(low):
                held.append(low <= TRUTHS[name][parameter] <= high)
    # Parameters of one fit go together: ten fits count, not the hundred parameters.
    assert len(held) > 30
    assert abs(np.mean(held) - 0.9) < 4 * np.sqrt(0.09 / (3 * 10))


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
    own = result.parameters()
    assert list(own.columns) == ["model", "parameter", "estimate", "low", "high", "meaning"]
    known = own.dropna(subset=["low"])
    assert (known["low"] <= known["estimate"]).all()
    assert (known["estimate"] <= known["high"]).all()
    held = result.held_out
    assert set(held["kind"]) == {"generations", "scale", "seed"}
    assert (held["low"] <= held["predicted"]).all()


def test_links_that_arms_cannot_tell_apart_are_a_tie(arms):
    """At CFG 1 alone all links of a theory are one: no verdict sets them apart."""
    plain = [arm for arm in arms if arm.label == 1.0]
    names = ["bounded family, saturating", "bounded family, log"]
    result = fit(plain, names)
    table = result.comparison().set_index("model").loc[names]
    assert table["verdict"].nunique() == 1
    assert table["generations_log_score"].nunique() == 1
    gap, error = against(*(result.of(name) for name in names), design(plain))
    assert abs(gap) <= 2 * error + 1e-9


def test_a_better_model_wins_by_more_than_sampling_error(arms):
    whole = design(arms)
    true, other = (
        maximize(MODELS[name], whole, 3)
        for name in ("bounded family, saturating", "Ornstein-Uhlenbeck, log")
    )
    gap, error = against(true, other, whole)
    assert gap > 2 * error > 0
    assert against(other, true, whole) == pytest.approx((-gap, error))
    # Twice half the difference of the criterion.
    assert 2 * gap == pytest.approx(other.aicc - true.aicc)


def test_what_is_held_out_is_not_seen(arms):
    """Changing what a split hides changes no prediction."""
    split = splits(arms, "scale")[0]
    hidden = split.wanted.any(axis=1)
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
    found = log_density(rest, sampling, tau[:, None], r)
    for q in range(3):
        covariance = np.diag(sampling[q]) + tau[q] ** 2 * ((1 - r) * np.eye(4) + r)
        by_hand = multivariate_normal(np.zeros(4), covariance).logpdf(rest[q])
        assert float(found[q]) == pytest.approx(by_hand)


def test_what_cannot_be_known_is_said(arms):
    """Arms without guidance say nothing of the strength of guidance."""
    plain = [arm for arm in arms if arm.label == 1.0]
    fitted = maximize(MODELS["bounded family, saturating"], design(plain), 2)
    said = " ".join(fitted.warnings)
    assert "strength does not enter: it would take arms with CFG scales other than 1" in said
    assert np.isnan(fitted.interval()["strength"]).all()


def test_arms_of_unequal_length_are_fitted(arms):
    short = replace(arms[0], measured=arms[0].measured[:3], sampling=arms[0].sampling[:3],
                    scales=arms[0].scales[:2])  # fmt: skip
    of = design([short, *arms[1:5]])
    assert of.observations == 3 * (2 + 4 * 6)
    assert np.isfinite(maximize(MODELS["refit drift"], of, 2).log_likelihood)


def test_mistakes_are_said(arms):
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
