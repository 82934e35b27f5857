"""Fits, forecasts and predictions refuse a JAX that has been switched to 32 bits."""

import jax
import numpy as np
import pytest

from analysis import models
from analysis.arms.design import design, extended
from analysis.inference import likelihood
from analysis.inference.maximum import maximize
from analysis.prediction.paths import simulate
from analysis.prediction.synthetic import draw_arms, draw_values


@pytest.fixture
def made():
    model = models.every_model()["no change"]
    arms = draw_arms(model, draw_values(model, 0), [1.0], generations=3)
    yield model, arms, design(arms)
    jax.config.update("jax_enable_x64", True)


def test_every_way_into_a_fit_refuses_32_bits(made):
    model, arms, stacked = made
    jax.config.update("jax_enable_x64", False)
    for call in (
        lambda: design(arms),
        lambda: extended(arms, 2),
        lambda: likelihood.linked(model, stacked),
        lambda: maximize(model, stacked),
        lambda: simulate(model, np.zeros((1, 1)), stacked, np.zeros(1, int)),
    ):
        with pytest.raises(ValueError, match="switched to 32 bits since qtm was loaded"):
            call()
