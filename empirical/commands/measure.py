"""``qtm measure``: traits and measures of finished runs, or of any folders of images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from empirical.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from empirical.measuring.finished import Requested
    from empirical.measuring.sources import Source
    from empirical.runs.record import Run

# Further images of a finished run, drawn only to be measured.
DRAWS = {
    "unguided": "The prompts and seeds of every generation again, without guidance.",
    "replicates": "A further image of each prompt, with other seeds.",
}
_MEMORY = "measure fewer images or fewer names at a time, or take a smaller --side"

app = typer.Typer()


@app.command()
def measure(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN|FOLDER... NAME...",
            help="A run, or folders with --images, then names of traits, extractors or measures.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        bool, typer.Option("--images", help="Measure folders of images, each a generation.")
    ] = False,
    features: Annotated[
        str | None,
        typer.Option(
            help="Features of metrics: a trait or an extractor, as in dinov2 or clip:FOLDER. By "
            "default the classifier's, where there is one, else latent_pc, or pixels with no model."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="With --images: whose latents and classifier to use.")
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="A folder of real images to compare with; by default those of the run."),
    ] = None,
    side: Annotated[
        int | None, typer.Option(min=4, help="With --images: cut and resize to this many pixels.")
    ] = None,
    resamples: Annotated[
        int, typer.Option(min=2, help="How many halves of the images an interval takes.")
    ] = 50,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the intervals; by default that of the run.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Take only weights that are on this machine.")
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="Write the whole table to this file.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Show all names, and end.")] = False,
) -> None:
    """Measure a finished run, or any folders of images, without training anything.

    Traits of a run are written into its features and moments.csv, measures into its measures.csv.
    The names unguided and replicates draw further images from the weights of every generation,
    for qtm select, fits and forecasts.
    """
    if show:
        _show()
        return
    from empirical.measuring import finished, sources

    places, names = _sorted(words or [], images)
    if images:
        requested = finished.sort_names(names or _of_pixels())
        source = sources.of_folders(places, reference, model, side, offline)
        run = None
    else:
        given = {"--model": model, "--side": side}
        wrong = next((option for option, value in given.items() if value is not None), None)
        if wrong is not None:
            raise UserError(f"{wrong} goes with --images: a run has one already")
        if not names:
            raise UserError("name a trait or a measure; qtm measure --list shows all")
        from empirical.runs.record import open_run

        run = open_run(places[0])
        drawn = [name for name in names if name in DRAWS]
        names = [name for name in names if name not in drawn]
        requested = finished.sort_names(names)
        if drawn:
            _draw(run, drawn)
        if not names:
            return
        source = sources.of_run(run, offline, reference)
        seed = run.recipe.seed if seed is None else seed
    if csv is not None and requested.traits and requested.measures:
        raise UserError("--csv takes one table: ask for traits or for measures, not for both")
    tables = _measured(source, requested, features, seed or 0, resamples, run, not names)
    for table in tables:
        if csv is not None:
            from empirical import files

            files.write_text(csv, table.to_csv(index=False, float_format="%.17g"))
        print(_shortened(table))


def _draw(run: "Run", names: list[str]) -> None:
    """Draw the images of a run that are only measured."""
    from tqdm import tqdm

    from empirical import out_of_memory
    from empirical.chain import completion

    extra = {"unguided": "unguided" in names, "replicates": int("replicates" in names)}
    work = completion.work(run, **extra)
    hint = f"{out_of_memory.settings()}; the same command resumes"
    with out_of_memory.explained(hint), tqdm(total=work, desc="draw", unit=" passes") as bar:
        completion.complete(run, **extra, progress=bar.update)
    print(run.folder / "moments.csv")


def _sorted(words: list[str], images: bool) -> tuple[list[Path], list[str]]:
    """Sort words into the folders that come first and the names after them."""
    if not words:
        raise UserError("name a run, or folders with --images; qtm measure --list shows names")
    if not images:
        return [Path(words[0])], words[1:]
    count = next((i for i, word in enumerate(words) if not Path(word).is_dir()), len(words))
    # A word that looks like a path, but is none, is a misspelt folder rather than a trait.
    if count < len(words) and (count == 0 or "/" in words[count].partition(":")[0]):
        raise UserError(f"there is no folder '{words[count]}'")
    return [Path(word) for word in words[:count]], words[count:]


def _of_pixels() -> list[str]:
    """Return the traits that need no model."""
    from empirical.measuring.traits import every_trait

    return [name for name in every_trait() if name not in ("latent", "latent_pc", "classifier")]


def _measured(
    source: "Source",
    requested: "Requested",
    features: str | None,
    seed: int,
    resamples: int,
    run: "Run | None",
    skip_undefined: bool,
) -> "list[pd.DataFrame]":
    from contextlib import nullcontext

    from tqdm import tqdm

    from empirical import out_of_memory
    from empirical.claim import claimed
    from empirical.measuring import finished

    work = len(source.labels) * (len(requested.traits) + len(requested.measures))
    tables = []
    with (
        out_of_memory.explained(_MEMORY),
        nullcontext() if run is None else claimed(run.folder, "run"),
        tqdm(total=work, desc="measure") as bar,
    ):
        if requested.traits:
            traits = finished.measure_traits(source, requested.traits, bar.update, skip_undefined)
            if run is None:
                tables.append(finished.table_of_traits(traits))
            else:
                finished.keep_traits(run, traits)
                # Those of the run, in which replicates separate V_W and V_B where there are any.
                stored = run.moments()
                tables.append(stored[stored["feature"].isin(traits[0][0])].reset_index(drop=True))
        if requested.measures:
            table = finished.measure_sets(
                source, requested.measures, features, seed, resamples, bar.update
            )
            if run is not None:
                finished.keep_measures(run, table)
            tables.append(table)
    return tables


def _shortened(table: "pd.DataFrame") -> str:
    """Return a table as text; of traits with many components, their means over components."""
    import pandas as pd

    columns = list(table.columns)
    if "component" in columns and len(set(table["component"])) > 8:
        by = ["generation", "feature", "how"]
        means = table.drop(columns="component").groupby(by, as_index=False, sort=False)
        table = pd.DataFrame(means.mean())
    if "caution" in columns and not any(isinstance(caution, str) for caution in table["caution"]):
        table = table.drop(columns="caution")
    return table.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.4g}")


def _show() -> None:
    from empirical.measuring.extractors import every_extractor
    from empirical.measuring.metrics import every_measure
    from empirical.measuring.traits import every_trait

    traits = {name: trait.__module__ for name, trait in every_trait().items()}
    groups = {
        "Traits, of each image": traits,
        "Extractors, features of each image": {
            name: module.__name__ for name, module in every_extractor().items()
        },
        "Measures, of a generation": {
            name: module.__name__ for name, module in every_measure().items()
        },
    }
    groups["Draws, of the weights of a run"] = DRAWS
    import sys

    for title, names in groups.items():
        print(f"{title}:")
        for name, module in names.items():
            text = module if title.startswith("Draws") else sys.modules[module].__doc__ or ""
            print(f"  {name:18}{text.splitlines()[0]}")
