"""``qtm predict``: the images that a theory of prompts expects of a chain that was not run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from empirical.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.arms.record import Record
    from analysis.prompts.chains import PromptChain
    from analysis.prompts.paths import Path as Drawn
    from empirical.runs.record import Run

app = typer.Typer()


@app.command()
def predict(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...|SCAN",
            help="Runs with the same prompts, at several CFG scales; or the folder of a scan.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the table and the images.")],
    guidance: Annotated[
        float | None, typer.Option(help="CFG scale of the chain to predict, without a remedy.")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="Recipe of the chain instead: guidance, training sets, condition drop."),
    ] = None,
    generations: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many generations, from real images on; by default those of the runs."
        ),
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Images of each prompt and generation.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the images.")] = 0,
) -> None:
    """Predict a chain at another CFG scale or with a remedy, in numbers and in pictures.

    A theory of prompts is fitted to the runs, or to the first generation of a scan; those that are
    guided and trained like the chain are left out, and shown beside the prediction. Writes
    traits.csv (mean, ln V_W and ln V_B of every trait, with 90 % intervals, not widened, and
    measured values, if any) with its figure, images, and a contact sheet.
    """
    from importlib.metadata import entry_points

    from analysis.prompts.paths import fit, paths
    from analysis.prompts.pictures import DRAWS
    from analysis.prompts.reading import chains
    from empirical import files
    from empirical.recipe import read as read_recipe
    from empirical.runs.record import Run

    if (guidance is None) == (recipe is None):
        raise UserError("a prediction takes a CFG scale (--guidance) or a recipe (--recipe)")
    if out.exists() and not out.is_dir():
        raise UserError(f"the prediction cannot be written to '{out}': it is a file, not a folder")
    settings = None if recipe is None else read_recipe(recipe).settings
    opened = {source.name: source for source in _sources(runs)}
    read, left_out = chains(opened.values())
    for sentence in left_out:
        print(f"qtm: left out: {sentence}")
    if not read[0].groups.of_single_captions:
        print(
            f"qtm: of {len(read[0].groups.members)} prompts most have one image, or they are too "
            f"many: the theory follows {len(read[0].captions)} groups of alike images instead, and "
            f"V_W and V_B are within and between these"
        )
    known = read[0].generations
    generations = known if generations is None else generations
    if generations > known:
        print(
            f"qtm: generation {known} is the last of the given ones: what lies beyond is not to be "
            f"relied on"
        )
    if settings is not None:
        planned = read[0].planned_by(settings, generations)
    else:
        planned = read[0].planned(guidance or 0.0, generations)
    beside = [chain for chain in read if chain.alike(planned)]
    seen = [chain for chain in read if not chain.alike(planned)]
    if len({float(chain.strengths.mean()) for chain in seen}) < 2:
        raise UserError(
            f"a prediction takes two CFG scales or more other than that of the chain, got "
            f"{', '.join(f'{chain.label:g}' for chain in seen) or 'none'}"
        )
    labels = [chain.label for chain in seen]
    if guidance is not None and not min(labels) <= guidance <= max(labels):
        print(
            f"qtm: CFG {guidance:g} is not between {min(labels):g} and {max(labels):g}, the scales "
            f"of the given ones: the prediction extrapolates"
        )
    path = paths(fit(seen), planned, 0, DRAWS, seed)
    table = _table(planned, path, beside)
    files.write_text(out / "traits.csv", table.to_csv(index=False))
    for drawing in entry_points(group="qtm.figures", name="predicted_traits"):
        drawing.load()(table, planned.name, out)
    # Of a scan, the images of a prompt are not at hand.
    every = [opened[chain.name] for chain in beside]
    measured = [source for source in every if isinstance(source, Run)]
    chosen = [opened[chain.name] for chain in seen]
    _draw(chosen, seen, planned, path, images, seed, out, measured)
    print(out)


predict.out_of_memory = "use fewer runs at a time"


def _sources(folders: list[Path]) -> "list[Record]":
    """Open runs, or a scan at each of its scales."""
    from analysis.commands.scan import is_scan
    from analysis.scans.step import steps
    from empirical.runs.record import open_run
    from empirical.runs.scans import open_scan

    of_scans = [folder for folder in folders if is_scan(folder)]
    if not of_scans:
        return [open_run(folder) for folder in folders]
    if len(folders) > 1:
        raise UserError(
            f"a prediction takes one scan, or runs, but was given {len(folders)} folders of which "
            f"'{of_scans[0]}' is a scan"
        )
    return [*steps(open_scan(folders[0]))]


def _table(planned: "PromptChain", path: "Drawn", measured: "list[PromptChain]") -> "pd.DataFrame":
    """Return a row for each trait, quantity and generation; measured values are those of the first
    measured chain."""
    import numpy as np
    import pandas as pd

    from analysis.prompts.quantities import measurements, predicted

    beside = measurements(measured[0]) if measured else {}
    rows = []
    for (trait, quantity), values in predicted(planned, path).items():
        known = dict(enumerate(beside.get((trait, quantity), ())))
        for t, (low, median, high) in enumerate(np.quantile(values, (0.05, 0.5, 0.95), axis=0).T):
            rows.append((trait, quantity, t, median, low, high, known.get(t, np.nan)))
    return pd.DataFrame(
        rows,
        columns=["trait", "quantity", "generation", "predicted", "low", "high", "measured"],
    )


def _draw(
    runs: "list[Record]",
    chains: "list[PromptChain]",
    planned: "PromptChain",
    path: "Drawn",
    images: int,
    seed: int,
    out: Path,
    measured: "list[Run]",
) -> None:
    from importlib.metadata import entry_points

    from analysis.prompts.pictures import pictures
    from empirical import files

    drawn = pictures(runs, chains, planned, path, images, seed)
    if drawn is None:
        print("qtm: no installed package decodes latents: the prediction has no images")
        return
    sheets, texts = drawn
    for t, generation in enumerate(sheets, 1):
        folder = out / f"gen_{t:03d}"
        for i, picture in enumerate(generation):
            files.write_image(folder / f"{i:05d}.png", picture)
        rows = [{"file_name": f"{i:05d}.png", "text": text} for i, text in enumerate(texts)]
        files.write_json_lines(folder / "metadata.jsonl", rows)
    for drawing in entry_points(group="qtm.figures", name="prediction"):
        drawing.load()(sheets, texts, planned.name, measured[:1], out)
