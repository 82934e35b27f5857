"""The life cycle of prompts, beside closed forms, one trait, and drawn images."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qtm
from qtm import mixture
from qtm._core.matrices import inverse
from qtm.mixture.flow import guided

FINE = mixture.NoiseLevels.exploding(2e-3, 3e4, 1500)
FINER = mixture.NoiseLevels.exploding(2e-3, 3e4, 3000)
SHORT = mixture.NoiseLevels.preserving(steps=20)


def prompts(C=4, K=3, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    F = rng.normal(size=(C, K, 2 * K)) / np.sqrt(2 * K)
    return qtm.Prompts(
        spread * rng.normal(size=(C, K)), 0.3 * F @ F.swapaxes(1, 2) + 0.1 * np.eye(K)
    )


def cycle(base=None, **parts):
    settings = {"heritability": 0.8, "scale": 2.0, "levels": SHORT, "uptake": 0.9, "blur": 0.3}
    return qtm.PromptCycle(base=base or prompts(), **(settings | parts))


def extrapolated(quantity):
    """Return the limit of no step, and how far the finer of two grids is from it."""
    coarse, fine = quantity(FINE), quantity(FINER)
    return 2 * fine - coarse, np.abs(fine - coarse).max()


@pytest.mark.parametrize("operator", ["ddim", "ddpm"])
@pytest.mark.parametrize("w", [0.4, 1.7, 3.0])
def test_one_gaussian_in_one_trait_is_transported_as_guidance_says(w, operator):
    """Two prompts at m - d and m + d with one Gaussian as the unconditional branch."""
    m, d, V_W = 0.3, 0.6, 0.5
    base = qtm.Prompts([[m - d], [m + d]], [[V_W]])

    def drawn(levels):
        parts = {"heritability": 1.0, "uptake": 1.0, "blur": 0.0, "unconditional": "gaussian"}
        after = cycle(base, scale=w, levels=levels, operator=operator, **parts).step(base)
        return np.array([*after.means[:, 0], after.within[0, 0, 0]])

    limit, error = extrapolated(drawn)
    selection = qtm.Guidance(w, qtm.Moments(m, V_W + d**2), operator)
    expected = selection.moments(qtm.Moments(np.array([m - d, m + d]), V_W))
    expected = np.array([*expected.mean, expected.variance[0]])
    # Halving the step halves the error: what is left after extrapolation is of second order.
    assert error < 0.05
    np.testing.assert_allclose(limit, expected, atol=0.1 * error + 1e-5)


def test_correlated_traits_follow_the_rotation_of_uncorrelated_ones():
    rng = np.random.default_rng(1)
    Q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    plain = qtm.Prompts(rng.normal(size=(4, 3)), np.diag([0.2, 0.5, 1.0]))
    turned = qtm.Prompts(plain.means @ Q.T, Q @ plain.within @ Q.T)
    after, after_turned = (cycle(x, heritability=1.0).step(x) for x in (plain, turned))
    np.testing.assert_allclose(after_turned.means, after.means @ Q.T, atol=1e-11)
    np.testing.assert_allclose(after_turned.within, Q @ after.within @ Q.T, atol=1e-11)


def test_traits_without_anything_between_prompts_are_narrowed_as_one_trait_is():
    """With diagonal matrices and one Gaussian, every trait is transported by itself."""
    means = np.array([[0.5, 0.0], [-0.5, 0.0]])
    base = qtm.Prompts(means, np.diag([0.4, 0.7]))
    parts = {"heritability": 1.0, "uptake": 1.0, "blur": 0.0, "unconditional": "gaussian"}
    both = cycle(base, **parts).step(base)
    for k in range(2):
        one = qtm.Prompts(means[:, [k]], [[base.within[k, k]]])
        alone = cycle(one, **parts).step(one)
        np.testing.assert_allclose(both.means[:, k], alone.means[:, 0], atol=1e-12)
        np.testing.assert_allclose(both.within[:, k, k], alone.within[:, 0, 0], rtol=1e-10)


@pytest.mark.parametrize("operator", ["ddim", "ddpm"])
def test_scale_one_leaves_prompts_as_they_are_inherited(operator):
    base, state = prompts(), prompts(seed=5)
    one = cycle(base, scale=1.0, operator=operator)
    inherited, after = one.inherited(state), one.step(state)
    np.testing.assert_allclose(after.means, inherited.means, atol=1e-12)
    np.testing.assert_allclose(after.within, inherited.within, atol=1e-10)


def test_the_mixture_is_that_of_drawn_images():
    """The flow is of first order in the spread of a prompt, so that prompts are narrow here."""
    C, K, n = 5, 3, 4000
    rng = np.random.default_rng(3)
    F = rng.normal(size=(C, K, 2 * K)) / np.sqrt(2 * K)
    state = qtm.Prompts(rng.normal(size=(C, K)), 0.05 * F @ F.swapaxes(1, 2) + 0.02 * np.eye(K))
    family = np.repeat(np.arange(C), n)
    exact = mixture.Mixture.of(np.full(C, 1 / C), state.means, state.within)
    keys = mixture.keys_of(jax.random.key(0), 0, len(family))
    images = [
        np.asarray(mixture.sample(exact, exact, family, keys, mixture.Sampler(SHORT, w)))
        for w in (2.0, 1.0)
    ]
    # The same noise at both scales: the difference has little of it.
    S = np.stack([(images[0] - images[1])[family == c].mean(axis=0) for c in range(C)])
    error = np.stack([(images[0] - images[1])[family == c].std(axis=0) for c in range(C)]) / n**0.5
    after = guided(state, state, 2.0, SHORT)
    flow = np.asarray(after.means - state.means)
    assert np.abs(S).max() > 0.1
    # The second order of the spread, V_W |d2 score| s^2/2, is below a tenth of S here.
    np.testing.assert_allclose(flow, S, atol=0.1 * np.abs(S).max() + 4 * error.max())
    drawn = [np.mean([np.cov(x[family == c].T) for c in range(C)], axis=0) for x in images]
    ratio = np.trace(drawn[0]) / np.trace(drawn[1])
    np.testing.assert_allclose(np.trace(after.pooled) / np.trace(state.pooled), ratio, atol=0.1)


def test_what_finetuning_changed_is_pushed_further_where_the_branch_stays():
    """A prompt that moved away from the base moves on, unless the branch followed (u = 1)."""
    base = qtm.Prompts([[-1.0, 0.0], [1.0, 0.0]], 0.1 * np.eye(2))
    moved = qtm.Prompts(base.means + np.array([0.0, 0.2]), base.within)
    shift = lambda u: cycle(base, heritability=1.0, uptake=u, blur=0.0).step(moved).mean[1] - 0.2
    assert abs(shift(1.0)) < 1e-10
    assert shift(0.8) > 0.01
    assert shift(0.6) > shift(0.8)


def test_inheritance_regresses_to_the_base_and_mixes_what_is_given():
    base, state, real = prompts(), prompts(seed=1), prompts(seed=2)
    parts = {"leak": 0.1, "real": real, "real_share": 0.25, "training_noise": 0.05}
    inherited = cycle(base, within_heritability=0.6, **parts).inherited(state)
    M = 0.75 * state.means + 0.25 * real.means
    M = 0.9 * M + 0.1 * M.mean(axis=0)
    np.testing.assert_allclose(inherited.means, 0.2 * base.means + 0.8 * M, rtol=1e-12)
    P = 0.75 * state.within + 0.25 * real.within + 0.05 * np.eye(3)
    np.testing.assert_allclose(inherited.within, 0.4 * base.within + 0.6 * P, rtol=1e-12)


def test_each_trait_may_have_a_heritability():
    base, state = prompts(), prompts(seed=1)
    h = np.array([0.9, 0.5, 0.0])
    inherited = cycle(base, heritability=h).inherited(state)
    np.testing.assert_allclose(inherited.means, base.means + h * (state.means - base.means))
    np.testing.assert_allclose(inherited.within[:, 2], base.within[:, 2])


def test_condition_drop_lets_the_branch_follow():
    base, state = prompts(), prompts(seed=1)
    dropped = cycle(base, uptake=0.2, condition_drop=0.5, drop_uptake=3.0)
    followed = cycle(base, uptake=1 - 0.8 * np.exp(-1.5))
    a, b = (c.unguided(c.inherited(state)) for c in (dropped, followed))
    np.testing.assert_allclose(a.means, b.means, rtol=1e-12)
    np.testing.assert_allclose(a.within, b.within, rtol=1e-12)


def test_images_stay_within_the_bound():
    base = prompts()
    far = qtm.Prompts(50 * base.means, base.within)
    free, bounded = (cycle(base, scale=1.0, heritability=1.0, bound=b).step(far) for b in (None, 3))
    length = lambda x: np.sqrt(np.mean((x.means - base.mean) ** 2 / base.variance, axis=1))
    assert length(free).min() > 5
    assert length(bounded).max() <= 3
    np.testing.assert_allclose(length(bounded), 3, rtol=0.05)
    assert np.trace(bounded.pooled) < np.trace(free.pooled)


def test_finetuning_takes_a_prompt_only_so_far():
    base = prompts()
    near, far = (base.means + length * jnp.sqrt(base.variance) for length in (0.1, 100.0))
    inherit = lambda M, **parts: np.asarray(
        cycle(base, heritability=0.8, **parts).inherited(qtm.Prompts(M, base.within)).means
        - base.means
    )
    np.testing.assert_allclose(inherit(near, reach=2.0), inherit(near), rtol=1e-5)
    # Every trait deviates by the same number of standard deviations.
    expected = np.broadcast_to(0.8 * 2.0 * np.sqrt(base.variance), base.means.shape)
    np.testing.assert_allclose(inherit(far, reach=2.0), expected, rtol=1e-6)


def test_linear_traits_are_those_of_the_images():
    state = prompts(C=6)
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2, 3))
    families = state.trait(a)
    means = np.asarray(state.means) @ a.T
    np.testing.assert_allclose(families.mean, means.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(families.between, means.var(axis=0, ddof=1), rtol=1e-10)
    V_W = np.mean([np.diag(a @ P @ a.T) for P in np.asarray(state.within)], axis=0)
    np.testing.assert_allclose(families.within, V_W, rtol=1e-12)
    np.testing.assert_allclose(state.trait(a[0]).within, V_W[0], rtol=1e-12)


def test_a_path_is_what_evolve_records():
    base = prompts()
    some, many = (cycle(base, size=20).path(base, G, jax.random.key(1)) for G in (2, 4))
    np.testing.assert_allclose(some.means, many.means[:3], rtol=1e-10)
    record = qtm.evolve(cycle(base, size=20), base, 4, jax.random.key(1))
    np.testing.assert_allclose(record.mean, many.means.mean(axis=1), atol=1e-10)
    pooled = np.diagonal(np.asarray(many.within).mean(axis=1), axis1=1, axis2=2)
    np.testing.assert_allclose(record.within, pooled, rtol=1e-8)
    np.testing.assert_allclose(record.within + record.between, record.variance, rtol=1e-10)


def test_means_drift_as_those_of_n_images():
    base, n = prompts(C=3, K=2), 25
    step = jax.jit(jax.vmap(cycle(base, size=n).step, in_axes=(None, 0)))
    after = step(base, jax.random.split(jax.random.key(0), 4000))
    expected = cycle(base).step(base)
    S = np.cov(np.asarray(after.means[:, 0]).T)
    V = np.asarray(expected.within[0]) / n
    np.testing.assert_allclose(after.means.mean(axis=0), expected.means, atol=4 * 0.2 / 4000**0.5)
    np.testing.assert_allclose(np.diag(S), np.diag(V), rtol=4 * np.sqrt(2 / 4000))


def test_parameters_have_gradients_and_scales_a_batch():
    base = prompts()

    def total(x):
        parts = {"uptake": x[0], "blur": x[1], "heritability": x[2], "bound": 4.0}
        path = cycle(base, scale=x[3], saturation=5.0, **parts).path(base, 3)
        return jnp.sum(path.means[-1] ** 2) + jnp.trace(path.within[-1].mean(axis=0))

    x = jnp.array([0.8, 0.3, 0.7, 2.0])
    slope = jax.grad(total)(x)
    for i in range(4):
        h = 1e-5
        difference = (total(x.at[i].add(h)) - total(x.at[i].add(-h))) / (2 * h)
        # the error of a central difference: rounding over h, and h^2
        np.testing.assert_allclose(slope[i], difference, rtol=1e-5, atol=1e-6)
    scales = jnp.array([1.0, 1.5, 2.5])
    batch = jax.vmap(lambda w: cycle(base, scale=w).step(base).means)(scales)
    alone = jnp.stack([cycle(base, scale=w).step(base).means for w in scales])
    np.testing.assert_allclose(batch, alone, rtol=1e-10)


def test_matrices_are_inverted_without_lapack():
    """Two of its batches at a time wait for each other where there are two processors."""
    start = prompts()
    program = str(jax.make_jaxpr(lambda w: cycle(start, scale=w).step(start).means)(2.0))
    called = set(re.findall(r"= (\w+)[\[ ]", program))
    assert {"scan", "dot_general"} <= called
    assert not {"lu", "cholesky", "eigh", "triangular_solve", "custom_linear_solve"} & called


def test_inverse_and_volume_are_those_of_numpy():
    A = prompts(C=5, K=7).within + jnp.diag(jnp.geomspace(1e-3, 10.0, 7))
    inverted, log_volume = inverse(A)
    np.testing.assert_allclose(inverted @ A, np.broadcast_to(np.eye(7), A.shape), atol=1e-10)
    np.testing.assert_allclose(log_volume, np.linalg.slogdet(A)[1], rtol=1e-12)
    slope = lambda invert, volume: jax.grad(
        lambda x: jnp.sum(jnp.sin(invert(x * A[0]))) + volume(x * A[0])
    )(1.3)
    expected = slope(jnp.linalg.inv, lambda B: jnp.linalg.slogdet(B)[1])
    assert slope(lambda B: inverse(B)[0], lambda B: inverse(B)[1]) == pytest.approx(expected)


def test_a_scale_may_differ_by_step_and_generation():
    base = prompts()
    late = jnp.where(jnp.arange(20) < 10, 1.0, 3.0)
    step = lambda w, t=None: np.asarray(cycle(base, scale=w).step(base, None, t).means)
    assert np.abs(step(late) - step(1.0)).max() > 1e-3
    assert np.abs(step(late) - step(3.0)).max() > 1e-3
    np.testing.assert_array_equal(step(lambda t: 1.0 + t, 2), step(3.0))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"heritability": 1.2}, "heritability must be between 0 and 1"),
        ({"blur": -1.0}, "blur must be at least 0"),
        ({"scale": np.inf}, "scale must be finite"),
        ({"bound": 0.0}, "bound must be greater than 0"),
        ({"size": 0.5}, "size must be at least 1"),
        ({"operator": "tilt"}, "operator must be one of ddim, ddpm"),
        ({"unconditional": "none"}, "unconditional must be one of mixture, gaussian"),
        ({"real": prompts(C=2)}, r"real must have the prompts and traits of the base"),
    ],
)
def test_a_wrong_part_is_one_sentence(parts, message):
    with pytest.raises(ValueError, match=message):
        cycle(**parts)


def test_a_wrong_state_is_one_sentence():
    with pytest.raises(ValueError, match="the prompts and traits of the base"):
        cycle().step(prompts(C=2))
    with pytest.raises(ValueError, match="size must be given with a key"):
        cycle().step(prompts(), jax.random.key(0))
    with pytest.raises(ValueError, match="generation must be given"):
        cycle(scale=lambda t: 1.0 + t).step(prompts())
    with pytest.raises(ValueError, match=r"shapes \[C, K\] and \[C, K, K\] or \[K, K\]"):
        qtm.Prompts(np.zeros((2, 3)), np.eye(2))
    with pytest.raises(ValueError, match="negative eigenvalue"):
        qtm.Prompts(np.zeros((2, 2)), np.diag([1.0, -1.0]))
    with pytest.raises(ValueError, match="weights must have shape"):
        qtm.Prompts(np.zeros((2, 2)), np.eye(2), np.ones(3))
