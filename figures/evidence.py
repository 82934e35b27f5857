"""What a figure is drawn from: runs, and the theories that were fitted to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from analysis.compare import Comparison
from empirical.records import Run


@dataclass(frozen=True)
class Evidence:
    """Runs in the order of display, and comparisons of theories by (run name, trait label)."""

    runs: tuple[Run, ...]
    comparisons: dict[tuple[str, str], Comparison] = field(default_factory=dict)

    @cached_property
    def moments(self) -> pd.DataFrame:
        """Moments of all runs, with the column `run`, averaged over a trait's components."""
        frames = []
        for run in self.runs:
            table = run.moments().drop(columns="component")
            mean = table.groupby(["generation", "feature"], as_index=False).mean()
            frames.append(mean.assign(run=run.name))
        return pd.concat(frames, ignore_index=True)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Metrics of all runs, with the column `run`."""
        frames = [run.metrics().assign(run=run.name) for run in self.runs]
        return pd.concat(frames, ignore_index=True)


def legend_of(run: Run) -> str:
    """Name a run in a legend, with what sets it apart."""
    return f"{run.name} ({describe(run)})"


def describe(run: Run) -> str:
    """Say in a few words what sets a run apart: its guidance, and what it does unlike others."""
    recipe = run.recipe.settled()
    rule = recipe.generate.guidance
    if rule.rule == "constant":
        words = [f"CFG {rule.scale:g}"]
    elif rule.rule == "decay":
        words = [f"CFG {rule.scale:g} decaying to {rule.floor:g} at rate {rule.rate:g}"]
    else:
        settings = rule.model_dump(exclude={"rule"}).items()
        words = [f"{rule.rule} {', '.join(f'{key} {value}' for key, value in settings)}"]
    if recipe.finetune.condition_drop:
        words.append(f"condition dropped {100 * recipe.finetune.condition_drop:g} %")
    if recipe.finetune.start_from == "previous":
        words.append("from the previous model")
    if recipe.finetune.training_set == "mix":
        words.append(f"{100 * recipe.finetune.real_fraction:g} % real")
    elif recipe.finetune.training_set != "replace":
        words.append(recipe.finetune.training_set)
    if recipe.remedy is not None and recipe.remedy.name in ("latent_noise", "filter"):
        words.append(recipe.remedy.name.replace("_", " "))
    return ", ".join(words)


def palette(runs: Sequence[Run]) -> dict[str, tuple[float, float, float]]:
    """Give every run its colour, the same in all figures."""
    import seaborn

    names = [run.name for run in runs]
    colours = seaborn.color_palette("colorblind", len(names))
    return dict(zip(names, colours, strict=True))
