"""Forecasts of a running chain by the theory of prompts, beside chains at other scales."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.prediction.holdout import continuations
from analysis.prediction.trajectories import COLUMNS
from analysis.prompts import forecast as forecasting
from analysis.prompts import motion, scores
from analysis.prompts.coordinates import BETWEEN, with_latents
from analysis.prompts.forecast import Given, forecast, given, neutral_scales
from analysis.prompts.paths import fit
from analysis.prompts.quantities import AXES, measurements
from analysis.prompts.reading import prompt_chain
from empirical.errors import UserError
from empirical.runs import kept
from tests.analysis.test_prompts import G, K, chain_at

SCALES, LAST, DRAWS = (1.0, 1.5, 2.2, 3.2), 2, 16
LATENT = "latent"


@pytest.fixture(scope="module")
def drawn():
    return [chain_at(scale) for scale in SCALES]


V_B = [0.1 * np.exp(0.2 * np.log(w) * np.arange(G + 1)) for w in SCALES]


@pytest.fixture(scope="module")
def complete(drawn):
    """The chains with latents, of which V_B grows in proportion to ln w."""
    added = []
    for chain, between in zip(drawn, V_B, strict=True):
        average = chain.traits["trait"]
        latents = {LATENT: average, BETWEEN: replace(average, within=between, base_within=0.1)}
        added.append(replace(chain, traits=chain.traits | latents))
    return added


@pytest.fixture(scope="module")
def known(complete):
    return Given((complete[2].until(LAST), *complete[:2], complete[3]))


@pytest.fixture(scope="module")
def ahead(known):
    return forecast(known, draws=DRAWS)


def test_a_forecast_begins_as_measured_and_ends_where_the_others_do(ahead, drawn):
    assert (ahead.last, ahead.scale, ahead.scales) == (LAST, 2.2, (1.0, 1.5, 3.2))
    measured = measurements(drawn[2])
    for q, quantity in enumerate(("mean", "within", "between")):
        y = ahead.paths["trait"][:, :, q, 0]
        assert y.shape == (DRAWS, G + 1)
        expected = np.tile(measured["trait", quantity][: LAST + 1], (DRAWS, 1))
        np.testing.assert_allclose(y[:, : LAST + 1], expected, atol=1e-9)
        assert y[:, LAST + 1 :].std(axis=0).min() > 0


def test_a_forecast_is_nearer_than_no_change(ahead, drawn):
    chain = drawn[2]
    measured, within = measurements(chain), chain.traits["trait"].within
    total = within[0] + V_B[2][0]
    measured |= {
        (LATENT, "within"): np.log(within / total),
        (LATENT, "between"): np.log(V_B[2] / total),
    }
    keys = [("trait", "mean"), ("trait", "within"), ("trait", "between")]
    for trait, quantity in [*keys, (LATENT, "within"), (LATENT, "between")]:
        q = ("mean", "within", "between").index(quantity)
        y, truth = np.median(ahead.paths[trait][:, -1, q, 0]), measured[trait, quantity]
        assert abs(y - truth[-1]) < 0.4 * abs(truth[-1] - truth[LAST])
    of_axes = np.log(chain.means.var(axis=1, ddof=1) / chain.unit)
    y = np.median(ahead.paths["latent_pc"][:, -1, 2], axis=0)
    error, change = np.abs(y - of_axes[-1]), np.abs(of_axes[-1] - of_axes[LAST])
    assert error.sum() < 0.6 * change.sum()


def test_the_table_is_in_units_of_the_trait(ahead, drawn):
    table = ahead.table()
    assert list(table.columns) == list(COLUMNS)
    assert set(table["feature"]) == {"trait", LATENT, "latent_pc"}
    assert len(table) == (G + 1) * 3 * (2 + K)
    trait = drawn[2].traits["trait"]
    rows = table[table["measured"] & (table["feature"] == "trait")]
    wide = rows.pivot(index="generation", columns="quantity", values="median")
    np.testing.assert_allclose(wide["mean"], trait.means[: LAST + 1].mean(axis=1))
    np.testing.assert_allclose(wide["within"], trait.within[: LAST + 1])
    np.testing.assert_allclose(wide["between"], trait.between[: LAST + 1])
    assert (rows["low"] == rows["high"]).all()
    latents = table[table["measured"] & (table["feature"] == LATENT)]
    wide = latents.pivot(index="generation", columns="quantity", values="median")
    np.testing.assert_allclose(wide["between"], V_B[2][: LAST + 1])
    np.testing.assert_allclose(wide["within"], trait.within[: LAST + 1])
    np.testing.assert_allclose(wide["mean"], trait.means[: LAST + 1].mean(axis=1))
    means = ahead.means()
    assert set(means["trait"]) == {"trait"}
    row = means[means["generation"] == 1].iloc[0]
    assert row["median"] == pytest.approx(
        (trait.means[1] - trait.means[0]).mean() / trait.deviation
    )


def test_a_forecast_without_latents_has_the_axes_and_the_traits(drawn):
    short = forecast(Given((drawn[0].until(LAST), *drawn[1:])), 1, draws=DRAWS)
    assert set(short.paths) == {"trait", "latent_pc"}
    assert short.paths["trait"].shape[1] == LAST + 2


def test_the_neutral_scale_is_where_variance_between_prompts_stays(drawn):
    """From generation 0, scaled by M <- m + (1 + 0.4 ln(w/1.8)) a, V_B is kept at w = 1.8."""
    linear = []
    for chain in drawn:
        first = chain.means[0]
        apart = first - first.mean(axis=0)
        grown = first.mean(axis=0) + (1 + 0.4 * np.log(chain.label / 1.8)) * apart
        linear.append(replace(chain.until(1), means=np.stack([first, grown])))
    process = motion.fit(linear, np.ones((len(linear), 1), bool))
    scales = neutral_scales(process, linear[0], linear, draws=DRAWS)
    assert np.median(scales) == pytest.approx(1.8, rel=0.05)
    # Where it lies below all scales it is the least of them, where above all infinite.
    high, low = linear[2:], linear[:2]
    np.testing.assert_allclose(neutral_scales(process, high[0], high, draws=DRAWS), 2.2)
    assert np.isinf(neutral_scales(process, low[0], low, draws=DRAWS)).all()


def test_the_end_of_each_chain_is_held_out_once(drawn):
    chains = [*drawn, chain_at(1.5, seed=1), drawn[0].until(1)]
    ways = continuations(chains, 2)
    assert len(ways) == 5
    way = ways[1]
    assert way.name == "'1.5' after generation 2"
    assert way.start.tolist() == [4, 2, 4, 4, 4, 1]
    early = [True, True, False, False]
    # The other seed at the same scale would tell the rest.
    expected = [[True] * 4, early, [True] * 4, [True] * 4, [False] * 4, [True] + 3 * [False]]
    np.testing.assert_array_equal(way.seen, expected)
    assert way.scored.sum() == 2
    assert way.scored[1].tolist() == [False, False, True, True]
    for wrong, known in ((drawn, 4), ([drawn[0], drawn[0]], 2)):
        with pytest.raises(UserError, match=f"more than {known} generations, at two scales"):
            continuations(wrong, known)


@pytest.mark.slow
def test_running_chains_are_scored_beside_naive_forecasts(drawn):
    table = scores.predictions(drawn, scores.CHAIN, draws=8, known=3)
    assert set(table["generation"]) == {4}
    assert set(table["run"]) == {f"{w:g}" for w in SCALES}
    row = table[(table["trait"] == "trait") & (table["quantity"] == "within")]
    row = row[row["run"] == "1.5"].set_index("model")
    y = [measurements(chain)["trait", "within"] for chain in drawn]
    f = np.log(1.5) / np.log(2.2)
    changed = [each[4] - each[3] for each in y]
    near = y[1][3] + (1 - f) * changed[0] + f * changed[2]
    assert row.loc[scores.INTERPOLATED, "predicted"] == pytest.approx(near)
    assert row.loc[scores.UNCHANGED, "predicted"] == y[1][3]
    assert row.loc[scores.LINE, "predicted"] == pytest.approx(y[1][3] + (y[1][3] - y[1][0]) / 3)
    errors = scores.errors(table)["error"].unstack("model")
    for of, quantity in (("traits", "mean"), (AXES, "between")):
        assert errors.loc[(of, quantity), scores.THEORY] < (
            0.6 * errors.loc[(of, quantity), scores.UNCHANGED]
        )


def test_held_hyperparameters_stay_in_fits_to_other_data(drawn):
    theory = fit(drawn[:3]).held()
    again = fit(drawn[1:], near=theory)
    for a, b in (
        (theory.motion, again.motion),
        (theory.variances, again.variances),
        (theory.traits.process, again.traits.process),
    ):
        np.testing.assert_array_equal(a.x, b.x)
        assert a.whitened.shape == b.whitened.shape
        assert not np.allclose(a.whitened, b.whitened)
    assert not np.allclose(fit(drawn[1:]).motion.x, theory.motion.x)


@pytest.fixture(scope="module")
def runs():
    return [run for run in kept.runs("transmission") if run.name.startswith("baseline")]


@pytest.fixture(scope="module")
def folders(runs, tmp_path_factory):
    """The folder of a run at 2.5 that has two generations, then those of the others."""
    scale = lambda run: run.recipe.settings.generate.guidance.scale
    (chosen,) = (run for run in runs if scale(run) == 2.5)
    short = tmp_path_factory.mktemp("runs") / "short"
    shutil.copytree(chosen.folder, short)
    for number in range(3, 7):
        shutil.rmtree(short / f"gen_{number:03d}")
    return [short, *(run.folder for run in runs if scale(run) != 2.5)]


def test_the_command_uses_the_theory_where_all_chains_are_at_generation_2(
    qtm, runs, ahead, monkeypatch, tmp_path
):
    for i, run in enumerate(runs):
        shutil.copytree(run.folder, tmp_path / f"run-{i}")
        for number in range(3, 7):
            shutil.rmtree(tmp_path / f"run-{i}" / f"gen_{number:03d}")
    asked = []
    monkeypatch.setattr(forecasting, "forecast", lambda *given: asked.append(given) or ahead)
    folders = sorted(tmp_path.iterdir())
    code, out, err = qtm("forecast", *folders)
    assert code == 0, err
    assert (asked[0][0].reach, asked[0][0].ahead, asked[0][1]) == (2, 4, None)
    assert "theory of prompts, fitted to this run and to 5 at CFG" in out
    code, out, err = qtm("forecast", *folders[:4], "--generations", 5)
    assert code == 0, err
    assert "not the theory of prompts: generation 7 is beyond generation 6" in out
    assert len(asked) == 1


def test_latents_of_kept_runs_are_those_of_their_moments(runs):
    chain = prompt_chain(runs[0])
    traits = with_latents(runs[0], chain).traits
    table = runs[0].moments().query("feature == 'latent'").set_index("generation")
    np.testing.assert_allclose(traits[LATENT].within, table["within"].loc[range(7)])
    np.testing.assert_allclose(traits[BETWEEN].within, table["between"].loc[range(7)], rtol=0.02)
    np.testing.assert_allclose(
        traits[LATENT].means.mean(axis=1), table["mean"].loc[range(7)], atol=1e-3
    )
    latents = measurements(replace(chain, traits=traits))
    V = table[["within", "between"]]
    for quantity in V.columns:
        expected = np.log(V[quantity] / V.loc[0].sum()).loc[range(7)]
        np.testing.assert_allclose(latents[LATENT, quantity], expected, atol=0.02)
    assert not any(trait == BETWEEN for trait, _ in latents)
    for name in (LATENT, BETWEEN):
        assert traits[name].base_within == pytest.approx(traits[name].within[0], rel=0.3)
    without = next(run for run in kept.runs("embedded") if run.name.startswith("baseline"))
    chain = prompt_chain(without)
    assert with_latents(without, chain) is chain


def test_the_others_are_as_long_and_alike(runs, folders):
    from empirical.runs.record import open_run

    opened = [open_run(folder) for folder in folders]
    known = given(opened)
    assert known.scales == (1.0, 1.25, 1.5, 5.0, 7.5)
    assert (known.chains[0].generations, known.reach) == (2, 6)
    assert {LATENT, BETWEEN, "entropy"} <= set(known.chains[0].traits)
    assert all(len(trait.within) == 3 for trait in known.chains[0].traits.values())
    redifine = next(run for run in kept.runs("transmission") if run.name.startswith("redifine"))
    assert len(given([*opened, redifine]).chains) == 6
    assert given([runs[0], *opened[1:]]).ahead == forecasting.AHEAD
    with pytest.raises(UserError, match=r"and there are 0$"):
        given([opened[0]])
    # One that is shorter is of use, but is not what the theory is best at.
    shorter = given([runs[0], opened[0]])
    assert shorter.doubt() == "no other run has gone further than generation 6"
    with pytest.raises(UserError, match="has a schedule of the CFG scale or a remedy"):
        given([redifine, *opened])


def test_the_command_prints_trait_means_by_default(qtm, folders, ahead, monkeypatch, tmp_path):
    asked = []

    def answer(known, generations=None):
        asked.append((known, generations))
        return ahead

    monkeypatch.setattr(forecasting, "forecast", answer)
    code, out, err = qtm("forecast", *folders, "--csv", tmp_path / "all.csv")
    assert code == 0, err
    assert asked[0][0].chains[0].generations == 2
    assert asked[0][1] is None
    assert "theory of prompts, fitted to this run and to 5 at CFG 1, 1.25, 1.5, 5, 7.5" in out
    assert "V_W, within prompts, below half of generation 0:" in out
    assert "neutral guidance scale of generation 1:" in out
    assert "above half, by the bounded family model:" in out
    assert "means of traits, in standard deviations of generation 0" in out
    assert out.strip().splitlines()[-1].split()[0] == "trait"
    written = pd.read_csv(tmp_path / "all.csv")
    assert list(written.columns) == list(COLUMNS)
    assert len(written) == len(ahead.table())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--guidance", 5], "of chains that change their CFG scale, here from 2.5 to 5, it knows"),
        (["--trait", "classifier"], "it has no trait 'classifier', it has"),
        (["--trait", "latent_pc", "--component", 8], "trait 'latent_pc' has no component 8"),
    ],
)
def test_questions_that_the_theory_of_prompts_does_not_answer(qtm, folders, words, reason):
    code, _, err = qtm("forecast", *folders[:3], *words, "--theory", "prompts")
    assert code != 0
    assert f"the theory of prompts cannot forecast this: {reason}" in err


def test_the_theory_of_prompts_is_the_better_one_between_three_scales(known):
    first, *others = known.chains
    assert known.doubt() == ""
    assert "3 other CFG scales or more" in Given((first, *others[:2])).doubt()
    assert Given((first, *others[:2])).doubt().endswith("and there are 2")
    # Another seed at the same scale is no other scale.
    assert Given((first, *others[:2], replace(others[2], label=2.2))).doubt().endswith("are 2")
    beyond = Given((replace(first, label=8.0), *others))
    assert beyond.doubt().startswith("CFG 8 is not between the scales of the other runs, 1 to 3.2")


def test_from_generation_2_of_all_chains_the_theory_forecasts_beyond_them(drawn):
    chains = [replace(chain.until(LAST), traits={}) for chain in drawn]
    for i, chain in enumerate(chains):
        early = Given((chain, *chains[:i], *chains[i + 1 :]))
        assert (early.doubt(), early.ahead, early.doubt(4)) == ("", 4, "")
        assert early.doubt(5) == "generation 7 is beyond generation 6"
    # The scores say nothing of scales that are far from all others.
    far = Given((replace(chains[0], label=8.0), *chains[1:]))
    assert far.doubt().startswith("CFG 8 is not between the scales of the other runs, 1.5 to 3.2")
    later = Given(tuple(chain.until(3) for chain in drawn))
    assert later.doubt() == later.doubt(1) == "no other run has gone further than generation 3"


def test_others_that_have_gone_no_further_count_from_generation_2_alone(drawn):
    longer, first = drawn[0], drawn[1].until(3)
    mixed = Given((first, longer, *(chain.until(3) for chain in drawn[2:])))
    assert mixed.doubt(1) == (
        "it takes runs at 3 other CFG scales or more, longer than '1.5' and otherwise like it, and "
        "there are 1"
    )
    # One chain that has gone further takes nothing away.
    early = Given((first.until(2), longer, *(chain.until(2) for chain in drawn[2:])))
    assert (early.doubt(), early.ahead, early.doubt(4)) == ("", 4, "")


@pytest.mark.slow
def test_one_chain_that_has_gone_further_is_part_of_an_early_forecast(drawn):
    early = Given((drawn[1].until(2), drawn[0], *(chain.until(2) for chain in drawn[2:])))
    prediction = forecast(early, 1, draws=DRAWS)
    assert prediction.paths["trait"].shape[1] == 4
    assert prediction.paths["trait"][:, 3].std(axis=0).min() > 0


def test_a_forecast_beyond_all_chains_holds_the_truth(drawn):
    chains = [replace(chain.until(LAST), traits={}) for chain in drawn]
    early = Given((chains[3], *chains[:3]))
    prediction = forecast(early, draws=DRAWS)
    y, truth = prediction.paths["latent_pc"], drawn[-1]
    assert y.shape == (DRAWS, LAST + 5, 3, K)
    np.testing.assert_allclose(y[0, LAST, 0], (truth.means[2] - truth.means[0]).mean(axis=0)
                               / np.sqrt(truth.unit))  # fmt: skip
    V_B = np.log(truth.means.var(axis=1, ddof=1) / truth.unit)
    assert (np.abs(y[:, G, 2].mean(axis=0) - V_B[G]) < 3 * y[:, G, 2].std(axis=0)).all()
    assert y[:, G, 2].std(axis=0).max() < 0.5


@pytest.mark.slow
def test_the_family_model_answers_others_and_either_can_be_chosen(qtm, folders, ahead, monkeypatch):
    code, out, err = qtm("forecast", *folders[:3], "--generations", 5)
    assert code == 0, err
    assert "bounded family model, not the theory of prompts: generation 7 is beyond" in out
    assert "means of traits" not in out
    code, out, err = qtm("forecast", *folders[:3], "--generations", 5, "--theory", "family")
    assert code == 0, err
    assert "bounded family model, as asked" in out
    monkeypatch.setattr(forecasting, "forecast", lambda known, generations=None: ahead)
    code, out, err = qtm("forecast", *folders[:3], "--theory", "prompts")
    assert code == 0, err
    assert "theory of prompts, fitted to this run and to 2 at CFG" in out
    assert "qtm: this is not what the theory of prompts is best at: it takes runs at 3" in out
    code, _, err = qtm("forecast", folders[0], "--theory", "prompts")
    assert code != 0
    assert "cannot forecast this: it takes runs at other CFG scales" in err
