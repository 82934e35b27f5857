"""Means of traits from the prompts' means: a map of latents, learnt on chains.

The mean of a trait over the images of prompt c differs from that of the base model's images by a
function of where the prompt lies, x, and of d = x - x(base), both in standard deviations of real
images along the axes,

    T_c = T_c(base) + f + e,   cov(f, f') = a^2 d d' + b^2 (d d')^2 + c^2 g g' rbf(x, x'; length)

with g^2 = |d|^2/(1 + |d|^2), and an error e of variance e_0^2 + (e_1 g)^2: chains of one seed draw
with the same noise, so that close to the base errors are those of differences.

Only what a model drew is compared: real images have not passed the decoder, by which entropy jumps
by four standard deviations at every CFG scale. A map of single images of one generation would be of
no use, since chains leave the range of its images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from analysis.models import Values
from analysis.prompts.chains import PromptChain, common_traits
from analysis.prompts.process import (
    Family,
    Inputs,
    Process,
    condition,
    positive,
    squared,
    stacked,
)

# Keeps lengths differentiable where they are 0.
_TINY = 1e-6
PARAMETERS = positive(
    {
        "linear": ("slope of a trait in latents", 0.3, 1.0),
        "square": ("curvature of a trait in latents", 0.1, 1.0),
        "local": ("dependence on the place of a prompt beyond these", 0.3, 1.0),
        "length": ("length over which it changes, in standard deviations", 1.2, 0.4),
        "noise": ("error of the mean of a prompt's images", 0.05, 1.0),
        "noise_away": ("the same, far from the base", 0.1, 1.0),
    }
)


def kernel(values: Values, a: Inputs, b: Inputs) -> Float[Array, "1 n m"]:
    """Return the covariance of trait means, the same for all traits in their units."""
    h = {name: jnp.square(value) for name, value in values.items()}
    inner, distance = a["away"] @ b["away"].T, squared(a["place"], b["place"])
    grown, other = jnp.sqrt(_grown(a)), jnp.sqrt(_grown(b))
    local = grown[:, None] * other[None] * jnp.exp(-distance / (2 * h["length"]))
    return (h["linear"] * inner + h["square"] * jnp.square(inner) + h["local"] * local)[None]


def noise(values: Values, a: Inputs) -> Float[Array, " n"]:
    """Return the variance of the error of a prompt's trait mean."""
    return jnp.square(values["noise"]) + jnp.square(values["noise_away"]) * _grown(a)


def _grown(a: Inputs) -> Float[Array, " n"]:
    """Return |d|^2/(1 + |d|^2), 0 at the base; its root needs a derivative there."""
    square = jnp.sum(jnp.square(a["away"]), axis=1) + _TINY
    return square / (1 + square)


FAMILY = Family(kernel, noise, PARAMETERS)


@dataclass(frozen=True)
class TraitMap:
    """The map of all traits: `units` [D] are the sizes of their changes in the chains it was learnt
    on, in trait units."""

    names: tuple[str, ...]
    units: Float[np.ndarray, " D"]
    process: Process

    def draws(
        self, chain: PromptChain, means: Float[np.ndarray, "S T C K"], seed: int = 0
    ) -> Float[np.ndarray, "S T C D"]:
        """Return trait means of prompts at `means`, with the error of the map."""
        S, T, C, _ = means.shape
        places = _places(chain, means)
        flat = {k: v.reshape(S, T * C, *v.shape[3:]) for k, v in places.items()}
        values = self.process.draws(S, seed)(flat)
        base = np.column_stack([chain.traits[name].base_means for name in self.names])
        return base + self.units * values.reshape(S, T, C, -1)


def trait_map(
    chains: Sequence[PromptChain], seen: Bool[np.ndarray, "R G"], near: "TraitMap | None" = None
) -> TraitMap:
    """Learn the map of every trait on the base and on the generations of seen transitions."""
    names = tuple(common_traits(chains))
    parts, outputs = [], []
    for chain, mask in zip(chains, seen, strict=True):
        base = np.column_stack([chain.traits[name].base_means for name in names])
        values = np.stack([chain.traits[name].means for name in names], axis=-1)
        for t in (np.flatnonzero(mask) + 1).tolist():
            parts.append(_places(chain, chain.means[t]))
            outputs.append(values[t] - base)
    first = chains[0]
    parts.append(_places(first, first.base_means))
    outputs.append(np.zeros_like(outputs[0]))
    y = np.concatenate(outputs)
    units = np.sqrt(np.mean(np.square(y), axis=0))
    process = condition(FAMILY, stacked(parts), y / units, None if near is None else near.process)
    return TraitMap(names, units, process)


def _places(
    chain: PromptChain, means: Float[np.ndarray, "*n C K"]
) -> dict[str, Shaped[np.ndarray, "..."]]:
    unit = np.sqrt(chain.unit)
    return {"place": means / unit, "away": (means - chain.base_means) / unit}
