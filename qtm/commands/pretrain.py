"""``qtm pretrain``: train embedded models from scratch."""

from pathlib import Path
from typing import Annotated

import typer

from qtm.commands.progress import progress

app = typer.Typer(help="Train embedded models from scratch.", no_args_is_help=True)


@app.command("digits")
def pretrain_digits(
    out: Annotated[Path, typer.Option(help="Folder of the new model.")] = Path("runs/digits"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 0,
) -> None:
    """Train the embedded model `digits` from scratch, judge it, and write its card.

    State is kept in OUT.seed-SEED while it goes; the same command given again goes on from there.
    """
    from empirical.digits import card, pretrain
    from empirical.pipeline import model

    with progress(f"pretrain {out}", pretrain.work() + card.work()) as advance:
        pretrain.pretrain(out, out.with_name(f"{out.name}.seed-{seed}"), seed, advance)
        verdict = card.judge(out, seed, advance)
        card.write(out, verdict, seed, pretrain.DETAILS, model.device_name())
    print(out)
