"""Every figure that the package lists, and the report that they make up."""

import re

import pytest
from matplotlib.figure import Figure

from figures import report
from figures.evidence import Evidence, describe
from figures.plots import every_plot


@pytest.fixture(scope="module")
def evidence(tiny_run):
    return Evidence((tiny_run,), report.fits([tiny_run]))


def test_a_report_fits_what_it_says(evidence, tiny_run):
    assert set(evidence.comparisons) == {(tiny_run.name, label) for label in report.TRAITS}


@pytest.mark.parametrize("name", every_plot())
def test_every_figure_is_drawn_with_something_in_it(name, evidence, tmp_path):
    module = every_plot()[name]
    assert len(module.CAPTION) > 40
    figure = module.draw(evidence)
    assert isinstance(figure, Figure)
    assert all(axis.has_data() for axis in figure.axes if axis.axison)
    figure.savefig(tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 5_000


def test_figures_do_without_fits(tiny_run):
    bare = Evidence((tiny_run,))
    assert every_plot()["traits"].draw(bare) is None
    assert isinstance(every_plot()["variance"].draw(bare), Figure)


def test_the_report_is_one_file_with_all_of_it(evidence, tiny_run, tmp_path):
    report.write([tiny_run], tmp_path / "r.html", "A <title>", evidence.comparisons)
    html = (tmp_path / "r.html").read_text()
    assert html.count("data:image/png;base64,") == len(every_plot())
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert "A &lt;title&gt;" in html
    assert describe(tiny_run) in html
    for theory in ("guidance", "truncation", "stabilizing", "no change"):
        assert theory in html
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
