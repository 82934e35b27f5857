"""Every figure of the report, and the report itself."""

import json
import re

import pytest
from matplotlib.figure import Figure

from figures.evidence import Evidence, describe
from figures.report import page
from figures.report.plots import every_plot
from figures.style import COLUMN, PAGE, scale_colour
from tests.helpers.small_runs import study_folder


@pytest.fixture(scope="module")
def evidence(tiny_run):
    predicted, refused = page.forecasts([tiny_run])
    assert not refused
    return Evidence((tiny_run,), page.fits([tiny_run]), predicted)


def test_a_report_fits_what_it_says(evidence, tiny_run):
    assert set(evidence.fits) == set(page.TRAITS)


@pytest.mark.parametrize("name", every_plot())
def test_every_figure_is_drawn_with_something_in_it(name, evidence, tmp_path):
    module = every_plot()[name]
    assert len(module.CAPTION) > 40
    figure = module.draw(evidence)
    assert isinstance(figure, Figure)
    assert all(axis.has_data() for axis in figure.axes if axis.axison)
    assert figure.get_size_inches()[0] in (COLUMN, PAGE)
    figure.savefig(tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 5_000


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
    warnings = [(w["run"], w["text"]) for w in page.warnings_of(Evidence(tuple(runs[:3])))]
    assert warnings == [
        ("cfg 1", "1 of 2 generations are done"),
        ("cfg 2.5", "accuracy: few images"),
    ]


def test_the_report_is_one_file_with_all_of_it(evidence, tiny_run, tmp_path):
    page.write([tiny_run], tmp_path / "r.html", "A <title>", evidence.fits)
    html = (tmp_path / "r.html").read_text()
    drawn = re.findall(r'src="data:image/(png|svg\+xml);base64,', html)
    assert len(drawn) == len(every_plot())
    assert html.count("<figcaption>") == len(drawn)
    assert 'name="viewport"' in html
    assert "@media print" in html
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    assert "A &lt;title&gt;" in html
    assert describe(tiny_run) in html
    for theory in ("family DDIM", "truncation", "stabilizing", "no change"):
        assert theory in html
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
