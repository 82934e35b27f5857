"""``qtm forecast`` of the folder of a scan: a chain at any CFG scale."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.commands import tables
from empirical.errors import UserError

if TYPE_CHECKING:
    from empirical.runs.record import Run
    from empirical.runs.scans import Scan

# Below this slope at the lowest scale forecasts of drawings failed (0.28, 0.52); of digits, with
# 0.95, they did not.
_FAMILIAR = 0.75


def is_scan(folder: Path) -> bool:
    """Return whether a folder is that of a scan."""
    from empirical.runs.scans import FILE

    return (folder / FILE).is_file()


def unlike(scan: "Scan", run: "Run") -> str:
    """Return why a scan tells nothing of a run, empty where it is of the same experiment."""
    from analysis.arms.read import DESCRIBED
    from analysis.prompts.conditions import conditions
    from analysis.prompts.conditions import unlike as tables_unlike

    if 1 not in scan.generations:
        return "which has no generation 1"
    ours, theirs = (each.recipe.settings for each in (run, scan.run))
    names = [
        *tables_unlike(conditions(ours), conditions(theirs)),
        *(
            f"finetune.{name}"
            for name in DESCRIBED
            if getattr(ours.finetune, name) != getattr(theirs.finetune, name)
        ),
    ]
    if names:
        differing = " and ".join(f"'{name}'" for name in names)
        return f"whose {differing} differ from the settings of the run '{run.name}'"
    if sorted(scan.training(1).captions) != sorted(run.generation(0).captions):
        return f"whose prompts differ from those of the run '{run.name}'"
    return ""


def unfamiliar(scan: "Scan") -> str:
    """Return that the model hardly knows the images of a scan, with the number that shows it, empty
    where it does, or where the scan has no latents to tell."""
    from analysis.scans import neutral
    from analysis.scans.curves import Reader

    try:
        curve = Reader(scan, 1).curve(neutral.TRAIT)
    except UserError:
        return ""
    passed_on = neutral.passed_on(curve)
    if not passed_on < _FAMILIAR:
        return ""
    return (
        f"at CFG {curve.scales[0]:g} finetuning passed on {100 * passed_on:.0f} % of the "
        f"differences between prompts: the model hardly knows such images"
    )


def neutral_scale(scan: "Scan") -> str:
    """Return the neutral scale of generation 1, by V_B of the latents, in words."""
    from analysis.scans import neutral
    from analysis.scans.curves import Reader

    curve = Reader(scan, 1).curve(neutral.TRAIT)
    return neutral.sentence(neutral.by_variance(curve), curve.positive)


def forecast(
    scan: "Scan",
    generations: int,
    guidance: float | None,
    trait: str,
    components: Sequence[int] | None,
    csv: Path | None,
) -> None:
    """Print the trajectory of a trait at a scale, and write those of all traits."""
    from analysis.prediction.forecast import half_lives
    from analysis.scans.arms import arms
    from analysis.scans.forecast import forecast as ahead

    scale = guidance if guidance is not None else _recipe_scale(scan)
    prediction = ahead(arms(scan, trait, components), scale, generations)
    if csv is not None:
        _write(scan, scale, generations, csv)
    chain = prediction.arm
    tables.heading(chain.name, trait, scale, prediction.last)
    tables.trajectories(prediction.table())
    print()
    tables.half_lives(half_lives(prediction.paths))
    print(neutral_scale(scan))
    unknown = unfamiliar(scan)
    if unknown:
        print(
            f"qtm: {unknown}, and later generations may behave otherwise than the first, the only "
            f"one that a scan knows; two generations of a chain forecast better"
        )
    least, most = scan.scales[0], scan.scales[-1]
    if not least <= scale <= most:
        print(
            f"qtm: the scale {scale:g} is outside the range that was scanned, {least:g} to "
            f"{most:g}: generation 1 is extrapolated"
        )
    tables.assumptions(prediction.fitted)


def _recipe_scale(scan: "Scan") -> float:
    rule = scan.run.recipe.settings.generate.guidance
    if rule.rule != "constant":
        raise UserError(
            f"the recipe of the scan '{scan.folder}' is guided by '{rule.rule}': a forecast needs "
            f"the CFG scale of the chain, as in --guidance 1.1"
        )
    return float(rule.scale)


def _write(scan: "Scan", scale: float, generations: int, csv: Path) -> None:
    """Write the trajectories of every trait that varies."""
    import pandas as pd
    from tqdm import tqdm

    from analysis.scans.arms import arms
    from analysis.scans.curves import Reader
    from analysis.scans.forecast import forecast as ahead
    from empirical import files

    frames, left_out = [], []
    for trait in tqdm(Reader(scan, 1).traits, desc="traits"):
        try:
            frames.append(ahead(arms(scan, trait), scale, generations).table())
        except UserError as error:
            left_out.append(str(error))
    if not frames:
        raise UserError("; ".join(left_out))
    files.write_text(csv, pd.concat(frames, ignore_index=True).to_csv(index=False))
    for sentence in left_out:
        print(f"qtm: {sentence}")
