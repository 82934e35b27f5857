"""Every figure of the report, and the report itself."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.comparison.fit import fit
from analysis.models import every_model
from analysis.prediction.synthetic import draw_arms
from empirical import files
from empirical.errors import UserError
from empirical.runs import kept
from figures.evidence import Evidence, describe
from figures.pieces import from_zero
from figures.report import caveats, page
from figures.report.plots import caption_of, every_plot
from figures.style import COLUMN, PAGE, scale_colour
from tests.helpers.small_runs import study_folder

NO_ACCURACY, UNKNOWN = "recognised images", "the classifier of the model does not know all captions"


@pytest.fixture(scope="module")
def evidence(tiny_run):
    predicted, refused = page.forecasts([tiny_run])
    assert not refused
    return Evidence((tiny_run,), page.fits([tiny_run]), predicted)


def test_a_report_fits_what_it_says(evidence, tiny_run):
    assert set(evidence.fits) == set(page.TRAITS)


# Of one run there are none: see below.
TRAITS, IMAGES = OF_SEVERAL = ("held_out_traits", "predicted_images")


@pytest.mark.parametrize("name", [name for name in every_plot() if name not in OF_SEVERAL])
def test_every_figure_is_drawn_with_something_in_it(name, evidence, tmp_path):
    module = every_plot()[name]
    assert len(module.CAPTION) > 40
    figure = module.draw(evidence)
    assert isinstance(figure, Figure)
    assert all(axis.has_data() for axis in figure.axes if axis.axison)
    assert figure.get_size_inches()[0] in (COLUMN, PAGE)
    figure.savefig(tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 5_000


def test_trait_means_are_predicted_from_runs_at_other_scales(monkeypatch, tiny_run):
    runs = tuple(kept.runs("transmission"))
    module = every_plot()[TRAITS]
    asked = []

    def predictions(chains, holdout, widen):
        asked.append((len(chains), holdout, widen))
        rows = [
            (model, chain.name, trait, t, quantity, 0.5 * t, 0.4 * t, low, 0.6 * t)
            for model, low in (("prompts", 0.3), ("no change", float("nan")))
            for chain in chains
            for trait in (*chain.traits, "latent axes 0")
            for quantity in ("mean", "within")
            for t in range(1, 7)
        ]
        columns = ["model", "run", "trait", "generation", "quantity"]
        return pd.DataFrame(rows, columns=[*columns, "measured", "predicted", "low", "high"])

    monkeypatch.setattr(module, "predictions", predictions)
    figure = module.draw(Evidence(runs))
    # ReDiFine and the decaying scale are not constant.
    assert asked == [(6, "scale", False)]
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title(loc="left")[:1] for axis in shown] == list("abcdefgh")
    assert all(len(axis.lines) == 1 + 2 * 6 for axis in shown)
    assert shown[0].get_xlabel() == ""
    assert shown[-1].get_xlabel() == "generation"
    for few in ((tiny_run,), runs[:2]):
        assert module.draw(Evidence(few)) is None


def test_images_are_predicted_between_the_scales_of_other_runs(monkeypatch, tiny_run):
    runs = tuple(kept.runs("transmission"))
    module, asked = every_plot()[IMAGES], []
    monkeypatch.setattr(module, "fit", lambda chains: [chain.label for chain in chains])
    follow = lambda theory, planned, start, draws: (theory, planned.label)
    monkeypatch.setattr(module, "paths", follow)

    def pictures(of, chains, planned, path, images):
        asked.append((path, [run.name for run in of] == [chain.name for chain in chains], images))
        return np.full((6, 10, 8, 8, 3), 100, np.uint8), [str(i) for i in range(10)]

    monkeypatch.setattr(module, "pictures", pictures)
    figure = module.draw(Evidence(runs))
    assert asked == [(([1.0, 1.25, 1.5, 2.5, 7.5], 5.0), True, 2)]
    assert figure.axes[0].get_title(loc="left") == "predicted, CFG 5"
    for few in ((tiny_run,), runs[:2]):
        assert module.draw(Evidence(few)) is None
    monkeypatch.setattr(module, "_LATENTS", 100)
    with pytest.raises(UserError, match="more than 100 latents, here 256, are left to"):
        module.draw(Evidence(runs))
    monkeypatch.undo()
    monkeypatch.setattr(module, "pictures", lambda *given: None)
    monkeypatch.setattr(module, "fit", lambda chains: None)
    monkeypatch.setattr(module, "paths", lambda *given: None)
    assert module.draw(Evidence(runs)) is None


@pytest.mark.slow
def test_predicted_images_are_drawn(tmp_path):
    runs = [run for run in kept.runs("transmission") if run.name.startswith("baseline")]
    figure = every_plot()[IMAGES].draw(Evidence(tuple(runs[3:])))
    figure.savefig(tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 20_000


def test_figures_do_without_fits(tiny_run):
    bare = Evidence((tiny_run,))
    assert every_plot()["traits"].draw(bare) is None
    assert isinstance(every_plot()["variance"].draw(bare), Figure)


def test_runs_that_differ_in_their_scale_alone_take_the_ramp(tmp_path):
    runs = {run.name: run for run in study_folder(tmp_path)}
    scales = Evidence(tuple(runs[name] for name in ("cfg 1", "cfg 2.5", "cfg 7.5")))
    assert scales.looks["cfg 2.5"].colour == scale_colour(2.5)
    mixed = Evidence((runs["cfg 7.5"], runs["seed"], runs["cads"]))
    assert len({look.colour for look in mixed.looks.values()}) == 3


def test_what_a_reader_must_know_is_reported(tmp_path):
    runs = study_folder(tmp_path)
    (runs[0].folder / "gen_002" / "done.json").unlink()
    path = runs[1].folder / "gen_001" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["measures"][0]["caution"] = "few images"
    path.write_text(json.dumps(metrics))
    warnings = [(w["run"], w["text"]) for w in caveats.warnings_of(Evidence(tuple(runs[:3])))]
    assert warnings == [
        ("cfg 1", "1 of 2 generations are done"),
        ("cfg 2.5", "accuracy: few images"),
    ]


def without(run, *names, **changes):
    """Take measures out of all generations of a run, and change their metrics.json otherwise."""
    for generation in run.generations():
        content = {**generation.metrics(), **dict.fromkeys(names), **changes}
        content["measures"] = [r for r in content["measures"] if r["measure"] not in names]
        files.write_json(generation.folder / "metrics.json", content)
    return run


def test_quality_is_described_as_far_as_it_is_drawn(tmp_path):
    plot = every_plot()["metrics"]
    first, second, *_ = study_folder(tmp_path)
    assert caption_of(plot, Evidence((first, second))) == plot.CAPTION
    without(first, "accuracy", "recall")
    some = caption_of(plot, Evidence((first, second)))
    assert "recognises as their prompt" in some
    assert some.endswith(
        f"Not measured: {NO_ACCURACY} of cfg 1 ({UNKNOWN}), recall of cfg 1 (it is not defined for "
        f"these images)."
    )
    without(second, "accuracy", "recall", features="latent_pc")
    none = caption_of(plot, Evidence((second,)))
    titles = [axis.get_title() for axis in plot.draw(Evidence((second,))).axes if axis.axison]
    assert titles == ["Fréchet distance", "precision", "Vendi score", "diversity"]
    assert "recognises as their prompt" not in none
    assert "(recall)" not in none
    assert f"{NO_ACCURACY} (the model has no classifier)" in none


def test_distances_to_generation_0_are_described_as_such(tmp_path):
    """Without held-out images generation 0 has no distance, and there is no floor."""
    run, *_ = study_folder(tmp_path)
    without(run, reference="generation 0")
    for generation in run.generations():
        content = generation.metrics()
        rows = [{**row, "reference": row["reference"] and "generation 0"}
                for row in content["measures"]]  # fmt: skip
        if generation.number == 0:
            content |= {"frechet": None, "reference": None}
            rows = [row for row in rows if row["reference"] is None]
        files.write_json(generation.folder / "metrics.json", {**content, "measures": rows})
    caption = caption_of(every_plot()["metrics"], Evidence((run,)))
    assert "floor" not in caption
    assert "Without generation 0: no real image is held out" in caption
    (warning,) = caveats.warnings_of(Evidence((run,)))
    assert warning["text"].startswith("no real image is held out")
    assert f"qtm measure {run.folder} frechet --reference FOLDER" in warning["text"]
    assert page._summary(run)["frechet"] == "– → 23.3"


def test_what_the_summary_lacks_is_explained(tmp_path):
    run, *_ = study_folder(tmp_path)
    without(run, "accuracy", "frechet")
    texts = [warning["text"] for warning in caveats.warnings_of(Evidence((run,)))]
    assert texts[0].startswith(
        f"recognised images: unknown, because {UNKNOWN}; `qtm measure {run.folder} "
    )
    assert texts[1:] == ["Fréchet distance: unknown, because it is not defined for these images"]
    summary = page._summary(run)
    assert (summary["accuracy"], summary["frechet"]) == ("–", "–")


def test_warnings_that_a_run_began_with_are_in_its_report(tmp_path):
    run, *_ = study_folder(tmp_path)
    sessions = [{"warnings": ["captions are truncated"]}] * 2
    files.write_json(run.folder / "provenance.json", {"sessions": sessions})
    texts = [warning["text"] for warning in caveats.warnings_of(Evidence((run,)))]
    assert texts == ["captions are truncated"]


def test_two_generations_of_one_run_identify_nothing_and_decide_nothing(evidence):
    """One sentence for all traits, instead of the names of all parameters of each."""
    texts = [w["text"] for w in caveats.warnings_of(evidence) if w["run"] == "all runs"]
    labels = ", ".join(page.TRAITS)
    assert texts[0].startswith(
        f"2 generations of 1 run do not identify the parameters of a theory ({labels}): "
    )
    assert texts[1].startswith("no verdict about theories: the scores of a single run have no")
    assert not any("the data do not identify" in text for text in texts)
    assert page._unknown(evidence) == []
    assert {row["verdict"] for row in page._rows(evidence)} == {"–"}


def test_one_generation_decides_nothing_either():
    """Nothing is held out of a single generation: the data are few, but no score lacks an error."""
    (arm,) = draw_arms(every_model()["refit drift"], {}, scales=[2.5], generations=1)
    result = fit([arm], ["refit drift"], ["generations"])
    assert result.held_out.empty
    assert not caveats.has_verdicts(result)
    texts = [w["text"] for w in caveats.warnings_of(Evidence((), {"latents": result}))]
    assert texts[0].startswith("1 generation of 1 run does not identify")
    assert not any("no verdict" in text for text in texts)


def test_parameters_that_more_data_leave_open_are_named():
    model = every_model()["refit drift"]
    arms = draw_arms(model, {}, scales=[1.0, 2.5, 7.5], seeds=(0, 1))
    result = fit(arms, [model.name, "bounded family, saturating"], ["generations"])
    evidence = Evidence((), {"latents": result})
    assert caveats.has_verdicts(result)
    assert not caveats.has_few_data(result)
    assert "best" in {row["verdict"] for row in page._rows(evidence)}
    fitted = result.of(result.best_theory)
    texts = [warning["text"] for warning in caveats.warnings_of(evidence)]
    expected = f"the data do not identify {', '.join(fitted.unidentified)}"
    assert any(text.endswith(expected) for text in texts) == bool(fitted.unidentified)
    assert len(page._unknown(evidence)) == len(fitted.uninfluential) + len(
        fitted.unidentified_directions
    )


def test_variance_of_all_images_is_described_as_such(tmp_path):
    run, *_ = study_folder(tmp_path)
    plot = every_plot()["variance"]
    assert caption_of(plot, Evidence((run,))) == plot.CAPTION
    table = run.moments().assign(within=float("nan"), between=float("nan"))
    files.write_text(run.folder / "moments.csv", pd.DataFrame(table).to_csv(index=False))
    assert "Every prompt has one image" in caption_of(plot, Evidence((run,)))
    assert len(plot.draw(Evidence((run,))).axes) == 1


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([1.0, 2.0], 0.0, 2.1), ([0.0, 0.4], 0.0, 0.42), ([-1, 3], -1.2, 3.2)],
)
def test_marks_at_the_ends_of_a_panel_are_whole(values, low, high):
    axis = Figure().subplots()
    (line,) = axis.plot(values, "D")
    from_zero(axis)
    assert axis.get_ylim() == pytest.approx((low, high))
    assert not line.get_clip_on()


def test_the_report_is_one_file_with_all_of_it(evidence, tiny_run, tmp_path):
    page.write([tiny_run], tmp_path / "r.html", "A <title>", evidence.fits)
    html = (tmp_path / "r.html").read_text()
    drawn = re.findall(r'src="data:image/(png|svg\+xml);base64,', html)
    assert len(drawn) == len(set(every_plot()) - set(OF_SEVERAL))
    assert html.count("<figcaption>") == len(drawn)
    assert 'name="viewport"' in html
    assert "@media print" in html
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    assert "A &lt;title&gt;" in html
    assert describe(tiny_run) in html
    for theory in ("family DDIM", "truncation", "stabilizing", "no change"):
        assert theory in html
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
