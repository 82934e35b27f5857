"""Selection and transmission in every generation."""

import pandas as pd
from matplotlib.figure import Figure

from analysis.selection.read import Measured
from analysis.selection.tables import tables
from empirical.runs.record import Run
from figures.evidence import Evidence
from figures.selection import draw_parts, separates

ORDER = 25
_TEXT = (
    "Every generation changes the images twice. First the model learns them; asked for the same "
    "prompts without guidance, it draws what it passes on (blue). Then guidance exaggerates some "
    "of it and suppresses the rest: what is selected (orange). {} Above zero is more variety, "
    "below zero less, and 1 is all the variety of the real images. The black line is the sum: "
    "below zero, variety is lost in that generation. Large bars that cancel each other are no "
    "rest: the images hold only because finetuning undoes what guidance does."
)
_PARTS = "(a) Differences among images of one prompt, (b) differences between prompts."
_TOTAL = (
    "Differences among all images: every prompt has one image and no replicate, so that "
    "differences within and between prompts are unknown."
)
CAPTION = _TEXT.format(_PARTS)
_TRAIT = "latent"


def draw(evidence: Evidence) -> Figure | None:
    """Draw the parts of the change of V_W and V_B of all runs that were drawn without guidance."""
    price = _price(evidence)
    if price is None:
        return None
    names = {run.name: evidence.looks[run.name].label for run in evidence.runs}
    return draw_parts(price, names)


def caption(evidence: Evidence) -> str:
    """Return the caption of the parts that are known."""
    price = _price(evidence)
    return CAPTION if price is None or separates(price) else _TEXT.format(_TOTAL)


def _price(evidence: Evidence) -> pd.DataFrame | None:
    """Return the decomposition of the runs that were drawn without guidance, None for none."""
    measured = [Measured(run) for run in evidence.runs if _is_measured(run)]
    return tables(measured, [_TRAIT]).price if measured else None


def _is_measured(run: Run) -> bool:
    """Return whether a run has unguided images, and the trait of all of them or its moments."""
    generations = [g for g in run.generations() if g.draw("unguided").complete]
    return any(g.number for g in generations) and _TRAIT in Measured(run).offered
