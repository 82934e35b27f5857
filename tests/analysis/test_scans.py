"""Response curves and neutral scales of scans, against oracles by hand and by simulation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.scans import neutral, summarise
from analysis.scans.curves import Curve, Reader
from analysis.scans.responses import responses, table
from analysis.selection.draws import Sample
from empirical import files
from empirical.errors import UserError
from empirical.runs import moments
from empirical.runs.draws import Draw
from tests.helpers.small_scans import scan_folder

SCALES = (1.0, 1.25, 1.5, 2.5)
CAPTIONS = ["a", "b", "c"] * 2
# Prompt means -1, 0, 1 in the training set; deviations +-0.5 within a prompt.
MEANS, OFF = np.tile([-1.0, 0.0, 1.0], 2), np.repeat([0.5, -0.5], 3)


def line(scale: float, slope: float = 0.5) -> float:
    """The factor by which prompts are drawn apart: 0.9 at scale 1, linear in ln w."""
    return 0.9 + slope * np.log(scale)


def by_hand(folder: Path, slope: float = 0.5, factors: dict[float, float] | None = None):
    """Write a scan whose prompts are drawn apart by `line`, or by factors at each scale."""
    factor = lambda w: line(w, slope) if factors is None else factors[w]
    latent = lambda factor, off: (factor * MEANS + off)[:, None] * [[1.0, 2.0]]
    return scan_folder(
        folder,
        CAPTIONS,
        {"latent": latent(1, OFF), "still": np.ones((6, 1))},
        lambda w, _: {"latent": latent(factor(w), OFF / w), "still": np.ones((6, 1))},
        SCALES,
    )


def test_a_curve_by_hand(tmp_path):
    """Means m and deviations +-d/w along the axes (1, 2), averaged squares (1 + 4)/2."""
    rows = table(by_hand(tmp_path))
    assert list(rows.columns) == [
        "generation", "feature", "component", "scale", "quantity", "value", "low", "high", "target",
    ]  # fmt: skip
    latent = rows[rows["feature"] == "latent"]
    for w in SCALES:
        at = latent[latent["scale"] == w].set_index("quantity")["value"]
        # V_W: six squares of 0.25/w^2 over 6 - 3 degrees of freedom; V_B: var(-1, 0, 1) = 1.
        assert at["within"] == pytest.approx(2.5 * 6 * 0.25 / w**2 / 3)
        assert at["between"] == pytest.approx(2.5 * line(w) ** 2)
        assert at["slope"] == pytest.approx(line(w))
        assert at["mean"] == pytest.approx(0)
        assert at["r2"] == pytest.approx(1)
        if w > 1:
            # S_c = m_c (line(w) - line(1)); paired differences d (1/w - 1) have the variance
            # 0.5 (1 - 1/w)^2 a prompt, half of which is error of S_c^2.
            S2 = 2.5 * (2 / 3 * (0.5 * np.log(w)) ** 2 - 0.25 * (1 - 1 / w) ** 2)
            assert at["S_rms"] == pytest.approx(np.sqrt(max(S2, 0)), abs=1e-12)
            assert at["S"] == pytest.approx(0)
        else:
            assert "S" not in at
    parents = latent[latent["scale"].isna()].set_index("quantity")["value"]
    assert parents.to_dict() == pytest.approx({"mean": 0, "within": 1.25, "between": 2.5})


def test_quality_is_in_the_table_with_intervals_of_90_percent(tmp_path):
    rows = table(by_hand(tmp_path))
    images = rows[(rows["feature"] == "images") & (rows["scale"] == 2.5)].set_index("quantity")
    assert images["value"].to_dict() == {"accuracy": 0.9, "frechet": 3.0, "diversity": 5.0}
    # The interval of 95 % is +-2 of the measure against the same reference.
    assert images.loc["frechet", "high"] == pytest.approx(3 + 2 * 1.6449 / 1.96, abs=1e-4)
    assert np.isnan(images.loc["diversity", "low"])


def test_the_neutral_scale_is_where_the_response_says(tmp_path):
    """0.9 + ln(w)/2 = 1 at w = e^0.2, for slope and V_B; it lies between two scales."""
    assert summarise(by_hand(tmp_path).folder).startswith("neutral guidance scale: 1.22 (90 %: ")
    rows = pd.read_csv(tmp_path / "neutral.csv").set_index("criterion")
    assert rows.loc["slope", "scale"] == pytest.approx(np.exp(0.2), rel=1e-7)
    assert rows.loc["V_B", "scale"] == pytest.approx(np.exp(0.2), rel=1e-7)
    assert (rows["low"] < rows["scale"]).all()
    assert (rows["scale"] < rows["high"]).all()
    assert len(pd.read_csv(tmp_path / "scan.csv")) > 20


@pytest.mark.parametrize(("slope", "word"), [(0.05, "less"), (-0.5, "less")])
def test_a_range_without_a_neutral_scale_is_said(tmp_path, slope, word):
    assert summarise(by_hand(tmp_path, slope).folder) == (
        f"neutral guidance scale: none between 1 and 2.5: prompts differ {word} than in the "
        f"training set throughout"
    )
    assert pd.read_csv(tmp_path / "neutral.csv")["scale"].isna().all()


def test_every_scale_at_which_prompts_differ_as_much_is_reported(tmp_path):
    """Factors 0.9, 1.1, 1.1, 0.9 are 1 in the middle, in ln w, of the first and the last step."""
    line = summarise(
        by_hand(tmp_path, factors=dict(zip(SCALES, (0.9, 1.1, 1.1, 0.9), strict=True))).folder
    )
    rise, fall = np.sqrt(1 * 1.25), np.sqrt(1.5 * 2.5)
    assert line.startswith(f"neutral guidance scale: {rise:.2f} (90 %: ")
    assert f"; {fall:.2f} (90 %: " in line
    assert line.endswith("where the differences between prompts fall to those of the training set")
    rows = pd.read_csv(tmp_path / "neutral.csv")
    for criterion in ("V_B", "slope"):
        of_criterion = rows[rows["criterion"] == criterion]
        assert of_criterion["direction"].tolist() == ["rises", "falls"]
        assert of_criterion["scale"].tolist() == pytest.approx([rise, fall], rel=1e-6)
        assert (of_criterion["standard_error"] > 0).all()
        assert (of_criterion["low"] < of_criterion["scale"]).all()
        assert (of_criterion["scale"] < of_criterion["high"]).all()


def test_the_neutral_scale_is_the_first_that_rises(tmp_path):
    """Factors that fall through 1, then rise: the rise is the neutral scale."""
    line = summarise(
        by_hand(tmp_path, factors=dict(zip(SCALES, (1.1, 0.9, 0.9, 1.1), strict=True))).folder
    )
    assert line.startswith(f"neutral guidance scale: {np.sqrt(1.5 * 2.5):.2f} (90 %: ")
    assert f"; {np.sqrt(1.25):.2f} (90 %: " in line
    rows = pd.read_csv(tmp_path / "neutral.csv")
    assert rows["direction"].tolist() == ["falls", "rises"] * 2


def test_differences_that_fall_through_those_of_the_training_set_have_a_scale(tmp_path):
    """1.1 - ln(w)/2 = 1 at w = e^0.2."""
    factors = {w: 1.1 - 0.5 * np.log(w) for w in SCALES}
    line = summarise(by_hand(tmp_path, factors=factors).folder)
    assert line.startswith("neutral guidance scale: 1.22 (90 %: ")
    assert line.endswith("), above which prompts differ less than in the training set")


def simulated(seed: int, C: int, n: int, separated: bool = False, k: int = 6) -> Curve:
    """Prompt means m_c on k axes, drawn apart by 0.95 + 0.4 ln w; images differ within prompts by
    what seeds share at all scales, and a little by what they do not."""
    fixed = np.random.default_rng(0)
    axes = np.array([2.0, 1.5, 1.0, 0.7, 0.5, 0.3])[:k]
    means = 2 * fixed.normal(size=(C, k)) * axes
    codes = np.tile(np.arange(C), n)
    rng = np.random.default_rng([1, seed])
    shared = rng.normal(size=(C * n, k)) * axes
    samples = []
    for w in SCALES:
        z = (0.95 + 0.4 * np.log(w)) * means[codes] + w**-0.3 * shared
        z += 0.3 * np.log(w) * rng.normal(size=z.shape) * axes
        samples.append(Sample(z, codes, C * n - C if separated else 0))
    real = fixed.normal(size=(C * n, k)) * axes
    if separated:
        base = Sample(rng.normal(size=(2 * C, k)) * axes, np.tile(np.arange(C), 2), C)
        # The training set: one real image a prompt.
        real = fixed.normal(size=(C, k)) * axes
        return Curve(SCALES, tuple(samples), Sample(means + real, np.arange(C)), base)
    return Curve(SCALES, tuple(samples), Sample(means[codes] + real, codes))


def expected_scale(C: int, n: int, separated: bool) -> float:
    """The scale at which the expected V_B on the line between neighbours is the parents'."""
    from scipy.optimize import brentq

    axes = np.array([2.0, 1.5, 1.0, 0.7, 0.5, 0.3])
    means = 2 * np.random.default_rng(0).normal(size=(C, 6)) * axes
    V_B = means.var(axis=0, ddof=1).mean()
    V_W = np.square(axes).mean()
    curve = simulated(0, C, n, separated)
    if separated:
        parents = curve.parents.values.var(axis=0, ddof=1).mean() - V_W
    else:
        parents = curve.parents.means.var(axis=0, ddof=1).mean()

    def excess(w):
        i = min(np.searchsorted(SCALES, w, side="right"), len(SCALES) - 1)
        a, b = SCALES[i - 1], SCALES[i]
        f = np.log(w / a) / np.log(b / a)
        common = (1 - f) * a**-0.3 + f * b**-0.3
        alone = np.square(0.3 * np.array([(1 - f) * np.log(a), f * np.log(b)])).sum()
        error = 0 if separated else V_W * (common**2 + alone) / n
        return (0.95 + 0.4 * np.log(w)) ** 2 * V_B + error - parents

    return brentq(excess, 1.0001, 2.4999)


