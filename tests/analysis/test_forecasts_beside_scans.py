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
from empirical.runs.scans import open_scan
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


def written_run(folder, generations=LAST, unguided=True, table=None) -> Run:
    """Write a run at CFG 2.2."""
    guidance = {"generate": {"guidance": {"rule": "constant", "scale": 2.2}}}
    sized = {"data": {"size": len(CAPTIONS)}, "generations": generations}
    made = recipe.parse({**sized, **guidance, **(table or {})})
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


def written_scan(folder, scales=SCALES, table=None):
    base, drawn = lambda k: features(0, 1.0, 1 + k), lambda w, replicate: features(1, w)
    return scan_folder(folder, CAPTIONS, features(0, 2.2), drawn, scales, base=base, table=table)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folders of a run at generation 2, and of a scan."""
    folder = tmp_path_factory.mktemp("beside")
    return written_run(folder / "run").folder, written_scan(folder / "scan").folder


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
    assert len(given([run, *steps(scan), *steps(unlike)]).chains) == 4


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
    longer = Given((chain_at(2.2).until(3), *others))
    assert longer.doubt() == "no other run has gone further than generation 3"


def test_a_forecast_beside_a_scan_holds_the_truth(beside, drawn):
    chains = [replace(chain, unguided=None) for chain in beside.chains]
    prediction = forecast(Given(tuple(chains)), draws=DRAWS)
    y, truth = prediction.paths["trait"], measurements(drawn[2])["trait", "mean"]
    assert y.shape == (DRAWS, LAST + 5, 3, 1)
    np.testing.assert_allclose(y[:, LAST, 0, 0], truth[LAST])
    ahead = y[:, LAST + 1 : len(truth), 0, 0]
    error = np.abs(np.median(ahead, axis=0) - truth[LAST + 1 :])
    assert (error < 3 * ahead.std(axis=0)).all()
    assert ahead.std(axis=0).max() < 0.5


def test_the_command_joins_two_theories_beside_a_scan(qtm, folders, monkeypatch, tmp_path):
    asked = []
    known = given([Run(folders[0]), *steps(written_scan(tmp_path / "scan"))])
    ahead = forecast(known, draws=DRAWS)
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
    words = "whose settings of finetune differ from those of 'run'"
    assert f"qtm: left out: the scan '{unlike}', {words}" in out
    assert "otherwise like 'run', and there are 0" in out
    code, _, err = qtm("forecast", folders[0], unlike, "--theory", "prompts")
    assert code == 2
    assert "the theory of prompts cannot forecast this: it takes runs" in err
    code, _, err = qtm("forecast", *folders, unlike)
    assert code == 2
    assert f"a forecast takes one scan, not 2: '{folders[1]}', '{unlike}'" in err
