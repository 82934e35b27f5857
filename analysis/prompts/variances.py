"""Variances within prompts, of axes and of traits, generation by generation.

With y_j = ln V_W of quantity j in the training set relative to that of the base model's images, D
the distance of prompts from those of the base (root mean square over prompts and axes, in standard
deviations), l the strength of guidance (`guided`) and p the probability of condition drop,

    y_j <- ln[(e^y_j + u)/(1 + u)] - n l + r + s
    cov(r, r') = r1^2 + r2^2 y y' + r3^2 rbf + drift
    cov(s, s') = l l' [s1^2 + s2^2 y y' + s3^2 rbf rbf(l, l') + drift_S]
    with condition drop also p p' [c1^2 + l l' c2^2]

where rbf is one of (y, D). Finetuning passes on 1/(1 + u) of V_W, and the rest is the base's, so
that the fall by guidance, n for each unit of ln w, comes to an end: what no generation has shown
yet follows from the earlier ones. Quantities that are no V_W (`Trait.is_within`) stay as they
are but for r and s. Drift is common to chains of one seed, as in `motion`.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from analysis.models import Values
from analysis.prompts import guided
from analysis.prompts.chains import PromptChain
from analysis.prompts.process import (
    Family,
    Inputs,
    Process,
    condition,
    positive,
    stacked,
)

PARAMETERS = positive(
    {
        "narrowing": ("fall of ln V_W by guidance, per ln w", 0.35, 0.5),
        "renewal": ("variance from the base in a generation, of that passed on", 0.2, 0.25),
        "change": ("change of ln V_W without guidance", 0.05, 1.0),
        "return": ("regression of that change on ln V_W", 0.1, 1.0),
        "local": ("change without guidance that depends on ln V_W and distance", 0.05, 1.0),
        "selection": ("change of ln V_W by guidance, per ln w", 0.2, 1.0),
        "selection_return": ("regression of that change on ln V_W", 0.1, 1.0),
        "selection_local": ("change by guidance that depends on ln V_W and distance", 0.1, 1.0),
        "length": ("difference of ln V_W over which changes differ", 1.0, 0.4),
        "distance_length": ("distance from the base over which changes differ", 1.0, 0.4),
        "scale_length": ("difference of ln w over which selection changes its form", 1.0, 0.4),
        "drift": ("drift that chains of one seed have in common", 0.05, 1.0),
        "drift_selected": ("the same in the noise of guided sampling, per ln w", 0.05, 1.0),
        "noise": ("drift of one chain alone", 0.05, 1.0),
        "dropped": ("condition drop, change without guidance, for p = 1", 0.2, 1.0),
        "dropped_selected": ("condition drop, change by guidance", 0.2, 1.0),
    }
)


def kernel(values: Values, a: Inputs, b: Inputs) -> Float[Array, "D n m"]:
    """Return the covariance of ln V_W in the next generation, of each quantity."""
    h = {name: jnp.square(value) for name, value in values.items()}
    y, z = a["level"].T[:, :, None], b["level"].T[:, None]
    apart = lambda name: jnp.square(a[name][:, None] - b[name][None])
    strength, other = guided.strength(values, a), guided.strength(values, b)
    alike = guided.alike(values["scale_length"], strength, other)
    both = strength[:, None] * other[None]
    local = jnp.exp(
        -jnp.square(y - z) / (2 * h["length"]) - apart("distance") / (2 * h["distance_length"])
    )
    together = a["draw"][:, None] == b["draw"][None]
    changed = h["change"] + h["return"] * y * z + h["local"] * local + h["drift"] * together
    selected = (
        h["selection"]
        + h["selection_return"] * y * z
        + alike * (h["selection_local"] * local + h["drift_selected"] * together)
    )
    dropped = h["dropped"] + both * h["dropped_selected"]
    return changed + both * selected + a["dropped"][:, None] * b["dropped"] * dropped


def mean(values: Values, a: Inputs) -> Float[Array, "n D"]:
    """Return the mean of ln V_W in the next generation: renewed by finetuning, narrowed by
    guidance."""
    y, narrowing = a["level"], values["narrowing"] * guided.strength(values, a)
    renewed = jnp.log((jnp.exp(y) + values["renewal"]) / (1 + values["renewal"]))
    return jnp.where(a["is_within"], renewed - narrowing[:, None], y)


FAMILY = Family(kernel, guided.noise, PARAMETERS + guided.PARAMETERS, mean)


def levels(chain: PromptChain) -> Float[np.ndarray, "T D"]:
    """Return ln V_W of the axes and of the traits, relative to the base where it is known."""
    V = np.diagonal(chain.within.mean(axis=1), axis1=-2, axis2=-1)
    base = np.diagonal(chain.base_within.mean(axis=0))
    traits = [np.log(t.within / t.base_within) for t in chain.traits.values()]
    return np.column_stack([np.log(V / base), *traits])


def inputs(
    chain: PromptChain,
    level: Float[np.ndarray, "*n D"],
    means: Float[np.ndarray, "*n C K"],
    transition: int,
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return the inputs of a training set with prompts at `means`."""
    away = (means - chain.base_means) / np.sqrt(chain.unit)
    distance = np.sqrt(np.mean(np.square(away), axis=(-1, -2)))
    K = len(chain.unit)
    is_within = np.array([True] * K + [trait.is_within for trait in chain.traits.values()])
    return {
        "level": level,
        "is_within": np.broadcast_to(is_within, level.shape),
        "distance": distance,
        **guided.inputs(chain, distance.shape, transition),
    }


def learnt_from(
    chain: PromptChain, levels: Sequence[Float[np.ndarray, "*n D"]], transition: int
) -> Float[np.ndarray, "*n D"]:
    """Return ln V_W of a training set: the mean V_W of the generations that it is made of.

    What these differ by in the mean of a prompt varies within the training set, but a model hardly
    learns it: it draws images about one mean.
    """
    return np.log(chain.learnt_from(np.exp(levels), transition))


def fit(
    chains: Sequence[PromptChain],
    seen: Bool[np.ndarray, "R G"],
    near: Process | None = None,
    without: Sequence[str] = (),
) -> Process:
    """Fit the variances within prompts to the seen transitions of chains.

    The hyperparameters `without` are 0.
    """
    parts, outputs = [], []
    for chain, mask in zip(chains, seen, strict=True):
        y = levels(chain)
        for t in np.flatnonzero(mask).tolist():
            parents, means = learnt_from(chain, y, t), chain.learnt_from(chain.means, t)
            parts.append(inputs(chain, parents[None], means[None], t))
            outputs.append(y[None, t + 1])
    family = FAMILY.without(without)
    return condition(family, stacked(parts), np.concatenate(outputs), near)
