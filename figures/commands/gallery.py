"""``qtm figures``: draw the figures of the study from kept runs or other runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from empirical.errors import UserError

app = typer.Typer()

DEFAULT = "embedded"


@app.command()
def figures(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Figures to draw; all by default."),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(help="Folder of run folders; the runs kept in this package by default."),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option("--kept", help="Kept runs to draw, such as emoji; embedded by default."),
    ] = None,
    fit: Annotated[
        Path | None,
        typer.Option(help="Folder of `qtm fit --out`; the fit of the kept runs by default."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("runs/figures"),
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="pdf, png or svg; may be repeated.")
    ] = None,
    table: Annotated[bool, typer.Option("--list", help="List the figures and stop.")] = False,
) -> None:
    """Draw figures of the study, each as a vector file, a PNG and a caption."""
    from tqdm import tqdm

    from figures import write
    from figures.gallery import every_figure

    known = every_figure()
    if table:
        for name, module in known.items():
            print(f"{module.NUMBER!s:3} {name:20} {write.title(module)}")
        return
    for kind in formats or ():
        if kind not in write.FORMATS:
            raise UserError(f"the format is '{kind}', allowed are {', '.join(write.FORMATS)}")
    for name in names or ():
        if name not in known:
            raise UserError(f"there is no figure '{name}', there are {', '.join(known)}")
    if runs is not None and experiment is not None:
        raise UserError(f"figures are of kept runs or of the folder '{runs}', not of both")
    chosen = {name: known[name] for name in names or known}
    study = _study(runs, experiment or DEFAULT, fit)
    others = runs is not None or experiment not in (None, DEFAULT)
    missing = []
    with tqdm(total=len(chosen), desc="drawing") as bar:
        for number, (name, module) in enumerate(chosen.items(), 1):
            # A bar shows no names, and in a log one line a minute.
            if len(chosen) > 1:
                tqdm.write(f"{name}, {number} of {len(chosen)}", file=sys.stderr)
            try:
                write.write(module, study, out, formats or ("pdf", "png"), others)
            except UserError as error:
                # Without names, figures that the runs do not support are listed, not an error.
                if names:
                    raise
                missing.append(f"{write.title(module)}: not drawn, {error}")
            bar.update()
    if len(missing) == len(chosen):
        raise UserError(missing[0])
    for line in missing:
        print(line)
    print(out)


def _study(folder: Path | None, experiment: str, fit: Path | None):
    from empirical.runs import kept, scans
    from empirical.runs.record import open_run
    from figures import fitted
    from figures.study import Study

    if folder is None:
        runs = kept.runs(experiment)
        of_these = fitted.KEPT.parent / experiment
        if fit is None and (of_these / "comparison.csv").is_file():
            fit = of_these
    else:
        # Hidden copies of an editor or a file system are not runs, nor are scans.
        folders = [path.parent for path in sorted(folder.glob("[!.]*/recipe.toml"))]
        runs = [open_run(place) for place in folders if not (place / scans.FILE).is_file()]
        if not runs:
            raise UserError(f"'{folder}' contains no folder of a run")
    return Study(tuple(runs), None if fit is None else fitted.Fitted(fit))
