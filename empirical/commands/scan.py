"""``qtm scan``: draw one finetuned model at several CFG scales."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from empirical.commands.chain import DryRun

if TYPE_CHECKING:
    from empirical.chain.scan import Plan

app = typer.Typer()

_SCALES = "1,1.25,1.5,2.5,5,7.5"


@app.command()
def scan(
    source: Annotated[
        Path,
        typer.Argument(metavar="RECIPE.toml|RUN", help="A recipe, or a run with weights."),
    ],
    out: Annotated[Path, typer.Option(metavar="SCAN", help="Folder of the scan.")],
    scales: Annotated[str, typer.Option(help="CFG scales, separated by commas.")] = _SCALES,
    generation: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Of a run, a generation to draw; may be repeated."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Draw one finetuned model at several CFG scales, from the same prompts and seeds.

    Shows in minutes how each scale selects, and the neutral scale, at which the variance between
    prompts neither grows nor falls. Of a recipe the first generation is finetuned; of a run the
    weights of its generations are used. Run the same command again to resume; with further scales,
    the scan is extended.
    """
    from importlib.metadata import entry_points

    from tqdm import tqdm

    from empirical import out_of_memory
    from empirical.chain import scan as scans
    from empirical.recipe import read
    from empirical.runs.record import open_run

    opened = open_run(source) if source.is_dir() else read(source)
    planned = scans.plan(opened, _numbers(scales), out, generation or ())
    if dry_run:
        _show(planned)
        return
    hint = f"{out_of_memory.settings()}; the scan is resumed by the same command"
    with (
        out_of_memory.explained(hint),
        tqdm(total=planned.work, desc=f"scan {out}", unit=" passes") as bar,
    ):
        scans.scan(planned, bar.update)
    print(out)
    # Other packages summarise the scan: they need no model.
    for summary in entry_points(group="qtm.scans"):
        print(summary.load()(out))


def _numbers(text: str) -> list[float]:
    from empirical.errors import UserError

    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UserError(
            f"--scales is '{text}', it must be numbers separated by commas, such as {_SCALES}"
        ) from None


def _show(planned: "Plan") -> None:
    """Print what would be drawn, and how long it would take."""
    from empirical.chain import estimate, loop
    from empirical.commands.tables import duration

    settings = planned.settings
    base = loop.load(planned.recipe)
    cost = estimate.benchmark(planned.recipe, base, planned.out)
    images = settings.data.size * (1 + planned.replicates)
    drawn = len(planned.scales) * len(planned.generations) * images
    seconds = drawn * (cost.decode + cost.draw * settings.generate.steps)
    seconds += cost.measure * len(planned.scales) * len(planned.generations)
    scales = ", ".join(f"{w:g}" for w in planned.scales)
    if planned.run is None:
        learn = settings.finetune
        finetuning = learn.steps * cost.step
        seconds += finetuning + images * cost.decode
        print(f"{planned.out}: generation 1 at {scales}")
        print(
            f"finetuning first: {learn.steps} steps of {learn.batch_size} images ({learn.method}), "
            f"on {settings.data.size} real images of {', '.join(settings.data.names)}, "
            f"about {duration(finetuning)}"
        )
    else:
        count = len(planned.generations)
        print(f"{planned.out}: {count} generation{'s' * (count > 1)} at {scales}")
        print(f"no finetuning: the weights are those of '{planned.run.folder}'")
    print(f"{drawn} images in {settings.generate.steps} steps of {settings.generate.sampler}")
    print(f"time: about {duration(seconds)}")
    print("estimated by a short benchmark on this machine; nothing was written")
