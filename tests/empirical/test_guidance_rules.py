"""Guidance rules as a recipe sees them: their scales, bounds and names, found by listing."""

import json
import re
import tomllib

import numpy as np
import pytest
import tomli_w
from annotated_types import Ge, Gt, Le, Lt
from pydantic import ValidationError

from empirical.errors import UserError
from empirical.guidance import GuidanceRule, Levels
from empirical.seeds import seed_of
from tests.helpers.guidance_examples import EXAMPLES, RULES, make

SEEDS = [seed_of("guidance rules", i) for i in range(2000)]


def levels(steps):
    """Levels of a cosine schedule, noise first."""
    abar = np.cos(np.linspace(1.55, 0.05, steps + 1)) ** 2
    return Levels(abar[:-1], abar[1:])


def test_a_rule_is_one_file_of_its_name():
    assert len(RULES) == len(GuidanceRule.__subclasses__())
    for name, rule in RULES.items():
        assert rule.__module__ == f"empirical.guidance.{name}"
        assert rule.__bases__ == (GuidanceRule,)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_says_where_it_comes_from(rule):
    assert re.search(r"arXiv \d{4}\.\d{5}|Introduced here", rule.__doc__)
    assert rule.examples


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_a_rule_is_the_same_after_writing_and_reading(name, example):
    ours = make(name, **example)
    assert RULES[name].model_validate_json(ours.model_dump_json()) == ours
    assert RULES[name].model_validate(json.loads(json.dumps(ours.model_dump()))) == ours
    assert RULES[name].model_validate(tomllib.loads(tomli_w.dumps(ours.model_dump()))) == ours


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_the_scales_of_a_rule_are_numbers_of_every_step(name, example):
    scales = make(name, **example).scales(levels(8), generation=3, seeds=SEEDS[:5])
    assert scales.shape in {(8,), (8, 5)}
    assert scales.dtype == np.float64
    assert np.isfinite(scales).all()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_numbers_beyond_their_bounds_are_refused(rule):
    for name, field in rule.model_fields.items():
        if field.annotation is not float:
            continue
        beyond = [np.nan, np.inf, -np.inf, "1", True]
        for bound in field.metadata:
            match bound:
                case Ge(ge=edge):
                    beyond.append(edge - 1e-6)
                case Gt(gt=edge):
                    beyond.append(edge)
                case Le(le=edge):
                    beyond.append(edge + 1e-6)
                case Lt(lt=edge):
                    beyond.append(edge)
        assert len(beyond) == 7, f"'{name}' has no two bounds"
        for value in beyond:
            with pytest.raises(ValidationError):
                rule(rule=rule.key(), **{**rule.examples[0], name: value})


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("interval", {"scale": 2.0, "low": 3.0, "high": 3.0}, "'low' .* 3, .* less than 'high'"),
        (
            "interval",
            {"scale": 2.0, "low": 0.1, "high": 2.0, "of": "progress"},
            "'high' .* 2, .* 1",
        ),
        ("cads", {"scale": 2.0, "tau1": 0.8, "tau2": 0.7}, "'tau1' .* 0.8, .* at most 'tau2'"),
        ("uniform", {"low": 2.0, "high": 1.0}, "'low' .* 2, .* at most 'high'"),
        ("choice", {"among": []}, "at least 1 item"),
        ("choice", {"among": [1.0, 200.0]}, "less than or equal to 100"),
    ],
)
def test_fields_that_do_not_go_together_are_named(name, fields, words):
    with pytest.raises(ValidationError, match=words):
        make(name, **fields)


def test_constant():
    np.testing.assert_array_equal(make("constant", scale=7.5).scales(levels(4)), [7.5] * 4)


def test_decay_goes_from_scale_towards_floor():
    rule = make("decay", scale=7.5, rate=2.0, floor=1.0)
    expected = [1 + 6.5 * np.exp(-2 * i / 5) for i in range(5)]
    np.testing.assert_allclose(rule.scales(levels(5)), expected, rtol=1e-14)
    assert rule.scales(levels(5))[0] == 7.5
    assert np.all(np.diff(rule.scales(levels(50))) < 0)


def test_decay_of_other_shapes():
    linear = make("decay", scale=5.0, rate=2.0, floor=1.0, shape="linear")
    np.testing.assert_allclose(linear.scales(levels(8)), [5, 4, 3, 2, 1, 1, 1, 1], atol=1e-14)
    cosine = make("decay", scale=5.0, rate=1.0, floor=1.0, shape="cosine")
    np.testing.assert_allclose(cosine.scales(levels(4)), [5, 3 + 2**0.5, 3, 3 - 2**0.5], atol=1e-14)
    assert np.all(make("decay", scale=5.0, rate=4.0, shape="cosine").scales(levels(8))[2:] == 1)


