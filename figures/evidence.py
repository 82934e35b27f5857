"""The evidence of a report: runs, and the theories fitted to them."""

from dataclasses import dataclass, field
from functools import cached_property

from analysis.comparison.fit import Result
from analysis.prediction.forecast import Forecast
from analysis.prompts.chains import PromptChain
from analysis.prompts.reading import chains
from empirical.errors import UserError
from empirical.runs.record import Run
from figures.study import Study
from figures.style import Look, scale_look
from figures.text import shortened

_COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
_LINES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))


@dataclass(frozen=True)
class Evidence:
    """Runs in order of display, fits of theories by trait label, and forecasts by run name."""

    runs: tuple[Run, ...]
    fits: dict[str, Result] = field(default_factory=dict)
    forecasts: dict[str, Forecast] = field(default_factory=dict)

    @cached_property
    def study(self) -> Study:
        """The tables of all runs."""
        return Study(self.runs)

    @cached_property
    def prompt_chains(self) -> list[PromptChain]:
        """The chains of runs with constant guidance that one theory of prompts describes, none
        where it describes none."""
        rule = lambda run: run.recipe.settings.generate.guidance.rule
        try:
            return chains(run for run in self.runs if rule(run) == "constant")[0]
        except UserError:
            return []

    @cached_property
    def looks(self) -> dict[str, Look]:
        """The look of each run in every figure, by name: the ramp of scales where runs differ only
        in a constant scale, else colours, markers and lines in turn."""
        scales = [_scale(run) for run in self.runs]
        if None not in scales and len(set(scales)) == len(scales):
            looks = [scale_look(scale) for scale in scales if scale is not None]
        else:
            count = len(_COLOURS)
            looks = [
                Look("", _COLOURS[i % count], _MARKERS[i % count], _LINES[i // count % len(_LINES)])
                for i in range(len(self.runs))
            ]
        return {
            run.name: Look(legend_of(run), look.colour, look.marker, look.line)
            for run, look in zip(self.runs, looks, strict=True)
        }


def _scale(run: Run) -> float | None:
    """Return the scale of a run that its scale alone describes, else None."""
    rule = run.recipe.settings.generate.guidance
    return rule.scale if describe(run) == f"CFG {getattr(rule, 'scale', 0):g}" else None


def legend_of(run: Run) -> str:
    """Return the name of a run for legends, with its distinguishing settings."""
    return f"{shortened(run.name, 60)} ({describe(run)})"


def describe(run: Run) -> str:
    """Describe a run in a few words: its guidance, and settings that differ from the default."""
    settings = run.recipe.settings
    rule = settings.generate.guidance
    if rule.rule == "constant":
        words = [f"CFG {rule.scale:g}"]
    elif rule.rule == "decay":
        words = [f"CFG {rule.scale:g} decaying to {rule.floor:g} at rate {rule.rate:g}"]
    else:
        values = rule.model_dump(exclude={"rule"}).items()
        words = [f"{rule.rule} {', '.join(f'{key} {value}' for key, value in values)}"]
    if settings.finetune.condition_drop:
        words.append(f"condition dropped {100 * settings.finetune.condition_drop:g} %")
    if settings.finetune.start_from == "previous":
        words.append("from the previous model")
    if settings.finetune.training_set == "mix":
        words.append(f"{100 * settings.finetune.real_fraction:g} % real")
    elif settings.finetune.training_set != "replace":
        words.append(settings.finetune.training_set)
    if settings.remedy is not None and settings.remedy.name in ("latent_noise", "filter"):
        words.append(settings.remedy.name.replace("_", " "))
    return ", ".join(words)
