"""90 % intervals hold the truth at the designs of real chains, in a few draws."""

import numpy as np
import pytest
from scipy import stats

from tests.helpers.simulated_generations import DISTINCT, TEN
from tests.verification.checks.selection_coverage import REQUIRED, coverage


def shares(design, draws):
    held = coverage(design, draws, seed=1)
    return {
        (label, target): np.mean(values)
        for (label, quantity, target), values in held.items()
        if quantity in REQUIRED
    }


def check(design, draws):
    """Each coverage within what 90 % would give in all of them but one of 10,000 times."""
    found = shares(design, draws)
    tail = 1e-4 / len(found)
    low, high = stats.binom.ppf([tail, 1 - tail], draws, 0.9) / draws
    for name, share in found.items():
        assert low <= share <= high, (name, share)
    return found


@pytest.mark.parametrize("design", [TEN, DISTINCT], ids=["families", "replicates"])
def test_intervals_hold_the_truth_in_twenty_draws(design):
    found = check(design, 20)
    assert {target for _, target in found} == {"these prompts", "population of prompts"}


@pytest.mark.slow
@pytest.mark.parametrize("design", [TEN, DISTINCT], ids=["families", "replicates"])
def test_intervals_hold_the_truth(design):
    found = check(design, 300)
    # Quantities of one draw share its images: the error of their mean is at most that of one.
    error = (0.9 * 0.1 / 300) ** 0.5
    assert abs(np.mean(list(found.values())) - 0.9) < 3 * error
