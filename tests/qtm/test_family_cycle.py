"""The life cycle of families, beside one population for each family."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qtm

BASE = qtm.Families(mean=0.2, within=0.5, between=0.7)


def one_by_one(state, base, h, h_W, w, u, V_m, operator="ddim"):
    """Two families of equal size, at the mean plus and minus the standard deviation."""
    sign = np.array([-1.0, 1.0])
    m = h * (state.mean + sign * np.sqrt(state.between))
    m = m + (1 - h) * (base.mean + sign * np.sqrt(base.between))
    V_W = h_W * state.within + (1 - h_W) * base.within
    V_U = (1 - u) * base.variance + u * (V_W + m.var())
    m_u = (1 - u) * base.mean + u * m.mean()
    selection = qtm.Guidance(w, qtm.Moments(m_u, V_U), operator)
    cycle = qtm.LifeCycle(selection=selection, mutation=qtm.GaussianMutation(V_m))
    return cycle.step(qtm.Moments(m, V_W))


@pytest.mark.parametrize("operator", ["ddim", "ddpm"])
@pytest.mark.parametrize("u", [0.0, 0.4, 1.0])
def test_families_are_what_their_members_become(u, operator):
    state = qtm.Families(mean=-0.3, within=0.4, between=1.1)
    cycle = qtm.FamilyCycle(
        heritability=0.8,
        scale=1.7,
        base=BASE,
        uptake=u,
        mutation_variance=0.05,
        within_heritability=0.6,
        operator=operator,
    )
    after = cycle.step(state)
    members = one_by_one(state, BASE, 0.8, 0.6, 1.7, u, 0.05, operator)
    np.testing.assert_allclose(after.mean, members.mean.mean(), rtol=1e-12)
    np.testing.assert_allclose(after.within, members.variance[0], rtol=1e-12)
    np.testing.assert_allclose(after.between, members.mean.var(), rtol=1e-12)
    np.testing.assert_allclose(after.variance, after.within + after.between)


def test_without_base_terms_between_grows_by_the_square_of_h_a():
    """V_W' = V_W^w V_U^(1-w) + V_m, V_B' = (h A)^2 V_B; all that is inherited within."""
    base = qtm.Families(0.0, 0.5, 0.0)
    state = qtm.Families(0.0, 0.5, 0.7)
    h, w, V_m = 0.85, 2.0, 0.1
    cycle = qtm.FamilyCycle(h, w, base, uptake=1.0, mutation_variance=V_m, within_heritability=1.0)
    after = cycle.step(state)
    V_B = h**2 * 0.7
    A = qtm.response(w, 0.5, V_B)
    np.testing.assert_allclose(after.between, (A * h) ** 2 * 0.7)
    np.testing.assert_allclose(after.within, 0.5**w * (0.5 + V_B) ** (1 - w) + V_m)


def test_neutral_scale_parts_growth_from_decay():
    base, h = qtm.Families(0.0, 0.5, 0.0), 0.8
    state = qtm.Families(0.0, 0.5, 0.7)
    inherited = h**2 * 0.7
    neutral = qtm.neutral_scale(h, 0.5, inherited)

    def grown(w):
        cycle = qtm.FamilyCycle(h, w, base, uptake=1.0, within_heritability=1.0)
        return float(cycle.step(state).between / 0.7)

    np.testing.assert_allclose(grown(neutral), 1.0, rtol=1e-9)
    assert grown(neutral - 0.1) < 1 < grown(neutral + 0.1)


def test_trajectories_show_both_collapses():
    """High scale: within falls and between rises. No guidance: between falls."""
    start = qtm.Families(0.0, 0.54, 0.46)
    base = qtm.Families(0.0, 0.54, 0.0)
    for scale, (within, between) in {2.0: (-1, 1), 1.0: (0, -1)}.items():
        cycle = qtm.FamilyCycle(0.9, scale, base, uptake=1.0, within_heritability=1.0)
        path = qtm.evolve(cycle, start, 6)
        assert path.within.shape == path.between.shape == (7,)
        np.testing.assert_allclose(path.variance, path.within + path.between)
        assert np.sign(np.round(path.within[-1] - path.within[0], 9)) == within
        assert np.sign(path.between[-1] - path.between[0]) == between


def test_sampling_moves_variance_from_within_to_between():
    """n images a family: V_B gains V_W/n, V_W keeps 1 - 1/n."""
    parts = {"heritability": 1.0, "scale": 1.0, "base": BASE}
    after = qtm.FamilyCycle(**parts, size=10).step(BASE)
    np.testing.assert_allclose(after.within, 0.5 * 0.9)
    np.testing.assert_allclose(after.between, 0.7 + 0.05)


def test_schedules_in_noise_and_in_generations():
    constant = qtm.FamilyCycle(0.8, 1.7, BASE)
    by_noise = qtm.FamilyCycle(0.8, qtm.ByNoise(lambda sigma: 1.7), BASE)
    by_generation = qtm.FamilyCycle(0.8, lambda t: 1.6 + 0.1 * t, BASE)
    after = constant.step(BASE)
    for other in (by_noise.step(BASE), by_generation.step(BASE, generation=1)):
        np.testing.assert_allclose(other.between, after.between, rtol=1e-9)
        np.testing.assert_allclose(other.within, after.within, rtol=1e-9)
    assert qtm.evolve(by_generation, BASE, 3).between[-1] > 0


def test_equilibrium_of_families_and_its_gradient():
    def between(h):
        cycle = qtm.FamilyCycle(h, 1.5, BASE, uptake=1.0, mutation_variance=0.05)
        return qtm.equilibrium(cycle, BASE).between

    cycle = qtm.FamilyCycle(0.6, 1.5, BASE, uptake=1.0, mutation_variance=0.05)
    path = qtm.evolve(cycle, BASE, 400)
    np.testing.assert_allclose(between(0.6), path.between[-1], rtol=1e-8)
    central = (between(0.6 + 1e-5) - between(0.6 - 1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(between)(0.6), central, rtol=1e-6)


def test_families_broadcast_under_vmap_and_jit():
    scales = jnp.array([1.0, 2.0, 3.0])
    whole = qtm.FamilyCycle(0.8, scales, BASE).step(BASE)
    each = jax.jit(jax.vmap(lambda w: qtm.FamilyCycle(0.8, w, BASE).step(BASE)))(scales)
    np.testing.assert_allclose(whole.between, each.between, rtol=1e-12)
    assert whole.within.shape == (3,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: qtm.FamilyCycle(1.2, 1.0, BASE), "heritability must be between 0 and 1, got 1.2"),
        (lambda: qtm.FamilyCycle(1, 1, BASE, uptake=-1), "uptake must be between 0 and 1, got -1"),
        (lambda: qtm.FamilyCycle(1, np.inf, BASE), "scale must be finite, got inf"),
        (
            lambda: qtm.FamilyCycle(1, 1, BASE, operator="tilt"),
            "operator must be one of ddim, ddpm, got 'tilt'",
        ),
        (
            lambda: qtm.FamilyCycle(1, 1, qtm.Families(0, 0, 0)),
            "variance of the base must be greater than 0, got 0",
        ),
        (lambda: qtm.Families(0, -1, 1), "within must be at least 0, got -1"),
        (lambda: qtm.LifeCycle().step(BASE), "life cycle of Families is FamilyCycle"),
        (
            lambda: qtm.evolve(qtm.FamilyCycle(1, 1, BASE), BASE, 2, key=jax.random.key(0)),
            "key must be None for Families",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
