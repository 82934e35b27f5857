"""``qtm pretrain``: train embedded models from scratch."""

from pathlib import Path
from typing import Annotated

import typer

_MEMORY = "close other programs, or use a machine with more"

app = typer.Typer(help="Train embedded models from scratch.", no_args_is_help=True)


@app.command("digits")
def pretrain_digits(
    out: Annotated[Path, typer.Option(help="Folder of the new model.")] = Path("runs/digits"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 0,
) -> None:
    """Train the embedded model `digits` from scratch, evaluate it, and write its model card.

    Checkpoints are in OUT.seed-SEED; run the same command again to resume an interrupted training.
    """
    from tqdm import tqdm

    from empirical import out_of_memory
    from empirical.pipeline import model
    from empirical.pretraining import card, training

    work = training.work() + card.work()
    with out_of_memory.explained(_MEMORY), tqdm(total=work, desc=f"pretrain {out}") as bar:
        training.pretrain(out, out.with_name(f"{out.name}.seed-{seed}"), seed, bar.update)
        evaluation = card.evaluate(out, seed, bar.update)
        card.write(out, evaluation, seed, training.DETAILS, model.device_name())
    print(out)
