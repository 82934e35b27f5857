"""Remedies: ReDiFine, its parts and others against the baseline, and their cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from empirical.errors import UserError
from empirical.runs.record import Run
from figures.pieces import draw_curve, generations_below, legend_below, letters, plain_logarithm
from figures.study import SCALE, Study
from figures.style import PAGE, REMEDIES, scale_look

NUMBER = 7
MADE_BY = (
    "empirical/recipes/grid/embedded.toml, arms baseline, condition_drop, decay, decay_rate, "
    "redifine, redifine_rate, redifine_scale, real_data, interval, generation_decay, cads, apg, "
    "latent_noise, filter"
)
CAPTION = (
    "Remedies at the most harmful scale; means over seeds, with bands where there are several. (a) "
    "Ablation: condition drop alone, a fast decaying scale alone, and both, which is ReDiFine. "
    "(b) Other remedies. (c) The end against the rate of decay: filled marks with condition drop, "
    "open ones without; the dashes at the right are constant scales. (d) The end against the "
    "starting scale of a slow decay. (e) The cost: Fréchet distance at generation 1, before "
    "anything could accumulate, against that at the end; lower left is better, marks as in a and "
    "b, numbers are rates of decay of ReDiFine. A slow decay delays the loss but does not stop "
    "it; a fast one helps most, and condition drop, of little effect by itself, then helps some "
    "more. Much of this is weaker guidance: a constant scale of 1.25 costs less and ends lower "
    "than every rate tried."
)
RULE, RATE, DROP = "generate.guidance.rule", "generate.guidance.rate", "finetune.condition_drop"
# Rates of decay: the default of the remedy, and one that keeps guidance on for long.
FAST, SLOW = 15.0, 2.0
_DECAY = {RULE: "decay", "generate.guidance.floor": 1.0, "generate.guidance.shape": "exponential"}
_DROPPED = {DROP: 0.2}
_REAL = {"finetune.training_set": "mix", "finetune.real_fraction": 0.5}


def arms(study: Study) -> dict[str, list[Run]]:
    """Return the runs of each remedy that otherwise equal the baseline."""
    guidance = [key for flat in study.settings.values() for key in flat if _of_a_rule(key)]
    settings: dict[str, tuple[dict[str, Any], Sequence[str]]] = {
        "baseline": ({}, ()),
        "condition_drop": (_DROPPED, ()),
        "decay": ({**_DECAY, RATE: FAST}, ()),
        "redifine": ({**_DECAY, RATE: FAST, **_DROPPED}, ()),
        "redifine_slow": ({**_DECAY, RATE: SLOW, **_DROPPED}, ()),
        "real_data": (_REAL, ()),
        **{
            rule: ({RULE: rule}, guidance)
            for rule in ("interval", "generation_decay", "cads", "apg")
        },
        **{
            name: ({"remedy.name": name}, [k for k in study.common if k.startswith("remedy.")])
            for name in ("latent_noise", "filter")
        },
    }
    by_name = {name: study.find(changes, free) for name, (changes, free) in settings.items()}
    return {name: runs for name, runs in by_name.items() if runs}


def draw(study: Study) -> Figure:
    """Draw curves of all remedies, and the dependence of ReDiFine on its settings."""
    remedies = arms(study)
    if "baseline" not in remedies or len(remedies) < 2:
        raise UserError("the runs contain no remedy and baseline that agree in all other settings")
    figure = Figure(figsize=(PAGE, 5.0))
    above, below = figure.subfigures(2, 1, height_ratios=[1.2, 1])
    first, second = above.subplots(1, 2, sharey=True)
    parts = ["baseline", "condition_drop", "redifine_slow", "decay", "redifine"]
    _curves(first, study, {name: remedies[name] for name in parts if name in remedies})
    rest = {name: runs for name, runs in remedies.items() if name not in parts[1:]}
    _curves(second, study, rest)
    first.set(title="ReDiFine and its parts", ylabel="Fréchet distance")
    second.set(title="other remedies")
    legend_below(above, [REMEDIES[name] for name in REMEDIES if name in remedies], 6)
    third, fourth, fifth = below.subplots(1, 3)
    _rates(third, study)
    _starts(fourth, study)
    _price(fifth, study, remedies)
    letters([first, second, third, fourth, fifth])
    return figure


def _curves(axis: Axes, study: Study, remedies: Mapping[str, Sequence[Run]]) -> None:
    for name, runs in remedies.items():
        draw_curve(axis, study.measured(runs, "frechet"), REMEDIES[name])
    axis.set_yscale("log")
    plain_logarithm(axis.yaxis, [3, 10, 30, 100, 300])
    generations_below(axis)


def rates(study: Study, dropped: bool) -> dict[float, list[Run]]:
    """Return the runs of decaying guidance by rate, with or without condition drop."""
    changes = {**_DECAY, **(_DROPPED if dropped else {})}
    return {rate: runs for rate, runs in study.along(RATE, changes).items() if rate is not None}


def _rates(axis: Axes, study: Study) -> None:
    for dropped, name in ((True, "redifine"), (False, "decay")):
        look = REMEDIES[name]
        by_rate = {
            rate: study.measured(runs, "frechet") for rate, runs in rates(study, dropped).items()
        }
        for rate, curve in by_rate.items():
            axis.plot([rate] * len(curve.last), curve.last, look.marker, color=look.colour,
                      markerfacecolor=look.colour if dropped else "white")  # fmt: skip
        axis.plot(list(by_rate), [c.last.mean() for c in by_rate.values()], "-", color=look.colour,
                  linewidth=0.8, zorder=1.5)  # fmt: skip
    for scale, runs in study.scales().items():
        end = study.measured(runs, "frechet").last.mean()
        look = scale_look(scale)
        axis.axhline(end, 0.94, 1, color=look.colour, linewidth=1.5)
        axis.annotate(f"{scale:g}", (1.02, end), xycoords=("axes fraction", "data"), fontsize=6,
                      va="center")  # fmt: skip
    axis.set(xscale="log", yscale="log", xlabel="rate of decay", title="rate")
    axis.set_ylabel("Fréchet distance, last generation")
    plain_logarithm(axis.xaxis, [1, 2, 5, 10, 15])
    plain_logarithm(axis.yaxis, [10, 30, 100, 300])
    axis.set_xlim(0.85, 24)


def _starts(axis: Axes, study: Study) -> None:
    plain = {s: study.measured(r, "frechet").last for s, r in study.scales().items()}
    axis.plot(list(plain), [ends.mean() for ends in plain.values()], "-", color="black",
              label="baseline")  # fmt: skip
    look = REMEDIES["redifine"]
    by_start = study.along(SCALE, {**_DECAY, RATE: SLOW, **_DROPPED})
    for scale, runs in by_start.items():
        ends = study.measured(runs, "frechet").last
        axis.plot([scale] * len(ends), ends, look.marker, color=look.colour)
    ends = [study.measured(runs, "frechet").last.mean() for runs in by_start.values()]
    axis.plot(
        list(by_start),
        ends,
        "-",
        color=look.colour,
        linewidth=0.8,
        label=REMEDIES["redifine_slow"].label,
    )
    axis.set(xscale="log", yscale="log", xlabel="CFG scale at the start", title="scale")
    plain_logarithm(axis.xaxis, [1, 2.5, 5, 7.5, 15])
    plain_logarithm(axis.yaxis, [10, 30, 100, 300])
    axis.legend(loc="lower right")


def _price(axis: Axes, study: Study, remedies: Mapping[str, Sequence[Run]]) -> None:
    shown = {name: study.measured(runs, "frechet").mean for name, runs in remedies.items()}
    shown.pop("redifine_slow", None)  # one of the rates below
    for name, values in shown.items():
        look = REMEDIES[name]
        axis.plot([values[1]], [values[-1]], look.marker, color=look.colour, markersize=5)
    for rate, runs in rates(study, True).items():
        values = study.measured(runs, "frechet").mean
        look = REMEDIES["redifine"]
        axis.plot([values[1]], [values[-1]], look.marker, color=look.colour, markersize=5)
        axis.annotate(f"{rate:g}", (values[1], values[-1]), (4, -2), textcoords="offset points",
                      fontsize=6, va="top")  # fmt: skip
    line = {s: study.measured(r, "frechet").mean for s, r in study.scales().items()}
    axis.plot([v[1] for v in line.values()], [v[-1] for v in line.values()], ":", color="0.4",
              linewidth=0.9, zorder=1)  # fmt: skip
    handle = Line2D([], [], linestyle=":", color="0.4", label="constant scales")
    axis.legend(handles=[handle], loc="upper left")
    axis.set(xscale="log", yscale="log", title="cost", xlabel="Fréchet distance, generation 1")
    plain_logarithm(axis.xaxis, [5, 10, 20, 30])
    plain_logarithm(axis.yaxis, [10, 30, 100, 300])
    low, high = np.min([v[1] for v in shown.values()]), np.max([v[1] for v in shown.values()])
    axis.set_xlim(min(low * 0.6, 5), high * 1.3)


def _of_a_rule(key: str) -> bool:
    return key.startswith("generate.guidance.") and key not in (RULE, SCALE)
