"""The theory of prompts: reading, Gaussian processes, simulated chains, traits, scores."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

import qtm
from analysis.prompts import groups, guided, motion, reading, scores, variances
from analysis.prompts.chains import PromptChain, Trait
from analysis.prompts.conditions import LEVELS
from analysis.prompts.paths import Theory, fit, paths
from analysis.prompts.process import Family, condition, positive, squared
from analysis.prompts.quantities import AXES, measurements
from analysis.prompts.reading import prompt_chain
from analysis.prompts.traits import trait_map
from empirical.errors import UserError
from empirical.runs import kept
from empirical.runs.prompts import prompts_of_draw

C, K, G, N = 6, 2, 4, 400
SCALES = (1.0, 1.5, 2.2, 3.2)
LINEAR, SQUARE = np.array([0.5, -0.2]), np.array([0.1, 0.3])
RNG = np.random.default_rng(3)
BASE = qtm.Prompts(RNG.normal(size=(C, K)), np.broadcast_to(0.6 * np.eye(K), (C, K, K)))
START = np.asarray(BASE.means) + 0.1 * RNG.normal(size=(C, K))


def chain_at(scale, seed=0):
    """Return a chain of `qtm.PromptCycle`, with the sampling of images in every generation.

    Chains of one seed have the same deviations in it, as those that draw with the same noise.
    """
    rng = np.random.default_rng(seed)
    cycle = qtm.PromptCycle(
        heritability=0.85, scale=scale, base=BASE, levels=LEVELS, uptake=0.8, blur=0.5, leak=0.05,
        mutation_variance=0.02,
    )  # fmt: skip
    state, states = qtm.Prompts(START, BASE.within), []
    for _ in range(G + 1):
        states.append(state)
        drawn = cycle.step(state)
        drift = np.sqrt(0.6 / N) * rng.standard_normal((C, K))
        state = qtm.Prompts(drawn.means + drift, drawn.within)
    means = np.stack([s.means for s in states])
    within = np.stack([np.asarray(s.within) for s in states])
    V_W = np.array([0.8 * scale ** (-0.1 * t) for t in range(G + 1)])
    trait = Trait(of_latents(means), V_W, of_latents(np.asarray(BASE.means)), 0.8)
    return PromptChain(
        f"{scale:g}", seed, scale, groups.single("abcdef"), np.full(C, float(N)), means, within,
        np.asarray(BASE.means), np.asarray(BASE.within), np.full((G, LEVELS.steps), scale),
        "replace", 0.0, 0.0, "",
        {"trait": trait},
    )  # fmt: skip


def of_latents(means):
    return means @ LINEAR + means**2 @ SQUARE


@pytest.fixture(scope="module")
def drawn():
    return [chain_at(scale) for scale in SCALES]


@pytest.fixture(scope="module")
def without(drawn):
    """The theory fitted to all chains but that at 2.2."""
    return fit(drawn, held_out(2.2))


def held_out(scale):
    return np.array([[w != scale] * G for w in SCALES])


SMOOTH = Family(
    lambda values, a, b: (
        values["size"] ** 2 * jnp.exp(-squared(a["x"], b["x"]) / (2 * values["length"] ** 2))
    )[None],
    lambda values, a: values["noise"] ** 2 * jnp.ones(len(a["x"])),
    positive({"size": ("", 1.0, 1.0), "length": ("", 1.0, 0.5), "noise": ("", 0.1, 1.0)}),
)


def smooth(size=40, noise=0.1):
    rng = np.random.default_rng(1)
    x = rng.uniform(-3, 3, size=(size, 1))
    y = np.sin(x) + np.array([0.0, 2.0]) + noise * rng.standard_normal((size, 2))
    return {"x": x}, y


def test_a_process_finds_its_noise_and_follows_its_function():
    inputs, y = smooth()
    process = condition(SMOOTH, inputs, y)
    # The estimate of a standard deviation from n values has the relative error 1/sqrt(2 n).
    assert process.values["noise"] == pytest.approx(0.1, rel=4 / np.sqrt(2 * y.size))
    x = np.linspace(-2.5, 2.5, 11)[None, :, None]
    values = process.draws(200, seed=0)({"x": np.repeat(x, 200, axis=0)}, noisy=False)
    truth = np.sin(x[0]) + np.array([0.0, 2.0])
    deviation = (values.mean(axis=0) - truth) / values.std(axis=0, ddof=1)
    assert np.sqrt(np.mean(deviation**2)) < 2.0
    assert values.std(axis=0, ddof=1).max() < 0.1


def test_values_drawn_one_after_another_are_one_function():
    process = condition(SMOOTH, *smooth(8))
    x = np.broadcast_to(np.array([4.0, 5.0])[:, None], (2000, 2, 1))
    draws = process.draws(2000, seed=0)
    first = draws({"x": x[:, :1]}, noisy=False)
    again = draws({"x": x[:, :1]}, noisy=False)
    # A function has one value at a place: what is left is the jitter of its covariance.
    np.testing.assert_allclose(first, again, atol=0.02)
    second = draws({"x": x[:, 1:]}, noisy=False)
    jointly = process.draws(2000, seed=1)({"x": x}, noisy=False)
    one_by_one = np.concatenate([first, second], axis=1)[..., 0]
    expected, measured = np.cov(jointly[..., 0].T), np.cov(one_by_one.T)
    # A covariance of n normal values has the standard error sqrt((s_ii s_jj + s_ij^2)/n).
    V = np.diag(expected)
    error = np.sqrt(2 * (np.outer(V, V) + expected**2) / 2000)
    assert (np.abs(expected - measured) < 4 * error).all()
    assert expected[0, 1] > 4 * error[0, 1]


def test_selection_is_zero_at_scale_one(drawn):
    a = motion.inputs(drawn[0], drawn[0].means[1], 1)
    typical = {p.name: jnp.asarray(p.typical) for p in motion.FAMILY.parameters}
    selected = {
        name: 9 * value if name.startswith(("selection", "drift_selected")) else value
        for name, value in typical.items()
    }
    selected |= {name: typical[name] for name in ("selection_length",)}
    asarray = {name: jnp.asarray(value) for name, value in a.items()}
    np.testing.assert_array_equal(
        motion.kernel(typical, asarray, asarray), motion.kernel(selected, asarray, asarray)
    )
    guided = asarray | {"log_scales": jnp.full((C, LEVELS.steps), np.log(2.0))}
    unlike = motion.kernel(selected, guided, guided) - motion.kernel(typical, guided, guided)
    assert np.diagonal(unlike, axis1=1, axis2=2).min() > 0


def test_draws_without_guidance_show_transmission(drawn):
    """They count once where chains of one seed have one model, and not without guidance."""
    unguided = [replace(chain, unguided=drawn[0].means) for chain in drawn]
    process = motion.fit(unguided, np.ones((len(SCALES), G), bool))
    plain = np.all(process.inputs["log_scales"] == 0, axis=1)
    assert len(plain) == C * G * len(SCALES) + C * (G - 1) * (len(SCALES) - 1)
    assert plain.sum() == C * G + C * (G - 1) * (len(SCALES) - 1)
    process = motion.fit(unguided, held_out(1.0))
    plain = np.all(process.inputs["log_scales"] == 0, axis=1)
    assert plain.sum() == process.inputs["unguided"].sum() == C + C * (G - 1) * (len(SCALES) - 1)


def test_drift_that_is_not_passed_on_is_taken_back(drawn):
    """Covariances of e_t - k e_t-1: (1 + k^2) at one time, -k one generation apart, then none; of
    a training set whose half is real images, k is half of that."""
    values = {p.name: jnp.asarray(p.typical) for p in motion.FAMILY.parameters}
    without = values | {"drift": jnp.asarray(0.0)}
    mixed = replace(drawn[0], training_set="mix", real_fraction=0.5)
    drift = values["drift"] ** 2
    for chain, k in ((drawn[0], values["drift_lost"]), (mixed, values["drift_lost"] / 2)):
        first, *others = (
            {name: jnp.asarray(v) for name, v in motion.inputs(chain, START, t).items()}
            for t in (1, 1, 2, 3)
        )
        for other, expected in zip(others, (1 + k**2, -k, 0.0), strict=True):
            part = motion.kernel(values, first, other) - motion.kernel(without, first, other)
            np.testing.assert_allclose(
                part, np.tile(expected * drift * np.eye(C), (K, 1, 1)), atol=1e-9
            )


def test_a_held_out_scale_of_a_simulated_cycle_is_predicted(without, drawn):
    chain = drawn[2]
    path = paths(without, chain, 0)
    assert path.means.shape == (64, G + 1, C, K)
    np.testing.assert_array_equal(path.means[:, 0], np.repeat(chain.means[None, 0], 64, axis=0))
    error = np.sqrt(np.mean((np.median(path.means, axis=0) - chain.means)[1:] ** 2))
    moved = np.sqrt(np.mean((chain.means[1:] - chain.means[0]) ** 2))
    assert error < 0.2 * moved
    deviation = (path.means - chain.means)[:, 1:].mean(axis=0) / path.means[:, 1:].std(axis=0)
    assert np.sqrt(np.mean(deviation**2)) < 3


def law(chain, M, w, v):
    """Return -0.3 g d - 0.1 a + 0.4 ln w v a, with d and a the deviations from the base and from
    the mean of prompts, g the distance that saturates, and v the V_W that is left."""
    d, apart = M - chain.base_means, M - M.mean(axis=-2, keepdims=True)
    D = np.sqrt(np.mean((d / np.sqrt(chain.unit)) ** 2, axis=-1, keepdims=True))
    return (0.4 * np.log(w) * v - 0.1) * apart - 0.3 * D / np.sqrt(1 + D**2) * d


def linear_chains(drawn, real=0.0):
    """Return chains whose prompts move by the law, and a drift that they have in common; V_W along
    axes is constant."""
    rng = np.random.default_rng(0)
    e = 0.01 * rng.standard_normal((G + 1, C, K)) * np.sqrt(drawn[0].unit)
    drift = e[1:] - 0.4 * e[:-1]
    linear = []
    for chain in drawn:
        means = [chain.base_means + 0.5 * rng.standard_normal((C, K))]
        within = np.repeat(chain.within[:1], G + 1, axis=0)
        moved = replace(chain, within=within, training_set="mix", real_fraction=real)
        level = variances.levels(moved)[:, :K].mean(axis=1)
        for t in range(G):
            parents = real * means[0] + (1 - real) * means[-1]
            v = np.exp(moved.learnt_from(level, t))
            means.append(parents + law(chain, parents, chain.label, v) + drift[t])
        linear.append(replace(moved, means=np.stack(means)))
    return linear


def test_the_law_of_transmission_and_selection_is_recovered(drawn):
    rng, first = np.random.default_rng(1), drawn[0]
    B, unit = first.base_means, np.sqrt(first.unit)
    process = motion.fit(linear_chains(drawn), held_out(1.0))
    new = B + 0.5 * rng.standard_normal((1, C, K))
    repeated = np.repeat(new, 100, axis=0)
    v = np.exp(variances.levels(first)[0, :K].mean())
    for w in (1.0, 2.0):
        # A later generation has drift that no chain has shown.
        places = motion.inputs(first, repeated, 0, w) | {"draw": np.full((100, C), -9)}
        values = process.draws(100, seed=0)(places)
        spread = values.std(axis=0, ddof=1)
        expected = law(first, new[0], w, v) / unit
        assert np.sqrt(np.mean(((values.mean(axis=0) - expected) / spread) ** 2)) < 2
        assert spread.max() < 0.1 < np.abs(expected).max()
    assert process.values["drift"] == pytest.approx(0.01, rel=0.5)


def test_paths_begin_as_measured_and_repeat_themselves(without, drawn):
    path = paths(without, drawn[1], 2, draws=8)
    for t in range(3):
        assert (path.means[:, t] == drawn[1].means[t]).all()
        assert (path.traits["trait"][:, t] == drawn[1].traits["trait"].means[t]).all()
    assert path.means[:, 3].std(axis=0).min() > 0
    again = paths(without, drawn[1], 2, draws=8)
    np.testing.assert_array_equal(path.means, again.means)
    other = paths(without, drawn[1], 2, draws=8, seed=1)
    assert (path.means[:, 3] != other.means[:, 3]).all()


def test_a_loss_of_variance_in_proportion_to_ln_w_is_predicted(without, drawn):
    path = paths(without, drawn[2], 0)
    trait = path.levels[:, -1, K]
    assert trait.mean() == pytest.approx(-0.1 * G * np.log(2.2), abs=4 * trait.std() + 0.02)
    assert trait.std() < 0.1
    axes, measured = path.levels[:, -1, :K], variances.levels(drawn[2])[-1, :K]
    assert (np.abs(axes.mean(axis=0) - measured) < 0.1 * np.abs(measured)).all()


def test_variances_come_to_the_end_of_their_fall(drawn):
    """What is narrowed by guidance and renewed by finetuning reaches a level that no generation of
    the fit has shown; what is no variance within prompts grows as it did."""
    renewal, narrowing, short = 0.3, 0.5, np.array([[True] * 2 + [False] * (G - 2)] * len(SCALES))
    rng = np.random.default_rng(0)
    falling = []
    for chain in drawn:
        y = [np.zeros(2)]
        for _ in range(G):
            narrowed = np.log((np.exp(y[-1]) + renewal) / (1 + renewal))
            y.append(narrowed - narrowing * np.log(chain.label) + 0.01 * rng.standard_normal(2))
        V_W = chain.base_within.mean(axis=0).diagonal() * np.exp(y)
        within = np.broadcast_to(V_W[:, None, :, None] * np.eye(K), chain.within.shape)
        grows = Trait(np.zeros((G + 1, C)), 1.1 ** np.arange(G + 1), np.zeros(C), 1.0, False)
        # Prompts stay, so that only variances tell one generation from another.
        still = np.broadcast_to(chain.base_means, chain.means.shape)
        falling.append(replace(chain, within=within, means=still, traits={"grows": grows}))
    process = variances.fit(falling, short)
    assert process.values["narrowing"] == pytest.approx(narrowing, rel=0.2)
    chain, draws = falling[3], process.draws(64, 0)
    level = variances.levels(chain)
    levels = [np.repeat(each[None], 64, axis=0) for each in level[:3]]
    for t in range(2, G):
        prompts = np.repeat(chain.means[None, None, t], 64, axis=0)
        levels.append(draws(variances.inputs(chain, levels[t][:, None], prompts, t))[:, 0])
    last = levels[-1]
    error = last.mean(axis=0) - level[-1]
    assert (np.abs(error) < 3 * last.std(axis=0)).all()
    assert last.std(axis=0).max() < 0.2
    assert (np.abs(error[:K]) < 0.3 * np.abs(level[-1] - level[2])[:K]).all()


def test_parts_are_left_out(drawn):
    chains = [replace(chain, traits={}) for chain in drawn[:2]]
    theory = fit(chains, without=["motion.drift_lost", "variances.renewal"])
    assert theory.absent == ("motion.drift_lost", "variances.renewal")
    assert theory.motion.values["drift_lost"] == theory.variances.values["renewal"] == 0
    assert theory.motion.values["drift"] > 0
    for wrong, reason in (
        ("renewal", "'motion.NAME' or 'variances.NAME', not 'renewal'"),
        ("motion.renewal", "there is no part 'renewal' to be left out, there are"),
        ("motion.drift_length", "there is no part 'drift_length'"),
    ):
        with pytest.raises(UserError, match=reason):
            fit(chains, without=[wrong])


def test_a_quadratic_trait_is_mapped(drawn):
    learnt = trait_map(drawn, held_out(2.2))
    chain = drawn[2]
    values = learnt.draws(chain, np.repeat(chain.means[None, 1:], 16, axis=0))[..., 0]
    truth = chain.traits["trait"].means[1:]
    moved = np.abs(truth - chain.traits["trait"].base_means).max()
    error = values.mean(axis=0) - truth
    assert np.sqrt(np.mean(error**2)) < 0.02 * moved
    assert (np.abs(error) < 5 * values.std(axis=0)).all()
    base = np.broadcast_to(chain.base_means, (16, 1, C, K))
    expected = chain.traits["trait"].base_means
    np.testing.assert_allclose(
        learnt.draws(chain, base)[:, 0, :, 0], np.tile(expected, (16, 1)), atol=0.02 * moved
    )


def test_held_out_predictions_are_scored_beside_naive_ones(drawn):
    short = [chain.until(2) for chain in drawn]
    table = scores.predictions(short, "scale", widen=False)
    assert set(table["model"]) == {scores.THEORY, scores.UNCHANGED, scores.INTERPOLATED}
    row = table[(table["trait"] == "trait") & (table["quantity"] == "mean")]
    row = row[(row["scale"] == 1.5) & (row["generation"] == 2)].set_index("model")
    mean = [measurements(chain)["trait", "mean"] for chain in short]
    f = np.log(1.5) / np.log(2.2)
    expected = (1 - f) * mean[0][2] + f * mean[2][2]
    assert row.loc[scores.INTERPOLATED, "predicted"] == pytest.approx(expected)
    assert row.loc[scores.UNCHANGED, "predicted"] == mean[1][0] == 0
    assert row.loc[scores.THEORY, "measured"] == mean[1][2]
    theory = table[table["model"] == scores.THEORY]
    assert (theory["low"] <= theory["predicted"]).all()
    assert (theory["predicted"] <= theory["high"]).all()
    errors = scores.errors(table)["error"].unstack("model")
    # `qtm.PromptCycle` pulls prompts to the base however near they are, which the theory does not
    # expect: so the means of axes, which hardly move, are predicted less well.
    for of, quantity, most in (
        ("traits", "mean", 0.5),
        (AXES, "mean", 0.7),
        (AXES, "between", 0.5),
    ):
        error = errors.loc[(of, quantity)]
        assert error[scores.THEORY] < most * error[scores.UNCHANGED]


def test_intervals_are_widened_by_errors_within_the_seen_chains(drawn):
    short = drawn[:2]
    table = scores.predictions(short, "generations", draws=16, widen=False)
    wider = scores.predictions(short, "generations", draws=16)
    assert set(table["model"]) == {scores.THEORY, scores.UNCHANGED, scores.LINE}
    assert set(table["generation"]) == {3, 4}
    np.testing.assert_array_equal(table["predicted"], wider["predicted"])
    theory = table["model"] == scores.THEORY
    factor = (wider["high"] - wider["low"])[theory] / (table["high"] - table["low"])[theory]
    assert factor.min() > 1 - 1e-9
    kinds = [table["trait"].str.startswith(AXES)[theory], table["quantity"][theory]]
    assert factor.groupby(kinds).std().max() < 1e-6
    line = table[(table["model"] == scores.LINE) & (table["generation"] == 4)]
    y = measurements(drawn[0])["trait", "within"]
    row = line[(line["run"] == "1") & (line["trait"] == "trait")].set_index("quantity")
    assert row.loc["within", "predicted"] == pytest.approx(2 * y[2] - y[0])


def test_measured_quantities_are_those_of_their_definitions(drawn):
    chain = drawn[3]
    values = measurements(chain)
    trait = chain.traits["trait"]
    sd = np.sqrt(trait.within[0] + trait.means[0].var(ddof=1))
    assert values["trait", "mean"][2] == pytest.approx(
        (trait.means[2] - trait.means[0]).mean() / sd
    )
    np.testing.assert_allclose(values["trait", "within"], np.log(trait.within / sd**2))
    pooled = np.trace(chain.within.mean(axis=1), axis1=1, axis2=2)
    total = pooled[0] + chain.means[0].var(axis=0, ddof=1).sum()
    np.testing.assert_allclose(values[AXES, "within"], np.log(pooled / total))


def test_kept_runs_have_their_prompts():
    run = next(r for r in kept.runs("transmission") if r.name.startswith("baseline"))
    chain = prompt_chain(run)
    stored = prompts_of_draw(run.generation(3))
    order = np.argsort(stored.captions)
    np.testing.assert_allclose(
        chain.means[3], stored.means["latent_pc"][order], atol=2e-3 * np.sqrt(chain.unit.max())
    )
    assert chain.counts.sum() == run.recipe.data.size
    assert {"pixel_mean", "entropy", "sharpness"} <= set(chain.traits)
    table = run.moments().query("feature == 'entropy'").set_index("generation")
    trait = chain.traits["entropy"]
    np.testing.assert_allclose(trait.within, table["within"].loc[range(7)])
    np.testing.assert_allclose(trait.between, table["between"].loc[range(7)], rtol=0.02)
    # Real images have not passed the decoder: the base model's entropy is far from theirs.
    assert trait.base_means.mean() - trait.means[0].mean() > 3 * trait.deviation
    assert chain.unguided.shape == chain.means.shape
    np.testing.assert_array_equal(chain.unguided[0], chain.base_means)
    assert chain.strengths == pytest.approx(np.log(chain.label) * np.ones(6))


def test_remedies_that_change_settings_are_read_with_others():
    """What real images, accumulation, a schedule and condition drop do is known; what a filter
    does to the images of a prompt is not."""
    runs = {run.name: run for run in kept.runs("embedded")}
    names = (
        "baseline,seed=0,guidance.scale=7.5",
        "real_data,seed=0,remedy.fraction=0.2",
        "training_set,seed=0,finetune.training_set=accumulate",
        "training_set,seed=0,finetune.training_set=real",
        "redifine,seed=0",
        "filter,seed=0",
        "steps,seed=0,finetune.steps=100",
        "previous,seed=0",
    )
    read, left_out = reading.chains(runs[name] for name in names)
    assert [chain.name for chain in read] == list(names[:5])
    assert all("other prompts" in reason for reason in left_out)
    assert len(left_out) == 3
    plain, mixed, accumulated, real, redifine = read
    assert plain.plain
    assert not any(chain.plain for chain in read[1:])
    np.testing.assert_array_equal(plain.sources, np.eye(6))
    np.testing.assert_allclose(mixed.sources[3], [0.2, 0, 0, 0.8, 0, 0])
    np.testing.assert_allclose(mixed.sources[0], [1, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(accumulated.sources[3], [0.25, 0.25, 0.25, 0.25, 0, 0])
    np.testing.assert_allclose(real.sources[3], [1, 0, 0, 0, 0, 0])
    assert redifine.dropped == 0.2
    assert redifine.scales[0, 0] == 7.5 > redifine.scales[0, -1] > 1


def test_training_sets_have_the_mean_of_their_generations(drawn):
    chain = replace(drawn[2], training_set="mix", real_fraction=0.3)
    np.testing.assert_allclose(
        chain.learnt_from(chain.means, 2), 0.3 * chain.means[0] + 0.7 * chain.means[2]
    )
    V = variances.learnt_from(chain, variances.levels(chain), 2)
    expected = 0.3 * np.exp(variances.levels(chain)[0]) + 0.7 * np.exp(variances.levels(chain)[2])
    np.testing.assert_allclose(np.exp(V), expected)
    short = chain.until(2)
    np.testing.assert_array_equal(
        short.learnt_from(short.means, 1), chain.learnt_from(chain.means, 1)
    )


def test_a_share_of_real_images_is_predicted_from_chains_without(drawn):
    """Training sets enter by their means alone: nothing about real images has to be fitted."""
    process = motion.fit(linear_chains(drawn), held_out(2.2))
    mixed = linear_chains(drawn, real=0.4)[2]
    theory = Theory(process, variances.fit(linear_chains(drawn), held_out(2.2)), None)
    error = lambda chain: np.sqrt(
        np.mean((np.median(paths(theory, chain, 0).means, axis=0) - mixed.means)[1:] ** 2)
    )
    moved = np.sqrt(np.mean((mixed.means[1:] - mixed.means[0]) ** 2))
    assert error(mixed) < 0.1 * moved
    assert error(mixed) < 0.3 * error(replace(mixed, training_set="replace"))


def test_strength_of_a_constant_scale_is_its_logarithm(drawn):
    values = {p.name: jnp.asarray(p.typical) for p in guided.PARAMETERS}
    a = {k: jnp.asarray(v) for k, v in guided.inputs(drawn[3], (2,), 0).items()}
    np.testing.assert_allclose(guided.strength(values, a), np.full(2, np.log(3.2)))


def test_strength_is_that_where_guidance_acts(drawn):
    chain = drawn[3]
    early = chain.noise > 1
    schedule = replace(chain, scales=np.where(early, 3.2, 1.0)[None].repeat(G, axis=0))
    a = {k: jnp.asarray(v) for k, v in guided.inputs(schedule, (1,), 0).items()}
    at = lambda noise: guided.strength(
        {"guided_noise": jnp.asarray(noise), "guided_breadth": jnp.asarray(0.2)}, a
    )[0]
    assert at(3.0) == pytest.approx(np.log(3.2), rel=1e-3)
    assert at(0.2) == pytest.approx(0, abs=1e-3)


def test_captions_are_grouped_by_alike_images():
    rng = np.random.default_rng(0)
    centres = 10 * np.array([[-3, 0], [-2, 0], [2, 0], [3, 0.0]])
    values = np.repeat(centres, 20, axis=0) + rng.normal(size=(80, 2))
    captions = [f"{i:03d}" for i in rng.permutation(80)]
    found = groups.alike(captions, values)
    # 80 images make 8 groups of 10, halves of the four.
    assert len(found.names) == 8
    codes = found.indices(captions)
    assert (np.bincount(codes) == 10).all()
    assert all(len(set(codes[20 * k : 20 * k + 20])) == 2 for k in range(4))
    assert [found.members[name] for name in found.names] == list(range(8))
    order = rng.permutation(80)
    assert found == groups.alike([captions[i] for i in order], values[order])
    assert not found.of_single_captions


def test_captions_of_one_image_each_are_followed_in_groups():
    """Colour drawings with a caption each: a held-out scale from those at both sides."""
    run = [r for r in kept.runs("emoji") if r.name.startswith("baseline,seed=0")]
    read, left_out = reading.chains(run)
    assert not left_out
    assert {chain.means.shape for chain in read} == {(7, 16, 8)}
    first = read[0]
    assert first.counts.sum() == 500
    assert first.counts.min() > 500 / 16 - 1
    z = run[0].generation(3).trait("latent_pc").astype(float)
    total = first.within[3].mean(axis=0) + np.cov(first.means[3].T)
    # Groups are of nearly the same size; the mean of means is that of the images but for this.
    np.testing.assert_allclose(np.diag(total), z.var(axis=0, ddof=1), rtol=0.1)


def test_groups_have_the_traits_of_their_images():
    """The families of drawings as if each image had its own caption."""
    run = next(r for r in kept.runs("emoji") if r.name == "families,seed=0,guidance.scale=7.5")
    generation = run.generation(2)
    of_images = groups.alike(generation.captions, generation.trait("latent_pc").astype(float))
    assert not of_images.of_single_captions
    means, V_W = reading._trait_of_groups(
        generation, prompts_of_draw(generation), "saturation", of_images
    )
    values = generation.trait("saturation")[:, 0].astype(float)
    codes = of_images.indices(generation.captions)
    one = np.flatnonzero(codes == 3)
    assert means[3] == pytest.approx(values[one].mean(), rel=1e-6)
    squares = [values[codes == c].var() * (codes == c).sum() for c in range(len(means))]
    assert pytest.approx(np.sum(squares) / (len(values) - len(means)), rel=1e-6) == V_W


class Named:
    def __init__(self, name):
        self.name = name


def test_other_runs_are_left_out_with_a_reason(drawn, monkeypatch):
    def read(run):
        if run.name == "bad":
            raise UserError("it is bad")
        chain = drawn[0]
        return replace(chain, groups=groups.single("abcdex")) if run.name == "other" else chain

    monkeypatch.setattr(reading, "prompt_chain", read)
    good, left_out = reading.chains([Named("good"), Named("bad"), Named("other")])
    assert len(good) == 1
    assert left_out[0] == "it is bad"
    assert "'other' has other prompts" in left_out[1]
    with pytest.raises(UserError, match="it is bad"):
        reading.chains([Named("bad")])


def test_traits_that_a_run_lacks_are_left_out_with_a_reason(drawn, monkeypatch):
    def read(run):
        chain = replace(drawn[0], name=run.name)
        traits = {} if run.name == "none" else {**chain.traits, "more": chain.traits["trait"]}
        return replace(chain, traits=chain.traits if run.name == "first" else traits)

    monkeypatch.setattr(reading, "prompt_chain", read)
    both, left_out = reading.chains([Named("first"), Named("second")])
    assert [list(chain.traits) for chain in both] == [["trait"]] * 2
    (reason,) = left_out
    assert reason.startswith("the traits more, of which the run 'first' has not all")
    every, left_out = reading.chains([Named("second"), Named("none"), Named("first")])
    assert [list(chain.traits) for chain in every] == [[]] * 3
    assert left_out[0].startswith("the traits more, trait, of which the run 'none'")
    assert not reading.chains([Named("second")])[1]
