"""How a chain is guided, as inputs of the processes, and how strong that is.

A schedule of the scale, w(sigma), acts where the noise sigma hides to which prompt an image
belongs, but not all of what it will be. Its strength is

    l = sum_k a_k ln w(sigma_k),   a_k ~ exp(-ln(sigma_k/noise)^2/(2 breadth^2)),   sum_k a_k = 1

so that l = ln w for a constant scale. With much less noise an image shows its prompt, and the
guided score is that of the prompt; with much more, prompts are alike. (For Gaussian prompts with
exact scores, ln V_W falls by (w - 1) V_B sigma^2/[(V_W + sigma^2)(V + sigma^2)] for each d ln
sigma^2: most at sigma^4 = V_W V.)
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from analysis.models import Values
from analysis.prompts.chains import PromptChain
from analysis.prompts.conditions import log_scales
from analysis.prompts.process import Inputs, positive

PARAMETERS = positive(
    {
        "noise_selected": ("drift of one chain alone, per strength of guidance", 0.05, 1.0),
        "guided_noise": (
            "noise where guidance acts, in standard deviations of images",
            1.3,
            0.3,
        ),
        "guided_breadth": ("breadth of the logarithm of that noise", 0.7, 0.4),
    }
)


def strength(values: Values, a: Inputs, name: str = "log_scales") -> Float[Array, " n"]:
    """Return the strength l of guidance, or, from "log_scales_before", that of the generation
    before."""
    far = jnp.log(a["sigma"] / values["guided_noise"]) / values["guided_breadth"]
    weights = jax.nn.softmax(-jnp.square(far) / 2, axis=-1)
    return jnp.sum(weights * a[name], axis=-1)


def alike(
    length: Float[Array, ""], strength: Float[Array, " n"], other: Float[Array, " m"]
) -> Float[Array, "n m"]:
    """Return how alike selection is at two strengths of guidance: exp(-(l - l')^2/(2 length^2))."""
    apart = strength[:, None] - other[None]
    return jnp.exp(-jnp.square(apart) / (2 * jnp.square(length)))


def noise(values: Values, a: Inputs) -> Float[Array, " n"]:
    """Return the variance of what no other chain has in common with an observation: more of it, the
    stronger the guidance."""
    selected = values["noise_selected"] * strength(values, a)
    return jnp.square(values["noise"]) + jnp.square(selected)


def inputs(
    chain: PromptChain, shape: tuple[int, ...], transition: int, scale: float | None = None
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return inputs for observations of a given shape: ln w and the noise at each level, ln w in
    the generation before and its fraction of the training set, the probability of condition drop,
    and an index of the noise that chains of a seed have in common.

    `scale` is a constant CFG scale instead of the chain's.
    """
    levels = chain.noise
    before = chain.scales[transition - 1] if transition else np.ones(len(levels))
    w = chain.scales[transition] if scale is None else np.full(len(levels), scale)
    each = lambda value: np.broadcast_to(value, (*shape, *np.shape(value)))
    return {
        "log_scales": each(log_scales(w)),
        "log_scales_before": each(log_scales(before)),
        "passed_on": each(chain.sources[transition, transition] if transition else 0.0),
        "sigma": each(levels),
        "dropped": each(chain.dropped),
        "draw": each(1000 * chain.seed + transition),
    }
