"""The report: one self-contained HTML file about a few runs."""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from analysis.compare import Comparison, compare
from analysis.series import series
from empirical import files
from empirical.errors import UserError
from empirical.records import Run
from figures import style
from figures.evidence import Evidence, describe
from figures.plots import every_plot
from figures.write import render

# Which traits a report fits: label -> (trait, components or None for all).
TRAITS: Mapping[str, tuple[str, Sequence[int] | None]] = {
    "latents, 8 axes": ("latent_pc", None),
    "latent axis 1": ("latent_pc", [0]),
    "brightness": ("pixel_mean", None),
    "sharpness": ("sharpness", None),
}


def fits(
    runs: Sequence[Run], advance: Callable[[], None] = lambda: None
) -> dict[tuple[str, str], Comparison]:
    """Compare all theories on the report's traits of every run with two generations or more.

    Traits that a run cannot offer (no variance within prompts, say) are left out.
    """
    found = {}
    for run in runs:
        for label, (trait, components) in TRAITS.items():
            try:
                data = series(run, trait, components)
            except UserError:
                data = None
            if data is not None and data.generations >= 2:
                found[run.name, label] = compare(data)
            advance()
    return found


def write(
    runs: Sequence[Run], path: Path, title: str, comparisons: Mapping[tuple[str, str], Comparison]
) -> None:
    """Draw every figure and write the report, atomically."""
    evidence = Evidence(tuple(runs), dict(comparisons))
    plots = []
    with plt.style.context(style.FILE):
        for name, module in every_plot().items():
            figure = module.draw(evidence)
            if figure is not None:
                heading = (module.__doc__ or name).strip().splitlines()[0].rstrip(".")
                plots.append(
                    {
                        "title": heading,
                        "caption": module.CAPTION,
                        "name": name.replace("_", "-"),
                        "picture": _picture(figure),
                        "wide": figure.get_size_inches()[0] > style.COLUMN,
                    }
                )
    environment = Environment(loader=PackageLoader("figures"), autoescape=True)
    html = environment.get_template("report.html.j2").render(
        title=title,
        subtitle=_subtitle(runs),
        summary=[_summary(run) for run in runs],
        warnings=warnings_of(evidence),
        plots=plots,
        fits=_rows(evidence),
        recipes=[_made(run) for run in runs],
    )
    files.write_text(path, html)


def warnings_of(evidence: Evidence) -> list[dict[str, str]]:
    """Return what a reader must know before trusting the numbers: of which run, and what."""
    said = []
    for run in evidence.runs:
        generations, wanted = run.generations(), run.recipe.generations
        if len(generations) <= wanted:
            done = len(generations) - 1
            said.append((run.name, f"{done} of {wanted} generations are done"))
        cautions = {
            f"{row['measure']}: {row['caution']}"
            for generation in generations
            for row in generation.metrics().get("measures", [])
            if row["caution"]
        }
        said += [(run.name, caution) for caution in sorted(cautions)]
    for (run, label), comparison in evidence.comparisons.items():
        if not comparison.beats_no_change:
            said.append((run, f"{label}: no theory predicts better than the forecast of no change"))
        best = comparison.best.fit
        said += [(run, f"{label}, {best.theory.name}: {text}") for text in best.warnings]
    return [{"run": run, "text": text} for run, text in said]


def _picture(figure: Figure) -> str:
    """Return a figure as the address of an image: as points where it is made of points."""
    points = any(axis.images for axis in figure.axes)
    kind, media = ("png", "png") if points else ("svg", "svg+xml")
    content = render(figure, kind)
    return f"data:image/{media};base64,{base64.b64encode(content).decode()}"


def _subtitle(runs: Sequence[Run]) -> str:
    models = ", ".join(dict.fromkeys(run.recipe.model.name for run in runs))
    seeds = ", ".join(dict.fromkeys(str(run.recipe.seed) for run in runs))
    return f"Model {models}; one chain a setting, seed {seeds}: a few percent may be noise."


def _summary(run: Run) -> dict[str, object]:
    table = run.moments()
    latent = table[table["feature"] == "latent"].groupby("generation")[["within", "between"]].mean()
    ratio = latent.iloc[-1] / latent.iloc[0]
    metrics = run.metrics()
    return {
        "run": run.name,
        "what": describe(run),
        "generations": int(latent.index[-1]),
        "images": run.recipe.data.size,
        "within": _or_dash(ratio["within"]),
        "between": _or_dash(ratio["between"]),
        "accuracy": _from_to(metrics["accuracy"], ".2f"),
        "frechet": _from_to(metrics["frechet"], ".1f"),
    }


def _or_dash(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _from_to(column: pd.Series, how: str) -> str:
    if column.isna().any():
        return "–"
    return f"{column.iloc[0]:{how}} → {column.iloc[-1]:{how}}"


def _rows(evidence: Evidence) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for (run, label), comparison in evidence.comparisons.items():
        for place, row in enumerate(comparison.table().to_dict("records")):
            numbers = {
                name: f"{row[name]:.3f}"
                for name in ("score", "mean_error", "within_error", "between_error")
            }
            rows.append(
                {
                    **row,
                    **numbers,
                    "aicc": f"{row['aicc']:.1f}",
                    "run": run,
                    "trait": label,
                    "first": place == 0,
                }
            )
    return rows


def _made(run: Run) -> dict[str, str]:
    return {
        "name": run.name,
        "recipe": (run.folder / "recipe.toml").read_text(encoding="utf-8"),
        "provenance": (run.folder / "provenance.json").read_text(encoding="utf-8"),
    }
