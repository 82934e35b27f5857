"""``qtm results``: named results of the field, computed beside expected."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def results(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Results to reproduce; all by default."),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write a page with statements and numbers instead.")
    ] = None,
    table: Annotated[bool, typer.Option("--list", help="List the results and stop.")] = False,
) -> None:
    """Reproduce named results of the field: each number as expected and as computed.

    Numbers are computed by life cycles, selection and the exact mixture, each in seconds. Expected
    are closed forms, or ranges where a result is known by sign and shape. The error is a standard
    error (SE) or a bound on the numerical error; 'agrees' is within four standard errors and the
    bound. The exit code is 1 if a number does not agree.
    """
    from tqdm import tqdm

    from qtm import results as known
    from qtm.results import _document

    chosen = {name: known.result(name) for name in names or known.names()}
    if table:
        for name in chosen:
            print(f"{name:22} {known.title(name)}")
        return
    for name in tqdm(chosen, desc="reproducing"):
        known.reproduce(name)
    if markdown is not None:
        markdown.write_text(_document.markdown(chosen), encoding="utf-8")
        print(markdown)
    else:
        print("\n\n".join(_document.text(name) for name in chosen))
    if not all(check.holds for name in chosen for check in known.reproduce(name).checks):
        raise typer.Exit(1)
