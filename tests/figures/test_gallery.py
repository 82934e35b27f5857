"""Every figure of the study: drawn from small runs, legible, and as large as it is printed."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from empirical.errors import UserError
from figures import style, write
from figures.commands import gallery
from figures.fitted import Fitted, one_link_each
from figures.gallery import every_figure, phase_diagram, trait_densities
from figures.study import SCALE, Study
from tests.helpers.small_runs import fit_folder, study_folder


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    runs = study_folder(tmp_path_factory.mktemp("small"))
    return Study(tuple(runs), Fitted(fit_folder(tmp_path_factory.mktemp("fit"), runs)))


@pytest.fixture(scope="module")
def drawn(study):
    """Figures by name, each drawn once."""
    made: dict[str, Figure] = {}

    def draw(name):
        if name not in made:
            with plt.style.context(style.FILE):
                made[name] = every_figure()[name].draw(study)
                FigureCanvasAgg(made[name]).draw()
        return made[name]

    return draw


def panels(figure):
    return [axis for axis in figure.findobj(plt.Axes) if axis.axison]


def test_figures_are_numbered_one_by_one():
    numbers = [module.NUMBER for module in every_figure().values()]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("name", every_figure())
def test_a_figure_says_what_is_to_be_seen_and_what_made_it(name):
    module = every_figure()[name]
    assert len(module.CAPTION) > 200
    assert module.MADE_BY


@pytest.mark.parametrize("name", every_figure())
def test_a_figure_is_drawn_with_something_in_every_panel(name, drawn):
    figure = drawn(name)
    assert panels(figure)
    assert all(axis.has_data() for axis in panels(figure))


@pytest.mark.parametrize("name", every_figure())
def test_a_figure_has_the_width_of_a_column_or_a_page(name, drawn):
    assert drawn(name).get_size_inches()[0] in (style.COLUMN, style.PAGE)


def texts(figure):
    """Return the texts of a figure, and apart from them the tick labels, some of them not drawn."""
    axes = figure.findobj(plt.Axes)
    ticks = {
        id(label)
        for axis in (axis for panel in axes for axis in (panel.xaxis, panel.yaxis))
        for tick in (*axis.majorTicks, *axis.minorTicks)
        for label in (tick.label1, tick.label2)
    }
    hidden = {id(t) for panel in axes if not panel.axison for t in panel.findobj(Text)}
    written = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    return [t for t in written if id(t) not in ticks | hidden], [
        t for t in written if id(t) in ticks
    ]


@pytest.mark.parametrize("name", every_figure())
def test_text_is_at_least_six_points_and_nothing_is_cut_off(name, drawn):
    figure = drawn(name)
    written, ticks = texts(figure)
    assert written
    assert min(text.get_fontsize() for text in (*written, *ticks)) >= 6
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 > -0.02
    assert box.y0 > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02


@pytest.mark.parametrize("name", every_figure())
def test_no_text_lies_on_another(name, drawn):
    written, _ = texts(drawn(name))
    boxes = [(text.get_text(), text.get_window_extent().padded(-1.5)) for text in written]
    lying = [
        (upper, lower)
        for i, (upper, first) in enumerate(boxes)
        for lower, second in boxes[:i]
        if first.overlaps(second)
    ]
    assert not lying


def test_samples_of_gaussians_lie_on_the_line_of_their_operator(drawn):
    # The relative standard error of a variance of n images is sqrt(2/n); steps of the sampler
    # make DDIM's smaller by up to a tenth at the highest scale.
    axis = drawn("guidance_operators").axes[0]
    lines = {line.get_label(): line.get_xydata() for line in axis.lines}
    marks = [line.get_xydata() for line in axis.lines if line.get_linestyle() == "None"]
    assert len(marks) == 2
    for label, measured in zip(("DDIM", "DDPM"), marks, strict=True):
        law = np.interp(measured[:, 0], *lines[label].T)
        assert np.abs(np.log(measured[:, 1] / law)).max() < 4 * np.sqrt(2 / 1000)
        tilt = np.interp(measured[:, 0], *lines["tilt"].T)
        beyond = measured[:, 0] > 2
        assert (measured[beyond, 1] < 0.8 * tilt[beyond]).all()


def test_runs_are_distinguished_by_their_recipes(study):
    assert list(study.scales()) == [1.0, 2.5, 7.5]
    assert [run.name for run in study.scales()[7.5]] == ["cfg 7.5", "seed"]
    steps = next(run for run in study.runs if run.name == "steps")
    assert study.differences(steps) == {"finetune.steps": 400}
    weak = next(run for run in study.runs if run.name == "cfg 1")
    assert study.differences(weak) == {SCALE: 1.0}
    assert [run.name for run in study.find({"finetune.condition_drop": 0.2})] == ["drop"]


def test_a_curve_holds_its_seeds(study):
    curve = study.measured(study.scales()[7.5], "frechet")
    assert curve.each.shape == (2, 3)
    assert curve.mean == pytest.approx([3.3, 78.3, 153.3])
    assert study.variance(study.scales()[1.0], "within").mean[0] == 1
    with pytest.raises(UserError, match="no measure 'charm'"):
        study.measured(study.runs[:1], "charm")


def test_writing_gives_pictures_and_a_caption_that_are_the_same_again(study, tmp_path):
    module = every_figure()["training_sets"]
    paths = write.write(module, study, tmp_path / "a", write.FORMATS)
    again = write.write(module, study, tmp_path / "b", write.FORMATS)
    assert [p.suffix for p in paths] == [".pdf", ".png", ".svg", ".txt"]
    for path, other in zip(paths, again, strict=True):
        assert path.read_bytes() == other.read_bytes(), path.name
    assert module.MADE_BY in paths[-1].read_text()
    caption = write.write(module, study, tmp_path / "c", ["png"], others=True)[-1].read_text()
    assert module.MADE_BY not in caption
    assert f"{len(study.runs)} runs ({study.runs[0].name}" in caption
    assert caption.index("was written for the kept chains") < caption.index(module.CAPTION)


def test_without_fitting_runs_a_figure_says_so(study):
    cads = Study(tuple(run for run in study.runs if run.name == "cads"))
    with pytest.raises(UserError, match="constant guidance scale"):
        every_figure()["degradation"].draw(cads)


def test_a_fit_is_read_and_scored(study, tmp_path):
    scores = study.fitted.scores().set_index(["model", "kind"])
    assert scores.loc[("no change", "scale"), "log_score"] == pytest.approx(-0.4)
    assert scores.loc[("family DDIM, log", "generations"), "within"] == pytest.approx(0.1)
    assert study.fitted.best == "family DDIM, log"
    assert one_link_each(study.fitted.models) == ["family DDIM, log", "no change"]
    assert study.fitted.posterior() == {}
    with pytest.raises(UserError, match=r"no comparison\.csv"):
        Fitted(tmp_path).best  # noqa: B018
    with pytest.raises(UserError, match="needs a fit"):
        Study(study.runs).fitted  # noqa: B018


def test_a_theory_that_is_right_gives_the_density_that_was_measured(study):
    run = study.scales()[7.5][0]
    z = np.linspace(-80, 80, 4001)
    for generation in (0, 2):
        p = trait_densities.density(study, run, generation, z)
        measured = run.generation(generation).trait("latent_pc")[:, 0].astype(float)
        assert np.trapezoid(p, z) == pytest.approx(1, abs=1e-6)
        mean = np.trapezoid(z * p, z)
        variance = np.trapezoid((z - mean) ** 2 * p, z)
        assert mean == pytest.approx(measured.mean(), abs=4 * measured.std() / np.sqrt(40))
        assert 0.4 < variance / measured.var() < 2.5


def test_regression_to_the_base_finds_what_made_it():
    t = np.arange(7)[:, None]
    made = 2.0 + np.array([0.3, -0.1]) * (1 - 0.8**t) / 0.2
    grid = trait_densities.regression(made, seen=4)
    assert grid == pytest.approx(made, abs=1e-4)


def marks_of(figure):
    """Places of the marks of the map of the phase diagram, by their label."""
    lines = [line for line in figure.axes[0].lines if str(line.get_label()).startswith("CFG")]
    return {line.get_label(): (line.get_xydata(), line) for line in lines}


def test_the_map_reaches_to_its_marks(study, monkeypatch):
    """A scale of 0.5 and a heritability of 1.5 extend the map; no mark is cut off."""
    monkeypatch.setattr(phase_diagram, "place", lambda _, run: (0.5, 1.5))
    axis = phase_diagram.draw(study).axes[0]
    (x, y) = (axis.get_xlim(), axis.get_ylim())
    assert x == pytest.approx((0.5 / 1.1, 10))
    assert y == pytest.approx((0.4, 1.5 * 1.03 + 0.03))
    assert phase_diagram.caption(study) == phase_diagram.CAPTION


def test_marks_outside_of_the_map_are_white_and_at_its_edge(study, monkeypatch):
    far = {2.5: (-1.0, 0.7), 7.5: (2.0, 9.0)}
    scale = lambda run: run.recipe.settings.generate.guidance.scale
    monkeypatch.setattr(phase_diagram, "place", lambda _, run: far.get(scale(run), (1.2, 0.9)))
    marks = marks_of(phase_diagram.draw(study))
    assert set(marks) == {"CFG 1", "CFG 2.5, outside", "CFG 7.5, outside"}
    for label, edge in (("CFG 2.5, outside", (0.8, 0.7)), ("CFG 7.5, outside", (2.0, 2.5))):
        places, line = marks[label]
        assert places == pytest.approx(np.array([edge] * len(places)))
        assert line.get_markerfacecolor() == "white"
        assert not line.get_clip_on()
    assert marks["CFG 1"][1].get_markerfacecolor() != "white"
    caption = phase_diagram.caption(study)
    assert caption.startswith(phase_diagram.CAPTION)
    assert "cfg 2.5 (scale -1, heritability 0.7)" in caption
    assert "cfg 7.5 (scale 2, heritability 9)" in caption
    assert "cfg 1 " not in caption


def test_a_caption_of_the_runs_is_written(study, tmp_path, monkeypatch):
    monkeypatch.setattr(phase_diagram, "place", lambda _, run: (1.2, 9.0))
    write.write(phase_diagram, study, tmp_path, ("svg",))
    text = (tmp_path / "phase_diagram.txt").read_text()
    assert "White marks at the edge lie outside of the map: cfg 1 (scale 1.2, heri" in text


def test_the_command(study, tmp_path, monkeypatch, capsys):
    from qtm.__main__ import main

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["qtm", "figures", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    folder = study.runs[0].folder.parent
    code, out, _ = call("--list")
    assert code == 0
    assert all(name in out for name in every_figure())
    code, out, _ = call("degradation", "--runs", folder, "--out", tmp_path / "o", "--format", "svg")
    assert code == 0
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == [
        "degradation.svg",
        "degradation.txt",
    ]
    two = ("degradation", "contact_sheet")
    code, _, progress = call(*two, "--runs", folder, "--out", tmp_path / "p", "--format", "svg")
    assert code == 0
    lines = [line for line in progress.splitlines() if " of " in line]
    assert lines == ["degradation, 1 of 2", "contact_sheet, 2 of 2"]
    code, _, output = call("nonsense", "--out", tmp_path / "x")
    assert code == 2
    assert "there is no figure 'nonsense'" in output
    code, _, output = call("--runs", tmp_path, "--out", tmp_path / "x")
    assert code == 2
    assert "no folder of a run" in output
    assert not (tmp_path / "x").exists()


def test_a_scan_beside_runs_is_none_of_them(tmp_path):
    runs = study_folder(tmp_path)
    (runs[0].folder / "scan.json").write_text("{}")
    names = [run.name for run in gallery._study(tmp_path, "", None).runs]
    assert names == sorted(run.name for run in runs[1:])


def test_other_kept_runs_have_figures_too(qtm, tmp_path):
    code, out, _ = qtm("figures", "degradation", "--kept", "emoji", "--out", tmp_path,
                       "--format", "png")  # fmt: skip
    assert code == 0, out
    assert "17 runs (" in (tmp_path / "degradation.txt").read_text()
    assert gallery._study(None, "emoji", None).fitted.models[0]
    for words, message in (
        (("--kept", "emojis"), "there are no kept runs 'emojis', there are embedded, emoji"),
        (("--kept", "emoji", "--runs", tmp_path), "not of both"),
    ):
        code, _, complaint = qtm("figures", *words, "--out", tmp_path)
        assert code == 2
        assert message in complaint
