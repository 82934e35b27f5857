"""``qtm select``: selection and transmission, measured from unguided and guided draws."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from empirical.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.selection.tables import Tables

app = typer.Typer()

# The first of these that runs have is printed.
_SHOWN = ("latent", "latent_pc")


@app.command()
def select(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    trait: Annotated[
        list[str] | None,
        typer.Option(help="Trait to measure; may be repeated. All that were measured by default."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the tables.")] = None,
) -> None:
    """Measure what guidance selected and what finetuning passed on, in every generation.

    Generations are drawn without guidance too (`unguided` in the recipe's table [measure]; `qtm
    measure RUN unguided` completes a run). With --out: selection.csv, price.csv, matrices.nc and
    two figures.
    """
    from tqdm import tqdm

    from analysis.selection.read import Measured
    from analysis.selection.tables import notes, tables
    from empirical.runs import provenance
    from empirical.runs.record import open_run

    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"the tables cannot be written to '{out}': it is a file, not a folder")
    started = provenance.now()
    measured = [Measured(open_run(folder)) for folder in runs]
    work = sum(len(trait or m.offered) for m in measured)
    with tqdm(total=work, desc="select") as bar:
        result = tables(measured, trait, bar.update)
    for m in measured:
        _show(result, m.run.name, trait or m.offered)
        for sentence in notes(m):
            print(f"qtm: {sentence}")
    if out is not None:
        _write(result, out, runs, started)


select.out_of_memory = "name fewer runs or traits at a time"


def _write(result: "Tables", out: Path, runs: list[Path], started: str) -> None:
    import tempfile
    from importlib.metadata import entry_points

    from empirical import files
    from empirical.runs import provenance

    for name, table in (("selection", result.selection), ("price", result.price)):
        # Seventeen digits restore every float64.
        files.write_text(out / f"{name}.csv", table.to_csv(index=False, float_format="%.17g"))
    if result.matrices is not None:
        with tempfile.TemporaryDirectory(dir=out) as place:
            result.matrices.to_netcdf(Path(place) / "matrices.nc", engine="netcdf4")
            (Path(place) / "matrices.nc").replace(out / "matrices.nc")
    # Packages register figures by entry point: there is none where this one is installed alone.
    for drawing in entry_points(group="qtm.figures", name="selection"):
        drawing.load()(result.selection, result.price, out)
    session = {"started": started, "ended": provenance.now(), **provenance.of_this_process("cpu")}
    files.write_json(out / "provenance.json", {"runs": [str(run) for run in runs], **session})
    print(out)


def _show(result: "Tables", run: str, traits: list[str]) -> None:
    trait = next((name for name in _SHOWN if name in traits), traits[0])
    selection, price = result.selection, result.price
    selection = selection.query("run == @run and trait == @trait")
    price = price.query("run == @run and trait == @trait")
    averaged = bool(selection["component"].isna().to_numpy().any())
    # Where each prompt has one image and no replicate, only the sum of V_W and V_B is known.
    known = price[price["quantity"] == "within"]["after"].notna().to_numpy().any()
    shown = {"V_W": "within", "V_B": "between"} if known else {"variance": "variance"}
    rows = []
    for number in sorted(set(selection["generation"]) - {0}):
        chosen = _rows_of(selection, number, averaged)
        parts = _rows_of(price, number, averaged)
        rows.append(
            {
                "generation": number,
                "selection (sd)": _interval(chosen, "S_rms_standardised"),
                "transmission": _interval(chosen, "transmission"),
                "parent-offspring": _interval(chosen, "parent_offspring"),
                **{name: _parts(parts, quantity) for name, quantity in shown.items()},
            }
        )
    import pandas as pd

    print(
        f"{run}, '{trait}'{', averaged over its components' if averaged else ''} "
        f"(90 % intervals, for these prompts where there are):"
    )
    print(pd.DataFrame(rows).to_string(index=False))
    print(f"{', '.join(shown)}: before, + inflow + transmission + selection, after")
    print()


def _rows_of(table: "pd.DataFrame", number: int, averaged: bool) -> "pd.DataFrame":
    component = "component.isna()" if averaged else "component == 0"
    return table.query(f"generation == @number and {component}")


def _interval(table: "pd.DataFrame", quantity: str) -> str:
    rows = table[table["quantity"] == quantity]
    if rows.empty:
        return "-"
    row = rows.iloc[0]
    if row["low"] != row["low"]:
        return f"{row['estimate']:.3f}"
    return f"{row['estimate']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def _parts(table: "pd.DataFrame", quantity: str) -> str:
    row = table[table["quantity"] == quantity].iloc[0]
    number = lambda value, how: f"{value:{how}}" if value == value else "?"
    steps = " ".join(number(row[name], "+.3g") for name in ("inflow", "transmission", "selection"))
    if row["after"] != row["after"]:
        return "-"
    return f"{number(row['before'], '.3g')} {steps} = {row['after']:.3g}"
