"""Arms read from runs on disk: moments, sampling errors, and runs that are refused."""

import numpy as np
import pandas as pd
import pytest

from analysis.arms.read import arm, arms
from analysis.prompts.conditions import conditions, unlike
from empirical import files, recipe
from empirical.errors import UserError
from empirical.runs import moments
from empirical.runs.record import Run
from figures.study import Study

CAPTIONS = [caption for caption in "abcd" for _ in range(50)]
G = 3


def make(folder, table=None, generations=G, z=None, done=G):
    """A run with a trait of two components (the second is constant), and `latent_pc` of three."""
    made = recipe.parse({"generations": generations, **(table or {})})
    files.write_text(folder / "recipe.toml", recipe.dump(made))
    rng = np.random.default_rng(0)
    tables = []
    for number in range(done + 1):
        generation = Run(folder).generation(number)
        rows = [{"file_name": f"{i}.png", "text": c} for i, c in enumerate(CAPTIONS)]
        files.write_json_lines(generation.folder / "images" / "metadata.jsonl", rows)
        families = np.repeat(np.arange(4.0), 50)[:, None]
        values = 5 + families + rng.normal(size=(200, 1)) if z is None else z(number, families)
        traits = {
            "t": np.concatenate([values, np.ones((200, 1))], axis=1),
            "still": np.ones((200, 1)),
            "latent_pc": families * [1, 0.5, 0.1] + rng.normal(size=(200, 3)),
        }
        for name, value in traits.items():
            files.write_array(generation.folder / "features" / f"{name}.npy", value)
        files.write_json(generation.folder / "done.json", {})
        tables.append(moments.table(number, traits, CAPTIONS))
    files.write_text(folder / "moments.csv", pd.concat(tables).to_csv(index=False))
    return Run(folder)


def test_an_arm_is_in_units_of_generation_0(tmp_path):
    run = make(tmp_path)
    read = arm(run, "t")
    assert (read.generations, read.images, read.families) == (G, 200, 4)
    assert read.measured.shape == (G + 1, 3, 1)  # the second component does not vary
    table = run.moments().query("feature == 't' and component == 0")
    V = table["within"].iloc[0] + table["between"].iloc[0]
    np.testing.assert_allclose(np.exp(read.measured[:, 1, 0]), table["within"] / V)
    np.testing.assert_allclose(np.exp(read.measured[:, 2, 0]), table["between"] / V)
    np.testing.assert_allclose(read.centre + np.sqrt(V) * read.measured[:, 0, 0], table["mean"])
    assert read.unit == pytest.approx(V)


@pytest.mark.parametrize(("kind", "spread"), [("normal", 2.0), ("laplace", 5.0), ("uniform", 0.8)])
def test_tails_determine_the_error_of_a_variance(tmp_path, kind, spread):
    """Var(ln s^2) = (kurtosis - 1)/N: 2, 5 and 4/5 for a normal, a Laplace and a uniform trait."""
    rng = np.random.default_rng(1)
    run = make(tmp_path, z=lambda number, families: getattr(rng, kind)(size=(200, 1)) + families)
    ratio = arm(run, "t").sampling[:, 1, 0] * (200 - 4)
    # The kurtosis of 800 Laplace numbers has itself an error of a fifth.
    assert ratio.mean() == pytest.approx(spread, rel=0.35)


def test_sampling_errors_are_those_of_new_samples():
    """Variances of the measured mean, ln V_W and ln V_B over 400 samples of the same families."""
    from analysis.arms.sampling import sampling_variances

    rng = np.random.default_rng(2)
    families, n, D = np.array([-1.5, -0.5, 0.5, 1.5]), 50, 3
    along = np.array([1.0, 0.6, 0.2])
    z = rng.normal(size=(400, 4, n, D)) * along + families[:, None, None] * along
    V_W = z.var(axis=2, ddof=1).mean(axis=1)
    V_B = z.mean(axis=2).var(axis=1, ddof=1)
    pooled = np.stack([np.log(V_W.mean(axis=1)), np.log(V_B.mean(axis=1))])
    true_W, true_B = np.square(along), np.square(along) * families.var(ddof=1)
    expected = sampling_variances(true_W[None], true_B[None], 4 * n, 4, True, None)[0, 1:, 0]
    # A variance of 400 samples has the relative error sqrt(2/400).
    np.testing.assert_allclose(pooled.var(axis=1, ddof=1), expected, rtol=4 * np.sqrt(2 / 400))


