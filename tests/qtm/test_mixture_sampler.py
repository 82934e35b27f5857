"""Guided sampling against closed laws, an ODE solver, and the schedulers of diffusers."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from qtm import mixture
from qtm.mixture import Mixture, NoiseLevels, Sampler
from qtm.mixture._blocks import blocks, chunks
from qtm.selection.guidance import ddim_response

# One family in d dimensions that do not touch each other: d pairs of one-dimensional Gaussians.
V_C = np.array([0.3, 0.5, 1.0, 1.5])
V_U = np.array([1.2, 0.8, 1.0, 0.9])
M_C = np.array([0.6, -0.4, 1.0, 0.0])
M_U = np.array([-0.2, 0.3, 0.0, 0.5])


# Steps of a sampler between which its error must halve and halve again.
STEPS = [800, 1600, 3200]


def gaussian(mean, variance):
    return Mixture.of([1.0], mean[None], np.diag(variance)[None])


CONDITIONAL, UNCONDITIONAL = gaussian(M_C, V_C), gaussian(M_U, V_U)


def draw(n, sampler, key=0):
    keys = mixture.keys_of(jr.key(key), 1, n)
    families = np.zeros(n, int)
    return np.asarray(mixture.sample(CONDITIONAL, UNCONDITIONAL, families, keys, sampler)), keys


def start(keys, d):
    """The noise that a sample begins with."""
    return np.stack([jr.normal(jr.fold_in(key, 0), (d,)) for key in keys])


def moments_of_ddim(sampler):
    """DDIM is affine here: two samples tell its slope and offset, without sampling error."""
    z, keys = draw(2, sampler)
    e = start(keys, len(V_C))
    slope = (z[1] - z[0]) / (e[1] - e[0])
    return z[0] - slope * e[0], slope**2


def order(steps, errors):
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


def closed_ddim(scale, low, high, end=1e9):
    """ln V = ln T - int_0^T [w/(V_c + t) + (1 - w)/(V_u + t)] dt; w = 1 outside (low, high)."""
    primitive = lambda w, t: w * np.log(V_C + t) + (1 - w) * np.log(V_U + t)
    cuts = [(0.0, low**2, 1.0), (low**2, high**2, scale), (high**2, end**2, 1.0)]
    return np.log(end**2) - sum(primitive(w, b) - primitive(w, a) for a, b, w in cuts)


@pytest.mark.parametrize("w", [0.0, 0.5, 1.0, 2.5, 7.5])
def test_ddim_converges_to_its_closed_law(w):
    """V = V_c^w V_u^(1-w) and mean m_u + A(w) (m_c - m_u), with an error of first order."""
    in_V, in_m = [], []
    log_V = w * np.log(V_C) + (1 - w) * np.log(V_U)
    mean = M_U + ddim_response(w, V_C, V_U) * (M_C - M_U)
    for K in STEPS:
        m, V = moments_of_ddim(Sampler(NoiseLevels.exploding(1e-4, 1e4, K), w))
        in_V.append(np.abs(np.log(V) - log_V).max())
        in_m.append(np.abs(m - mean).max())
    assert 0.9 < order(STEPS, in_V) < 1.2
    assert in_V[-1] < 0.01 * max(1, w)
    if w in (0, 1):  # one Gaussian: the mean is exact but for a start at m = 0, s_0 = 1e4
        assert in_m[-1] < 2e-4
    else:
        assert order(STEPS, in_m) > 0.9
        assert in_m[-1] < 0.01 * max(1, w)


def test_ddim_under_an_interval_converges_to_the_integral_of_its_rates():
    errors = []
    for K in STEPS:
        sampler = Sampler(NoiseLevels.exploding(1e-4, 1e4, K), mixture.interval(6.0, 0.5, 3.0))
        log_V = np.log(moments_of_ddim(sampler)[1])
        errors.append(np.abs(log_V - closed_ddim(6.0, 0.5, 3.0)).max())
    assert errors[-1] < 0.05
    assert errors[-1] < errors[0] / 2.5  # the ends of the interval fall between levels


@pytest.mark.parametrize("w", [0.25, 2.5])
def test_ddpm_converges_to_its_closed_law(w):
    """V = V_c^(2w) V_u^(2-2w) (r^(1-2w) - 1)/[(V_u - V_c)(2w - 1)], r = V_c/V_u."""
    n, steps, log_V = 8000, [32, 64], []
    some = [0, 1, 3]  # the closed form is a limit where variances are equal
    c, u, r = V_C[some], V_U[some], V_C[some] / V_U[some]
    law = c ** (2 * w) * u ** (2 - 2 * w) * (r ** (1 - 2 * w) - 1) / ((u - c) * (2 * w - 1))
    for K in steps:
        z, _ = draw(n, Sampler(NoiseLevels.exploding(3e-3, 300.0, K), w, "ddpm"))
        log_V.append(np.log(z.var(axis=0)[some]))
    errors, error = np.abs(log_V - np.log(law)).max(axis=1), np.sqrt(2 / n)
    assert 0.7 < order(steps, errors) < 1.4
    # 2 V(2 K) - V(K) cancels the error of first order and leaves that of second order.
    limit = 2 * log_V[-1] - log_V[-2]
    assert np.all(np.abs(limit - np.log(law)) < 0.2 * errors[-1] + 4 * np.sqrt(5) * error)
    if w > 1:
        tilt = 1 / (w / c + (1 - w) / u)
        assert abs(limit - np.log(tilt))[0] > 0.2 * errors[-1] + 4 * np.sqrt(5) * error


def test_ddim_does_not_sample_the_tilt():
    _, V = moments_of_ddim(Sampler(NoiseLevels.exploding(1e-4, 1e4, STEPS[-1]), 2.5))
    law, tilt = V_C**2.5 * V_U**-1.5, 1 / (2.5 / V_C - 1.5 / V_U)
    assert np.all(np.abs(np.log(V / law))[:2] < 0.1 * np.abs(np.log(V / tilt))[:2])


@pytest.fixture(scope="module")
def families():
    """A conditional and an unconditional mixture that are not the same, in three dimensions."""
    rng = np.random.default_rng(0)

    def random(C):
        roots = rng.normal(size=(C, 3, 3)) / 2
        V = roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(3)
        return Mixture.of(rng.uniform(1, 2, C), rng.normal(size=(C, 3)), V)

    return random(3), random(2)


def test_mixtures_follow_the_probability_flow(families):
    """dy/ds = -s [w score_c + (1 - w) score_u] from s_0 to 0, by an ODE solver."""
    conditional, unconditional = families
    w, c = 2.0, np.array([0, 1, 2, 2])
    keys = mixture.keys_of(jr.key(1), 1, len(c))
    singles = [conditional.family(int(k)) for k in c]

    @jax.jit
    def flow(s, y):
        y = y.reshape(4, 3)
        D_c = jnp.concatenate([f.denoise(y[i : i + 1], s) for i, f in enumerate(singles)])
        return ((y - w * D_c - (1 - w) * unconditional.denoise(y, s)) / s).ravel()

    begin, low = 20.0 * start(keys, 3), 1e-4
    exact = solve_ivp(flow, (20.0, low), begin.ravel(), method="DOP853", rtol=1e-7, atol=1e-7)
    steps, errors = [400, 800], []
    for K in steps:
        sampler = Sampler(NoiseLevels.exploding(low, 20.0, K), w)
        z = np.asarray(mixture.sample(conditional, unconditional, c, keys, sampler))
        errors.append(np.abs(z - exact.y[:, -1].reshape(4, 3)).max())
    assert 0.85 < order(steps, errors) < 1.2
    assert errors[-1] < 0.02


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("to_one", [False, True])
def test_the_same_images_as_diffusers(families, spacing, to_one):
    """Its DDIM scheduler, given the exact noise predictions sqrt(1 - A) score."""
    torch, diffusers = pytest.importorskip("torch"), pytest.importorskip("diffusers")
    conditional, unconditional = families
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=to_one, steps_offset=1, timestep_spacing=spacing,
    )  # fmt: skip
    scheduler.set_timesteps(20)
    keys, w = mixture.keys_of(jr.key(2), 1, 1), 3.0
    x = torch.tensor(start(keys, 3))
    for t in scheduler.timesteps:
        A = float(scheduler.alphas_cumprod[t])
        y, s = x.numpy() / np.sqrt(A), np.sqrt((1 - A) / A)
        e_c, e_u = (-s * m.score(y, s) for m in (conditional.family(1), unconditional))
        x = scheduler.step(torch.tensor(np.asarray(e_u + w * (e_c - e_u))), t, x).prev_sample
    A = mixture.scaled_linear(0.0015, 0.0195)
    levels = NoiseLevels.preserving(20, A, spacing, final=1.0 if to_one else A[0])
    z = mixture.sample(conditional, unconditional, [1], keys, Sampler(levels, w))
    np.testing.assert_allclose(z, x.numpy(), atol=2e-4)  # its alphas are float32


def test_guidance_saturates_where_families_are_told_apart():
    """Of two prompts far apart each loses little variance, where one Gaussian for both loses all.

    The law for one Gaussian says ln V' = ln V + 6.5 ln(V_W/V_U) at w = 7.5. At low noise the
    mixture knows its family, both scores agree, and guidance does nothing at all.
    """
    V, apart, n = 0.5, 40.0, 500
    V_u = V + apart**2 / 4
    two = Mixture.of(np.ones(2), [[-apart / 2], [apart / 2]], np.full((2, 1, 1), V))
    single = Mixture.of([1.0], [[0.0]], [[[V_u]]])
    keys, levels = mixture.keys_of(jr.key(3), 1, n), NoiseLevels.exploding(1e-3, 1e3, 300)

    def log_variance(unconditional, scale):
        sampler = Sampler(levels, scale)
        z = mixture.sample(two, unconditional, np.ones(n, int), keys, sampler)
        return np.log(np.var(z))

    law, neutral = 6.5 * np.log(V / V_u), log_variance(two, 1.0)
    assert log_variance(single, 7.5) - neutral < 0.5 * law
    assert 0.1 * law < log_variance(two, 7.5) - neutral < -0.1
    assert abs(log_variance(two, mixture.interval(7.5, 0.0, 4.0)) - neutral) < 1e-9


def test_a_sample_depends_on_its_own_key_and_family_alone(families):
    conditional, unconditional = families
    rng = np.random.default_rng(4)
    c = rng.choice(3, size=150, p=[0.8, 0.15, 0.05])
    keys = mixture.keys_of(jr.key(4), 1, len(c))
    sampler = Sampler(NoiseLevels.preserving(10), 2.0, "ddpm")
    together = np.asarray(mixture.sample(conditional, unconditional, c, keys, sampler))
    chosen = rng.permutation(150)[:11]
    apart = mixture.sample(conditional, unconditional, c[chosen], keys[chosen], sampler)
    np.testing.assert_allclose(apart, together[chosen], rtol=1e-9, atol=1e-11)
    assert len(np.unique(together[:, 0])) == 150


@pytest.mark.parametrize("sizes", [[1], [1, 1, 1], [50] * 10, [1000, 1, 1], [65, 64], [3, 200, 7]])
def test_blocks_hold_every_sample_once_and_waste_little(sizes):
    families = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    owner, members = blocks(families)
    assert set(members.ravel()) == set(range(len(families)))
    assert np.all(families[members] == owner[:, None])
    assert members.size <= 1.25 * len(families)
    parts = chunks(*members.shape, C=10, d=20_000, r=500)
    assert len({len(part) for part in parts}) == 1
    assert set(np.concatenate(parts)) == set(range(len(owner)))


def test_a_schedule_is_a_number_an_array_or_a_function():
    levels = NoiseLevels.preserving(5)
    by_level = Sampler(levels, lambda s: 1 + 2 * (s > 1))
    np.testing.assert_array_equal(by_level.scale, 1 + 2 * (np.asarray(levels.levels[:-1]) > 1))
    np.testing.assert_array_equal(Sampler(levels, 3.0).scale, [3.0] * 5)
    np.testing.assert_array_equal(Sampler(levels, np.arange(5.0)).scale, np.arange(5.0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoiseLevels([1.0]), r"levels must have shape \[K \+ 1\]"),
        (lambda: NoiseLevels([1.0, 2.0]), "a step from one level to the next must be less than 0"),
        (lambda: NoiseLevels([np.inf, 2.0]), "levels must be finite and at least 0, got inf"),
        (lambda: NoiseLevels([2.0, 1.0], start=0.0), "start must be greater than 0, got 0"),
        (lambda: NoiseLevels.exploding(2.0, 1.0, 5), "high must be .* greater than low = 2, got 1"),
        (lambda: NoiseLevels.preserving(1001), "steps must be at most 1000.* got 1001"),
        (lambda: NoiseLevels.preserving(0), "steps must be a whole number of at least 1, got 0"),
        (lambda: NoiseLevels.preserving(5, spacing="even"), "spacing must be one of .*'even'"),
        (lambda: NoiseLevels.preserving(5, [0.5, 1.5]), "alphas_cumprod must be .* got 1.5"),
        (lambda: mixture.scaled_linear(0.1, 0.05), "high must be greater than low = 0.1"),
        (lambda: Sampler(NoiseLevels([1.0, 0.0]), [1.0, 2.0]), r"scale must have shape .* \(2,\)"),
        (lambda: Sampler(NoiseLevels([1.0, 0.0]), np.nan), "scale must be finite, got nan"),
        (lambda: Sampler(NoiseLevels([1.0, 0.0]), 1.0, "heun"), "operator must be one of .*'heun'"),
        (lambda: _sample([1]), "families must be 0 to 0, got 1"),
        (lambda: _sample([0, 0]), r"families must be whole numbers \[n\] with one of keys"),
        (lambda: _sample([0.0]), "families must be whole numbers"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def _sample(families):
    sampler = Sampler(NoiseLevels([1.0, 0.0]))
    return mixture.sample(
        CONDITIONAL, UNCONDITIONAL, families, mixture.keys_of(jr.key(0), 1, 1), sampler
    )
