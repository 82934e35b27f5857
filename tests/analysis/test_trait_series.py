"""Trait series: formats, and fits against closed forms and simulations."""

import numpy as np
import pytest
from scipy.stats import norm

from analysis.trait_series import (
    fit_series,
    log_likelihood,
    moments,
    read_csv,
    read_paleots,
    series,
    stepwise_log_likelihood,
)
from empirical.errors import UserError
from tests.helpers.published_walks import FIRST, PARAMETERS, PUBLISHED, SECOND

TRUTHS = {
    "random walk": {"ancestor": 1.0, "step_variance": 0.04},
    "directional walk": {"ancestor": 1.0, "step_mean": 0.3, "step_variance": 0.01},
    "stasis": {"theta": 2.0, "omega": 0.25},
    "Ornstein-Uhlenbeck": {"ancestor": 0.0, "theta": 3.0, "alpha": 0.15, "step_variance": 0.02},
}


def draw(model, samples=40, n=40, seed=0, step=1.0):
    rng = np.random.default_rng(seed)
    frame = series(
        step * np.arange(samples), np.zeros(samples), np.ones(samples), np.full(samples, n)
    )
    mean, covariance = moments(model, TRUTHS[model], frame)
    z = rng.multivariate_normal(mean, covariance)
    return series(frame.time, z, rng.chisquare(n - 1, samples) / (n - 1), frame.n)


@pytest.mark.parametrize("model", TRUTHS)
def test_the_parameters_come_back(model):
    """The mean estimate over 12 series lies within four standard errors of the truth."""
    estimates = []
    for seed in range(12):
        (fitted,) = fit_series(draw(model, seed=seed), [model])
        estimates.append([fitted.values[k] for k in TRUTHS[model]])
    estimates = np.array(estimates)
    error = estimates.std(axis=0, ddof=1) / np.sqrt(12)
    for (name, truth), mean, e in zip(
        TRUTHS[model].items(), estimates.mean(axis=0), error, strict=True
    ):
        # A variance has a bias of order 1/T, here beside 40 samples.
        assert abs(mean - truth) < 4 * e + (
            0.1 * truth if name in ("alpha", "step_variance") else 0
        )


# Models that may win when the key is true: a return so slow or so fast that it is a walk or stasis.
CONTAINING = {
    "random walk": {"random walk", "directional walk", "Ornstein-Uhlenbeck"},
    "directional walk": {"directional walk", "Ornstein-Uhlenbeck"},
    "stasis": {"stasis", "Ornstein-Uhlenbeck"},
    "Ornstein-Uhlenbeck": {"Ornstein-Uhlenbeck"},
}


@pytest.mark.parametrize("model", TRUTHS)
def test_a_wrong_model_does_not_win(model):
    for seed in range(2):
        fits = fit_series(draw(model, seed=seed))
        assert fits[0].model in CONTAINING[model]
        true = next(fit for fit in fits if fit.model == model)
        assert true.aicc < fits[0].aicc + 6
        assert sum(fit.weight for fit in fits) == pytest.approx(1)


def test_the_joint_likelihood_is_that_of_its_formula():
    """Two independent normal samples by hand: stasis."""
    s = draw("stasis", samples=5)
    by_hand = norm.logpdf(s.mean, 2.0, np.sqrt(0.25 + s.error)).sum()
    assert log_likelihood("stasis", TRUTHS["stasis"], s) == pytest.approx(by_hand)


def test_joint_and_stepwise_agree_without_sampling_error():
    """Steps are then independent; the joint form also includes the first sample."""
    s = draw("directional walk", samples=6)
    s = series(s.time, s.mean, s.variance, np.full(6, 10**12))
    values = {**TRUTHS["directional walk"], "ancestor": s.mean[0]}
    late = moments("directional walk", values, s)[1]
    first = norm.logpdf(s.mean[0], values["ancestor"], np.sqrt(late[0, 0]))
    joint = log_likelihood("directional walk", values, s) - first
    steps = stepwise_log_likelihood(values["step_mean"], values["step_variance"], s)
    assert joint == pytest.approx(steps, rel=1e-4)


