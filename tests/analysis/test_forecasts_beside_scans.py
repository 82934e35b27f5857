"""Forecasts from a run and a scan: its scales are chains of one generation beside the run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.commands import scan
from analysis.prediction.trajectories import COLUMNS
from analysis.prompts import forecast as forecasting
from analysis.prompts.forecast import Given, forecast, given
from analysis.prompts.quantities import measurements
from analysis.scans.step import steps
from empirical import files, recipe
from empirical.errors import UserError
from empirical.runs import moments
from empirical.runs.record import Run
from empirical.runs.scans import Scan, open_scan
from tests.analysis.test_prompts import chain_at
from tests.helpers.small_scans import scan_folder

CAPTIONS = [caption for caption in "abcdef" for _ in range(40)]
SCALES, LAST, DRAWS = (1.0, 1.5, 2.2, 3.2), 2, 16
_A, _K = len(set(CAPTIONS)), 3
PLACES = np.random.default_rng(0).normal(size=(_A, _K))


def features(number: int, w: float, base: int = 0) -> dict[str, np.ndarray]:
    """Prompts that guidance drives apart in every generation, their latents and one trait."""
    rng = np.random.default_rng([number, int(100 * w), base])
    x = np.log(w) * number
    away = 1 + x / 3 if number else 1.0
    means = 0.9 * PLACES + 0.1 if base else away * PLACES + 0.1 * x
    z = np.repeat(means, 40, axis=0) + (1 + x) ** -0.5 * rng.normal(size=(len(CAPTIONS), _K))
    return {"latent_pc": z, "latent": z @ np.ones((_K, 4)) / 2, "light": z[:, :1] + z[:, 1:2]}


def guided(scale: float) -> dict:
    return {"generate": {"guidance": {"rule": "constant", "scale": scale}}}


def written_run(folder, generations=LAST, unguided=True, table=None) -> Run:
    """Write a run, at CFG 2.2 by default."""
    sized = {"data": {"size": len(CAPTIONS)}, "generations": generations}
    made = recipe.parse({**sized, **guided(2.2), **(table or {})})
    files.write_text(folder / "recipe.toml", recipe.dump(made))
    run, frames = Run(folder), []
    for number in range(generations + 1):
        generation = run.generation(number)
        rows = [{"file_name": f"{i}.png", "text": c} for i, c in enumerate(CAPTIONS)]
        files.write_json_lines(generation.folder / "images" / "metadata.jsonl", rows)
        for name, values in features(number, 2.2).items():
            generation.write(name, values)
        if unguided:
            draw = generation.draw("unguided")
            of_base = features(0, 1.0, 1) if number == 0 else features(number, 1.0)
            for name, values in of_base.items():
                draw.write(name, values)
            draw.finish(CAPTIONS, list(range(len(CAPTIONS))))
        files.write_json(generation.folder / "done.json", {})
        frames.append(moments.table(number, features(number, 2.2), CAPTIONS))
    files.write_text(folder / "moments.csv", pd.concat(frames).to_csv(index=False))
    return run


def written_scan(folder, scales=SCALES, table=None, without=None) -> Scan:
    """Write a scan, all but one of the traits."""
    kept = lambda traits: {name: x for name, x in traits.items() if name != without}
    base = lambda k: kept(features(0, 1.0, 1 + k))
    drawn = lambda w, replicate: kept(features(1, w))
    training = kept(features(0, 2.2))
    return scan_folder(folder, CAPTIONS, training, drawn, scales, base=base, table=table)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folders of a run at generation 2, and of a scan."""
    folder = tmp_path_factory.mktemp("beside")
    return written_run(folder / "run").folder, written_scan(folder / "scan").folder


@pytest.fixture(scope="module")
def ahead(folders):
    """The forecast of the theory of prompts from both."""
    return forecast(given([Run(folders[0]), *steps(Scan(folders[1]))]), draws=DRAWS)


@pytest.fixture(scope="module")
def drawn():
    return [chain_at(scale) for scale in SCALES]


@pytest.fixture(scope="module")
def beside(drawn):
    """A chain at generation 2 with draws without guidance, and one generation of three others."""
    first = drawn[2].until(LAST)
    return Given((replace(first, unguided=first.means), *(drawn[i].until(1) for i in (0, 1, 3))))


