"""Guidance rules against their formulas."""

import numpy as np

from empirical.guidance import Constant, Decay


def test_constant():
    np.testing.assert_array_equal(Constant(rule="constant", scale=7.5).scales(4), [7.5] * 4)


def test_decay_goes_from_scale_towards_floor():
    rule = Decay(rule="decay", scale=7.5, rate=2.0, floor=1.0)
    expected = [1 + 6.5 * np.exp(-2 * i / 5) for i in range(5)]
    np.testing.assert_allclose(rule.scales(5), expected, rtol=1e-14)
    assert rule.scales(5)[0] == 7.5
    assert np.all(np.diff(rule.scales(50)) < 0)


def test_decay_without_rate_is_constant():
    np.testing.assert_array_equal(Decay(rule="decay", scale=3.0, rate=0.0).scales(3), [3.0] * 3)


def test_the_schedule_does_not_depend_on_the_number_of_steps():
    rule = Decay(rule="decay", scale=5.0, rate=3.0)
    np.testing.assert_allclose(rule.scales(20)[::2], rule.scales(10), rtol=1e-14)
