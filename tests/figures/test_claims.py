"""Claims of the captions, checked on the kept runs."""

from itertools import pairwise

import numpy as np
import pytest

from empirical.runs import kept
from figures.fitted import KEPT, NAIVE, Fitted
from figures.gallery import every_figure
from figures.gallery.phase_diagram import place, variances
from figures.gallery.remedies import arms, rates
from figures.gallery.training_sets import arms as training_sets
from figures.gallery.training_sets import real_fractions
from figures.study import Study
from qtm import neutral_scale


@pytest.fixture(scope="module")
def study():
    return Study(tuple(kept.runs()))


@pytest.fixture(scope="module")
def end(study):
    return lambda runs, measure="frechet": study.measured(runs, measure).last.mean()


def test_the_kept_runs_hold_every_scale_with_two_seeds(study):
    scales = study.scales()
    assert list(scales) == [1.0, 1.25, 1.5, 2.5, 5.0, 7.5]
    assert {len(runs) for runs in scales.values()} == {2}


def test_a_higher_scale_lies_above_a_lower_one_at_every_generation(study):
    curves = [study.measured(study.scales()[w], "frechet").mean[1:] for w in (1.25, 2.5, 5.0, 7.5)]
    for lower, higher in pairwise(curves):
        assert (higher > lower).all()


def test_high_scales_lose_diversity_before_quality_and_no_guidance_quality_alone(study):
    first = {w: [study.measured(study.scales()[w], m).mean[1] for m in ("recall", "precision")]
             for w in (1.0, 7.5)}  # fmt: skip
    assert first[7.5][0] < 0.3
    assert first[7.5][1] > 0.9
    recall, precision = (
        study.measured(study.scales()[1.0], m).mean for m in ("recall", "precision")
    )
    assert recall[-1] > recall[0] - 0.05
    assert precision[-1] < precision[0] - 0.1


def test_variances_go_in_opposite_directions_at_high_and_low_scale(study):
    for run in study.scales()[1.0]:
        assert study.variance([run], "between").last < 0.75
    for run in study.scales()[7.5]:
        assert study.variance([run], "within").last < 0.4
        assert study.variance([run], "between").last > 5


def test_no_other_factor_moves_the_end_as_far_as_the_scale(study, end):
    by_scale = [end(runs) for runs in study.scales().values()]
    keys = ("data.size", "finetune.steps", "finetune.rank", "finetune.learning_rate",
            "finetune.start_from", "generate.steps", "generate.sampler")  # fmt: skip
    for key in keys:
        values = study.along(key)
        assert len(values) > 1, key
        others = np.log([end(runs) for runs in values.values()])
        assert np.ptp(others) < np.ptp(np.log(by_scale)) / 2, key


def test_a_fast_decay_saves_and_a_slow_one_does_not(study, end):
    by_name = arms(study)
    ends = {name: end(runs) for name, runs in by_name.items()}
    assert ends["redifine"] < ends["decay"] < ends["generation_decay"] < ends["redifine_slow"]
    assert ends["redifine_slow"] > 0.7 * ends["baseline"]
    assert abs(np.log(ends["condition_drop"] / ends["baseline"])) < 0.2
    fallen = [end(runs) for runs in rates(study, True).values()]
    assert fallen == sorted(fallen, reverse=True)


def test_a_constant_scale_of_1_25_costs_less_and_ends_lower_than_every_rate(study):
    weak = study.measured(study.scales()[1.25], "frechet").mean
    for runs in rates(study, True).values():
        strong = study.measured(runs, "frechet").mean
        assert weak[1] < strong[1]
        assert weak[-1] < strong[-1]


def test_which_fraction_of_real_images_is_safe(study, end):
    strong, weak = real_fractions(study, 7.5), real_fractions(study, 1.0)
    assert list(strong) == [0.0, 0.2, 0.5, 1.0]
    assert end(strong[0.5]) > 4 * end(strong[1.0])
    ends = [end(runs) for runs in strong.values()]
    assert ends == sorted(ends, reverse=True)
    control = study.measured(weak[1.0], "frechet")
    accumulated = end(training_sets(study, 1.0)["accumulate"])
    assert accumulated < control.high[-1] < end(weak[0.2])


def test_chains_are_placed_around_the_neutral_scale(study):
    placed = {
        w: np.array([place(study, run) for run in runs]) for w, runs in study.scales().items()
    }
    explained = [places[:, 0].mean() for places in placed.values()]
    assert explained == sorted(explained)
    assert explained[-1] < 2.5
    inherited = np.concatenate([places[:, 1] for places in placed.values()])
    assert ((inherited > 0.8) & (inherited < 1.05)).all()
    V_W, V_B = variances(study, study.runs[0], 0)
    for w, places in placed.items():
        neutral = np.asarray(neutral_scale(np.minimum(places[:, 1], 1), V_W, V_B))
        assert ((places[:, 0] > neutral) == (w > 1)).all(), w


@pytest.fixture(scope="module")
def fitted(study):
    if not KEPT.is_dir():
        pytest.skip("no fit of the kept runs is kept yet")
    return Study(study.runs, Fitted(KEPT)).fitted


def test_the_best_theory_beats_the_naive_forecasts_of_what_was_held_out(fitted):
    scores = fitted.scores().set_index(["kind", "model"])
    for kind in ("generations", "scale"):
        naive = scores.loc[kind].loc[list(NAIVE)]
        best = scores.loc[(kind, fitted.best)]
        assert best["log_score"] > naive["log_score"].max()
        assert best["within"] < naive["within"].min()
        assert best["between"] < naive["between"].min()


def test_every_figure_of_the_study_is_there():
    assert len(every_figure()) == 11