def test_the_scales_of_a_scan_are_chains_beside_a_run(folders, tmp_path):
    run, scanned = Run(folders[0]), written_scan(tmp_path / "scan")
    known = given([run, *steps(scanned)])
    # The run's own scale and seed is its own first generation.
    assert known.scales == (1.0, 1.5, 3.2)
    assert [chain.generations for chain in known.chains] == [2, 1, 1, 1]
    assert {"light", "latent"} <= set(known.chains[0].traits)
    of_first = measurements(known.chains[0])["light", "mean"]
    assert of_first.shape == (3,)
    other = written_scan(tmp_path / "other", table={"seed": 1})
    assert given([run, *steps(other)]).scales == SCALES
    assert given([run, *steps(other)]).further == ()


def test_settings_of_the_machine_make_no_scan_unlike(folders, tmp_path):
    run = Run(folders[0])
    table = {"generate": {"batch_size": 7}, "finetune": {"micro_batches": 2}}
    scan = written_scan(tmp_path / "scan", table=table)
    assert given([run, *steps(scan)]).scales == (1.0, 1.5, 3.2)
    unlike = written_scan(tmp_path / "unlike", table={"finetune": {"steps": 7}})
    with pytest.raises(UserError, match=r"or a scan, otherwise like 'run', and there are 0$"):
        given([run, *steps(unlike)])
    known = given([run, *steps(scan), *steps(unlike)])
    assert len(known.chains) == 4
    assert known.left_out[0] == (
        "the run 'unlike,scale=1' has other prompts, axes or settings than 'run'"
    )


def test_a_chain_is_read_once_and_with_the_trait_that_is_asked(folders, tmp_path):
    run, scan = Run(folders[0]), Scan(folders[1])
    longer = written_run(tmp_path / "longer", 3, table=guided(1.5))
    for others in ([*steps(scan), longer], [longer, *steps(scan)]):
        known = given([run, *others])
        of_others = {chain.name: chain.generations for chain in known.chains[1:]}
        assert of_others == {"scan,scale=1": 1, "longer": 3, "scan,scale=3.2": 1}
    dull = written_scan(tmp_path / "dull", without="light")
    known = given([run, *steps(scan), *steps(dull)], "light")
    assert {chain.name.split(",")[0] for chain in known.chains} == {"run", "scan"}
    assert known.left_out[0] == "the run 'dull,scale=1' has no trait 'light'"


def test_a_scan_beside_runs_that_are_enough_takes_the_theory_from_nothing(
    qtm, folders, ahead, monkeypatch, tmp_path
):
    others = [written_run(tmp_path / f"{w:g}", table=guided(w)) for w in (1.0, 1.5, 5.0)]
    known = given([Run(folders[0]), *others, *steps(Scan(folders[1]))])
    lengths = {chain.label: chain.generations for chain in known.chains}
    assert lengths == {2.2: 2, 1.0: 2, 1.5: 2, 5.0: 2, 3.2: 1}
    assert known.doubt() == ""
    monkeypatch.setattr(forecasting, "forecast", lambda *given: ahead)
    code, out, err = qtm("forecast", *folders, *(run.folder for run in others))
    assert code == 0, err
    assert "\ntheory of prompts, fitted to this run and to 4 at CFG 1, 1.5, 3.2, 5" in out


@pytest.mark.parametrize("unguided", [True, False])
def test_all_chains_deviate_from_one_base(tmp_path, unguided):
    """A scan without scale 1 shows nothing unguided, or the run has no such draws."""
    run = written_run(tmp_path / "run", unguided=unguided)
    scan = written_scan(tmp_path / "scan", SCALES[1:] if unguided else SCALES)
    known = given([run, *steps(scan)])
    with_draws = [chain.unguided is not None for chain in known.chains]
    assert with_draws[0] == unguided
    assert with_draws[1] != unguided
    for chain in known.chains:
        np.testing.assert_array_equal(chain.base_means, known.chains[0].base_means)
        base = chain.traits["light"].base_means
        np.testing.assert_array_equal(base, known.chains[0].traits["light"].base_means)
    far = np.abs(known.chains[0].base_means - known.chains[0].means[0]).max()
    assert far > 0.05