@pytest.mark.parametrize("draws", [2, 4])
@pytest.mark.parametrize("pooled", [False, True])
def test_sampling_errors_of_replicates_are_those_of_new_samples(draws, pooled):
    """One image a prompt and its replicates, 1,000 samples of the same 100 prompts."""
    from analysis.arms.sampling import sampling_variances

    rng, C, samples = np.random.default_rng(4), 100, 1000
    along = np.array([1.0, 0.6, 0.2])
    values = rng.normal(size=(C, 1)) * 0.8
    values = (values - values.mean()) / values.std(ddof=1) * 0.8
    captions = [f"caption {i}" for i in range(C)]
    logs = []
    for _ in range(samples):
        z = (values + rng.normal(size=(draws, C, 3))) * along
        more = z[1:].reshape(-1, 3)
        V_W, V_B = moments.separated(z[0], captions, more, captions * (draws - 1))
        logs.append(np.log([V_W.mean(), V_B.mean()] if pooled else [V_W[0], V_B[0]]))
    true_W, true_B = np.square(along), 0.64 * np.square(along)
    parts = (true_W, true_B) if pooled else (true_W[:1], true_B[:1])
    expected = sampling_variances(*(x[None] for x in parts), C, C, pooled, None, draws)[0, 1:, 0]
    # A variance of 1,000 samples has the relative error sqrt(2/1000); the expansion of a logarithm
    # with the variance v errs by about v.
    tolerance = 4 * np.sqrt(2 / samples) + expected.max()
    np.testing.assert_allclose(np.var(logs, axis=0, ddof=1), expected, rtol=tolerance)


def one_image_a_prompt(folder, C=300, V_B=0.5, laplace=False, generations=2, later=1.0):
    """A run of one image and one replicate a prompt, of a trait `t` with V_W = 1.

    After generation 0 prompts differ by `later` times as much.
    """
    rng = np.random.default_rng(6)
    table = {"generations": generations, "data": {"size": C}, "measure": {"replicates": 1}}
    files.write_text(folder / "recipe.toml", recipe.dump(recipe.parse(table)))
    captions = [f"caption {i}" for i in range(C)]
    run, values = Run(folder), np.sqrt(V_B) * rng.normal(size=(C, 1))
    chance = rng.laplace(scale=np.sqrt(0.5), size=(generations + 1, 3, C, 1))
    if not laplace:
        chance = rng.normal(size=chance.shape)
    for number in range(generations + 1):
        generation = run.generation(number)
        rows = [{"file_name": f"{i}.png", "text": c} for i, c in enumerate(captions)]
        files.write_json_lines(generation.folder / "images" / "metadata.jsonl", rows)
        images = iter((later if number else 1.0) * values + chance[number])
        generation.write("t", next(images))
        names = ("replicate",) if number else ("unguided", "unguided_replicate")
        for name in names:
            generation.draw(name).write("t", next(images))
            generation.draw(name).finish(captions, range(C))
        files.write_json(generation.folder / "done.json", {})
    run.rebuild_moments()
    return run


