"""The four arms of the factorial of ReDiFine at CFG 7.5, and its measured effects."""

from functools import cache

from analysis.arms.read import Arm, arms
from analysis.comparison.mechanism import measured_parts
from empirical.runs import kept
from tests.verification._kept import SEEDS

PLAIN, SCHEDULE, DROP, BOTH = (
    "baseline,seed={},guidance.scale=7.5",
    "decay_rate,seed={}",
    "condition_drop,seed={}",
    "redifine_rate,seed={},remedy.rate=15",
)
# The parts by the names of the documents.
SCHEDULED, DROPPED, ALL = "selection", "condition drop", "all"


@cache
def every_arm() -> list[Arm]:
    """Return the arms of the kept grid that models describe."""
    return arms(kept.runs())[0]


@cache
def cells() -> list[list[Arm]]:
    """Return the arms with neither part, with the schedule, with condition drop, and with both."""
    named = {arm.name: arm for arm in every_arm()}
    return [[named[name.format(seed)] for seed in SEEDS] for name in (PLAIN, SCHEDULE, DROP, BOTH)]


def measured() -> dict[tuple[str, str], tuple[float, float]]:
    """Return effect and standard error by quantity ("within", "between") and part."""
    table = measured_parts(*cells())
    return {(row.quantity, row.part): (row.effect, row.error) for row in table.itertuples()}