@pytest.mark.parametrize(
    ("C", "n", "separated"), [(10, 50, False), (300, 2, True)], ids=["families", "replicates"]
)
def test_intervals_cover_the_neutral_scale(C, n, separated):
    """Of 200 scans 84 to 96 % of the 90 % intervals cover, and standard errors are of the size of
    the scatter (4 standard errors of both)."""
    true = expected_scale(C, n, separated)
    estimates = [neutral.by_variance(simulated(seed, C, n, separated)) for seed in range(200)]
    assert all(e is not None for e in estimates)
    covered = np.mean([e.low <= true <= e.high for e in estimates])
    assert 0.84 <= covered <= 0.96
    scales = np.array([e.scale for e in estimates])
    known = np.isfinite(scales)
    assert known.mean() > 0.95
    errors = np.array([e.standard_error for e in estimates])[known]
    scatter = scales[known].std(ddof=1)
    assert abs(np.median(scales[known]) - true) < 4 * 1.25 * scatter / np.sqrt(known.sum())
    assert np.median(errors) == pytest.approx(scatter, rel=4 / np.sqrt(2 * known.sum()))


def test_one_image_a_caption_with_replicates(tmp_path):
    """V_B is the covariance of image and replicate, of the training set variance less V_W of the
    base model; without images of the base it is unknown."""
    rng = np.random.default_rng(3)
    C = 60
    captions = [f"photo {i}" for i in range(C)]
    m = rng.normal(size=(C, 1))
    noise = {key: rng.normal(size=(C, 1)) for key in (False, True)}
    draw = lambda w, replicate: {"latent": line(w) * m + 0.3 * noise[replicate]}
    base = lambda k: {"latent": m + 0.3 * rng.normal(size=(C, 1))}
    training = {"latent": m + 0.3 * rng.normal(size=(C, 1))}
    make = lambda name, base: scan_folder(
        tmp_path / name, captions, training, draw, SCALES, replicates=1, base=base
    )
    scan = make("scan", base)
    rows = table(scan)
    at = rows[rows["scale"] == 1.5].set_index("quantity")
    z = [draw(1.5, replicate)["latent"] for replicate in (False, True)]
    V_W, V_B = moments.separated(z[0], captions, z[1], captions)
    np.testing.assert_allclose(V_W, np.square(z[0] - z[1]).mean() / 2)
    assert at.loc["within", "value"] == pytest.approx(float(V_W[0]))
    assert at.loc["between", "value"] == pytest.approx(float(V_B[0]))
    assert at.loc["mean", "value"] == pytest.approx(np.concatenate(z).mean())
    assert summarise(scan.folder).startswith("neutral guidance scale: 1.")
    kept = pd.read_csv(scan.folder / "neutral.csv").set_index("criterion")
    # The slope on single images is weakened by what these do not pass on.
    assert kept.loc["slope", "scale"] > kept.loc["V_B", "scale"]
    assert summarise(make("without", None).folder) == (
        "neutral guidance scale: unknown, because it takes two prompts or more, and where most "
        "captions are of one image, replicates of them at every scale and of the base model"
    )


