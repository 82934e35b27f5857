"""Transmission and selection of prompts' means, as Gaussian processes over the place of a prompt.

With lengths in standard deviations of real images, x = M_c of the training set, d = x - x_base (the
base's prompt, drawn without guidance), a = x - mean over prompts, l the strength of guidance
(`guided`), v = V_W/V_W(base) (geometric mean over axes and over the generations in the training
set) and p the probability of condition drop, a generation moves prompt c by R + S (the breeder's
equation of prompts) and by drift E, with the kernels, along axis k,

    R: r1^2 a_k a_k' + g g' [r2^2 d d' + r3^2 d_k d_k' + r4^2 rbf(x, x'; length_R)]
    S: l l' {v v' [s1^2 d d' + s2^2 d_k d_k' + s3^2 a_k a_k'] + s4^2
             + rbf(l, l'; length_w) [s5^2 rbf(x, x'; length_S) + s6^2 (same prompt)]}
    both: p p' {c1^2 a_k a_k' + l l' [c2^2 d_k d_k' + c3^2 a_k a_k']}
    E_t = e_t - k q_t e_t-1,   e_t: (same draw) [e1^2 + l l' rbf(l, l'; length_w) e2^2]

d d' is the inner product over axes, so that r2, s1 are regressions on all axes and r3, s2, s3 on
the same one. Selection is 0 at w = 1, by definition, nearly proportional to ln w, and, as in the
breeder's equation, its gradients act on the variance within prompts: where that has gone, prompts
are drawn apart no more. Finetuning passes on what is near the base in full, but for a leak between
prompts (r1); far from it less, g^2 = D^2/(1 + D^2) with D the root mean square of d over axes. What
a model draws without guidance shows R alone; far from the base with an error in proportion to g,
since there selection and transmission of a model are not quite a sum.

The chains of one seed train with the same order of images and draw with the same noise, so in one
generation their prompts drift together ("same draw": same prompt, generation and seed), as far as
they are close: rbf(x, x'; length_drift). Finetuning does not pass on the fraction k of the drift,
as far as the training set is of the last generation (q_t): so prompts regress on what was drawn by
chance, not on what selection made.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from analysis.models import Values
from analysis.prompts import guided, variances
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
        "transmission_apart": (
            "leak between prompts, along the deviation from their mean",
            0.05,
            1.0,
        ),
        "transmission_all": ("transmission far from the base, on all axes", 0.05, 1.0),
        "transmission_same": ("the same, regression on the same axis", 0.2, 1.0),
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
        "drift_lost": ("fraction of drift that finetuning does not pass on", 0.4, 0.5),
        "noise": ("drift of a prompt in one chain alone", 0.08, 1.0),
        "noise_unguided": ("error of transmission as drawn without guidance", 0.1, 1.0),
        "dropped": ("condition drop, leak between prompts, for p = 1", 0.2, 1.0),
        "dropped_same": ("condition drop, selection along the deviation from the base", 0.2, 1.0),
        "dropped_apart": ("condition drop, selection along that from the mean", 0.2, 1.0),
    }
)


# Keeps the root of a distance differentiable, where it is 0.
_TINY = 1e-6


def kernel(values: Values, a: Inputs, b: Inputs) -> Float[Array, "K n m"]:
    """Return the covariance of the motions of prompts, along each axis."""
    h = {name: jnp.square(value) for name, value in values.items()}
    distance, inner = squared(a["place"], b["place"]), a["away"] @ b["away"].T
    local = lambda length: jnp.exp(-distance / (2 * length))
    same = a["prompt"][:, None] == b["prompt"][None]
    along = lambda name: a[name].T[:, :, None] * b[name].T[:, None]
    product = lambda left, right: left[:, None] * right[None]
    strength, other = guided.strength(values, a), guided.strength(values, b)
    transmitted = h["transmission_apart"] * along("apart") + product(_grown(a), _grown(b)) * (
        h["transmission_all"] * inner
        + h["transmission_same"] * along("away")
        + h["transmission_local"] * local(h["transmission_length"])
    )
    selected = (
        product(a["variance"], b["variance"])
        * (
            h["selection_all"] * inner
            + h["selection_same"] * along("away")
            + h["selection_apart"] * along("apart")
        )
        + h["selection_common"]
        + guided.alike(values["scale_length"], strength, other)
        * (h["selection_local"] * local(h["selection_length"]) + h["selection_prompt"] * same)
    )
    dropped = h["dropped"] * along("apart") + product(strength, other) * (
        h["dropped_same"] * along("away") + h["dropped_apart"] * along("apart")
    )
    drift = same * local(h["drift_length"]) * _drift(values, a, b)
    return (
        transmitted
        + product(strength, other) * selected
        + product(a["dropped"], b["dropped"]) * dropped
        + drift
    )


def noise(values: Values, a: Inputs) -> Float[Array, " n"]:
    """Return the variance of what no other observation has in common with one."""
    return (
        guided.noise(values, a) + jnp.square(values["noise_unguided"] * _grown(a)) * a["unguided"]
    )


def _grown(a: Inputs) -> Float[Array, " n"]:
    """Return D/sqrt(1 + D^2), nearly 0 at the base."""
    square = jnp.mean(jnp.square(a["away"]), axis=1) + _TINY
    return jnp.sqrt(square / (1 + square))


def _drift(values: Values, a: Inputs, b: Inputs) -> Float[Array, "n m"]:
    """Return the covariance of e_t - k q_t e_t-1 of one prompt in one place."""
    h = {name: jnp.square(value) for name, value in values.items()}
    now = lambda part: guided.strength(values, part)
    before = lambda part: guided.strength(values, part, "log_scales_before")
    lost = lambda part: values["drift_lost"] * part["passed_on"]
    alike = lambda left, right: guided.alike(values["scale_length"], left, right)

    def shared(
        left: Float[Array, " n"], right: Float[Array, " m"], lag: int
    ) -> Float[Array, "n m"]:
        guidance = left[:, None] * right[None] * alike(left, right)
        return (a["draw"][:, None] - b["draw"][None] == lag) * (
            h["drift"] + h["drift_selected"] * guidance
        )

    return (
        shared(now(a), now(b), 0)
        + lost(a)[:, None] * lost(b)[None] * shared(before(a), before(b), 0)
        - lost(b)[None] * shared(now(a), before(b), -1)
        - lost(a)[:, None] * shared(before(a), now(b), 1)
    )


FAMILY = Family(kernel, noise, PARAMETERS + guided.PARAMETERS)


def inputs(
    chain: PromptChain,
    means: Float[np.ndarray, "*n C K"],
    transition: int,
    scale: float | None = None,
    level: Float[np.ndarray, "*n D"] | None = None,
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return the inputs of prompts at `means` in the training set.

    `transition` is 0 for the one that makes generation 1; `scale` is a constant CFG scale instead
    of the chain's guidance; `level` are ln V_W of the axes (and of traits, not used),
    averaged over the generations in the training set, as measured unless given.
    """
    unit = np.sqrt(chain.unit)
    x, base = means / unit, chain.base_means / unit
    C, K = means.shape[-2:]
    if level is None:
        level = chain.learnt_from(variances.levels(chain), transition)
    full = lambda value: np.broadcast_to(value, x.shape[:-1])
    return {
        "place": x,
        "away": x - base,
        "apart": x - x.mean(axis=-2, keepdims=True),
        "variance": full(np.exp(level[..., :K].mean(axis=-1))[..., None]),
        "prompt": full(np.arange(C)),
        "unguided": full(float(scale == 1.0)),
        **guided.inputs(chain, x.shape[:-1], transition, scale),
    }


