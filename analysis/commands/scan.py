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
    from analysis.prompts import conditions

    if 1 not in scan.generations:
        return "which has no generation 1"
    ours, theirs = (conditions.conditions(r.recipe.settings) for r in (run, scan.run))
    differing = conditions.unlike(ours, theirs)
    if differing:
        return f"whose settings of {' and '.join(differing)} differ from those of '{run.name}'"
    if sorted(scan.training(1).captions) != sorted(run.generation(0).captions):
        return f"whose prompts differ from those of '{run.name}'"
    return ""


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
    from analysis.scans import neutral
    from analysis.scans.arms import arms
    from analysis.scans.curves import Reader
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
    curve = Reader(scan, 1).curve(neutral.TRAIT)
    passed_on = neutral.passed_on(curve)
    if passed_on < _FAMILIAR:
        print(
            f"qtm: at CFG {curve.scales[0]:g} finetuning passed on {100 * passed_on:.0f} % of the "
            f"differences between prompts: the model hardly knows such images, and later "
            f"generations may behave otherwise than the first, the only one that a scan knows; "
            f"two generations of a chain forecast better"
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
