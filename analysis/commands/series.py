"""``qtm fit`` of a file with a trait series: walks and life cycles."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from empirical.errors import UserError
from qtm.progress import Progress, no_progress

if TYPE_CHECKING:
    from analysis.trait_series import SeriesResult

_NONE = "none"
_ESTIMATED = "fit"
# Number of samples or generations above which a fit shows progress.
_LONG = 300


def is_series_file(path: Path) -> bool:
    """Return whether a path is meant as a file; a missing one is judged by its extension."""
    if path.exists():
        return not path.is_dir()
    return path.suffix.lower() in (".csv", ".tsv", ".txt", ".tab", ".dat")


def fit(
    path: Path,
    out: Path | None,
    *,
    models: list[str] | None,
    trait: str | None,
    components: list[int] | None,
    time: str | None,
    pool: bool,
    population_size: str | None,
    posterior: str,
) -> None:
    """Fit walks and life cycles to a series, print them, and write tables and a figure."""
    from analysis import trait_series

    component, *further = components or [None]
    if further:
        raise UserError("--component is given more than once, but a series has one component")
    size = _size(population_size)
    known = trait_series.cycle_models()
    if posterior not in ("", _NONE, *known):
        raise UserError(
            f"there is no posterior of '{posterior}', there are those of {', '.join(known)}"
        )
    if models and posterior not in ("", _NONE, *models):
        raise UserError(
            f"there is no posterior of '{posterior}' among the models to be fitted: "
            f"{', '.join(models)}"
        )
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"the results cannot be written to '{out}': it is a file, not a folder")
    s = trait_series.read_csv(
        path, time=time or "auto", pool=pool, trait=trait, component=component
    )
    # Predictions take most of the time; only tables and the figure need them.
    predicted = out is not None
    length = max(len(s.time), s.time[-1] - s.time[0])
    with _progress_bar(length, trait_series.steps(len(s.time), models, predicted)) as progress:
        result = trait_series.compare(s, models, size, predicted=predicted, progress=progress)
    _show(result)
    if out is not None:
        _write(result, out, posterior)


def _size(text: str | None) -> float | None:
    """Return a population size: infinite by default, None to estimate it."""
    if text is None:
        return float("inf")
    if text == _ESTIMATED:
        return None
    try:
        return float(text)
    except ValueError:
        raise UserError(
            f"--population-size is '{text}', it must be a number greater than 2, or 'fit' to "
            f"estimate it"
        ) from None


def _show(result: "SeriesResult") -> None:
    from analysis import trait_series

    if result.walks:
        walks = sorted(result.walks.values(), key=lambda fit: fit.aicc)
        table = trait_series.walk_table(walks)
        shown = table.drop(columns="at_bound").assign(estimates=trait_series.estimates(walks))
        print("walks of the mean, fitted to the means alone:")
        print(shown.round(5).to_string(index=False, na_rep="-"))
        print()
    print(trait_series.description(result.series))
    table = result.comparison()
    columns = ["model", "kind", "log_likelihood", "parameters", "aicc", "weight", "log_score"]
    columns += ["coverage"]
    names = {"log_score": "second half: log score", "coverage": "in 90 %"}
    print()
    print("all models, fitted to means and variances, lowest AICc first:")
    shown = table[[c for c in columns if c in table]].rename(columns=names)
    print(shown.round(3).to_string(index=False, na_rep="-"))
    best = result.best_cycle
    if best is not None:
        print()
        print(f"{best}, with 90 % intervals:")
        for row in result.parameters([best]).to_dict("records"):
            known = row["low"] == row["low"]
            interval = f"({row['low']:.3g} to {row['high']:.3g})" if known else "(not identified)"
            print(f"{row['parameter']:18s} {row['estimate']:8.3g} {interval:22s} {row['meaning']}")
    for sentence in result.sentences():
        print(f"qtm: {sentence}")


def _write(result: "SeriesResult", out: Path, posterior: str) -> None:
    from analysis.inference.posterior import write
    from empirical import files

    tables = {
        "comparison": result.comparison(),
        "parameters": result.parameters(),
        "predictions": result.predictions,
    }
    for name, table in tables.items():
        files.write_text(out / f"{name}.csv", table.to_csv(index=False, float_format="%.8g"))
    if result.cycles and posterior != _NONE:
        write(result.posterior(posterior), out / "posterior.nc")
    # Packages register figures by entry point: there is none where this one is installed alone.
    for drawing in entry_points(group="qtm.figures", name="series"):
        drawing.load()(result, out)
    print(out)


@contextmanager
def _progress_bar(length: float, steps: int) -> Iterator[Progress]:
    """Show progress for a series that takes long enough."""
    if length < _LONG:
        yield no_progress
        return
    from tqdm import tqdm

    with tqdm(total=steps, desc="fitting") as bar:
        yield bar.update
