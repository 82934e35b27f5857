"""``qtm fit``: which theory explains chains, and predicts what it has not seen."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from empirical.errors import UserError
from qtm.commands.progress import progress

if TYPE_CHECKING:
    from analysis.fitting import Result
    from empirical.record import Run

app = typer.Typer()

_NONE = "none"

Trait = Annotated[str, typer.Option(help="Name of a trait in moments.csv.")]
Components = Annotated[
    list[int] | None, typer.Option("--component", help="Component of the trait. May repeat.")
]


@app.command()
def fit(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN...",
            help="Folders of runs; or one trait series, a .csv with generation, mean, variance, n "
            "or a paleoTS .txt.",
        ),
    ] = None,
    kept: Annotated[
        str | None, typer.Option(help="Fit the kept runs of this experiment: embedded.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the tables and posterior.")] = None,
    trait: Trait = "latent",
    component: Components = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Theory, with or without its link; all by default.")
    ] = None,
    posterior: Annotated[
        str, typer.Option(help="Model to draw the posterior of: the best by default, or 'none'.")
    ] = "",
    thin: Annotated[
        bool,
        typer.Option(
            "--thin",
            help="Write predictions of the best theory and the naive ones only, and the posterior "
            "without its likelihoods.",
        ),
    ] = False,
) -> None:
    """Fit every theory to runs with shared parameters and compare what they predict unseen.

    With --out: comparison.csv, parameters.csv, predictions.csv, posterior.nc.
    """
    if runs and kept is None and len(runs) == 1 and runs[0].is_file():
        return _fit_series(runs[0], out)

    from analysis.fitting import NAIVE
    from analysis.fitting import fit as fit_models
    from analysis.models import every_model
    from empirical import files

    opened = _opened(runs or [], kept)
    known = every_model()
    if posterior not in ("", _NONE, *known):
        raise UserError(f"there is no model '{posterior}', there are {'; '.join(known)}")
    with progress("fitting", len(known)) as advance:
        result = fit_models(
            opened, model, trait=trait, components=component, advance=lambda: advance(1)
        )
    _show(result)
    if out is None:
        return
    told = result.held_out
    if thin and len(told):
        told = told[told["model"].isin((result.best_theory, *NAIVE))]
    with progress("intervals", len(result.maxima)) as advance:
        parameters = result.parameters(advance=lambda: advance(1))
    tables = {"comparison": result.comparison(), "parameters": parameters, "predictions": told}
    for name, table in tables.items():
        files.write_text(out / f"{name}.csv", table.to_csv(index=False, float_format="%.5g"))
    if posterior != _NONE:
        _draw_posterior(result, posterior, out / "posterior.nc", thin)


def _opened(folders: list[Path], experiment: str | None) -> "list[Run]":
    from empirical.kept import runs
    from empirical.record import open_run

    if bool(folders) == (experiment is not None):
        raise UserError("a fit takes folders of runs, or --kept NAME, one of both")
    return runs(experiment) if experiment is not None else [open_run(path) for path in folders]


def _show(result: "Result") -> None:
    import pandas as pd

    table = result.comparison()
    kinds = [c.removesuffix("_log_score") for c in table.columns if c.endswith("_log_score")]
    names = {f"{kind}_log_score": kind for kind in kinds}
    names |= {f"{kind}_coverage": f"in 90 % ({kind})" for kind in kinds}
    shown = pd.DataFrame(table[["model", "verdict", "aicc", "weight", *names]])
    shown = shown.rename(columns=names)
    if kinds:
        print(f"log score of what was held out ({', '.join(kinds)}), the best model first:")
    print(shown.round(2).to_string(index=False))
    print()
    print(f"{result.best_theory}, with 90 % intervals:")
    for row in result.parameters([result.best_theory]).to_dict("records"):
        interval = f"({row['low']:.3g} to {row['high']:.3g})" if row["low"] == row["low"] else ""
        print(f"{row['parameter']:20s} {row['estimate']:8.3g} {interval:20s} {row['meaning']}")
    if not result.posterior(result.best_theory).trusted:
        print(
            f"qtm: the intervals of '{result.best_theory}' are rough: posterior.nc has better ones"
        )
    for sentence in (*result.of(result.best_theory).warnings, *result.left_out):
        print(f"qtm: {sentence}")


def _draw_posterior(result: "Result", name: str, path: Path, thin: bool) -> None:
    from analysis.design import design
    from analysis.posterior import diagnostics, loo, posterior, write

    fitted = result.of(name or result.best_theory)
    of = design(result.arms)
    data = posterior(fitted.model, of, fitted)
    write(data, path, ["posterior"] if thin else None)
    criterion = loo(data)
    print(
        f"posterior of '{fitted.model.name}': PSIS-LOO {criterion.elpd_loo:.1f} "
        f"± {criterion.se:.1f}"
    )
    for sentence in diagnostics(data, fitted.model, of.components):
        print(f"qtm: {sentence}")


def _fit_series(path: Path, out: Path | None) -> None:
    import pandas as pd

    from analysis.trait_series import fit_series, read_csv, read_paleots
    from empirical import files

    read = read_csv if path.suffix == ".csv" else read_paleots
    fits = fit_series(read(path))
    table = pd.DataFrame(
        {
            "model": one.model,
            "log_likelihood": one.log_likelihood,
            "parameters": len(one.values),
            "aicc": one.aicc,
            "weight": one.weight,
            "estimates": ", ".join(f"{k} {v:.4g}" for k, v in one.values.items()),
        }
        for one in fits
    )
    print(table.round(3).to_string(index=False))
    if out is not None:
        files.write_text(
            out / "comparison.csv", table.drop(columns="estimates").to_csv(index=False)
        )
        rows = [(one.model, k, v) for one in fits for k, v in one.values.items()]
        parameters = pd.DataFrame(rows, columns=["model", "parameter", "estimate"])
        files.write_text(out / "parameters.csv", parameters.to_csv(index=False))
