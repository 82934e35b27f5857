"""Selection on latents from moments of prompts: as from single images, and as LOG.md has it."""

import numpy as np
import pytest

from analysis.selection.read import Measured
from analysis.selection.tables import notes, tables
from empirical.runs import kept, prompts
from tests.helpers import selected_runs

KEY = ["generation", "component", "quantity"]
# The table "Latents, averaged over coordinates" of LOG.md.
PRINTED = {
    "baseline,guidance.scale=2.5,seed=0": {
        1: ("0.28", "0.94", "+0.005", "-0.093", "-0.008", "+0.153"),
        2: ("0.33", "0.90", "+0.029", "-0.089", "-0.050", "+0.172"),
        4: ("0.53", "0.91", "+0.062", "-0.106", "-0.097", "+0.285"),
        6: ("0.53", "0.84", "+0.155", "-0.150", "-0.264", "+0.359"),
    },
    "redifine,seed=0": {
        1: ("0.13", "0.94", "+0.005", "-0.035", "-0.007", "+0.064"),
        2: ("0.15", "0.86", "+0.038", "-0.042", "-0.052", "+0.075"),
        4: ("0.19", "0.87", "+0.042", "-0.056", "-0.061", "+0.105"),
        6: ("0.31", "0.90", "+0.043", "-0.062", "-0.064", "+0.161"),
    },
}


def without_latents(run, offset=0.0):
    """Replace the latents of a run, its principal scores beside others, by moments of prompts."""
    places = []
    for generation in run.generations():
        for name in (None, *generation.draws()):
            images = generation if name is None else generation.draw(name)
            images.write("latent", images.trait("latent_pc") + offset)
            places.append((generation, name))
    from_images = tables([Measured(run)], ["latent"])
    packed = [prompts.prompts_of_draw(generation, name).packed() for generation, name in places]
    for (generation, name), content in zip(places, packed, strict=True):
        folder = generation.folder if name is None else generation.draw(name).folder
        (folder / "features" / "latent.npy").unlink()
        (folder / prompts.FILE).write_bytes(content)
    return from_images


def compared(ours, theirs, *values):
    """Merge tables of moments and of images, and require that they agree up to half precision."""
    both = ours.merge(theirs, on=KEY, suffixes=("", "_images"), validate="one_to_one")
    for name in values:
        np.testing.assert_allclose(both[name], both[f"{name}_images"], rtol=5e-3, atol=2e-3)
    return both


@pytest.mark.parametrize(
    ("captions", "replicates"),
    [
        ([f"prompt {i % 6}" for i in range(60)], 0),
        ([f"prompt {i % 6}" for i in range(60)], 1),
        (["often"] * 20 + [f"prompt {i % 5}" for i in range(40)], 0),
        ([f"prompt {i}" for i in range(60)], 1),
        ([f"prompt {i}" for i in range(60)], 0),
    ],
    ids=["families", "replicated families", "unequal", "replicates", "distinct"],
)
def test_moments_give_what_images_give(tmp_path, captions, replicates):
    run = selected_runs.write(
        tmp_path / "run", captions, replicates=replicates, training_set="replace"
    )
    images = without_latents(run)
    moments = tables([Measured(run)], ["latent"])
    population = images.selection.query("target != 'these prompts'")
    bounded = population.query("quantity not in ['V_B', 'V_B_unguided']")
    ours = moments.selection.dropna(subset="low")
    both = compared(ours, bounded, "estimate", "low", "high")
    assert len(both) == len(ours) > 0
    several = images.selection.drop_duplicates(KEY)
    both = compared(moments.selection, several, "estimate")
    assert set(both["how"] == both["how_images"]) == {True}
    # Mutation takes single images, and the chain's images have no variance apart from replicates.
    later = several["quantity"].isin({"mutation", "V"}) & (several["generation"] > 0)
    totals = bool(replicates) and captions.count(captions[0]) > 1
    always = several["quantity"].isin({"mutation", *({"V_unguided"} if totals else ())})
    missing = always | later if totals else always
    assert len(both) == (~missing).sum()
    parts = ("before", "inflow", "transmission", "selection", "after")
    assert len(compared(moments.price, images.price, *parts)) == len(images.price)


