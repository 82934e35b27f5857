"""Forecasts, posteriors, and the parts of a remedy."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.arms.design import design
from analysis.commands import tables
from analysis.comparison.mechanism import measured_parts, parts_of
from analysis.inference.importance import draw_posterior
from analysis.inference.maximum import maximize
from analysis.inference.posterior import diagnostics, loo, posterior, write
from analysis.models import every_model
from analysis.prediction.forecast import forecast, quantiles
from analysis.prediction.paths import draw_parameters, trajectory
from analysis.prediction.synthetic import draw_arms
from empirical.errors import UserError

MODEL = every_model()["bounded family, saturating"]
PROCESS = {
    "process_mean": 0.02, "process_within": 0.05, "process_between": 0.04, "process_growth": 0.2,
}  # fmt: skip
TRUTH = {**PROCESS, "heritability": 0.9, "within_heritability": 0.9, "strength": 0.6}


def cut(arm, generations):
    return replace(
        arm,
        measured=arm.measured[: generations + 1],
        sampling=arm.sampling[: generations + 1],
        scales=arm.scales[:generations],
    )


@pytest.fixture(scope="module")
def ahead():
    (arm,) = draw_arms(MODEL, TRUTH, scales=[5.0], generations=8, seed=1)
    return arm, forecast([cut(arm, 2)], 6, draws=128)


def test_two_generations_are_enough_for_a_forecast(ahead):
    """Later generations lie mostly in the 90 % interval, and the interval widens."""
    arm, prediction = ahead
    assert prediction.paths.shape == (128, 9, 3, 1)
    np.testing.assert_allclose(
        prediction.paths[:, :3], np.broadcast_to(arm.measured[:3], (128, 3, 3, 1))
    )
    low, high = np.quantile(prediction.paths, [0.05, 0.95], axis=0)
    inside = (low[3:, 1:] <= arm.measured[3:, 1:]) & (arm.measured[3:, 1:] <= high[3:, 1:])
    assert inside.mean() >= 0.7
    width = (high - low)[:, 1, 0]
    assert width[8] > width[3] > 0


def test_one_sentence_names_what_the_priors_decide(ahead, capsys):
    fitted = ahead[1].fitted
    tables.assumptions(fitted)
    (line,) = capsys.readouterr().out.splitlines()
    assert len(fitted.unidentified) > 2
    assert all(name in line for name in fitted.unidentified)
    tables.assumptions(replace(fitted, inactive=fitted.inactive & False,
                               weakly_identified=fitted.inactive & False))  # fmt: skip
    assert capsys.readouterr().out == ""


def test_parameters_at_a_bound_have_a_sentence_each(ahead, capsys):
    fitted = ahead[1].fitted
    names = [p.name for p in fitted.parameters]
    x, at_bound = fitted.x.copy(), fitted.at_bound & False
    for name, end in (("strength", "high"), ("within_heritability", "low")):
        i = names.index(name)
        x[i], at_bound[i] = fitted.parameters[i].to_real(getattr(fitted.parameters[i], end)), True
    # Those of the process are at a bound wherever it has no variance: no caveat.
    at_bound[names.index("process_mean")] = True
    high, low = (fitted.parameters[names.index(n)] for n in ("strength", "within_heritability"))
    stuck = replace(fitted, x=x, at_bound=at_bound, inactive=at_bound & False, directions=())
    expected = [
        f"within_heritability is at its lower bound {low.low:g}",
        f"strength is at its upper bound {high.high:g}",
    ]
    assert sorted(stuck.bounds) == sorted(expected)
    assert stuck.warnings == stuck.bounds
    assert stuck.uninfluential == stuck.unidentified_directions == []
    tables.assumptions(replace(stuck, weakly_identified=at_bound & False))
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(f"qtm: {t}" for t in expected)


def test_a_direction_names_its_large_parts_and_their_data(ahead):
    """Parts above 0.3, the largest first; those of the opposite sign are marked."""
    fitted = replace(
        ahead[1].fitted, directions=({"strength": -0.5, "uptake": 0.8, "bound": 0.29},)
    )
    by_name = {p.name: p.from_data for p in fitted.parameters}
    (sentence,) = fitted.unidentified_directions
    assert sentence == (
        f"not identified: uptake and (against it) strength; identifying it takes "
        f"{by_name['uptake']}, {by_name['strength']}"
    )
    assert fitted.warnings[-1] == sentence


@pytest.mark.slow
def test_draws_of_few_data_are_those_of_the_posterior():
    """Moments of a parameter agree with NUTS where a normal around the mode is not good enough."""
    (arm,) = draw_arms(MODEL, TRUTH, scales=[5.0], generations=2, seed=1)
    stacked = design([arm])
    mode = maximize(MODEL, stacked, prior=1.0)
    draws = draw_posterior(mode, stacked, 2000)
    names = [p.name for p in mode.parameters]
    data = posterior(MODEL, stacked, mode, draws=300)
    for name in ("strength", "process_within", "heritability"):
        p = mode.parameters[names.index(name)]
        drawn = np.array([p.to_real(v) for v in data.posterior[name].to_numpy().ravel()])
        ours = draws.x[:, names.index(name)]
        # NUTS's 600 draws are worth some 200 independent ones.
        assert draws.effective > 400
        assert abs(ours.mean() - drawn.mean()) < 4 * drawn.std() * np.sqrt(1 / 200 + 1 / 400)
        assert 0.75 < ours.std() / drawn.std() < 1.33


def test_the_table_is_in_feature_units(ahead):
    arm, prediction = ahead
    table = prediction.table()
    assert set(table["quantity"]) == {"mean", "within", "between"}
    row = table[(table["generation"] == 1) & (table["quantity"] == "within")].iloc[0]
    assert row["median"] == pytest.approx(float(arm.unit[0] * np.exp(arm.measured[1, 1, 0])))
    assert bool(row["measured"])
    assert not bool(table["measured"].iloc[-1])


def test_half_of_the_variance_is_lost_where_the_paths_say(ahead):
    _, prediction = ahead
    ratio = np.exp(prediction.paths[:, :, 1, 0] - prediction.paths[:, :1, 1, 0])
    by_hand = [next((t for t in range(9) if row[t] < 0.5), np.inf) for row in ratio]
    assert prediction.half_lives()["within"] == quantiles(np.array(by_hand))


def test_more_guidance_narrows_prompts_and_real_data_holds_them(ahead):
    arm, prediction = ahead
    weak = forecast([cut(arm, 2)], 6, guidance=1.0, draws=128)
    assert np.median(weak.paths[:, -1, 1]) > np.median(prediction.paths[:, -1, 1])
    assert np.mean(weak.real) <= np.mean(prediction.real)
    # The neutral scale is a property of the model, not of the forecast.
    np.testing.assert_allclose(weak.neutral, prediction.neutral)
    assert (prediction.neutral >= 0.5).all()


@pytest.mark.slow
def test_a_chain_at_its_neutral_scale_keeps_its_families_apart():
    """The expected V_B of the first generation at w* is that of generation 0."""
    arms = draw_arms(MODEL, TRUTH, seed=2)
    prediction = forecast([*arms], 1, draws=8)
    scale = float(np.median(prediction.neutral))
    (neutral,) = draw_arms(MODEL, TRUTH, scales=[scale], generations=1)
    path = trajectory(prediction.fitted, design([neutral]), np.array([0]))
    assert abs(path[0, 1, 2, 0] - path[0, 0, 2, 0]) < 0.1


def test_a_wrong_forecast_is_refused(ahead):
    arm, _ = ahead
    with pytest.raises(UserError, match="1 generation or more, got 0"):
        forecast([arm], 0)
    with pytest.raises(UserError, match="no model 'magic'"):
        forecast([arm], 1, model="magic")
    with pytest.raises(UserError, match="finite number, got nan"):
        forecast([arm], 1, guidance=float("nan"))


@pytest.mark.slow
def test_a_posterior_is_complete_and_reports_weak_parameters(tmp_path):
    import arviz

    model = every_model()["Ornstein-Uhlenbeck, log"]
    arms = draw_arms(model, {**PROCESS, "within_push": -0.8}, scales=(1.0, 5.0), seed=4)
    stacked = design(arms)
    fitted = maximize(model, stacked, 2)
    data = posterior(model, stacked, fitted, draws=150)
    draws = data.posterior["within_push"].to_numpy()
    assert abs(draws.mean() - fitted.values["within_push"]) < 2 * draws.std()
    assert data.log_likelihood["y"].shape == (2, 150, 12, 3)
    assert np.isfinite(loo(data).elpd_loo)
    sentences = diagnostics(data, model, 1)
    assert any("draw more" in sentence for sentence in sentences)  # 150 draws are few
    write(data, tmp_path / "deep" / "posterior.nc")
    again = arviz.from_netcdf(tmp_path / "deep" / "posterior.nc")
    np.testing.assert_allclose(again.posterior["within_push"], draws)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["posterior.nc"]


def test_parts_of_a_remedy_add_up():
    plain, weak = draw_arms(MODEL, TRUTH, scales=(5.0, 1.5), seed=5)
    treated = replace(weak, dropped=0.2)
    fitted = maximize(MODEL, design([plain, treated]), 2)
    modelled = parts_of(fitted, plain, treated, draw_parameters(fitted, 16))
    assert set(modelled["part"]) == {"selection", "unconditional", "mutation", "all"}
    counted = measured_parts([plain], [weak], [plain], [treated])
    for table in (modelled, counted):
        for _, rows in table.groupby("quantity"):
            effect = rows.set_index("part")["effect"]
            assert effect.drop("all").sum() == pytest.approx(effect["all"])
    effects = counted.set_index(["quantity", "part"])
    assert effects.loc[("within", "condition drop"), "effect"] == pytest.approx(0)
    with pytest.raises(UserError, match="the factorial needs"):
        measured_parts([plain], [], [plain], [treated])
    nothing = maximize(every_model()["no change"], design([plain]), 1)
    with pytest.raises(UserError, match="'no change' has no condition drop"):
        parts_of(nothing, plain, treated, nothing.x[None])


def test_what_condition_drop_adds_is_mutation_in_a_model_where_it_does_no_more():
    """With a constant unconditional branch, condition drop changes only the variance."""
    plain, treated = (
        replace(arm, dropped=d)
        for arm, d in zip(draw_arms(MODEL, TRUTH, scales=(2.5, 2.5), seed=6), (0, 0.5), strict=True)
    )
    fitted = maximize(MODEL, design([plain, treated]), 1)
    names = [p.name for p in fitted.parameters]
    x = fitted.x.copy()
    x[names.index("drop_uptake")], x[names.index("drop_mutation")] = np.log([1e-3, 0.1])
    table = parts_of(replace(fitted, x=x), plain, treated, x[None])
    table = table.set_index(["quantity", "part"])
    assert table.loc[("within", "mutation"), "effect"] > 0.1
    for part in ("selection", "unconditional"):
        assert table.loc[("within", part), "effect"] == pytest.approx(0, abs=1e-9)
