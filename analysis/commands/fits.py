"""``qtm fit``: fit theories to chains and score their predictions of held-out data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analysis.commands import series
from empirical.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.comparison.fit import Result
    from analysis.prompts.chains import PromptChain
    from empirical.runs.record import Run

app = typer.Typer()

_NONE = "none"

Trait = Annotated[str, typer.Option(help="Name of a trait in moments.csv.")]
Components = Annotated[
    list[int] | None, typer.Option("--component", help="Component of the trait; may be repeated.")
]


@app.command()
def fit(
    context: typer.Context,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN...",
            help="Run folders; or a file with one trait series: columns generation, mean, "
            "variance, n, or the text format of paleoTS.",
        ),
    ] = None,
    kept: Annotated[
        str | None, typer.Option(help="Fit the kept runs of this experiment: embedded.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the tables and posterior.")] = None,
    trait: Trait = "latent",
    component: Components = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Theory, with or without its link; all by default. For a series: the name of a "
            "walk or a life cycle."
        ),
    ] = None,
    posterior: Annotated[
        str, typer.Option(help="Model whose posterior is drawn: the best by default, or 'none'.")
    ] = "",
    thin: Annotated[
        bool,
        typer.Option(
            "--thin",
            help="Write predictions of the best theory and the naive forecasts only, and the "
            "posterior without its likelihoods.",
        ),
    ] = False,
    prompts: Annotated[
        bool,
        typer.Option(
            "--prompts",
            help="Also score the theory of prompts on the held-out data, of the latents or of a "
            "trait of one component, which takes minutes.",
        ),
    ] = False,
    time: Annotated[
        str | None,
        typer.Option(
            help="For a series: whether times are rising, or falling (ages); rows may then be in "
            "any order. By default, falling if the column is called age or decreases throughout.",
        ),
    ] = None,
    pool: Annotated[
        bool | None,
        typer.Option(
            "--pool/--no-pool",
            help="For a series: whether samples share one variance, as in paleoTS (the default), "
            "or each has its own.",
        ),
    ] = None,
    population_size: Annotated[
        str | None,
        typer.Option(
            help="For a series: number of reproducing individuals, which causes drift; 'fit' to "
            "estimate it. No drift by default.",
        ),
    ] = None,
) -> None:
    """Fit every theory to runs with shared parameters and compare their held-out predictions.

    A file with a trait series is fitted by walks of the mean and by life cycles of mean and
    variance. With --out: comparison.csv, parameters.csv, predictions.csv, posterior.nc, with
    --prompts prompts.csv, and for a series a figure.
    """
    paths = runs or []
    files_of_series = [path for path in paths if series.is_series_file(path)]
    if files_of_series and (len(paths) > 1 or kept is not None):
        raise UserError(
            f"'{files_of_series[0]}' is a file with a series, which is fitted alone, without "
            f"{'other series or runs' if len(paths) > 1 else '--kept'}"
        )
    if files_of_series:
        if thin:
            raise UserError("--thin applies to runs: the tables of a series are small")
        if prompts:
            raise UserError("--prompts applies to runs: a series has no prompts")
        source = context.get_parameter_source("trait")
        is_given = source is not None and source.name != "DEFAULT"
        return series.fit(
            files_of_series[0],
            out,
            models=model,
            trait=trait if is_given else None,
            components=component,
            time=time,
            pool=pool is not False,
            population_size=population_size,
            posterior=posterior,
        )
    if population_size is not None:
        raise UserError("--population-size applies to a file with a series, not to runs")
    if time is not None or pool is not None:
        name = "--time" if time is not None else "--pool" if pool else "--no-pool"
        raise UserError(f"{name} applies to a file with a series, not to runs")

    from tqdm import tqdm

    from analysis.comparison.fit import NAIVE
    from analysis.comparison.fit import fit as fit_models
    from analysis.models import every_model
    from empirical import files

    opened = _opened(runs or [], kept)
    known = every_model()
    if posterior not in ("", _NONE, *known):
        raise UserError(f"there is no model '{posterior}', there are {'; '.join(known)}")
    if prompts and component:
        raise UserError("--prompts compares a whole trait, without --component")
    chains = _prompt_chains(opened, trait) if prompts else []
    with tqdm(total=len(known), desc="fitting") as bar:
        result = fit_models(opened, model, trait=trait, components=component, progress=bar.update)
    _show(result)
    errors = _compare_prompts(result, chains, trait) if prompts else None
    if out is None:
        return
    if errors is not None:
        files.write_text(out / "prompts.csv", errors.to_csv(index=False, float_format="%.5g"))
    predictions = result.held_out
    if thin and len(predictions):
        predictions = predictions[predictions["model"].isin((result.best_theory, *NAIVE))]
    with tqdm(total=len(result.maxima), desc="intervals") as bar:
        parameters = result.parameters(progress=bar.update)
    tables = {
        "comparison": result.comparison(),
        "parameters": parameters,
        "predictions": predictions,
    }
    for name, table in tables.items():
        files.write_text(out / f"{name}.csv", table.to_csv(index=False, float_format="%.5g"))
    if posterior != _NONE:
        _draw_posterior(result, posterior, out / "posterior.nc", thin)


fit.out_of_memory = "use fewer runs or models at a time"


def _opened(folders: list[Path], experiment: str | None) -> "list[Run]":
    from empirical.runs.kept import runs
    from empirical.runs.record import open_run

    if bool(folders) == (experiment is not None):
        raise UserError("a fit takes either run folders or --kept NAME")
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
        print(f"held-out log score ({', '.join(kinds)}), best model first:")
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


def _prompt_chains(opened: "list[Run]", trait: str) -> "list[PromptChain]":
    """Return the chains that the theory of prompts describes; say why others were left out."""
    from analysis.comparison.prompts import prompt_chains

    chains, left_out = prompt_chains(opened, trait)
    for sentence in left_out:
        print(f"qtm: not in the theory of prompts: {sentence}")
    return chains


def _compare_prompts(result: "Result", chains: "list[PromptChain]", trait: str) -> "pd.DataFrame":
    """Print errors of the theory of prompts beside those of the best theory, and return them."""
    from tqdm import tqdm

    from analysis.comparison.prompts import held_out_errors
    from analysis.prediction.holdout import possible_splits

    fits = sum(len(group) for group in possible_splits(chains).values())
    with tqdm(total=fits, desc="theory of prompts") as bar:
        table = held_out_errors(result, chains, trait, progress=bar.update)
    wide = table.pivot(index=["holdout", "quantity"], columns="model", values="error")
    wide = wide[list(dict.fromkeys(table["model"]))]
    print()
    print(f"mean absolute errors of {trait} in {table['chains'].max()} chains, held out:")
    print(wide.round(3).to_string(na_rep="-"))
    return table


def _draw_posterior(result: "Result", name: str, path: Path, thin: bool) -> None:
    from analysis.arms.design import design
    from analysis.inference.posterior import diagnostics, loo, posterior, write

    fitted = result.of(name or result.best_theory)
    stacked = design(result.arms)
    data = posterior(fitted.model, stacked, fitted)
    write(data, path, ["posterior"] if thin else None)
    criterion = loo(data)
    print(
        f"posterior of '{fitted.model.name}': PSIS-LOO {criterion.elpd_loo:.1f} "
        f"± {criterion.se:.1f}"
    )
    for sentence in diagnostics(data, fitted.model, stacked.components):
        print(f"qtm: {sentence}")