def test_a_single_prompt_has_curves_but_no_neutral_scale(tmp_path):
    rng = np.random.default_rng(0)
    scan = scan_folder(
        tmp_path,
        ["x"] * 12,
        {"latent": rng.normal(size=(12, 2))},
        lambda w, _: {"latent": rng.normal(size=(12, 2)) / w},
        (1.0, 2.0),
    )
    assert "unknown" in summarise(scan.folder)
    rows = pd.read_csv(tmp_path / "scan.csv")
    assert set(rows.loc[rows["scale"] == 2, "quantity"]) >= {"mean", "within", "S_rms"}
    assert "between" not in set(rows["quantity"])


def test_replicates_of_families_add_precision_to_the_same_quantity():
    """V_B of moments.csv contains V_W/n of n images; n more tell it without changing it."""
    few, many, errors = [], [], []
    for seed in range(100):
        sample = simulated(seed, 10, 10).samples[0]
        both = Sample(sample.values, sample.prompts, 50)
        few.append(neutral.between(both.realised(), False)[0])
        value, variance = neutral.between(both, False)
        many.append(value)
        errors.append(variance**0.5)
    difference = np.subtract(few, many)
    assert abs(difference.mean()) < 4 * difference.std() / 10
    assert np.std(many) < 0.85 * np.std(few)
    assert np.mean(errors) == pytest.approx(np.std(many), rel=4 / np.sqrt(200))


