"""``qtm derive``: derive results of the theory with sympy."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def derive(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Results to derive; without any, list them."),
    ] = None,
    tex: Annotated[
        Path | None,
        typer.Option(help="Write a LaTeX document of them (of all results if none is named)."),
    ] = None,
) -> None:
    """Derive results of the theory and print their expressions as LaTeX.

    Every expression is obtained by integrating, differentiating or solving.
    """
    from analysis import derivations

    chosen = names or []
    modules = {name: derivations.result(name) for name in chosen or derivations.__all__}
    if tex is not None:
        from analysis.derivations._document import document
        from empirical import files

        files.write_text(tex, document(modules))
        print(tex)
        return
    for name, module in modules.items():
        if not chosen:
            print(f"{name}: {(module.__doc__ or '').splitlines()[0]}")
            continue
        prefix = f"{name}." if len(modules) > 1 else ""
        for key, expression in derivations.latex(name).items():
            print(f"{prefix}{key}: {expression}")