def fit(
    chains: Sequence[PromptChain],
    seen: Bool[np.ndarray, "R G"],
    near: Process | None = None,
    without: Sequence[str] = (),
) -> Process:
    """Fit the motion of prompts to the seen transitions of chains.

    Also to what the models of these generations draw without guidance, from the same training sets,
    where it was drawn: selection is 0 there. Chains without guidance draw nothing else, and those
    of one seed have one model in generation 1, which is to count once. The hyperparameters
    `without` are 0.
    """
    parts, outputs = [], []
    plain = lambda chain, t: bool(np.all(chain.scales[t] == 1))
    first = {
        (c.seed, c.dropped) for c, mask in zip(chains, seen, strict=True) if mask[0] and plain(c, 0)
    }
    for chain, mask in zip(chains, seen, strict=True):
        unit, levels = np.sqrt(chain.unit), variances.levels(chain)
        for t in np.flatnonzero(mask).tolist():
            parents, level = (chain.learnt_from(values, t) for values in (chain.means, levels))
            parts.append(inputs(chain, parents, t, level=level))
            outputs.append((chain.means[t + 1] - parents) / unit)
            if chain.unguided is None or plain(chain, t):
                continue
            if t == 0:
                if (chain.seed, chain.dropped) in first:
                    continue
                first.add((chain.seed, chain.dropped))
            parts.append(inputs(chain, parents, t, 1.0, level))
            outputs.append((chain.unguided[t + 1] - parents) / unit)
    family = FAMILY.without(without)
    return condition(family, stacked(parts), np.concatenate(outputs), near)