def test_a_training_set_of_others_is_not_known_by_prompts(tmp_path):
    run = selected_runs.write(
        tmp_path / "run", [f"prompt {i % 6}" for i in range(60)], training_set="accumulate"
    )
    images = without_latents(run)
    moments = tables([Measured(run)], ["latent"])
    # The first generation learns from the one before, the next ones from all of them.
    found = moments.selection.query("quantity == 'transmission'")["generation"]
    assert found.tolist() == [1]
    changes = moments.price.query("generation == 2")
    assert changes[["inflow", "transmission"]].isna().all(axis=None)
    compared(changes, images.price.query("generation == 2"), "before", "selection", "after")


def test_means_along_leading_axes_leave_transmission_out(tmp_path, monkeypatch):
    monkeypatch.setattr(prompts, "_MOST", 100)
    monkeypatch.setattr(prompts, "RANK", 2)
    captions = [f"prompt {i}" for i in range(60)]
    run = selected_runs.write(tmp_path / "run", captions, replicates=1, components=6)
    images = without_latents(run)
    measured = Measured(run)
    assert not measured.summaries(1).guided.exact
    moments = tables([measured], ["latent"])
    left = {"transmission", "parent_offspring"}
    assert not left & set(moments.selection["quantity"])
    both = compared(moments.selection, images.selection.drop_duplicates(KEY), "estimate")
    assert {"S", "S_rms", "S_rms_standardised", "V", "V_W", "V_B"} <= set(both["quantity"])
    assert moments.selection.query("quantity == 'S'")["low"].isna().all()
    compared(moments.price, images.price, "before", "inflow", "transmission", "selection", "after")


@pytest.fixture(scope="module")
def transmission():
    return {run.name: run for run in kept.runs("transmission")}


@pytest.mark.parametrize("name", PRINTED)
def test_kept_runs_give_the_printed_table(transmission, name):
    result = tables([Measured(transmission[name])], ["latent"])
    selection = result.selection.set_index(["generation", "quantity"])["estimate"]
    price = result.price.set_index(["generation", "quantity"])
    for number, printed in PRINTED[name].items():
        within, between = (price.loc[(number, name)] for name in ("within", "between"))
        assert printed == (
            f"{selection[number, 'S_rms_standardised']:.2f}",
            f"{selection[number, 'transmission']:.2f}",
            f"{within['transmission']:+.3f}",
            f"{within['selection']:+.3f}",
            f"{between['transmission']:+.3f}",
            f"{between['selection']:+.3f}",
        )
    assert (price["inflow"] == 0).all()


def test_the_command_offers_the_latents_of_kept_runs(qtm, transmission, tmp_path):
    run = transmission["baseline,guidance.scale=7.5,seed=0"]
    code, printed, complaint = qtm(
        "select", run.folder, "--trait", "latent", "--out", tmp_path / "out"
    )
    assert code == 0, complaint
    assert "'latent', averaged over its components" in printed
    assert "no intervals for these prompts" in printed
    assert "no S_rms" not in printed
    assert {"parts.png", "traits.png", "price.csv"} <= {
        p.name for p in (tmp_path / "out").iterdir()
    }


def test_runs_kept_without_pairs_say_so():
    run = next(run for run in kept.runs("heritability") if run.name.startswith("control"))
    measured = Measured(run)
    assert "latent" in measured.offered
    assert "no S_rms" in notes(measured)[0]
    result = tables([measured], ["latent"])
    assert "S_rms" not in set(result.selection["quantity"])
    assert result.selection.query("quantity == 'S'")["low"].notna().all()
    assert result.selection.query("quantity == 'V_W'")["low"].isna().all()