@pytest.mark.parametrize(("laplace", "spread"), [(False, 2.0), (True, 3.5)])
def test_replicates_show_the_error_of_a_variance(tmp_path, laplace, spread):
    """Two deviations of one prompt are equal but for their sign; prompts show the scatter.

    Var(d^2/2)/V_W^2 of a difference d of two images: its kurtosis is 3 + excess/2, so that
    3 + 1.5 - 1 for a Laplace trait with excess 3, and 2 for a normal one.
    """
    read = arm(one_image_a_prompt(tmp_path, laplace=laplace), "t")
    assert read.separated
    assert read.family_size == np.inf
    ratio = read.sampling[1:, 1, 0] * 300
    assert ratio.mean() == pytest.approx(spread, rel=0.35)


def test_prompts_that_do_not_differ_keep_v_b_at_its_limit(tmp_path):
    """Half of the estimates are below 0; none of them is the logarithm of nothing."""
    runs = [one_image_a_prompt(tmp_path / f"{C}", C=C, generations=6, later=0.0) for C in (60, 61)]
    raw = pd.concat([run.moments().query("generation > 0")["between"] for run in runs])
    assert (raw <= 0).any()
    for run in runs:
        C = run.recipe.data.size
        read = arm(run, "t")
        ratio = np.exp(read.measured[:, 2, 0] - read.measured[:, 1, 0])
        # Two draws: the standard error of V_B = 0 is V_W/sqrt(C - 1).
        assert (ratio >= 0.999 / np.sqrt(C - 1)).all()
        assert (read.sampling[1:, 2, 0] <= 1).all()
        assert read.sampling[1:, 2, 0].max() > 0.3


def test_real_images_that_vary_less_than_the_base_model_are_reported(tmp_path):
    run = one_image_a_prompt(tmp_path / "run")
    for name in ("unguided", "unguided_replicate"):
        draw = run.generation(0).draw(name)
        draw.write("t", 10 * draw.trait("t"))
    run.rebuild_moments()
    with pytest.raises(UserError, match="vary no more in 't' than images of one prompt"):
        arm(run, "t")


def test_replicates_without_the_base_model_are_reported(tmp_path):
    run = one_image_a_prompt(tmp_path / "run")
    for name in ("unguided", "unguided_replicate"):
        (run.generation(0).draw(name).folder / "metadata.jsonl").unlink()
    run.rebuild_moments()
    with pytest.raises(UserError, match=r"none of the base model, .*`qtm measure RUN unguided`"):
        arm(run, "t")


def test_the_second_component_alone_is_refused(tmp_path):
    run = make(tmp_path)
    with pytest.raises(UserError, match="does not vary within and between prompts"):
        arm(run, "t", [1])
    with pytest.raises(UserError, match="no component 2, allowed are 0 to 1"):
        arm(run, "t", [2])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"finetune": {"start_from": "previous"}}, "starts from the previous model"),
        ({"finetune": {"training_set": "accumulate"}}, "learns from 'accumulate'"),
        ({"generate": {"guidance": {"rule": "cads", "scale": 2.5}}}, "is guided by 'cads'"),
    ],
)
def test_what_no_model_describes_is_reported(tmp_path, table, words):
    with pytest.raises(UserError, match=words):
        arm(make(tmp_path, table), "t")


def test_degenerate_runs_are_reported(tmp_path):
    with pytest.raises(UserError, match="no generation after generation 0"):
        arm(make(tmp_path / "short", done=0), "t")
    run = make(tmp_path / "still")
    with pytest.raises(UserError, match="does not vary"):
        arm(run, "still")
    with pytest.raises(UserError, match="no trait 'u', it has latent_pc, still, t"):
        arm(run, "u")
    table = run.moments()
    table.loc[(table["generation"] == 2) & (table["feature"] == "t"), "within"] = np.nan
    files.write_text(run.folder / "moments.csv", table.to_csv(index=False))
    with pytest.raises(UserError, match="of 't' in generation 2 of 'still' are not finite"):
        arm(run, "t")


