"""The report: one self-contained HTML file about a few runs."""

import base64
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from analysis.arms.read import arms
from analysis.comparison.fit import NAIVE, Result, fit
from analysis.prediction.forecast import Forecast, forecast, quantiles
from empirical import files
from empirical.errors import UserError
from empirical.runs.record import Run
from figures import style
from figures.evidence import Evidence, describe
from figures.report import caveats
from figures.report.plots import caption_of, every_plot
from figures.study import metrics
from figures.text import printable
from figures.write import render
from qtm.progress import Progress, no_progress

_NO_MOMENTS = pd.DataFrame({"feature": [], "generation": [], "within": [], "between": []})
# Number of generations that a report forecasts.
AHEAD = 10
# Traits that a report fits: label -> (trait, components or None for all).
TRAITS: Mapping[str, tuple[str, Sequence[int] | None]] = {
    "latents": ("latent", None),
    "latent axis 1": ("latent_pc", [0]),
    "brightness": ("pixel_mean", None),
    "sharpness": ("sharpness", None),
}
# One link per theory: a few runs seldom separate links.
MODELS = (
    "truncation, saturating",
    "stabilizing, saturating",
    "refit drift",
    "family DDIM, saturating",
    "bounded family, saturating",
)


def fits(runs: Sequence[Run], progress: Progress = no_progress) -> dict[str, Result]:
    """Fit theories to the report's traits, with parameters shared by all runs; by label.

    Later generations are held out where there are two or more. Traits that cannot be fitted (no
    variance within prompts, say), and all where no run can, are left out.
    """
    results = {}
    for label, (trait, components) in TRAITS.items():
        with suppress(UserError):
            results[label] = fit(runs, MODELS, ["generations"], trait, components)
        progress(1)
    return results


def forecasts(
    runs: Sequence[Run], generations: int = AHEAD
) -> tuple[dict[str, Forecast], list[tuple[str, str]]]:
    """Forecast each run by a theory fitted to all of them.

    Return the forecasts, and the reasons for runs left out, which no theory describes.
    """
    try:
        described, left_out = arms(runs)
    except UserError as error:
        return {}, [("all runs", f"no forecast: {error}")]
    by_run: dict[str, Forecast] = {}
    fitted = None
    for target in described:
        others = [other for other in described if other is not target]
        by_run[target.name] = forecast([target, *others], generations, fitted=fitted)
        fitted = by_run[target.name].fitted
    return by_run, [("all runs", f"no forecast: {reason}") for reason in left_out]


def write(runs: Sequence[Run], path: Path, title: str, results: Mapping[str, Result]) -> None:
    """Draw every figure and write the report, atomically."""
    predicted, refused = forecasts(runs)
    evidence = Evidence(tuple(runs), dict(results), predicted)
    plots, left_out = [], []
    with plt.style.context(style.FILE):
        for name, module in every_plot().items():
            heading = (module.__doc__ or name).strip().splitlines()[0].rstrip(".")
            try:
                figure = module.draw(evidence)
            except UserError as error:
                left_out.append(("all runs", f"{heading} is left out: {error}"))
                continue
            if figure is None:
                left_out.append(("all runs", f"{heading} is left out: the runs lack its data"))
            else:
                plots.append(
                    {
                        "title": heading,
                        "caption": caption_of(module, evidence),
                        "name": name.replace("_", "-"),
                        "picture": _picture(figure),
                        "wide": figure.get_size_inches()[0] > style.COLUMN,
                    }
                )
    environment = Environment(loader=PackageLoader("figures"), autoescape=True)
    html = environment.get_template("report.html.j2").render(
        title=printable(title),
        subtitle=_subtitle(runs),
        summary=[_summary(run) for run in runs],
        warnings=caveats.warnings_of(evidence, [*refused, *left_out]),
        forecasts=_forecasts(evidence),
        ahead=AHEAD,
        plots=plots,
        fits=_rows(evidence),
        unknown=_unknown(evidence),
        recipes=[_made(run) for run in runs],
    )
    files.write_text(path, html)


def _forecasts(evidence: Evidence) -> list[dict[str, str]]:
    rows = []
    for run, prediction in evidence.forecasts.items():
        lives = prediction.half_lives()
        rows.append(
            {
                "run": printable(run),
                "within": _with_interval(lives["within"], ".0f"),
                "total": _with_interval(lives["total"], ".0f"),
                "neutral": _with_interval(quantiles(prediction.neutral), ".2f"),
                "real": _with_interval(quantiles(100 * prediction.real), ".0f", " %"),
            }
        )
    return rows