def test_the_stepwise_maximum_is_the_mean_step():
    """Even times, equal n: mu is the mean step, and any other is less likely."""
    s = draw("directional walk", samples=30)
    s = series(s.time, s.mean, np.ones(30), s.n)
    best = np.diff(s.mean).mean()
    heights = [stepwise_log_likelihood(best + d, 0.01, s) for d in (-0.01, 0.0, 0.01)]
    assert heights[1] > max(heights[0], heights[2])


def test_a_slow_return_is_a_random_walk():
    s = draw("random walk", samples=8)
    walk = {"ancestor": 1.0, "step_variance": 0.04}
    slow = {**walk, "theta": 1.0, "alpha": 1e-7}
    walked, returned = moments("random walk", walk, s), moments("Ornstein-Uhlenbeck", slow, s)
    for ours, theirs in zip(walked, returned, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_both_formats_hold_the_same(tmp_path):
    s = draw("stasis", samples=4)
    rows = list(zip(s.n, s.mean, s.variance, s.time, strict=True))
    (tmp_path / "s.csv").write_text(
        "n,mean,variance,generation\n" + "".join(f"{n},{m},{v},{t}\n" for n, m, v, t in rows)
    )
    (tmp_path / "s.txt").write_text("".join(f"{n} {m} {v} {t}\n" for n, m, v, t in rows))
    # Ages fall: the oldest sample comes first.
    (tmp_path / "ages.txt").write_text(
        "# ages\n" + "".join(f"{n}\t{m}\t{v}\t{100 - t}\n" for n, m, v, t in rows)
    )
    for read in (
        read_csv(tmp_path / "s.csv"),
        read_paleots(tmp_path / "s.txt"),
        read_paleots(tmp_path / "ages.txt"),
    ):
        np.testing.assert_allclose(read.mean, s.mean)
        np.testing.assert_allclose(read.time, s.time)
        np.testing.assert_array_equal(read.n, s.n)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time": [0, 1, 1]}, "do not increase"),
        ({"mean": [1, np.nan, 2]}, "has mean nan in row 2"),
        ({"n": [10, 0, 10]}, "n = 0 in row 2, it must be an integer of 1 or more"),
        ({"variance": [0, 0, 0]}, "not all 0"),
        ({"variance": [1, -1, 1]}, "at least 0"),
        ({"time": [0, 1], "mean": [0, 1], "variance": [1, 1], "n": [5, 5]}, "3 or more"),
        ({"n": [5, 5]}, "different lengths"),
        ({"mean": ["a", "b", "c"]}, "mean that is not a number"),
    ],
)
def test_what_is_no_series_is_reported(change, words):
    good = {"time": [0, 1, 2], "mean": [0, 1, 2], "variance": [1, 1, 1], "n": [5, 5, 5]}
    with pytest.raises(UserError, match=words):
        series(**{**good, **change})


def test_what_cannot_be_read_is_reported(tmp_path):
    (tmp_path / "a.txt").write_text("10 1.0 0.5 0\n10 1.0 half 1\n")
    with pytest.raises(UserError, match=r"line 2 of .* it must be four numbers"):
        read_paleots(tmp_path / "a.txt")
    (tmp_path / "a.csv").write_text("generation,mean,n\n0,1,2\n")
    with pytest.raises(UserError, match="no column 'variance'"):
        read_csv(tmp_path / "a.csv")
    with pytest.raises(UserError, match="cannot be read"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(UserError, match="is empty"):
        read_paleots(tmp_path / "empty.txt")


@pytest.mark.parametrize("model", PUBLISHED)
def test_fits_are_those_that_paleots_published(model):
    for means, V, (height, aicc) in zip((FIRST, SECOND), (1.0, 4.0), PUBLISHED[model], strict=True):
        T = len(means)
        (fit,) = fit_series(series(range(T), means, np.full(T, V), np.full(T, 20)), [model])
        assert fit.log_likelihood == pytest.approx(height, abs=2e-5)
        assert fit.aicc == pytest.approx(aicc, abs=2e-5)
        if model == "directional walk" and T == 20:
            assert fit.values == pytest.approx(PARAMETERS, abs=1e-6)
