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


def test_sampling_adds_to_between_and_the_next_model_learns_less_within():
    """n images a family: V_B gains V_W/n at once, V_W keeps 1 - 1/n where it is learnt from."""
    parts = {"heritability": 1.0, "scale": 1.0, "base": BASE}
    after = qtm.FamilyCycle(**parts, size=10).step(BASE)
    np.testing.assert_allclose(after.within, 0.5 * 0.9)
    np.testing.assert_allclose(after.between, 0.7 + 0.45 / 10)
    # with nothing inherited the model is the base, of which no share was taken
    base_again = qtm.FamilyCycle(0.0, 1.0, BASE, size=10).step(qtm.Families(0.0, 2.0, 0.1))
    np.testing.assert_allclose(base_again.within, 0.5)
    np.testing.assert_allclose(base_again.between, 0.7 + 0.05)


def test_sampling_is_what_drawn_images_show():
    """Measured with ddof = 1 from n images a family, and learnt from with ddof = 0."""
    n, V_m, families = 4, 0.3, 40_000
    draw = np.random.default_rng(5).normal
    centres = draw(0.2, np.sqrt(0.7), (families, 1))
    images = centres + draw(0.0, np.sqrt(0.5 + V_m), (families, n))
    within, learnt = images.var(axis=1, ddof=1), images.var(axis=1)
    means = images.mean(axis=1)

    cycle = qtm.FamilyCycle(1.0, None, BASE, mutation_variance=V_m, size=n)
    base = qtm.Families(0.2, 0.5 * n / (n - 1), 0.7)  # of which the model learns V_W = 0.5
    after = cycle.step(base)
    again = qtm.FamilyCycle(1.0, None, BASE, size=n).step(after)
    root = np.sqrt(families)
    assert abs(within.mean() - after.within) < 4 * within.std() / root
    assert abs(learnt.mean() - again.within) < 4 * learnt.std() / root
    squares = np.square(means - means.mean())
    assert abs(squares.mean() - after.between) < 4 * squares.std() / root


def test_real_images_pull_the_training_set_to_the_base():
    state = qtm.Families(mean=-0.3, within=0.4, between=1.1)
    parts = {"heritability": 0.8, "scale": None, "base": BASE, "size": 5}
    real = qtm.FamilyCycle(**parts, real_share=1.0).step(state)
    as_base = qtm.FamilyCycle(**{**parts, "heritability": 0.0}).step(state)
    for name in ("mean", "within", "between"):
        np.testing.assert_allclose(getattr(real, name), getattr(as_base, name), rtol=1e-14)
    mixed = qtm.FamilyCycle(**parts, real_share=0.3, training_noise=0.2).step(state)
    V_W = 0.2 * 0.5 + 0.8 * (0.7 * 0.4 * 0.8 + 0.3 * 0.5 + 0.2)
    deviation = 0.2 * np.sqrt(0.7) + 0.8 * (0.7 * np.sqrt(1.1) + 0.3 * np.sqrt(0.7))
    np.testing.assert_allclose(mixed.within, V_W)
    np.testing.assert_allclose(mixed.between, deviation**2 + V_W / 5)
    np.testing.assert_allclose(mixed.mean, 0.2 * 0.2 + 0.8 * (0.7 * -0.3 + 0.3 * 0.2))


def test_condition_drop_is_uptake_and_mutation():
    state = qtm.Families(mean=-0.3, within=0.4, between=1.1)
    dropped = {"condition_drop": 0.2, "drop_uptake": 3.0, "drop_mutation": 0.5}
    after = qtm.FamilyCycle(0.8, 1.7, BASE, uptake=0.1, **dropped).step(state)
    u = 1 - 0.9 * np.exp(-0.6)
    same = qtm.FamilyCycle(0.8, 1.7, BASE, uptake=u, mutation_variance=0.1, mean_uptake=0.1)
    for name in ("mean", "within", "between"):
        np.testing.assert_allclose(getattr(after, name), getattr(same.step(state), name))


def test_the_mean_stays_where_the_unconditional_branch_follows_it():
    state = qtm.Families(mean=-0.3, within=0.4, between=1.1)
    after = qtm.FamilyCycle(0.8, 3.0, BASE, mean_uptake=1.0).step(state)
    np.testing.assert_allclose(after.mean, 0.2 * 0.2 + 0.8 * -0.3, rtol=1e-14)