def _with_interval(values: tuple[float, float, float], how: str, unit: str = "") -> str:
    low, middle, high = (f"{v:{how}}{unit}" if math.isfinite(v) else "none" for v in values)
    return middle if low == middle == high else f"{middle} ({low} to {high})"


def _picture(figure: Figure) -> str:
    """Return a figure as a data URL: a bitmap if it contains images, else a vector graphic."""
    points = any(axis.images for axis in figure.axes)
    kind, media = ("png", "png") if points else ("svg", "svg+xml")
    content = render(figure, kind)
    return f"data:image/{media};base64,{base64.b64encode(content).decode()}"


def _subtitle(runs: Sequence[Run]) -> str:
    models = ", ".join(dict.fromkeys(printable(run.recipe.model.name) for run in runs))
    seeds = ", ".join(dict.fromkeys(str(run.recipe.seed) for run in runs))
    return f"Model {models}; one chain per setting, seed {seeds}; chance is in the error bars."


def _summary(run: Run) -> dict[str, object]:
    table = run.moments() if (run.folder / "moments.csv").is_file() else _NO_MOMENTS
    latent = table[table["feature"] == "latent"].groupby("generation")[["within", "between"]].mean()
    ratio = latent.iloc[-1] / latent.iloc[0] if len(latent) else {}
    measured = pd.DataFrame([metrics(generation) for generation in run.generations()])
    return {
        "run": printable(run.name),
        "what": describe(run),
        "generations": run.generations()[-1].number,
        "images": run.recipe.data.size,
        "within": _or_dash(ratio.get("within", math.nan)),
        "between": _or_dash(ratio.get("between", math.nan)),
        "accuracy": _from_to(measured.get("accuracy"), ".2f"),
        "frechet": _from_to(measured.get("frechet"), ".1f"),
    }


def _or_dash(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _from_to(column: pd.Series | None, how: str) -> str:
    if column is None or pd.isna(column.iloc[-1]):
        return "–"
    first, last = (f"{x:{how}}" if pd.notna(x) else "–" for x in (column.iloc[0], column.iloc[-1]))
    return f"{first} → {last}"


def _rows(evidence: Evidence) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for label, result in evidence.fits.items():
        table = result.comparison()
        theories = [name for name in table["model"] if name not in NAIVE]
        identified = result.parameters(theories).dropna(subset=["low"])
        identified = identified[~identified["parameter"].str.startswith("process_")]
        for place, row in enumerate(table.to_dict("records")):
            estimates = identified[identified["model"] == row["model"]].to_dict("records")
            numbers = {
                name: _or_dash(row.get(f"generations_{name}", math.nan))
                for name in ("log_score", "within_error", "between_error", "coverage")
            }
            rows.append(
                {
                    "trait": label,
                    "model": row["model"],
                    "verdict": row["verdict"] if caveats.has_verdicts(result) else "–",
                    # Infinite where the data are fewer than the parameters.
                    "aicc": f"{row['aicc']:.1f}" if math.isfinite(row["aicc"]) else "–",
                    **numbers,
                    "parameters": ", ".join(_estimate(e) for e in estimates),
                    "first": place == 0,
                }
            )
    return rows


def _unknown(evidence: Evidence) -> list[dict[str, str]]:
    """Return unidentified parameters of each trait's best theory, with data to identify them; none
    where the data are fewer than the parameters: one warning covers all of them."""
    best = {
        label: result.of(result.best_theory)
        for label, result in evidence.fits.items()
        if not caveats.has_few_data(result)
    }
    return [
        {"theory": f"{label}, {fitted.model.name}", "text": text}
        for label, fitted in best.items()
        for text in (*fitted.uninfluential, *fitted.unidentified_directions)
    ]


def _estimate(row: dict) -> str:
    return f"{row['parameter']} {row['estimate']:.3g} ({row['low']:.2g} to {row['high']:.2g})"


def _made(run: Run) -> dict[str, str]:
    return {
        "name": printable(run.name),
        "recipe": _content(run.folder / "recipe.toml"),
        "provenance": _content(run.folder / "provenance.json"),
    }


def _content(path: Path) -> str:
    """Return the text of a file, or a note that it is not stored."""
    if not path.is_file():
        return f"{path.name} is not stored"
    return path.read_text(encoding="utf-8-sig", errors="replace")
