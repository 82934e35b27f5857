"""The Price decomposition and the comparison of matrices."""

import numpy as np
import pytest

from analysis.selection import matrices, price
from analysis.selection.draws import Draws, Sample
from empirical.runs import moments


def change(changes, quantity, component=0, prompt=None):
    """The change of a quantity."""
    (c,) = (
        c for c in changes if (c.quantity, c.component, c.prompt) == (quantity, component, prompt)
    )
    return c


def test_parts_by_hand():
    codes = np.array([0, 0, 1, 1])
    values = lambda *z: Sample(np.array(z, float)[:, None], codes)
    previous, unguided, guided = values(0, 2, 4, 6), values(1, 3, 4, 8), values(0, 2, 5, 9)
    training = Sample(np.array([[2.0], [4.0], [6.0]]), np.array([0, 1, 1]))
    changes = price.decompose(Draws(previous, training, unguided, guided))
    of_mean = change(changes, "mean")
    assert (of_mean.before, of_mean.inflow, of_mean.transmission, of_mean.selection) == (3, 1, 0, 0)
    first = change(changes, "prompt_mean", prompt=0)
    assert (first.before, first.inflow, first.transmission, first.selection) == (1, 1, 0, -1)
    within = change(changes, "within")
    # within: 2, of the training set 2 (one degree of freedom), (2 + 8)/2, again 5
    assert (within.before, within.inflow, within.transmission, within.selection) == (2, 0, 3, 0)
    between = change(changes, "between")
    # means 1, 5; 2, 5; 2, 6; 1, 7
    assert (between.before, between.after) == (8, 18)
    assert (between.inflow, between.transmission, between.selection) == (-3.5, 3.5, 10)


def test_inflow_of_a_filter_is_the_covariance_of_fitness_and_trait():
    """Robertson (1966): Cov(w, z)/mean(w), w the number of places in the training set."""
    rng = np.random.default_rng(0)
    z, codes = rng.normal(size=(30, 2)), np.repeat(np.arange(5), 6)
    w = rng.integers(0, 4, size=30)
    previous = Sample(z, codes)
    training = Sample(np.repeat(z, w, axis=0), np.repeat(codes, w))
    changes = price.decompose(Draws(previous, training, previous, previous))
    for j in range(2):
        covariance = np.cov(w, z[:, j], ddof=0)[0, 1]
        assert change(changes, "mean", j).inflow == pytest.approx(covariance / w.mean())


def some_training_set(kind, previous, rng):
    n = len(previous.values)
    rows = {
        "replace": np.arange(n),
        "filter": np.flatnonzero(previous.values[:, 0] > -0.3),
        "a prompt is missing": np.flatnonzero(previous.prompts != 2),
        "one image a prompt": np.unique(previous.prompts, return_index=True)[1],
        "unequal": rng.integers(0, n, size=3 * n),
    }[kind]
    return Sample(previous.values[rows], previous.prompts[rows])


@pytest.mark.parametrize(
    "kind", ["replace", "filter", "a prompt is missing", "one image a prompt", "unequal"]
)
@pytest.mark.parametrize("average", [False, True])
def test_parts_add_up_whatever_the_training_set(kind, average):
    rng = np.random.default_rng(1)
    codes = np.repeat(np.arange(6), [9, 4, 7, 2, 5, 12])
    draw = lambda: Sample(100 + 5 * rng.normal(size=(len(codes), 3)), codes)
    previous, unguided, guided = draw(), draw(), draw()
    training = some_training_set(kind, previous, rng)
    changes = price.decompose(Draws(previous, training, unguided, guided), average)
    assert len(changes) == (4 if average else 3 * (4 + 6))
    for c in changes:
        parts = [c.inflow, c.transmission, c.selection]
        if c.quantity == "within" and kind == "one image a prompt":
            # No variance within prompts is defined on the way.
            assert np.isnan(parts[:2]).all()
            assert np.isfinite([c.before, c.selection, c.after]).all()
            continue
        assert c.before + sum(parts) == pytest.approx(c.after, abs=1e-10)
    ends = [moments.moments(s.values, s.prompts) for s in (previous, guided)]
    for name in ("mean", "variance", "within", "between"):
        c = change(changes, name, None if average else 0)
        values = [m[name].mean() if average else m[name][0] for m in ends]
        assert [c.before, c.after] == pytest.approx(values, abs=1e-12)


def test_a_prompt_without_training_images_has_no_inflow():
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(3), 4)
    samples = [Sample(rng.normal(size=(12, 1)), codes) for _ in range(3)]
    training = samples[0].only(np.array([0, 2]))
    changes = price.decompose(Draws(samples[0], training, *samples[1:]))
    c = change(changes, "prompt_mean", prompt=1)
    assert c.inflow == 0
    assert c.transmission == pytest.approx(samples[1].means[1, 0] - samples[0].means[1, 0])


def test_replicates_give_the_variances_and_take_no_part_in_means():
    rng = np.random.default_rng(3)
    codes = np.tile(np.arange(20), 2)
    draw = lambda: Sample(rng.normal(size=(40, 1)), codes, 20)
    previous, unguided, guided = draw(), draw(), draw()
    changes = price.decompose(Draws(previous, previous.realised(), unguided, guided))
    assert change(changes, "mean").inflow == 0
    assert change(changes, "mean").before == previous.values[:20].mean()
    within = change(changes, "within")
    assert within.inflow == 0
    assert within.before == pytest.approx(previous.within)
    assert within.before + within.transmission + within.selection == pytest.approx(within.after)


