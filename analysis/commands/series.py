"""``qtm fit`` of a file with a trait series: walks and life cycles."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from empirical.errors import UserError

if TYPE_CHECKING:
    from analysis.trait_series import SeriesResult

_NONE = "none"
_ESTIMATED = "fit"
# Samples, or generations, from which on the fit of a series shows progress.
_LONG = 300


def is_one(path: Path) -> bool:
    """Whether a path is meant as a file; one that is missing is told by its extension."""
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
        raise UserError("--component is given more than once, a series has one component")
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
    # Predictions take most of the time, and go into tables and the figure.
    predicted = out is not None
    length = max(len(s.time), s.time[-1] - s.time[0])
    with _progress(length, trait_series.steps(len(s.time), models, predicted)) as advance:
        result = trait_series.compare(s, models, size, predicted=predicted, advance=advance)
    _show(result)
    if out is not None:
        _write(result, out, posterior)


def _size(text: str | None) -> float | None:
    """Return a population size: infinite by default, None where it is to be estimated."""
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
        print("walks of the mean, on the means alone:")
        print(shown.round(5).to_string(index=False, na_rep="-"))
        print()
    print(trait_series.description(result.series))
    table = result.comparison()
    columns = ["model", "kind", "log_likelihood", "parameters", "aicc", "weight", "log_score"]
    columns += ["coverage"]
    names = {"log_score": "second half: log score", "coverage": "in 90 %"}
    print()
    print("all models, on means and variances, the lowest AICc first:")
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
    # Figures are drawn by whatever package knows how: none, where this one is installed alone.
    for drawing in entry_points(group="qtm.figures", name="series"):
        drawing.load()(result, out)
    print(out)


@contextmanager
def _progress(length: float, steps: int) -> Iterator[Callable[[int], None]]:
    """Show progress where a series is long enough to wait for."""
    if length < _LONG:
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=steps, desc="fitting") as bar:
        yield bar.update
