"""Chains of mixtures: inheritance by its formula, drift, mutation and bounds by their laws."""

from itertools import pairwise

import jax
import jax.random as jr
import numpy as np
import pytest

from qtm import mixture
from qtm.mixture import Learning, Mixture, NoiseLevels, Sampler

C, D, N = 2, 16, 16
FAMILIES = np.arange(N) % C
LEVELS = NoiseLevels.exploding(1e-3, 300.0, 100)
PLAIN = Sampler(LEVELS, 1.0)


def unit(apart=1.0):
    """Families with unit covariance in D traits, their means `apart` in each."""
    means = np.array([[-0.5], [0.5]]) * apart * np.ones((C, D))
    return Mixture.of(np.ones(C), means, np.stack([np.eye(D)] * C))


def kept(variance=1.0):
    """The share of a variance that K steps without guidance keep: discretization loses some."""
    s, g = np.asarray(LEVELS.levels), float(LEVELS.start)
    for now, then in pairwise(s):
        g *= (variance + now * then) / (variance + now**2)
    return g**2 / variance


@pytest.fixture(scope="module")
def trained():
    """A base, and training data of families that differ from it."""
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(3, 5, 5)) / 2
    base = Mixture.of([0.2, 0.3, 0.5], rng.normal(size=(3, 5)), roots @ roots.swapaxes(1, 2))
    family = np.repeat([0, 1, 2], [3, 9, 12])
    return base, rng.normal(size=(24, 5)) * 2 + family[:, None], family


@pytest.mark.parametrize(
    "learning",
    [
        Learning(),
        Learning(heritability=0.7, uptake=0.0),
        Learning(heritability=0.7, spread_heritability=0.2, uptake=0.4),
        Learning(heritability=0.9, leak=0.3, ddof=0),
        Learning(heritability=0.0),
    ],
    ids=str,
)
def test_learning_by_its_formula(trained, learning):
    base, z, family = trained
    data = Mixture.fit(z, family, learning.ddof)
    h, u, leak = learning.heritability, learning.uptake, learning.leak
    h_V = h if learning.spread_heritability is None else learning.spread_heritability
    p, m, V = (np.asarray(x) for x in (data.weights, data.means, data.covariances))
    m = (1 - leak) * m + leak * (p @ m)
    V = (1 - leak) * V + leak * np.einsum("c,cij->ij", p, V)
    m = (1 - h) * base.means + h * m
    V = (1 - h_V) * base.covariances + h_V * V
    conditional, unconditional = learning.learn(base, z, family)
    np.testing.assert_allclose(conditional.means, m, atol=1e-13)
    np.testing.assert_allclose(conditional.covariances, V, atol=1e-12)
    np.testing.assert_allclose(unconditional.means, (1 - u) * base.means + u * m, atol=1e-13)
    expected = (1 - u) * base.covariances + u * V
    np.testing.assert_allclose(unconditional.covariances, expected, atol=1e-12)
    weights = (1 - u) * base.weights + u * ((1 - h) * base.weights + h * p)
    np.testing.assert_allclose(unconditional.weights, weights, atol=1e-14)


def test_fewer_images_than_traits_are_blended_in_as_few_axes():
    rng = np.random.default_rng(1)
    family = np.repeat([0, 1], 5)
    base = Mixture.fit(rng.normal(size=(10, 30)), family)
    learnt, _ = Learning(heritability=0.6).learn(base, rng.normal(size=(10, 30)), family)
    assert learnt.axes.shape == (2, 30, 8)
    inner = np.einsum("cir,cis->crs", learnt.axes, learnt.axes)
    np.testing.assert_allclose(inner, np.stack([np.eye(8)] * 2), atol=1e-12)


@pytest.mark.parametrize("ddof", [0, 1])
def test_refitting_alone_drifts_as_theory_says(ddof):
    """E[V_t] = V_0 (1 - 1/n)^t by maximum likelihood (ddof 0), V_0 unbiased, n images a family.

    Each step also keeps the fraction g of the variance that the sampler's finite steps keep. A
    variance with n - 1 degrees of freedom is unbiased for the model it was drawn from.
    """
    n, G, replicates = N // C, 4, 12
    V = []
    for i in range(replicates):
        path = mixture.chain(unit(), PLAIN, G, jr.key(i), size=N, learning=Learning(ddof=ddof))
        V.append(path.within.mean(axis=1))
    V, t = np.array(V), np.arange(G + 1)
    theory = (kept() * (1 - 1 / n) ** (1 - ddof)) ** t
    error = V.std(axis=0, ddof=1) / np.sqrt(replicates)
    assert np.all(np.abs(V.mean(axis=0) - theory) < 4 * error)
    if ddof == 0:  # and could have told it from the other
        assert abs(theory[-1] - kept() ** G) > 4 * error[-1]


def test_mutation_adds_its_variance_and_no_heritability_keeps_the_base():
    n, V_m = 4000, np.linspace(0.0, 0.5, D)
    path = mixture.chain(
        unit(), PLAIN, 1, jr.key(0), size=n, learning=Learning(heritability=0.0), mutation=V_m
    )
    expected = kept() + V_m
    error = expected * np.sqrt(2 / (n - C))
    assert np.all(np.abs(path.within[1] - expected) < 4 * error)
    apart = path.means[1, 1] - path.means[1, 0]
    # The start at a mean of 0 at s_0 = 300 shifts by 1/300 at most.
    assert np.all(np.abs(apart - 1.0) < 4 * np.sqrt(2 * expected / (n / C)) + 0.004)