def test_a_collapsed_trait_keeps_a_finite_logarithm(tmp_path):
    run = make(tmp_path, z=lambda number, families: (number < 2) * (
        np.random.default_rng(number).normal(size=(200, 1)) + families))  # fmt: skip
    read = arm(run, "t")
    assert np.isfinite(read.measured).all()
    assert np.isfinite(read.sampling).all()
    assert read.measured[2, 1, 0] < -20


def test_runs_with_different_finetuning_are_left_out(tmp_path):
    runs = [make(tmp_path / name) for name in "ab"]
    runs.append(make(tmp_path / "c", {"finetune": {"rank": 4}}))
    kept, left_out = arms(runs, "t")
    assert [read.name for read in kept] == ["a", "b"]
    assert left_out == ["the run 'c' is finetuned or sampled differently from most"]
    with pytest.raises(UserError, match="starts from the previous model"):
        arms([make(tmp_path / "d", {"finetune": {"start_from": "previous"}})], "t")


def test_settings_of_computing_make_no_run_different(tmp_path):
    """They change images by rounding alone."""
    table = {
        "model": {"compile": True, "reproducible": False},
        "finetune": {"micro_batches": 2, "gradient_checkpointing": True},
        "generate": {"batch_size": 7},
    }
    given = {f"{name}.{key}" for name, values in table.items() for key in values}
    assert given == set(recipe.COMPUTING)
    runs = [make(tmp_path / "a"), make(tmp_path / "b", table)]
    assert [read.name for read in arms(runs, "t")[0]] == ["a", "b"]
    settings = [run.recipe.settings for run in runs]
    assert conditions(settings[0]) == conditions(settings[1])
    assert settings[0].experiment() == settings[1].experiment()
    assert settings[1].experiment()["finetune"]["rank"] == settings[1].finetune.rank
    assert not Study(tuple(runs)).differences(runs[1])
    other = make(tmp_path / "c", {"finetune": {"rank": 4}}).recipe.settings
    assert unlike(conditions(settings[1]), conditions(other)) == ["finetune"]


def test_one_coordinate_of_the_latents_is_a_trait_of_its_own(tmp_path):
    """Its errors are not those of the average, which the leading axes determine."""
    rng = np.random.default_rng(3)
    run = make(tmp_path)
    frames = [run.moments()]
    for generation in run.generations():
        z = rng.normal(size=(200, 5)) + np.repeat(np.arange(4.0), 50)[:, None]
        generation.write("latent", z)
        frames.append(moments.table(generation.number, {"latent": z}, CAPTIONS))
    files.write_text(run.folder / "moments.csv", pd.concat(frames).to_csv(index=False))
    read = arm(run, "latent", [3])
    assert read.measured.shape == read.sampling.shape == (G + 1, 3, 1)
    assert read.components == (3,)
    assert (read.sampling[:, 1, 0] * (200 - 4)).mean() == pytest.approx(2, rel=0.35)
    assert arm(run, "latent").sampling[0, 0, 0] < read.sampling[0, 0, 0]


def test_runs_of_unequal_length_and_size_are_read(tmp_path):
    """An unfinished run is an arm of its finished generations."""
    kept, _ = arms([make(tmp_path / "a"), make(tmp_path / "b", done=1)], "t")
    assert [read.generations for read in kept] == [G, 1]


@pytest.mark.parametrize(
    ("captions", "words"),
    [
        (["my cat"] * 200, r"one prompt for all of its 200 images \('my cat'\), .* two prompts or"),
        (
            [f"cat {i}" for i in range(200)],
            "200 different prompts for its 200 images, .* `qtm measure RUN replicates`",
        ),
    ],
)
def test_captions_that_are_all_equal_or_all_different_are_reported(
    tmp_path, monkeypatch, captions, words
):
    """The error names the captions, not the undefined moments that follow from them."""
    monkeypatch.setitem(globals(), "CAPTIONS", captions)
    run = make(tmp_path)
    for read in (arm, lambda run, trait: arms([run], trait)):
        with pytest.raises(UserError, match=words):
            read(run, "t")