def test_images_move_along_lines_in_the_logarithm_of_the_scale():
    curve = simulated(0, 10, 5)
    middle = curve.at_scale(float(np.sqrt(1.5 * 2.5)))
    np.testing.assert_allclose(
        middle.values, (curve.samples[2].values + curve.samples[3].values) / 2, atol=1e-12
    )
    assert curve.at_scale(1.5) is curve.samples[2]


def test_draws_that_do_not_belong_together_are_refused(tmp_path):
    scan = by_hand(tmp_path)
    draw = scan.draw(1, 2.5)
    draw.finish(draw.captions, [99] * 6)
    with pytest.raises(UserError, match="not drawn with the prompts and seeds"):
        summarise(scan.folder)


def test_a_single_scale_has_no_neutral_one(tmp_path):
    latent = {"latent": (MEANS + OFF)[:, None]}
    scan = scan_folder(
        tmp_path, CAPTIONS, latent, lambda w, _: {"latent": 2 * latent["latent"]}, (3,)
    )
    assert summarise(scan.folder) == (
        "neutral guidance scale: not 3, the only one: prompts differ more than in the training set "
        "throughout"
    )


def test_values_that_are_not_finite_are_refused(tmp_path):
    scan = by_hand(tmp_path)
    scan.draw(1, 1.5).write("latent", np.full((6, 2), np.nan))
    with pytest.raises(UserError, match=r"'latent' has values in .* that are not finite"):
        summarise(scan.folder)


def test_incomplete_scans_and_other_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"not the folder of a scan: it has no scan\.json"):
        summarise(tmp_path)
    scan = by_hand(tmp_path)
    (scan.draw(1, 2.5).folder / "metadata.jsonl").unlink()
    with pytest.raises(UserError, match="is not complete: run its command again"):
        summarise(scan.folder)


def test_traits_that_only_some_draws_have_are_left_out(tmp_path):
    scan = by_hand(tmp_path)
    scan.draw(1, 1.5).write("extra", np.ones((6, 1)))
    assert Reader(scan, 1).traits == ["latent", "still"]
    values = [e.value for _, e in responses(Reader(scan, 1).curve("still"))]
    assert np.isfinite(values).all()
    assert isinstance(scan.draw(1, 1.5), Draw)
    assert files.read_json(scan.folder / "scan.json")["replicates"] == 0


def test_what_finetuning_passed_on_is_the_slope_at_the_lowest_scale(tmp_path):
    curve = Reader(by_hand(tmp_path), 1).curve("latent")
    assert neutral.passed_on(curve) == pytest.approx(0.9)
