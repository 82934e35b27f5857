"""Estimators of selection and transmission: examples by hand, and known individuals."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

import qtm
from analysis.selection import differentials, intervals, transmission, variances
from analysis.selection.draws import Draws, Sample
from analysis.selection.intervals import POPULATION, THESE
from tests.helpers.simulated_generations import DISTINCT, TEN, Design, Truth, simulate


def sample(*families):
    """A sample of one component, a list of values for each prompt."""
    values = np.concatenate([np.asarray(family, float) for family in families])
    return Sample(values[:, None], np.repeat(np.arange(len(families)), [len(f) for f in families]))


def only(estimates, quantity, target=None):
    """The estimate of a quantity; of one target where there are two."""
    (e,) = (e for e in estimates if e.quantity == quantity and target in (None, e.target))
    return e


def draws(unguided, guided, training=None, base=None):
    training = training or unguided
    return Draws(training, training, unguided, guided, base)


# Two prompts of two images: V_W = (2 + 8)/2 = 5, means 1 and 4.
BEFORE = sample([0, 2], [2, 6])
# S_c = 1 and 3, of differences (0, 2) and (3, 3); V_W* = (4^2/2 + 4^2/2)/2 = 8.
AFTER = sample([0, 4], [5, 9])


def test_variances_by_hand():
    assert only(variances.within(BEFORE), "V_W").value == 5
    # variance of the means 1, 4 is 4.5, of which (1 + 4)/2 is sampling
    assert only(variances.between(BEFORE), "V_B").value == pytest.approx(2)
    assert only(variances.total(BEFORE), "V").value == pytest.approx(np.var([0, 2, 2, 6], ddof=1))


def test_two_images_of_a_prompt_give_half_their_mean_squared_difference():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 2))
    pairs = Sample(z.reshape(-1, 1, order="F"), np.tile(np.arange(40), 2), 40)
    assert only(variances.within(pairs), "V_W").value == pytest.approx(
        np.square(z[:, 0] - z[:, 1]).mean() / 2
    )
    # Their covariance is V_B: that of the means less a half of V_W.
    m, d = z.mean(axis=1), np.square(z[:, 0] - z[:, 1]).mean() / 2
    assert only(variances.between(pairs), "V_B").value == pytest.approx(m.var(ddof=1) - d / 2)
    assert variances.how(pairs) == "replicates"
    assert variances.how(pairs.realised()) == "total"
    assert variances.within(pairs.realised()) == variances.between(pairs.realised()) == []


def test_families_of_unequal_size_are_pooled():
    unequal = sample([1, 3, 5], [2], [0, 4])
    # squares 8 + 0 + 8 over 6 images less 3 prompts
    assert only(variances.within(unequal), "V_W").value == pytest.approx(16 / 3)
    # the prompt with one image takes the pooled variance for its error
    errors = [4 / 3, 16 / 3, 8 / 2]
    assert only(variances.between(unequal), "V_B").value == pytest.approx(
        np.var([3, 2, 2], ddof=1) - np.mean(errors)
    )
    assert variances.how(unequal) == "families"


def test_differential_and_gradients_by_hand():
    d = draws(BEFORE, AFTER)
    estimates = differentials.differential(d)
    assert {e.value for e in estimates if e.quantity == "S"} == {2}
    assert only(estimates, "S_standardised").value == pytest.approx(2 / 5**0.5)
    # mean square (1 + 9)/2, less the variances 2 and 0 over two images, averaged
    assert only(estimates, "S_rms").value == pytest.approx((5 - 0.5) ** 0.5)
    # With two degrees of freedom P^-1 has no mean: there is no gradient.
    assert differentials.gradients(d) == []
    assert np.array_equal(differentials.by_prompt(d)[:, 0], [1, 3])


def test_gamma_by_hand():
    before, after = sample([0, 2, 4, 6], [1, 3, 5, 7]), sample([3, 4, 5, 6], [2, 3, 4, 5])
    d = draws(before, after)
    P, star, nu = 20 / 3, 5 / 3, 6
    # S_c = 1.5 and -0.5; differences 3, 2, 1, 0 and 1, 0, -1, -2 vary by 5/3
    S, square = 0.5, (1.5**2 + 0.5**2) / 2 - 5 / 3 / 4
    (beta,) = {e.value for e in differentials.gradients(d) if e.quantity == "beta"}
    assert beta == pytest.approx(S / P * (nu - 2) / nu)
    (gamma,) = {e.value for e in differentials.quadratic(d)}
    assert gamma == pytest.approx((star - P + square) / P)


def test_the_interval_of_one_prompt_is_that_of_a_paired_t_test():
    rng = np.random.default_rng(1)
    before, after = rng.normal(size=(2, 12))
    e = only(differentials.differential(draws(sample(before), sample(after))), "S")
    expected = stats.ttest_rel(after, before).confidence_interval(0.9)
    assert (e.low, e.high) == pytest.approx(tuple(expected))
    assert e.target == THESE


def test_the_interval_over_prompts_is_students():
    rng = np.random.default_rng(2)
    z = rng.normal(size=(2, 7, 3))
    d = draws(sample(*z[0]), sample(*z[1]))
    e = only(differentials.differential(d), "S", POPULATION)
    expected = stats.ttest_1samp((z[1] - z[0]).mean(axis=1), 0).confidence_interval(0.9)
    assert (e.low, e.high) == pytest.approx(tuple(expected))


def test_identical_draws_have_no_selection_and_no_width():
    z = sample(*np.random.default_rng(3).normal(size=(4, 10)))
    estimates = differentials.differential(draws(z, z))
    for e in estimates:
        assert (e.value, e.low, e.high) == (0, 0, 0)
    for e in [*differentials.gradients(draws(z, z)), *differentials.quadratic(draws(z, z))]:
        np.testing.assert_allclose([e.value, e.low, e.high], 0, atol=1e-12)


def test_mean_squares_of_one_variance_have_the_chi_square_interval():
    low, high = intervals.difference(3.0, 9, 0.0, 9)
    quantiles = stats.chi2.ppf([0.95, 0.05], 9)
    assert (low, high) == pytest.approx(tuple(27 / quantiles))
    # With a known second variance it is shifted by it, as where it has many degrees of freedom.
    shifted = intervals.difference(3.0, 9, 1.0, 1e9)
    assert shifted == pytest.approx(tuple(27 / quantiles - 1), rel=1e-3)


def test_the_ends_of_a_difference_vanish_where_the_ratio_has_that_quantile():
    """As of the F test of equal variances (Burdick & Graybill 1992, section 3.3)."""
    low, _ = intervals.difference(stats.f.ppf(0.95, 8, 20), 8, 1.0, 20)
    _, high = intervals.difference(stats.f.ppf(0.05, 8, 20), 8, 1.0, 20)
    np.testing.assert_allclose([low, high], 0, atol=1e-6)


def test_slope_by_hand_and_its_textbook_error():
    x, y = np.array([0.0, 1, 2, 5]), np.array([1.0, 2, 2, 6])
    spread = np.array([-1.0, 1])
    offspring, parents = sample(*(m + spread for m in y)), sample(*([m] for m in x))
    estimates = transmission.slope(offspring, parents, "b")
    fit = stats.linregress(x, y)
    assert [e.value for e in estimates] == pytest.approx([fit.slope] * 2)
    # Each mean has the variance 2/2; the slope sum x~ y / 14 that of 1/14.
    these = only(estimates, "b", THESE)
    half = (these.high - these.low) / 2
    square = np.square(x - x.mean())
    variance, nu = 1 / square.sum(), square.sum() ** 2 / (np.square(square).sum() / 3) - 2
    assert half == pytest.approx(stats.t.ppf(0.95, max(nu, 1)) * variance**0.5)
    # HC2: squared residuals over 1 - h
    population = only(estimates, "b", POPULATION)
    h = 1 / 4 + square / square.sum()
    r = y - fit.intercept - fit.slope * x
    hc2 = (square * r**2 / (1 - h)).sum() / square.sum() ** 2
    B = np.diag(square / square.sum() ** 2 / (1 - h))
    X = np.column_stack([np.ones(4), x])
    M = np.eye(4) - X @ np.linalg.inv(X.T @ X) @ X.T
    B = M @ B @ M
    freedom = np.trace(B) ** 2 / np.trace(B @ B)
    half = (population.high - population.low) / 2
    assert half == pytest.approx(stats.t.ppf(0.95, freedom) * hc2**0.5)


def test_drift_and_mutation_by_hand():
    training = sample([0, 2], [2, 4], [4, 6], [5, 7])
    unguided = sample([-1, 3], [2, 4], [5, 5], [4, 8])
    d = Draws(training, training, unguided, unguided)
    estimates = transmission.transmission(d)
    assert only(estimates, "drift", POPULATION).value == pytest.approx(2 / 2)
    x, y = np.array([1.0, 3, 5, 6]), np.array([1.0, 3, 5, 6])
    assert only(estimates, "transmission", THESE).value == pytest.approx(1)
    # No residuals: all of V_W/n_c, 4, 1, 0, 4, is taken off twice their leverage.
    h = 1 / 4 + np.square(x - x.mean()) / np.square(x - x.mean()).sum()
    mutation = only(estimates, "mutation")
    assert mutation.value == pytest.approx(-((1 - h) * np.array([4, 1, 0, 4])).sum() / 2)
    assert mutation.low == 0
    assert np.array_equal(x, y)


def test_prompts_without_training_images_take_no_part_in_transmission():
    rng = np.random.default_rng(4)
    z = rng.normal(size=(6, 5)) + np.arange(6)[:, None]
    y = 2 * z
    offspring, parents = sample(*y), sample(*z[:5])
    assert only(transmission.slope(offspring, parents, "b"), "b", THESE).value == pytest.approx(2)
    assert transmission.slope(sample(*y[:2]), sample(*z[:2]), "b") == []
    assert transmission.slope(sample(*y), sample([1], [1], [1], [1]), "b") == []


def test_two_parents_are_recovered_where_the_base_is_noisy():
    """y = 1.9 x - 1 b: without the correction the weights shrink, with it they do not."""
    rng = np.random.default_rng(5)
    C, n = 4000, 4
    b = rng.normal(size=C)
    x = 0.6 * b + rng.normal(size=C)
    y = 1.9 * x - b + 0.1 * rng.normal(size=C)
    codes = np.arange(C)
    many = np.repeat(codes, n)
    base = Sample(b[many][:, None] + 2 * rng.normal(size=(C * n, 1)), many)
    training, offspring = Sample(x[:, None], codes), Sample(y[:, None], codes)
    d = Draws(training, training, offspring, offspring, base)
    estimates = transmission.two_parents(d)
    for quantity, true in (("parent_weight", 1.9), ("base_weight", -1.0)):
        e = only(estimates, quantity)
        error = (e.high - e.low) / 2 / 1.645
        assert abs(e.value - true) < 4 * error
        assert error < 0.1
    X = np.column_stack([x, base.means[:, 0]])
    plain = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean(), rcond=None)[0]
    assert plain[1] > -0.6


def test_two_parents_that_coincide_have_no_weights():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(8, 1))
    codes = np.repeat(np.arange(8), 6)
    base = Sample(x[codes] + 0.1 * rng.normal(size=(48, 1)), codes)
    training = Sample(x, np.arange(8))
    d = Draws(training, training, base, base, base)
    assert transmission.two_parents(d) == []


def test_averages_over_components_are_those_of_the_components():
    g = simulate(np.random.default_rng(7), Design(12, 9), Truth.of_axes(2)).draws
    first, second = (g.component(j) for j in (0, 1))
    for f in (variances.within, variances.between):
        values = [f(s.unguided)[0].value for s in (first, second, g)]
        assert values[2] == pytest.approx(np.mean(values[:2]))
    squares = [only(differentials.differential(d), "S_rms").value ** 2 for d in (first, second, g)]
    assert squares[2] == pytest.approx(np.mean(squares[:2]))


def test_effective_dimension_is_that_of_the_matrix():
    rng = np.random.default_rng(8)
    z = rng.normal(size=(4000, 3)) * [1, 1, 0.01]
    assert Sample(z, np.zeros(4000, int)).dimension == pytest.approx(2, abs=0.01)


def test_replicates_are_no_parents():
    """The realised images are what a model learns from; replicates only measure V_W."""
    g = simulate(np.random.default_rng(9), DISTINCT, Truth.of_axes(2)).draws
    assert len(g.previous.values) == 1000
    assert len(g.previous.realised().values) == 500
    assert g.replaced
    assert g.parents is g.previous
    assert only(transmission.drift(g.component(0)), "drift").value == pytest.approx(
        g.previous.component(0).within
    )


def test_unguided_and_guided_must_be_of_the_same_prompts():
    with pytest.raises(ValueError, match="same prompts"):
        draws(sample([1, 2], [3]), sample([1], [2, 3]))


@pytest.mark.parametrize("design", [TEN, DISTINCT], ids=["families", "replicates"])
def test_estimates_average_to_the_truth(design):
    """100 generations: means within four standard errors."""
    truth, found = Truth.of_axes(2), {}
    for number in range(100):
        g = simulate(np.random.default_rng([10, number]), design, truth)
        first = g.draws.component(0)
        estimates = [
            *transmission.transmission(first),
            *differentials.differential(first),
            *differentials.gradients(g.draws),
            *variances.within(first.unguided),
            *variances.between(first.unguided),
        ]
        for e in estimates:
            if e.target == POPULATION and not e.component:
                found.setdefault(e.quantity, []).append(e.value)
    expected = {
        "transmission": truth.h,
        "mutation": truth.M[0, 0],
        "S": truth.S[0],
        "beta": np.linalg.solve(truth.P, truth.S)[0],
        "V_W": truth.P[0, 0],
        "V_B": truth.h**2 * (truth.B + truth.P / design.images)[0, 0] + truth.M[0, 0],
    }
    for quantity, value in expected.items():
        values = np.array(found[quantity])
        error = values.std(ddof=1) / len(values) ** 0.5
        assert abs(values.mean() - value) < 4 * error, quantity


def test_a_life_cycle_of_individuals_is_measured():
    """h, V_m and beta of `qtm` are read off draws with Neutral and Directional selection.

    Mutation follows selection, so that of S = b V the gradient P^-1 S sees b V/(V + V_m).
    """
    h, V_m, b, C, n, V = 0.8, 0.1, 0.3, 40, 150, 0.5
    key = jr.key(11)
    centres = jr.normal(jr.fold_in(key, 1), (C,))
    parents = qtm.Individuals.normal(key, centres, V, size=n)
    inheritance = qtm.Regression(h, jnp.zeros(C), V)
    step = lambda form: qtm.LifeCycle(inheritance, form, qtm.GaussianMutation(V_m)).step(
        parents, key=jr.fold_in(key, 2)
    )
    after = [np.asarray(step(form).values) for form in (qtm.Neutral(), qtm.Directional(b))]
    codes = np.tile(np.arange(C), n)
    samples = [Sample(np.asarray(v).reshape(-1, 1), codes) for v in (parents.values, *after)]
    d = Draws(samples[0], *samples)
    near = lambda e, value: abs(e.value - value) < 4 * (e.high - e.low) / 2 / 1.645
    estimates = transmission.transmission(d)
    assert near(only(estimates, "transmission", THESE), h)
    V_after = samples[1].within - V_m
    assert near(only(differentials.gradients(d), "beta", THESE), b * V_after / (V_after + V_m))
    # All prompts have one h and do not mutate separately.
    assert near(only(estimates, "mutation"), 0)


def test_the_covariance_of_generations_bounds_the_variance_between():
    """Heise's identity gives V_B if images pass on prompt values alone, and more otherwise."""
    rng = np.random.default_rng(12)
    C, V_W = 20_000, 0.6
    codes = np.arange(C)
    for carried, exceeds in ((0.0, False), (1.0, True)):
        value, chain = rng.normal(size=C), []
        for _ in range(3):
            image = value + V_W**0.5 * rng.normal(size=C)
            chain.append((value, Sample(image[:, None], codes)))
            value = 0.9 * (value + carried * (image - value)) + 0.3 * rng.normal(size=C)
        true = chain[1][0].var(ddof=1)
        (e,) = variances.upper_bound(*(s for _, s in chain))
        assert np.isnan([e.low, e.high]).all()
        assert e.target == ""
        if exceeds:
            assert e.value > 1.3 * true
        else:
            assert e.value == pytest.approx(true, abs=4 * 0.02)
    assert variances.upper_bound(*(sample([1.0], [2.0]),) * 3) == []


def test_many_components_take_no_covariance_of_all_of_them():
    """V_W and the effective dimension of more components than images, by the covariance."""
    rng = np.random.default_rng(5)
    sample = Sample(rng.normal(size=(24, 40)) * np.linspace(2, 0.1, 40), np.tile(np.arange(4), 6))
    P, nu = sample.covariance, sample.freedom
    trace2, square = np.trace(P) ** 2, np.trace(P @ P)
    unbiased = nu * (nu * square - trace2) / ((nu - 1) * (nu + 2))
    assert sample.within == pytest.approx(np.trace(P) / 40)
    assert sample.dimension == pytest.approx((trace2 - 2 * unbiased / nu) / unbiased)
    fresh = Sample(sample.values, sample.prompts)
    assert fresh.dimension > 1
    assert "covariance" not in fresh.__dict__