def test_decay_without_rate_is_constant():
    for shape in ("exponential", "linear", "cosine"):
        rule = make("decay", scale=3.0, rate=0.0, shape=shape)
        np.testing.assert_array_equal(rule.scales(levels(3)), [3.0] * 3)


def test_the_schedule_does_not_depend_on_the_number_of_steps():
    rule = make("decay", scale=5.0, rate=3.0)
    np.testing.assert_allclose(rule.scales(levels(20))[::2], rule.scales(levels(10)), rtol=1e-14)


def test_decay_down_the_generations():
    drawn = {"exponential": [], "linear": []}
    for shape, scales in drawn.items():
        rule = make("generation_decay", scale=6.0, rate=0.25, shape=shape)
        for generation in range(7):
            within = rule.scales(levels(3), generation)
            assert np.ptp(within) == 0
            scales.append(within[0])
    np.testing.assert_allclose(drawn["linear"], [6, 6, 4.75, 3.5, 2.25, 1, 1])
    np.testing.assert_allclose(
        drawn["exponential"], [6, *(1 + 5 * np.exp(-0.25 * np.arange(6)))], rtol=1e-14
    )


def test_interval_includes_its_upper_end():
    sigma = np.array([4.0, 2.0, 1.0, 0.5])
    abar = 1 / (1 + sigma**2)
    ours = make("interval", scale=3.0, low=1.0, high=2.0).scales(Levels(abar, np.r_[abar[1:], 1]))
    np.testing.assert_array_equal(ours, [1, 3, 1, 1])
    rule = make("interval", scale=3.0, low=0.25, high=0.75, of="progress", outside=0.0)
    np.testing.assert_array_equal(rule.scales(levels(4)), [0, 3, 3, 0])


def test_uniform_scales_are_uniform_and_belong_to_their_image():
    rule = make("uniform", low=-1.0, high=3.0)
    scales = rule.scales(levels(2), seeds=SEEDS)
    np.testing.assert_array_equal(scales[0], scales[1])
    np.testing.assert_array_equal(rule.scales(levels(2), seeds=SEEDS[7:9]), scales[:, 7:9])
    # The Kolmogorov distance of n uniform draws exceeds 1.95 / sqrt n once in a thousand times.
    ranks = (np.sort(scales[0]) + 1) / 4 - (np.arange(len(SEEDS)) + 0.5) / len(SEEDS)
    assert np.abs(ranks).max() < 1.95 / len(SEEDS) ** 0.5


def test_chosen_scales_have_their_shares():
    scales = make("choice", among=[1.0, 7.5, 7.5]).scales(levels(2), seeds=SEEDS)
    assert set(scales[0]) == {1.0, 7.5}
    # Three standard errors of a binomial share of 2/3.
    assert abs(np.mean(scales[0] == 7.5) - 2 / 3) < 3 * (2 / 9 / len(SEEDS)) ** 0.5
    single = make("choice", among=[1.0, 7.5, 7.5]).scales(levels(2), seeds=SEEDS[3:4])
    np.testing.assert_array_equal(single, scales[:, 3:4])


def test_cads_anneals_from_noise_to_the_prompt():
    rule = make("cads", scale=2.0, tau1=0.6, tau2=0.9)
    kept = [rule.kept(1 - t) for t in (1.0, 0.95, 0.75, 0.65, 0.55, 0.1)]
    np.testing.assert_allclose(kept, [0, 0, 0.5, 5 / 6, 1, 1], rtol=1e-12)


def test_cfg_plus_plus_is_for_samplers_without_noise_and_memory():
    rule = make("cfg_plus_plus", scale=0.6)
    rule.check("ddim")
    with pytest.raises(UserError, match=r"'cfg_plus_plus' .* 'ddim' and 'euler', .* is 'dpm\+\+'"):
        rule.check("dpm++")
    still = Levels(np.array([0.1, 0.5]), np.array([0.5, 0.5]))
    with pytest.raises(UserError, match="step 2 of 2 does not"):
        rule.scales(still)
    # From pure noise (abar = 0) on, the schedule stays finite, and ends at lambda.
    np.testing.assert_allclose(
        rule.scales(Levels(np.array([0.0, 0.5]), np.array([0.5, 1.0]))), [0.6, 0.6]
    )
