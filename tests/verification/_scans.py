"""Generation 1 of kept chains as a scan: all baseline arms of a seed share its finetuned model."""

import numpy as np

from analysis.scans.curves import Curve
from analysis.selection.draws import Sample
from empirical.runs import kept
from empirical.runs.record import Run


def baselines(experiment: str, seed: int) -> dict[float, Run]:
    """Return the chains of a seed with a constant scale, by their scale in rising order."""
    runs = [run for run in kept.runs(experiment) if run.name.startswith(f"baseline,seed={seed},")]
    scales = [float(run.recipe.settings.generate.guidance.scale) for run in runs]
    return dict(sorted(zip(scales, runs, strict=True)))


def curve(experiment: str, seed: int) -> Curve:
    """Return the eight leading axes of the latents, whose single images are kept."""
    runs = baselines(experiment, seed)
    first = next(iter(runs.values()))
    codes = np.unique(first.generation(0).captions, return_inverse=True)[1]

    def sample(run: Run, generation: int) -> Sample:
        return Sample(run.generation(generation).trait("latent_pc").astype(float), codes)

    return Curve(tuple(runs), tuple(sample(run, 1) for run in runs.values()), sample(first, 0))