def test_confusion_moves_variance_and_a_bound_holds_it():
    """Members swap families with the share l: drawn, and counted."""
    state, l = qtm.Families(0.0, 0.4, 1.1), 0.1  # noqa: E741
    after = qtm.FamilyCycle(1.0, None, BASE, confusion=l).step(state)
    np.testing.assert_allclose(after.variance, state.variance)
    np.testing.assert_allclose(after.between, (1 - l) ** 2 * 1.1)

    bounded = lambda V_B: qtm.FamilyCycle(1.0, None, BASE, bound=2.0).step(
        qtm.Families(0.0, 0.4, V_B)
    )
    np.testing.assert_allclose(bounded(1e6).between, 2.0)
    np.testing.assert_allclose(bounded(0.1).between, 0.1, rtol=0.05**4)
    np.testing.assert_allclose(bounded(2.0).between, 2.0 * 2**-0.25)
    assert bounded(1e6).within == 0.4


# The effect of DDIM on means falls with the root of the noise only: w = 1 above the first level.
LEVELS = jnp.geomspace(1e20, 1e-10, 1200)


@pytest.mark.parametrize("operator", ["ddim", "ddpm"])
def test_constant_levels_are_the_constant_scale_to_second_order(operator):
    parts = {"heritability": 0.8, "base": BASE, "uptake": 0.5, "operator": operator}
    exact = qtm.FamilyCycle(scale=2.5, **parts).step(BASE)

    def error(count):
        noise = jnp.geomspace(1e20, 1e-10, count)
        levels = qtm.AtLevels(jnp.full(count, 2.5), noise)
        after = qtm.FamilyCycle(scale=levels, **parts).step(BASE)
        return [float(abs(getattr(after, x) - getattr(exact, x))) for x in ("within", "between")]

    coarse, fine = error(200), error(400)
    assert coarse[1] / fine[1] == pytest.approx(4, rel=0.1)
    if operator == "ddim":  # V is exact
        assert max(coarse[0], fine[0]) < 1e-12
    else:
        assert coarse[0] / fine[0] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("operator", ["ddim", "ddpm"])
def test_levels_agree_with_the_quadrature_of_the_same_steps(operator):
    """w = 6 between the noise variances 4 and 0.09, else 1: as levels, and by quadrature."""
    edges = np.sort(np.concatenate([LEVELS, [4.0, 0.09]]))[::-1]
    w = np.where((edges <= 4.0) & (edges > 0.09), 6.0, 1.0)
    levels = qtm.AtLevels(w, edges)
    inside = lambda sigma: jnp.where((sigma < 2.0) & (sigma > 0.3), 6.0, 1.0)
    by_noise = qtm.ByNoise(inside, breaks=[0.3, 2.0])
    after, exact = (
        qtm.FamilyCycle(0.8, scale, BASE, uptake=0.5, operator=operator).step(BASE)
        for scale in (levels, by_noise)
    )
    constant = qtm.FamilyCycle(0.8, 6.0, BASE, uptake=0.5, operator=operator).step(BASE)
    for name in ("mean", "within", "between"):
        # the error of the levels above is (ln of their ratio)^2/12 times integrals of order w^2
        tolerance = np.log(LEVELS[0] / LEVELS[1]) ** 2 / 12 * 36
        np.testing.assert_allclose(getattr(after, name), getattr(exact, name), rtol=tolerance)
    assert constant.within < after.within < 0.5


def test_levels_weaken_guidance_early_and_where_prompts_show():
    state = qtm.Families([0.0, 0.0], [0.4, 0.5], [0.6, 2.0])
    w, noise = jnp.array([3.0, 5.0, 2.0]), jnp.array([9.0, 1.0, 0.1])
    late = qtm.AtLevels(w, noise, late=1.0).among(state.within, state.between)
    np.testing.assert_allclose(late.scale[:, 0], 1 + (w - 1) / (1 + noise))

    shown = qtm.AtLevels(w, noise, separation=2.0, prompts=10).among(state.within, state.between)
    D = 2 * np.mean(np.array([0.6, 2.0]) / (np.array([0.4, 0.5]) + noise[:, None]), axis=1)
    np.testing.assert_allclose(shown.scale[:, 0], 1 + 10 / (9 + np.exp(D)) * (w - 1))
    # as many prompts as one likes, all alike: all of the scale is left
    alike = qtm.AtLevels(w, noise, separation=2.0, prompts=10).among(state.within, 0 * state.mean)
    np.testing.assert_allclose(alike.scale[:, 0], w)
    cycle = qtm.FamilyCycle(0.9, qtm.AtLevels(w, noise, separation=2.0, prompts=10), BASE)
    same = qtm.FamilyCycle(0.9, qtm.AtLevels(w, noise), BASE)
    assert cycle.step(BASE).within > same.step(BASE).within
    assert qtm.evolve(cycle, BASE, 3).within.shape == (4,)
    growing = qtm.FamilyCycle(0.9, qtm.AtLevels(lambda t: w * t, noise), BASE)
    np.testing.assert_allclose(growing.step(BASE, generation=1).within, same.step(BASE).within)


