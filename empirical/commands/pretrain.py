"""``qtm pretrain``: train embedded models from scratch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from empirical.pretraining.plan import Plan

_MEMORY = "close other programs, or use a machine with more"

app = typer.Typer(help="Train embedded models from scratch.", no_args_is_help=True)

Seed = Annotated[int, typer.Option(min=0, help="Seed of all randomness.")]


@app.command("digits")
def pretrain_digits(
    out: Annotated[Path, typer.Option(help="Folder of the new model.")] = Path("runs/digits"),
    seed: Seed = 0,
) -> None:
    """Train the embedded model `digits` from scratch, evaluate it, and write its model card.

    Checkpoints are in OUT.seed-SEED; run the same command again to resume an interrupted training.
    """
    from empirical.pretraining.plans import digits

    _train(digits.plan(), out, seed)


@app.command("emoji")
def pretrain_emoji(
    archives: Annotated[
        Path, typer.Option(help="Folder of the archives of drawings, as npm pack saves them.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new model.")] = Path("runs/emoji"),
    seed: Seed = 0,
) -> None:
    """Train the embedded model `emoji` from scratch, evaluate it, and write its model card.

    Hours on two cores. Checkpoints are in OUT.seed-SEED; run the same command again to resume an
    interrupted training.
    """
    from empirical.pretraining.plans import emoji

    _train(emoji.plan(archives), out, seed)


@app.command("images")
def pretrain_images(
    data: Annotated[str, typer.Argument(help="Folder of captioned images, or hub:owner/name.")],
    out: Annotated[Path, typer.Option(help="Folder of the new model.")] = Path("runs/model"),
    seed: Seed = 0,
    grey: Annotated[bool, typer.Option("--grey", help="Learn grey images.")] = False,
) -> None:
    """Train a small model of your own captioned images from scratch, as `digits` was trained.

    Each caption names a kind of image and needs ten images or more. Checkpoints are in
    OUT.seed-SEED; run the same command again to resume an interrupted training.
    """
    from empirical.pretraining.plans import images

    _train(images.plan(data, colour=not grey), out, seed)


def _train(plan: "Plan", out: Path, seed: int) -> None:
    from tqdm import tqdm

    from empirical import out_of_memory
    from empirical.pipeline import model
    from empirical.pretraining import card, training

    work = training.work(plan) + card.work(plan)
    with out_of_memory.explained(_MEMORY), tqdm(total=work, desc=f"pretrain {out}") as bar:
        checkpoints = out.with_name(f"{out.name}.seed-{seed}")
        training.pretrain(plan, out, checkpoints, seed, bar.update)
        evaluation = card.evaluate(plan, out, seed, bar.update)
        card.write(plan, out, evaluation, seed, model.device_name())
    print(out)
