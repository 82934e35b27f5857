"""Images of a chain, predicted from the others and measured."""

from matplotlib.figure import Figure

from analysis.prompts.chains import PromptChain
from analysis.prompts.coordinates import base_prompts, in_order
from analysis.prompts.paths import fit, paths
from analysis.prompts.pictures import DRAWS, pictures
from empirical.errors import UserError
from figures import prediction
from figures.evidence import Evidence

ORDER = 36
CAPTION = (
    f"{prediction.CAPTION} Below, where the run stores its images: measured, others of the same "
    "prompts. It is the run at the greatest CFG scale that lies between those of other runs; the "
    "theory was fitted to the runs at other scales alone."
)
# One scale is held out, and others lie on both sides of it.
_SCALES = 3
_IMAGES = 2
# Autoencoders of more latents take minutes on processors.
_LATENTS = 1024


def draw(evidence: Evidence) -> Figure | None:
    """Draw predicted images above measured ones; None where fewer than three scales have comparable
    runs, or no package decodes latents.

    Raises `UserError` for runs without latents of prompts, and for models with many latents.
    """
    runs = {run.name: run for run in evidence.runs}
    target = held_out(evidence.prompt_chains)
    if target is None:
        return None
    size = in_order(base_prompts(runs[target.name]), target).shape[1]
    if size > _LATENTS:
        raise UserError(
            f"images of models with more than {_LATENTS:,} latents, here {size:,}, are left to "
            f"'qtm predict'"
        )
    seen = [chain for chain in evidence.prompt_chains if chain.label != target.label]
    planned = target.planned(target.label, target.generations)
    path = paths(fit(seen), planned, 0, DRAWS)
    drawn = pictures([runs[chain.name] for chain in seen], seen, planned, path, _IMAGES)
    if drawn is None:
        return None
    return prediction.draw(*drawn, planned.name, [runs[target.name]])


def held_out(chains: list[PromptChain]) -> PromptChain | None:
    """Return the first chain without a remedy at the greatest scale between those of others."""
    plain = [chain for chain in chains if chain.plain]
    labels = sorted({chain.label for chain in plain})
    if len(labels) < _SCALES:
        return None
    return next(chain for chain in plain if chain.label == labels[-2])