def test_leak_lets_prompts_dissolve():
    """Without guidance family deviations shrink by 1 - l a generation, V_B by its square."""
    n, leak, apart = 4000, 0.2, 6.0
    path = mixture.chain(unit(apart), PLAIN, 3, jr.key(1), size=n, learning=Learning(leak=leak))
    V_B = path.between.mean(axis=1)
    expected = apart**2 / 2 * (1 - leak) ** (2 * np.arange(4))
    # dV_B = apart d(apart); each generation adds the error of two means, averaged over D traits.
    error = np.sqrt(2 * expected) * np.sqrt(2 * (np.arange(4) + 1) * C / (n * D))
    assert np.all(np.abs(V_B - expected) < 4 * error + 0.004 * expected)


def test_a_bound_holds_back_what_guidance_drives_apart():
    strong = Sampler(LEVELS, 7.5)
    run = lambda bound: mixture.chain(unit(), strong, 2, jr.key(2), size=N, bound=bound)
    free, bounded = run(None), run(lambda z: np.clip(z, -3, 3))
    assert np.abs(bounded.final).max() <= 3
    assert np.abs(free.final).max() > 3
    assert bounded.between[-1].mean() < free.between[-1].mean()
    with pytest.raises(ValueError, match=r"bound must return an array \(16, 16\), got \(16, 2\)"):
        run(lambda z: z[:, :2])


def test_what_diverges_says_so():
    """Guidance away from an unconditional that stays narrow pushes ever harder."""
    narrow = Mixture.of(np.ones(C), unit().means, np.stack([1e-9 * np.eye(D)] * C))
    sampler = Sampler(NoiseLevels.exploding(1e-6, 300.0, 100), 20.0)
    with pytest.raises(mixture.DivergenceError, match=r"generation \d must be finite"):
        mixture.chain(
            narrow, sampler, 20, jr.key(0), unit().draw(mixture.keys_of(jr.key(0), 0, N), FAMILIES),
            FAMILIES, Learning(uptake=0.0),
        )  # fmt: skip


def test_a_longer_chain_repeats_a_shorter_one():
    sampler = Sampler(NoiseLevels.preserving(5), 2.0, "ddpm")
    short, long = (mixture.chain(unit(), sampler, G, jr.key(3), size=N) for G in (1, 3))
    np.testing.assert_array_equal(long.within[:2], short.within)
    np.testing.assert_array_equal(long.means[:2], short.means)


def test_generation_0_is_what_is_given_with_labels_in_any_order():
    rng = np.random.default_rng(4)
    labels = rng.permutation(np.array(["two", "one"])[FAMILIES])
    z = rng.normal(size=(N, D))
    base = Mixture.fit(z, labels)
    path = mixture.chain(base, PLAIN, 1, jr.key(0), z, labels)
    for c, label in enumerate(("one", "two")):
        np.testing.assert_allclose(path.means[0, c], z[labels == label].mean(axis=0))
    expected = sum(z[labels == x].var(axis=0, ddof=1) * (np.sum(labels == x) - 1) for x in
                   ("one", "two")) / (N - 2)  # fmt: skip
    np.testing.assert_allclose(path.within[0], expected)
    np.testing.assert_allclose(path.between[0], path.means[0].var(axis=0, ddof=1))
    assert path.final.shape == (N, D)


def test_every_generation_comes_with_its_families():
    generations = list(mixture.populations(unit(), PLAIN, 1, jr.key(0), size=N))
    assert [z.shape for z, _ in generations] == [(N, D)] * 2
    np.testing.assert_array_equal(generations[1][1], FAMILIES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda run: Learning(heritability=1.5), "heritability must be between 0 and 1, got 1.5"),
        (lambda run: Learning(spread_heritability=-1), "spread_heritability must be .* got -1"),
        (lambda run: Learning(uptake=2), "uptake must be between 0 and 1, got 2"),
        (lambda run: Learning(leak=-0.1), "leak must be between 0 and 1, got -0.1"),
        (lambda run: run(size=None), "size must be a whole number of at least 1, got None"),
        (lambda run: run(size=3), "more than ddof = 1 images, got 1 in family 1"),
        (lambda run: run(mutation=-1), "mutation must be at least 0, got -1"),
        (lambda run: run(values=np.zeros((3, D))), "families must be given together with values"),
        (lambda run: run(families=[0, 1]), "values must be given together with families"),
        (lambda run: run(values=np.zeros((2, 3)), families=[0, 1]), r"values must be \[n, 16\]"),
        (lambda run: run(values=np.zeros((2, D)), families=[0, 0]), "2 families, as the base has"),
    ],
)
def test_errors(make, message):
    run = lambda size=N, **rest: mixture.chain(unit(), PLAIN, 1, jr.key(0), size=size, **rest)
    with pytest.raises(ValueError, match=message):
        make(run)


def test_keys_do_not_depend_on_the_number_of_samples():
    few, many = (mixture.keys_of(jr.key(7), 2, n) for n in (3, 9))
    np.testing.assert_array_equal(jax.random.key_data(few), jax.random.key_data(many)[:3])