def test_beside_a_scan_the_theory_is_the_better_one_for_means_alone(beside):
    assert (beside.reach, beside.ahead, beside.doubt_of_means()) == (1, 4, "")
    assert beside.doubt().endswith("as long as '2.2' and otherwise like it, and there are 0")
    assert beside.doubt_of_means(5) == "generation 7 is beyond generation 6"
    first, *others = beside.chains
    assert Given((replace(first, unguided=None), *others)).doubt_of_means() == (
        "'2.2' has no draws without guidance"
    )
    few = Given((first, *others[:2]))
    assert few.doubt_of_means().endswith(
        "CFG scales or more, or a scan, otherwise like '2.2', and there are 2"
    )
    far = Given((replace(first, label=8.0), *others))
    assert far.doubt_of_means().startswith("CFG 8 is not between")
    for generations in (1, 3):
        later = Given((chain_at(2.2).until(generations), *others))
        assert later.doubt_of_means() == f"'2.2' is at generation {generations}, not 2"
    # Beyond the scales of others that have gone further, all is as without a scan.
    further = Given((replace(first, label=4.0), *(chain_at(w) for w in (1.0, 1.5, 3.2))))
    assert further.doubt_of_means() == further.doubt()
    assert further.doubt().startswith("CFG 4 is not between the scales of the other runs")
    longer = Given((chain_at(2.2).until(3), *others))
    assert longer.doubt() == "no other run has gone further than generation 3"


def test_a_forecast_beside_a_scan_holds_the_truth(drawn):
    """At the greatest scale, where prompts are driven apart."""
    chain, others = drawn[3], [drawn[i].until(1) for i in (0, 1, 2)]
    prediction = forecast(Given((chain.until(LAST), *others)), draws=64)
    y, truth = prediction.paths["trait"], measurements(chain)["trait", "mean"]
    assert y.shape == (64, LAST + 5, 3, 1)
    np.testing.assert_allclose(y[:, LAST, 0, 0], truth[LAST])
    ahead = y[:, LAST + 1 : len(truth), 0, 0]
    error = np.abs(np.median(ahead, axis=0) - truth[LAST + 1 :])
    assert (error < 3 * ahead.std(axis=0)).all()
    assert ahead.std(axis=0).max() < 0.2
    V_B = np.log(chain.means.var(axis=1, ddof=1) / chain.unit)
    end = len(truth) - 1
    error = np.abs(np.median(prediction.paths["latent_pc"][:, end, 2], axis=0) - V_B[end])
    assert error.sum() < 0.8 * np.abs(V_B[LAST] - V_B[end]).sum()