def test_a_tilt_of_families_is_that_of_guidance():
    base = qtm.Families(0.0, 0.5, 0.7)
    after = qtm.FamilyCycle(1.0, 1.5, base, operator="tilt").step(base)
    precision = 1.5 / 0.5 - 0.5 / 1.2
    np.testing.assert_allclose(after.within, 1 / precision)
    np.testing.assert_allclose(after.between, (1.5 / 0.5 / precision) ** 2 * 0.7)


def test_the_first_order_of_the_response():
    """Its slope at w = 1 gives A to second order in w - 1, and V_W is that of DDIM."""
    slope = jax.grad(qtm.response)(1.0, 0.5, 0.7)
    for w in (1.01, 1.02):
        exact, linear = (
            qtm.FamilyCycle(1.0, w, BASE, response_slope=s).step(BASE) for s in (None, slope)
        )
        np.testing.assert_allclose(linear.within, exact.within, rtol=1e-13)
        assert abs(linear.between / exact.between - 1) < (w - 1) ** 2


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_selection_acts_in_every_family(selection, sign):
    """Two families that are close, each selected alone, with the trait mirrored by the sign.

    The neglected terms are of second order in deviations, of 1e-4 here.
    """
    state = qtm.Families(mean=-0.3, within=0.8, between=1e-8)
    after = qtm.FamilyCycle(1.0, None, BASE, selection=selection, direction=sign).step(state)
    members = sign * (state.mean + np.array([-1.0, 1.0]) * np.sqrt(state.between))
    each = selection.moments(qtm.Moments(members, state.within))
    np.testing.assert_allclose(after.mean, sign * each.mean.mean(), rtol=1e-6, atol=1e-14)
    np.testing.assert_allclose(after.within, each.variance.mean(), rtol=1e-6)
    np.testing.assert_allclose(after.between, each.mean.var(), rtol=1e-6, atol=1e-14)


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
            lambda: qtm.FamilyCycle(1, 1, BASE, operator="euler"),
            "operator must be one of tilt, ddim, ddpm, got 'euler'",
        ),
        (
            lambda: qtm.FamilyCycle(1, 1, qtm.Families(0, 0, 0)),
            "variance of the base must be greater than 0, got 0",
        ),
        (lambda: qtm.FamilyCycle(1, 1, BASE, size=0), "size must be at least 1, got 0"),
        (lambda: qtm.FamilyCycle(1, 1, BASE, bound=0), "bound must be greater than 0, got 0"),
        (lambda: qtm.FamilyCycle(1, 1, BASE, confusion=2), "confusion must be between 0 and 1"),
        (lambda: qtm.FamilyCycle(1, 1, BASE, drop_uptake=-1), "drop_uptake must be at least 0"),
        (lambda: qtm.FamilyCycle(1, 1, BASE, direction=0.5), r"direction must be \+1 or -1"),
        (
            lambda: qtm.FamilyCycle(1, 1, BASE, response_slope=1, operator="ddpm"),
            "response_slope needs a number as scale and the operator ddim",
        ),
        (
            lambda: qtm.FamilyCycle(1, qtm.AtLevels([2], [1]), BASE, operator="tilt"),
            "operator must be ddim or ddpm for a scale by noise, got 'tilt'",
        ),
        (
            lambda: qtm.FamilyCycle(1, 9, BASE, operator="tilt").step(qtm.Families(0, 2.0, 0)),
            "tilt precision .* must be greater than 0",
        ),
        (lambda: qtm.AtLevels([2.0, 2.0], [1.0, 1.0]), "noise must fall from level to level"),
        (lambda: qtm.AtLevels([2.0], [1.0, 0.5]), "scale and noise must have one entry a level"),
        (lambda: qtm.AtLevels([2.0], [-1.0]), "noise must be at least 0, got -1"),
        (lambda: qtm.AtLevels([2.0], [1.0], late=0), "late must be greater than 0, got 0"),
        (lambda: qtm.AtLevels([2.0], [1.0], separation=1), "separation and prompts must be given"),
        (
            lambda: qtm.AtLevels([2.0], [1.0], separation=1, prompts=1),
            "prompts must be at least 2, got 1",
        ),
        (
            lambda: qtm.Guidance(
                qtm.AtLevels([2], [1], separation=1, prompts=2), qtm.Moments(0, 1)
            ),
            "separation must be None for one population",
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
