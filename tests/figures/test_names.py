"""Names given by users are drawn literally in legends, titles and reports."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser

from figures import pieces, text
from figures.evidence import Evidence
from figures.fitted import Fitted
from figures.report import page
from figures.report.plots import every_plot
from figures.write import render
from tests.helpers.small_runs import study_folder

ROOT = Path(__file__).parents[2]
NAMES = ["cost $5_{", "$V_W$", "_hidden", "50 % \\frac", "a^b & <c>", "x" * 180, "007"]


def renamed(run, name):
    target = run.folder.with_name(name)
    run.folder.rename(target)
    return type(run)(target)


@pytest.mark.parametrize("name", NAMES)
def test_every_plot_draws_a_name_as_it_is(tmp_path, name, monkeypatch):
    parsed = []
    parse = MathTextParser.parse

    def noted(self, s, *rest, **more):
        parsed.append(s)
        return parse(self, s, *rest, **more)

    monkeypatch.setattr(MathTextParser, "parse", noted)
    run = renamed(next(r for r in study_folder(tmp_path) if r.name == "cfg 7.5"), name)
    evidence = Evidence((run,))
    drawn = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for module in every_plot().values():
            figure = module.draw(evidence)
            if figure is None:
                continue
            render(figure, "svg")
            drawn += 1
            for legend in figure.legends:
                shown = [line.get_text() for line in legend.get_texts()]
                assert shown == [f"{text.shortened(name, 60)} (CFG 7.5)"]
    assert drawn >= 6
    # Only our formulas and tick numbers are mathematics.
    assert not [s for s in parsed if name[:20] in s and name != "$V_W$"]
    assert "$V_W$" not in parsed


def test_titles_of_raw_figures_are_literal_too():
    figure = Figure()
    axis = figure.subplots()
    axis.set_title("$x_{")
    axis.set_yscale("log")
    axis.plot([0, 1], [1e-6, 1.0])
    pieces.formula(axis.set_ylabel("$V_W$"))
    svg = render(figure, "svg")
    assert b"$x_{" in svg  # matplotlib notes the text beside the shapes of its letters
    assert axis.yaxis.label.get_parse_math()
    assert all(label.get_parse_math() for label in axis.get_yticklabels())


def test_letters_without_a_glyph_are_reported_once(monkeypatch):
    figure = Figure()
    figure.subplots(1, 2)[0].set_title("運行 🙂 運行")
    monkeypatch.setattr(text, "_family_with", lambda letter: None)
    with pytest.warns(UserWarning, match="no font of this machine has 運 行 🙂") as caught:
        render(figure, "png")
    assert len(caught) == 1


def test_letters_come_from_fonts_that_have_them():
    """The default font lacks a letter that another font has."""
    letter = next(
        chr(code)
        for entry in font_manager.fontManager.ttflist
        if entry.name == "STIXGeneral" and entry.style == "normal"
        for code in sorted(text._letters_of(entry.fname))
        if chr(code).isprintable()
        and not text._has(font_manager.findfont("DejaVu Sans"), chr(code))
        and text._family_with(chr(code))
    )
    figure = Figure()
    title = figure.subplots().set_title(f"a {letter}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        render(figure, "svg")
    assert text._family_with(letter) in title.get_fontfamily()


def test_names_are_one_line_of_letters():
    assert text.printable("a\nb\x07c\udcff") == "a b\ufffdc\ufffd"
    assert text.shortened("short", 10) == "short"
    assert text.shortened("0123456789abcdef", 9) == "0123…cdef"


@pytest.mark.slow
def test_a_report_of_odd_names_escapes_them(tmp_path):
    run = renamed(study_folder(tmp_path / "runs")[0], "<b>$x_$ & 日本")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        page.write([run], tmp_path / "r.html", "$t_$ <i>", {})
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;$x_$ &amp; 日本" in html
    assert "$t_$ &lt;i&gt;" in html
    assert "<b>$x_$" not in html


@pytest.mark.parametrize(
    ("gone", "heading"),
    [
        ("gen_*/probes/*", "contact-sheets"),
        *(
            pytest.param(gone, heading, marks=pytest.mark.slow)
            for gone, heading in [
                ("gen_*/loss.csv", "losses"),
                ("gen_*/metrics.json", "metrics"),
                ("gen_*/features/*", "histograms"),
                ("moments.csv", "variance"),
                ("provenance.json", None),
            ]
        ),
    ],
)
def test_a_report_leaves_out_what_a_run_lacks_and_says_so(tmp_path, gone, heading, monkeypatch):
    monkeypatch.setattr(page, "forecasts", lambda runs: ({}, []))
    run = study_folder(tmp_path / "runs")[0]
    for path in run.folder.glob(gone):
        path.unlink()
    page.write([run], tmp_path / "r.html", "t", {})
    html = (tmp_path / "r.html").read_text()
    if heading is None:
        assert "provenance.json is not stored" in html
    else:
        assert f'<h2 id="{heading}">' not in html
        assert "is left out: " in html


def test_a_fit_knows_runs_that_are_named_like_numbers(tmp_path):
    head = "model,holdout,run,generation,component,quantity,measured,predicted,low,high,log_density"
    rows = "".join(f"m,scale 1,{run},1,0,within,0,0.5,0,1,0\n" for run in ("007", "NA", "1e3"))
    (tmp_path / "predictions.csv").write_bytes(f"\ufeff{head}\r\n{rows}".encode())
    for run in ("007", "NA", "1e3"):
        assert len(Fitted(tmp_path).predicted("m", "scale", run, "within")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense"])
def test_the_backend_of_a_notebook_breaks_no_command(tmp_path, monkeypatch, backend):
    monkeypatch.setenv("MPLBACKEND", backend)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    words = [sys.executable, "-m", "qtm", "simulate", "--generations", "2", "--plot",
             str(tmp_path / "p.png")]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p.png").stat().st_size > 1000
    code = (
        "import sys, figures; from pathlib import Path\n"
        "from analysis._arviz import arviz; arviz()\n"
        "from matplotlib.figure import Figure; from figures.write import render\n"
        "Path(sys.argv[1]).write_bytes(render(Figure(), 'png'))"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "library.png")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "library.png").is_file()
