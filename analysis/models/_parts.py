"""What models are made of: inheritance with its parameters, mutation, the bound."""

import jax.numpy as jnp
from jax import Array

from analysis.models._base import Parameter, Setting, Values
from qtm import Families

HERITABILITY = Parameter(
    "heritability", "share of a prompt's deviation from the mean that finetuning takes up",
    "share", 0.01, 0.9999, 0.9, 1.0, "an arm near the neutral scale, and more generations",
)  # fmt: skip
WITHIN_HERITABILITY = Parameter(
    "within_heritability", "share of the change of V_W that finetuning takes up",
    "share", 0.01, 0.9999, 0.85, 1.0, "an arm in which V_W moves far from generation 0",
)  # fmt: skip
MUTATION = Parameter(
    "mutation_variance", "variance added to V_W each generation, in V of generation 0",
    "positive", 1e-5, 2.0, 0.002, 1.5, "an arm without guidance (CFG scale 1)",
)  # fmt: skip
UPTAKE = Parameter(
    "uptake", "how far the unconditional branch follows the data by itself",
    "share", 1e-3, 0.999, 0.2, 1.0, "arms in which V_W + V_B moves far from generation 0",
)  # fmt: skip
DROP_UPTAKE = Parameter(
    "drop_uptake", "rate at which condition drop makes the unconditional branch follow: it stays "
    "with the base by the factor exp(-rate probability)",
    "positive", 1e-3, 100.0, 3.0, 1.5, "an arm with condition drop",
)  # fmt: skip
DROP_MUTATION = Parameter(
    "drop_mutation", "variance that condition drop adds to V_W each generation, a unit of "
    "probability, in V of generation 0",
    "positive", 1e-5, 5.0, 0.002, 1.5, "an arm with condition drop",
)  # fmt: skip
CONFUSION = Parameter(
    "confusion", "share of images that come out as of another prompt",
    "share", 1e-4, 0.9, 0.02, 1.0, "an arm without guidance (CFG scale 1)",
)  # fmt: skip
COHERENCE = Parameter(
    "coherence", "variance of the axes along which images vary, beside that of the leading ones: "
    "it says which noise levels matter to a trait",
    "positive", 0.01, 1e3, 1.0, 0.5, "arms in which the guidance scale changes while sampling",
)  # fmt: skip
BOUND = Parameter(
    "bound", "largest V_B that images can have, in V of generation 0",
    "positive", 0.2, 500.0, 3.0, 0.7, "arms with CFG scales of 5 and more until V_B settles",
)  # fmt: skip
# How sharply V_B meets its bound: the fourth power behaves as a clamp with a rounded corner.
_CORNER = 4


def inherited(values: Values, state: Families, setting: Setting) -> Families:
    """Return the families as a model knows them that was finetuned from the base on `state`.

    The training set has the share a of real images, and the variance of the very images (ddof = 0).
    With heritability h between and h_W within,

        V_W = (1 - h_W) V_W0 + h_W V_W,train,
        V_B = [(1 - h) sqrt(V_B0) + h sqrt(V_B,train)]^2,   m = h m_train.

    Between prompts this is that of `qtm.FamilyCycle`: deviations keep their direction.
    """
    base, a = setting.base, setting.real
    h, h_W = values["heritability"], values["within_heritability"]
    sampled = 1 - setting.families / setting.images
    V_W = (1 - a) * state.within * sampled + a * base.within + setting.mutation
    deviation = (1 - a) * jnp.sqrt(state.between) + a * jnp.sqrt(base.between)
    deviation = (1 - h) * jnp.sqrt(base.between) + h * deviation
    V_W = (1 - h_W) * base.within + h_W * V_W
    return Families(h * (1 - a) * state.mean, V_W, jnp.square(deviation))


def unconditional(values: Values, learnt: Families, setting: Setting) -> Array:
    """Return V_U = (1 - u)(V_W0 + V_B0) + u (V_W + V_B), with the uptake that condition drop adds:
    1 - u = (1 - uptake) exp(-drop_uptake probability)."""
    stays = (1 - values["uptake"]) * jnp.exp(-values["drop_uptake"] * setting.dropped)
    whole = learnt.within + learnt.between
    return stays * (setting.base.within + setting.base.between) + (1 - stays) * whole


def measured(values: Values, after: Families, setting: Setting) -> Families:
    """Bound V_B, confuse prompts, mutate, and add the drift of n images a prompt.

    Whoever knows a `drop_mutation` mutates by that times the probability of condition drop more.

    Whoever knows a `bound`: V_B <- V_B [1 + (V_B/bound)^4]^(-1/4). Whoever knows a `confusion` l,
    the share of images that come out as of another prompt: V_B <- (1 - l)^2 V_B, and what families
    lose of it appears within them, V_W <- V_W + [1 - (1 - l)^2] V_B.
    """
    V_W, V_B = after.within, after.between
    if "bound" in values:
        V_B = V_B * (1 + (V_B / values["bound"]) ** _CORNER) ** (-1 / _CORNER)
    if "confusion" in values:
        kept = jnp.square(1 - values["confusion"])
        V_W, V_B = V_W + (1 - kept) * V_B, kept * V_B
    V_W = V_W + values["mutation_variance"] + values.get("drop_mutation", 0.0) * setting.dropped
    return Families(after.mean, V_W, V_B + V_W * setting.families / setting.images)