def test_matrices_that_are_known():
    A, B = np.diag([4.0, 2, 1, 1]), np.diag([2.0, 2, 0.5, 0.25])
    np.testing.assert_allclose(matrices.relative_eigenvalues(A, B), [0.25, 0.5, 0.5, 1])
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    weights = matrices.relative_axes(turn @ A @ turn.T, turn @ B @ turn.T)
    # Factors are 1/2, 1, 1/2, 1/4 along the columns: two are single, the least and the greatest.
    np.testing.assert_allclose(np.abs(weights[:, 0]), np.abs(turn[:, 3]))
    np.testing.assert_allclose(np.abs(weights[:, 3]), np.abs(turn[:, 1]) / 2**0.5)
    values, axes = matrices.principal_axes(turn @ A @ turn.T)
    np.testing.assert_allclose(values, [4, 2, 1, 1])
    np.testing.assert_allclose(np.abs(axes[:, :2]), np.abs(turn[:, :2]))
    assert (axes[np.abs(axes).argmax(axis=0), np.arange(4)] > 0).all()
    assert matrices.effective_dimension(A) == pytest.approx(64 / 22)
    assert matrices.effective_dimension(np.eye(5)) == pytest.approx(5)
    assert matrices.random_skewers(A, 3 * A) == pytest.approx(1)
    assert matrices.random_skewers(A, B) == matrices.random_skewers(A, B)
    turned = np.diag([1.0, 4, 1, 2])
    assert matrices.angle(A, turned) == pytest.approx(90)
    assert matrices.angle(A, -A + 10 * np.diag([1.0, 0, 0, 0])) == pytest.approx(0)
    # the leading planes are of axes 0, 1 and 1, 3: one axis of two in common
    assert matrices.common_subspace(A, turned) == pytest.approx(0.5)
    assert matrices.common_subspace(A, 2 * A) == pytest.approx(1)


def test_random_skewers_have_the_mean_of_their_distribution():
    """In the plane, A = diag(1, 0): the cosine of (cos a, 0) and (cos a, sin a) is |cos a|, whose
    mean is 2/pi and whose variance is 1/2 - 4/pi^2."""
    mean = matrices.random_skewers(np.diag([1.0, 0]), np.eye(2), count=4000)
    error = (1 / 2 - 4 / np.pi**2) ** 0.5 / 4000**0.5
    assert abs(mean - 2 / np.pi) < 4 * error


def test_matrices_without_variance_are_not_compared():
    zero, known = np.zeros((3, 3)), np.eye(3)
    assert np.isnan(matrices.relative_eigenvalues(zero, known)).all()
    assert np.isnan(matrices.relative_axes(zero, known)).all()
    assert np.isnan(matrices.random_skewers(zero, known))
    assert np.isnan(matrices.effective_dimension(zero))
    unknown = np.full((3, 3), np.nan)
    assert np.isnan(matrices.angle(unknown, known))
    assert np.isnan(matrices.principal_axes(unknown)[1]).all()
    assert np.isnan(matrices.common_subspace(np.eye(1), np.eye(1)))


def test_the_covariance_between_prompts_has_no_sampling_part():
    """Prompts that are alike: B is 0 within four standard errors, the raw one P/n."""
    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(300), 4)
    sample = Sample(rng.normal(size=(1200, 2)), codes)
    B = matrices.between_covariance(sample)
    error = np.sqrt(2 / 299 + 2 / 900) / 4
    assert np.abs(np.diag(B)).max() < 4 * error
    assert np.isnan(matrices.between_covariance(Sample(np.ones((3, 2)), np.zeros(3, int)))).all()


@pytest.mark.parametrize("average", [False, True])
def test_one_image_a_prompt_has_the_parts_of_moments(average):
    """V_W and V_B are those of moments.csv: by the base model before, by replicates after."""
    rng, C = np.random.default_rng(5), 40
    captions = [str(i) for i in range(C)]
    codes = np.arange(C)
    values = 10 + rng.normal(size=(C, 2))
    pair = lambda: Sample(np.concatenate(values + rng.normal(size=(2, C, 2))), np.tile(codes, 2), C)
    real = Sample(values + rng.normal(size=(C, 2)), codes)
    base, unguided, guided = pair(), pair(), pair()
    draws = Draws(real, real, unguided, guided, base, distinct=True)
    changes = price.decompose(draws, average)
    mean = (lambda x: x.mean(keepdims=True)) if average else (lambda x: x)
    by_base = moments.by_base_model(real.values, np.diag(base.covariance))
    for i, quantity in enumerate(("within", "between")):
        split = [
            moments.separated(s.values[:C], captions, s.values[C:], captions)[i]
            for s in (unguided, guided)
        ]
        steps = [mean(x) for x in (by_base[i], *split)]
        for j, values_of in enumerate(np.transpose(steps)):
            c = change(changes, quantity, None if average else j)
            assert [c.before, c.after] == pytest.approx([values_of[0], values_of[2]])
            assert c.inflow == 0
            assert c.transmission == pytest.approx(values_of[1] - values_of[0])
            assert c.selection == pytest.approx(values_of[2] - values_of[1])
    total = change(changes, "variance", None if average else 0)
    assert total.before == pytest.approx(mean(real.values.var(axis=0, ddof=1))[0])
    # Without replicates only the variance of all images is known.
    alone = [s.realised() for s in (real, real, unguided, guided)]
    changes = price.decompose(Draws(*alone, distinct=True), average)
    for quantity in ("within", "between"):
        assert np.isnan(change(changes, quantity, None if average else 0).after)
    assert change(changes, "variance", None if average else 0).before == total.before
