"""Transmission and selection of prompts' means, as Gaussian processes over the place of a prompt.

With lengths in standard deviations of real images, x = M_c of the training set, d = x - x_base (the
base's prompt, drawn without guidance), a = x - mean over prompts, l the strength of guidance
(`guided`) and p the probability of condition drop, a generation moves prompt c by R + S (the
breeder's equation of prompts), with the kernels, along axis k,

    R: r1^2 d d' + r2^2 d_k d_k' + r3^2 a_k a_k' + r4^2 rbf(x, x'; length_R) + drift^2 (same draw)
    S: l l' {s1^2 d d' + s2^2 d_k d_k' + s3^2 a_k a_k' + s4^2 + rbf(l, l'; length_w)
             [s5^2 rbf(x, x'; length_S) + s6^2 (same prompt) + drift_S^2 (same draw)]}
    both: p p' {c1^2 a_k a_k' + l l' [c2^2 d_k d_k' + c3^2 a_k a_k']}

d d' is the inner product over axes, so that r1, s1 are regressions on all axes and r2, s2, s3 on
the same one. Selection is 0 at w = 1, by definition, and nearly proportional to ln w; the chains of
one seed train with the same order of images and draw with the same noise, so in one generation
their prompts drift together ("same draw": same prompt, generation and seed), as far as they are
close: rbf(x, x'; length_drift).
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
    squared,
    stacked,
)

PARAMETERS = positive(
    {
        "transmission_all": ("transmission, regression on all axes", 0.05, 1.0),
        "transmission_same": ("transmission, regression on the same axis", 0.2, 1.0),
        "transmission_apart": (
            "leak between prompts, along the deviation from their mean",
            0.05,
            1.0,
        ),
        "transmission_local": ("transmission that depends on the place of a prompt", 0.1, 1.0),
        "transmission_length": ("length over which it does, in standard deviations", 1.5, 0.25),
        "selection_all": ("selection, regression on all axes", 0.05, 1.0),
        "selection_same": ("selection along the deviation from the base", 0.2, 1.0),
        "selection_apart": ("selection along the deviation from the mean of prompts", 0.2, 1.0),
        "selection_common": ("selection that all prompts have in common", 0.05, 1.0),
        "selection_local": ("selection that depends on the place of a prompt", 0.2, 1.0),
        "selection_length": ("length over which it does, in standard deviations", 1.5, 0.25),
        "selection_prompt": ("selection of a prompt, in all places", 0.1, 1.0),
        "scale_length": ("difference of ln w over which selection changes its form", 1.0, 0.4),
        "drift": ("drift of a prompt that chains of one seed have in common", 0.08, 1.0),
        "drift_length": ("distance over which they no longer have", 0.5, 0.4),
        "drift_selected": ("the same in the noise of guided sampling, per ln w", 0.08, 1.0),
        "noise": ("drift of a prompt in one chain alone", 0.08, 1.0),
        "dropped": ("condition drop, leak between prompts, for p = 1", 0.2, 1.0),
        "dropped_same": ("condition drop, selection along the deviation from the base", 0.2, 1.0),
        "dropped_apart": ("condition drop, selection along that from the mean", 0.2, 1.0),
    }
)


def kernel(values: Values, a: Inputs, b: Inputs) -> Float[Array, "K n m"]:
    """Return the covariance of the motions of prompts, along each axis."""
    h = {name: jnp.square(value) for name, value in values.items()}
    distance, inner = squared(a["place"], b["place"]), a["away"] @ b["away"].T
    strength, other = guided.strength(values, a)[:, None], guided.strength(values, b)[None]
    alike = jnp.exp(-jnp.square(strength - other) / (2 * h["scale_length"]))
    same = a["prompt"][:, None] == b["prompt"][None]
    local = lambda length: jnp.exp(-distance / (2 * length))
    together = same & (a["draw"][:, None] == b["draw"][None])
    together = together * local(h["drift_length"])
    along = lambda name: a[name].T[:, :, None] * b[name].T[:, None]
    transmitted = (
        h["transmission_all"] * inner
        + h["transmission_local"] * local(h["transmission_length"])
        + h["drift"] * together
        + h["transmission_same"] * along("away")
        + h["transmission_apart"] * along("apart")
    )
    selected = (
        h["selection_all"] * inner
        + h["selection_common"]
        + alike
        * (
            h["selection_local"] * local(h["selection_length"])
            + h["selection_prompt"] * same
            + h["drift_selected"] * together
        )
        + h["selection_same"] * along("away")
        + h["selection_apart"] * along("apart")
    )
    dropped = h["dropped"] * along("apart") + strength * other * (
        h["dropped_same"] * along("away") + h["dropped_apart"] * along("apart")
    )
    return (
        transmitted + strength * other * selected + a["dropped"][:, None] * b["dropped"] * dropped
    )


FAMILY = Family(kernel, guided.noise, PARAMETERS + guided.PARAMETERS)


def inputs(
    chain: PromptChain,
    means: Float[np.ndarray, "*n C K"],
    transition: int,
    scale: float | None = None,
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return the inputs of prompts at `means` in the training set.

    `transition` is 0 for the one that makes generation 1; `scale` is a constant CFG scale instead
    of the chain's guidance.
    """
    unit = np.sqrt(chain.unit)
    x, base = means / unit, chain.base_means / unit
    C = means.shape[-2]
    return {
        "place": x,
        "away": x - base,
        "apart": x - x.mean(axis=-2, keepdims=True),
        "prompt": np.broadcast_to(np.arange(C), x.shape[:-1]),
        **guided.inputs(chain, x.shape[:-1], transition, scale),
    }


def fit(
    chains: Sequence[PromptChain],
    seen: Bool[np.ndarray, "R G"],
    near: Process | None = None,
    unguided: bool = False,
) -> Process:
    """Fit the motion of prompts to the seen transitions of chains.

    With `unguided`, also to what the models of these generations draw without guidance, from the
    same training sets: selection is 0 there. (It improves CFG 1, and worsens most other scales.)
    """
    parts, outputs = [], []
    for chain, mask in zip(chains, seen, strict=True):
        unit = np.sqrt(chain.unit)
        for t in np.flatnonzero(mask).tolist():
            parents = chain.learnt_from(chain.means, t)
            parts.append(inputs(chain, parents, t))
            outputs.append((chain.means[t + 1] - parents) / unit)
            if unguided and chain.unguided is not None:
                parts.append(inputs(chain, parents, t, 1.0))
                outputs.append((chain.unguided[t + 1] - parents) / unit)
    return condition(FAMILY, stacked(parts), np.concatenate(outputs), near)
