"""The theory of prompts beside fitted models, on the same held-out data."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis.comparison import prompts as contest
from analysis.comparison.prompts import NAME, held_out_errors, prompt_chains
from analysis.prompts.coordinates import BETWEEN
from analysis.prompts.quantities import measurements
from analysis.prompts.scores import COLUMNS
from empirical.errors import UserError
from empirical.runs import kept
from tests.analysis.test_prompts import chain_at

SCALES, RIVAL = (1.0, 1.5, 2.2), "late guidance, log"


@pytest.fixture(scope="module")
def short():
    return [chain_at(scale).until(2) for scale in SCALES]


def fitted(chains, components=1):
    """Return a result whose best theory is wrong by 0.5 everywhere, and predicts generations that
    no chain has."""
    rows = [
        (RIVAL, kind, chain.name, t, d, quantity, 1.0, 1.5)
        for chain in chains
        for kind in ("generations", "scale")
        for t in (1, 2, 9)
        for d in range(components)
        for quantity in ("mean", "within", "between")
    ]
    columns = ["model", "kind", "run", "generation", "component", "quantity"]
    table = pd.DataFrame(rows, columns=[*columns, "measured", "predicted"])
    arms = [SimpleNamespace(name=chain.name, generations=chain.generations) for chain in chains]
    return SimpleNamespace(held_out=table, best_theory=RIVAL, arms=arms)


@pytest.mark.slow
def test_errors_are_of_the_same_generations_of_the_same_chains(short):
    asked = []
    table = held_out_errors(fitted(short), short, "trait", progress=lambda: asked.append(1))
    assert list(table.columns) == list(contest.COLUMNS)
    assert set(table["chains"]) == {3}
    assert len(asked) == 1 + len(SCALES)
    error = table.set_index(["holdout", "quantity", "model"])["error"]
    for quantity in ("mean", "within", "between"):
        y = np.stack([measurements(chain)["trait", quantity] for chain in short])
        unchanged = error["scale", quantity, "no change"]
        assert unchanged == pytest.approx(np.abs(y[:, 1:] - y[:, :1]).mean())
        assert error["generations", quantity, "no change"] == pytest.approx(
            np.abs(y[:, 2] - y[:, 1]).mean()
        )
        assert error["scale", quantity, RIVAL] == pytest.approx(0.5)
        assert 0 < error["scale", quantity, NAME] < unchanged


def test_only_what_both_predict_is_compared(short, monkeypatch):
    asked = []

    def answer(chains, kind, *given, **options):
        asked.append((kind, [chain.name for chain in chains]))
        rows = [
            (model, kind, chain.name, chain.label, "trait", t, "mean", 0.0, float(t), None, None)
            for chain in chains
            for t in (1, 2)
            for model in ("no change", *(["neighbouring scales"] if chain.label == 1.5 else []))
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    monkeypatch.setattr(contest, "predictions", answer)
    result = fitted(short[1:])
    rows = result.held_out
    # The models do not predict generation 2 of one chain.
    result.held_out = rows[~((rows["run"] == short[2].name) & (rows["generation"] == 2))]
    result.arms.append(SimpleNamespace(name="another", generations=5))
    table = held_out_errors(result, short, "trait").set_index("model")
    # Their later generations begin later than ours.
    assert asked == [("scale", [chain.name for chain in short[1:]])]
    assert table["error"].to_dict() == {"no change": pytest.approx(4 / 3), RIVAL: 0.5}
    result.held_out = pd.DataFrame()
    with pytest.raises(UserError, match="no held-out generation of a chain in common"):
        held_out_errors(result, short, "trait")


def test_traits_of_several_components_are_not_compared(short):
    with pytest.raises(UserError, match="'latent_pc' has more"):
        held_out_errors(fitted(short, 2), short, "latent_pc")


def test_chains_have_the_trait_that_is_compared():
    runs = [run for run in kept.runs("transmission") if run.name.startswith("baseline")]
    read, left_out = prompt_chains(runs[:2], "entropy")
    assert [list(chain.traits) for chain in read] == [["entropy"]] * 2
    assert left_out == []
    read, _ = prompt_chains(runs[:2], "latent")
    assert [set(chain.traits) for chain in read] == [{"latent", BETWEEN}] * 2
    with pytest.raises(UserError, match="does not know the trait 'classifier' of the run"):
        prompt_chains(runs[:2], "classifier")
    with pytest.raises(UserError, match="two runs have one name"):
        prompt_chains([runs[0], runs[0]], "entropy")
    drawings = [run for run in kept.runs("emoji") if run.name.startswith("baseline,seed=0")]
    with pytest.raises(UserError, match=r"nothing that can be held out: .*are followed in groups"):
        prompt_chains(drawings[:2], "latent")


def test_between_prompts_of_the_latents_is_their_v_b(short, monkeypatch):
    """The V_W of one trait stands for V_B of the latents; their mean is left out."""
    rows = [
        ("no change", "scale", chain.name, chain.label, *key, 0.0, value, None, None)
        for chain in short
        for key, value in (
            (("latent", 1, "mean"), 3.0),
            (("latent", 1, "within"), 1.0),
            (("latent", 1, "between"), 2.0),
            (("latent axes", 1, "within"), 3.0),
        )
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    monkeypatch.setattr(contest, "predictions", lambda *given, **options: table)
    errors = held_out_errors(fitted(short), short, "latent")
    found = errors[errors["model"] == "no change"].set_index(["holdout", "quantity"])["error"]
    assert found["scale"].to_dict() == {"within": 1.0, "between": 2.0}


def test_a_series_has_no_prompts(qtm, tmp_path):
    path = tmp_path / "series.csv"
    path.write_text("generation,mean,variance,n\n0,1,1,10\n1,1.1,1,10\n2,1.2,1,10\n")
    code, _, err = qtm("fit", path, "--prompts")
    assert code == 2
    assert "--prompts applies to runs" in err
    code, _, err = qtm("fit", "--kept", "transmission", "--component", 0, "--prompts")
    assert code == 2
    assert "--prompts compares a whole trait, without --component" in err


@pytest.mark.slow
def test_the_command_prints_the_theory_of_prompts_beside_the_best(qtm, tmp_path):
    runs = [run for run in kept.runs("transmission") if run.name.startswith("baseline")]
    folders = [run.folder for run in runs[:3]]
    options = ["--trait", "pixel_mean", "--prompts", "--model", "directional, log"]
    code, out, err = qtm("fit", *folders, *options, "--posterior", "none", "--out", tmp_path)
    assert code == 0, err
    assert "mean absolute errors of pixel_mean in 3 chains, held out:" in out
    written = pd.read_csv(tmp_path / "prompts.csv")
    assert {NAME, "directional, log", "no change"} <= set(written["model"])
    assert written["error"].notna().all()
