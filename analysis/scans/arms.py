"""A scan as the arms of an experiment: each scale is one generation from the training set."""

from collections.abc import Sequence

from analysis.arms.read import Arm, arm
from analysis.scans.step import steps
from empirical.runs.scans import Scan


def arms(scan: Scan, trait: str = "latent", components: Sequence[int] | None = None) -> list[Arm]:
    """Return each scale of a scan as an arm of one generation, from the training set of
    generation 1.

    Traits of many components are averaged, as those of runs are. Raises `UserError` where
    generation 1 was not scanned, and for what `analysis.arms.read.arm` refuses.
    """
    return [arm(step, trait, components) for step in steps(scan, trait)]