def test_the_command_joins_two_theories_beside_a_scan(qtm, folders, ahead, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(forecasting, "forecast", lambda *given: asked.append(given) or ahead)
    words = ("--trait", "light", "--csv", tmp_path / "f.csv")
    for order in (folders, folders[::-1]):
        code, out, err = qtm("forecast", *order, *words)
        assert code == 0, err
        assert asked[-1][0].chains[0].name == "run"
        assert "V_W and V_B: bounded family model, not the theory of prompts: it takes" in out
        assert "means: theory of prompts, fitted to this run and to 3 at CFG 1, 1.5, 3.2" in out
        assert "neutral guidance scale: " in out
        assert scan.neutral_scale(open_scan(folders[1])) in out
        assert "means of traits, in standard deviations of generation 0" in out
    assert asked[-1][1] == 4
    table = pd.read_csv(tmp_path / "f.csv")
    assert tuple(table.columns) == COLUMNS
    assert set(table["generation"]) == set(range(7))
    assert set(table.query("quantity == 'mean'")["feature"]) == {"light", "latent", "latent_pc"}
    assert set(table.query("quantity != 'mean'")["feature"]) == {"light"}
    theirs = ahead.table(["light"]).query("quantity == 'mean'")
    ours = table.query("feature == 'light' and quantity == 'mean'")
    np.testing.assert_allclose(ours["median"], theirs["median"])
    measured = Run(folders[0]).moments().query("feature == 'light'").set_index("generation")
    rows = table[table["measured"] & (table["feature"] == "light")]
    wide = rows.pivot(index="generation", columns="quantity", values="median")
    for quantity in ("mean", "within", "between"):
        np.testing.assert_allclose(wide[quantity], measured[quantity], rtol=1e-3, atol=1e-3)
    # V_W and V_B are those of the family model fitted to the run alone.
    words = ("--trait", "light", "--generations", 4, "--csv", tmp_path / "alone.csv")
    code, _, err = qtm("forecast", folders[0], *words)
    assert code == 0, err
    alone = pd.read_csv(tmp_path / "alone.csv").query("quantity != 'mean'")
    ours = table.query("quantity != 'mean'").reset_index(drop=True)
    pd.testing.assert_frame_equal(ours, alone.sort_values(["generation", "quantity"], key=ranked)
                                  .reset_index(drop=True))  # fmt: skip


def ranked(column: pd.Series) -> pd.Series:
    """Return V_W before V_B."""
    return column.replace({"within": 0, "between": 1})


def test_the_theory_alone_is_used_where_it_is_asked(qtm, folders, ahead, monkeypatch):
    monkeypatch.setattr(forecasting, "forecast", lambda *given: ahead)
    code, out, err = qtm("forecast", *folders, "--theory", "prompts")
    assert code == 0, err
    assert "theory of prompts, fitted to this run and to 3 at CFG 1, 1.5, 3.2" in out
    assert "qtm: this is not what the theory of prompts is best at: it takes runs at 3" in out
    code, _, err = qtm("forecast", *folders, "--theory", "prompts", "--component", 0)
    assert code == 2
    assert "of 'latent' it has the average over components alone" in err


def test_why_means_are_not_forecast_is_said(qtm, folders, tmp_path):
    bare = written_run(tmp_path / "bare", unguided=False)
    code, out, err = qtm("forecast", bare.folder, folders[1], "--generations", 1)
    assert code == 0, err
    assert "nor for means of traits: 'bare' has no draws without guidance" in out
    assert "means of traits, in" not in out
    code, out, err = qtm("forecast", *folders, "--component", 0, "--generations", 1)
    assert code == 0, err
    assert "bounded family model, not the theory of prompts: of 'latent' it has the average" in out


def test_images_that_the_model_hardly_knows_are_for_the_family_model(qtm, folders, tmp_path):
    faint = lambda traits: {name: 0.3 * x for name, x in traits.items()}
    training, drawn = features(0, 2.2), lambda w, replicate: faint(features(1, w))
    base = lambda k: features(0, 1.0, 1 + k)
    scan_folder(tmp_path / "faint", CAPTIONS, training, drawn, SCALES, base=base)
    code, out, err = qtm("forecast", folders[0], tmp_path / "faint", "--generations", 1)
    assert code == 0, err
    assert "nor for means of traits: at CFG 1 finetuning passed on 3" in out
    assert "the model hardly knows such images" in out


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["--theory", "family"], "bounded family model, as asked"),
        (["--guidance", 3], "not the theory of prompts: of chains that change their CFG scale"),
        (["--generations", 5], "not the theory of prompts: generation 7 is beyond generation 6"),
    ],
)
def test_other_questions_are_for_the_family_model_alone(qtm, folders, words, printed):
    code, out, err = qtm("forecast", *folders, *words)
    assert code == 0, err
    assert printed in out
    assert "means of traits" not in out
    assert scan.neutral_scale(open_scan(folders[1])) in out


def test_a_scan_that_is_unlike_is_left_out(qtm, folders, tmp_path):
    unlike = written_scan(tmp_path / "unlike", table={"finetune": {"steps": 7}}).folder
    code, out, err = qtm("forecast", folders[0], unlike)
    assert code == 0, err
    words = "whose 'finetune' differ from the settings of the run 'run'"
    assert f"qtm: left out: the scan '{unlike}', {words}" in out
    assert "otherwise like 'run', and there are 0" in out
    dropped = written_scan(tmp_path / "dropped", table={"finetune": {"condition_drop": 0.1}}).folder
    code, out, err = qtm("forecast", folders[0], dropped)
    assert code == 0, err
    assert f"left out: the scan '{dropped}', whose 'finetune.condition_drop' differ" in out
    code, _, err = qtm("forecast", folders[0], unlike, "--theory", "prompts")
    assert code == 2
    assert "the theory of prompts cannot forecast this: it takes runs" in err
    code, _, err = qtm("forecast", *folders, unlike)
    assert code == 2
    assert f"a forecast takes one scan, not 2: '{folders[1]}', '{unlike}'" in err
