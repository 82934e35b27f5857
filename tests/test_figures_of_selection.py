"""The figures of `qtm select`, and the section of the report."""

import numpy as np
import pytest

from analysis.selection.read import Measured
from analysis.selection.tables import tables
from empirical.runs import kept
from figures import selection
from figures.evidence import Evidence
from figures.report.plots import caption_of, variance
from figures.report.plots import selection as section
from tests.helpers import selected_runs


@pytest.fixture(scope="module")
def measured(tiny_run):
    return tables([Measured(tiny_run)])


def test_bars_add_up_to_the_change(measured):
    figure = selection.draw_parts(measured.price)
    rows = measured.price.query("trait == 'latent' and component.isna() and prompt.isna()")
    unit = rows[(rows["generation"] == 1) & rows["quantity"].isin(["within", "between"])]
    unit = unit["before"].sum()
    axes = [axis for axis in figure.axes if axis.patches]
    for axis, quantity in zip(axes, ("within", "between"), strict=True):
        heights = {}
        for bar in axis.patches:
            x = round(bar.get_x() + bar.get_width() / 2)
            heights[x] = heights.get(x, 0.0) + bar.get_height()
        mine = rows[rows["quantity"] == quantity].set_index("generation")
        change = (mine["after"] - mine["before"]) / unit
        assert sorted(heights) == [1, 2]
        np.testing.assert_allclose([heights[1], heights[2]], change, atol=1e-12)
        (line,) = (
            line for line in axis.lines if len(line.get_xdata()) == 2 and line.get_marker() == "o"
        )
        np.testing.assert_allclose(line.get_ydata(), change)


def test_traits_are_those_with_one_component(measured):
    figure = selection.draw_traits(measured.selection)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert {"pixel mean", "sharpness", "leading latent axis"} <= set(names)
    assert not {"power spectrum", "latent", "classifier"} & set(names)


def test_files_and_captions_are_written(measured, tmp_path):
    selection.write(measured.selection, measured.price, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}.{kind}" for name in ("parts", "traits") for kind in ("pdf", "png", "txt")
    )


def test_the_report_has_the_section_where_there_are_draws(tiny_run, tmp_path):
    import shutil

    assert section.draw(Evidence((tiny_run,))) is not None
    shutil.copytree(tiny_run.folder, tmp_path / "run")
    for folder in (tmp_path / "run").glob("gen_*/draws"):
        shutil.rmtree(folder)
    assert section.draw(Evidence((type(tiny_run)(tmp_path / "run"),))) is None


def test_the_report_has_the_section_of_kept_runs():
    run = next(run for run in kept.runs("transmission") if run.name.startswith("redifine"))
    figure = section.draw(Evidence((run,)))
    assert figure is not None
    assert [axis.get_ylabel() for axis in figure.axes] == ["change of $V_W$", "change of $V_B$"]


def test_one_image_a_prompt_without_replicates_shows_its_total_variance(tmp_path, monkeypatch):
    captions = [f"caption {i}" for i in range(24)]
    run = selected_runs.write(tmp_path / "run", captions)
    alone = tables([Measured(run)])
    figure = selection.draw_parts(alone.price)
    assert [axis.get_ylabel() for axis in figure.axes] == ["change of the variance"]
    assert figure.axes[0].patches
    assert "unknown: one image a prompt" in texts(selection.draw_traits(alone.selection))
    assert "prompts have one image and no replicate" in selection.parts_caption(alone.price)
    assert "(a)" not in selection.parts_caption(alone.price)
    monkeypatch.setattr(section, "_price", lambda _: alone.price)
    assert "(orange). Differences among all images: every" in caption_of(section, Evidence(()))
    # Beside a run with replicates its panels say that they are unknown.
    both = selected_runs.write(tmp_path / "both", captions, replicates=1)
    price = tables([Measured(run), Measured(both)]).price
    monkeypatch.setattr(section, "_price", lambda _: price)
    assert caption_of(section, Evidence(())) == section.CAPTION
    assert "within prompts (a) and between prompts (b)" in selection.parts_caption(price)
    figure = selection.draw_parts(tables([Measured(run), Measured(both)]).price)
    assert texts(figure).count("unknown") == 2
    assert len(figure.axes) == 4
    assert figure.legends[0].get_texts()


def texts(figure):
    """The words written into panels."""
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def test_the_report_shows_the_variance_of_all_images_where_no_part_is_known(tiny_run, tmp_path):
    import shutil

    shutil.copytree(tiny_run.folder, tmp_path / "run")
    run = type(tiny_run)(tmp_path / "run")
    table = run.moments()
    table[["within", "between"]] = np.nan
    table.to_csv(run.folder / "moments.csv", index=False)
    (axis,) = variance.draw(Evidence((run,))).axes
    expected = table[table["feature"] == "latent"].groupby("generation")["variance"].mean()
    np.testing.assert_allclose(axis.lines[0].get_ydata(), expected / expected[0])
    assert len(variance.draw(Evidence((run, tiny_run))).axes) == 2
