"""Experiments drawn from a model of collapse, with the design of one seed of the kept grid."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.arms.design import Design
    from analysis.models import Model

# Logarithms of V_W and V_B of images move by less.
FURTHEST = 5.0


def experiment(model: "Model", seed: int) -> "tuple[dict[str, float], Design] | None":
    """Draw parameters from the priors of a model, and arms of five CFG scales from these.

    None where V_W or V_B moves by more than a factor of e^5, as no images do: since the drawn data
    alone decide that, posteriors keep their coverage.
    """
    import numpy as np

    from analysis.arms.design import design
    from analysis.prediction.synthetic import draw_arms, draw_values

    values = draw_values(model, seed)
    stacked = design(draw_arms(model, values, seed=seed))
    if np.abs(stacked.measured - stacked.measured[:, :1])[:, :, 1:].max() > FURTHEST:
        return None
    return values, stacked
