"""Importance sampling: tempered weights, and a posterior with long ridges."""

import numpy as np
import pytest

from analysis.arms.design import design
from analysis.inference.importance import _tempered, draw_posterior
from analysis.inference.maximum import maximize
from analysis.models import every_model
from analysis.prediction.synthetic import draw_arms, draw_values
from empirical.seeds import seed_of

# Far from even: the largest of a thousand has most of the weight.
UNEVEN = np.random.default_rng(0).normal(0, 6, 1000)


def worth(weight):
    return 1 / np.square(weight).sum()


@pytest.mark.parametrize("enough", [20, 100, 400])
def test_tempered_weights_have_the_requested_effective_size(enough):
    assert worth(_tempered(UNEVEN, 1)) < 20
    weight = _tempered(UNEVEN, enough)
    assert weight.sum() == pytest.approx(1)
    assert worth(weight) == pytest.approx(enough, rel=0.05)
    # A power of the weights: their order stays.
    assert (np.diff(weight[np.argsort(UNEVEN)]) >= 0).all()


def test_weights_that_are_worth_enough_stay_as_they_are():
    log_weight = np.random.default_rng(1).normal(0, 0.5, 1000)
    expected = np.exp(log_weight) / np.exp(log_weight).sum()
    np.testing.assert_allclose(_tempered(log_weight, 300), expected, rtol=1e-12)


def test_what_cannot_be_keeps_no_weight():
    log_weight = np.where(np.arange(1000) % 2, UNEVEN, -np.inf)
    weight = _tempered(log_weight, 100)
    assert (weight[::2] == 0).all()
    assert worth(weight) == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize("seed", [14, 35])
def test_long_ridges_are_followed_to_their_ends(seed):
    """Return and push of the Ornstein-Uhlenbeck model make a ridge along which proposals fitted to
    plain weights stay worth 50 of 67,000 points, with k-hat 0.95 to 4."""
    model = every_model()["Ornstein-Uhlenbeck, saturating"]
    seed = seed_of("recovery", "Ornstein-Uhlenbeck", seed)
    stacked = design(draw_arms(model, draw_values(model, seed), seed=seed))
    draws = draw_posterior(maximize(model, stacked, 3, prior=1.0), stacked)
    assert draws.trusted
    assert draws.effective > 2000
