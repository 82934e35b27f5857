"""Mean, V_W and V_B of latent axes and traits, measured and drawn."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from analysis.prompts.chains import PromptChain
from analysis.prompts.coordinates import BETWEEN
from analysis.prompts.paths import Path
from analysis.prompts.variances import levels
from empirical.runs.prompts import LATENT

# The latents along their leading axes, as one trait for V_W and V_B; their mean is a vector.
AXES = "latent axes"


def measurements(chain: PromptChain) -> dict[tuple[str, str], Float[np.ndarray, " T"]]:
    """Return mean, ln V_W and ln V_B of the latent axes and of every trait, by generation.

    Means are in standard deviations of generation 0, relative to its mean; V_W and V_B are in units
    of its V_W + V_B, of the axes as sums over axes, of the latents averaged over coordinates. The
    keys are (trait, quantity), the quantity "mean", "within" or "between"; a mean of the axes has a
    key for each of them.
    """
    traits = {name: trait.means for name, trait in chain.traits.items()}
    return _quantities(chain, chain.means, levels(chain), traits)


def predicted(chain: PromptChain, path: Path) -> dict[tuple[str, str], Float[np.ndarray, "S T"]]:
    """Return the same quantities of every draw of a path."""
    return _quantities(chain, path.means, path.levels, path.traits)


def _quantities(
    chain: PromptChain,
    means: Float[np.ndarray, "*n C K"],
    level: Float[np.ndarray, "*n D"],
    traits: Mapping[str, Float[np.ndarray, "*n C"]],
) -> dict[tuple[str, str], Float[np.ndarray, "*n"]]:
    unit, total = chain.unit, chain.unit.sum()
    K = len(unit)
    shift = (means.mean(axis=-2) - chain.means[0].mean(axis=0)) / np.sqrt(unit)
    values = {(f"{AXES} {k}", "mean"): shift[..., k] for k in range(K)}
    base = np.diagonal(chain.base_within.mean(axis=0))
    values[AXES, "within"] = _log(np.exp(level[..., :K]) @ base / total)
    values[AXES, "between"] = _log(means.var(axis=-2, ddof=1).sum(axis=-1) / total)
    for d, (name, trait) in enumerate(chain.traits.items()):
        sd, first = deviation(chain, name), trait.means[0].mean()
        ln_V = level[..., K + d] + np.log(trait.base_within / sd**2)
        if name == BETWEEN:
            values[LATENT, "between"] = ln_V
            continue
        values[name, "mean"] = (traits[name].mean(axis=-1) - first) / sd
        values[name, "within"] = ln_V
        if name != LATENT:
            values[name, "between"] = _log(traits[name].var(axis=-1, ddof=1) / sd**2)
    return values


def deviation(chain: PromptChain, name: str) -> float:
    """Return the standard deviation of a trait in generation 0; of latents, along a coordinate."""
    traits = chain.traits
    if name not in (LATENT, BETWEEN):
        return traits[name].deviation
    return float(np.sqrt(traits[LATENT].within[0] + traits[BETWEEN].within[0]))


def _log(V: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Return ln V; a trait that has collapsed completely keeps a finite logarithm."""
    return np.log(np.maximum(V, 1e-12))
