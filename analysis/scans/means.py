"""Trait means of a chain, forecast from the response of one generation.

Theories of families leave the means of traits unmoved, although these move most. In generation 1
the mean of a trait shifts by T + S, T the transmission at scale 1 and S the effect of guidance at
the scale of the chain (both in standard deviations of generation 0). A chain repeats the two and
retains a fraction of each, a_T and a_S, by regression to the base model. Each accumulates as
`qtm.cycle.means.accumulated` defines, and the mean is their sum:

- transmission: T in every generation;
- selection: S in generation 1, and S + d + e_t later. d is the part of selection that generation 1
  does not show, in which the model has not yet departed from its base; e_t is due to chance.

The priors are set from 15 kept chains of the embedded model other than its baseline (condition
drop, decaying scales, an interval, fewer sampling steps), of whose generations 2 to 6 the 90 %
intervals contain 95 %: a_T ~ N(0.03, 0.03), from a chain without guidance, and a_S ~ N(0.6, 0.3),
both within 0 and 1; d ~ N(0, (0.05 + 0.9 |S| + |ln w| (0.05 + 0.07 |T|))^2);
e ~ N(0, (0.1 + 0.2 |S|)^2). They come from digits alone: other images may vary more widely.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from analysis.arms.read import Arm
from qtm.cycle.means import accumulated

TRANSMITTED, SELECTED = (0.03, 0.03), (0.6, 0.3)
UNSEEN, CHANCE = (0.05, 0.9, 0.05, 0.07), (0.1, 0.2)
# The fraction of the step between two scales by which a scale between them may be off.
_CURVED = 0.25
# Scales below this have the logarithm of it.
_LEAST = 0.05


def response(
    arms: Sequence[Arm], scale: float
) -> tuple[Float[np.ndarray, " D"], Float[np.ndarray, " D"]]:
    """Return the shift of the mean in generation 1 at any scale [D], and its standard error [D].

    Linear in ln w between neighbours, and beyond the range as between the last two. The error is
    a quarter of the step between neighbours, halfway; none at the scales of the arms.
    """
    arms = sorted(arms, key=lambda arm: arm.label)
    labels = [arm.label for arm in arms]
    shifts = np.stack([arm.measured[1, 0] for arm in arms])
    if scale in labels or len(arms) == 1:
        shift = shifts[labels.index(scale) if scale in labels else 0]
        return shift, np.zeros_like(shift)
    x, at_scale = np.log(np.maximum(labels, _LEAST)), np.log(max(scale, _LEAST))
    right = int(np.clip(np.searchsorted(x, at_scale), 1, len(x) - 1))
    step = shifts[right] - shifts[right - 1]
    fraction = (at_scale - x[right - 1]) / (x[right] - x[right - 1])
    off = _CURVED * np.abs(step) * 2 * np.sqrt(abs(fraction * (1 - fraction)))
    return shifts[right - 1] + fraction * step, off


def forecast(
    arms: Sequence[Arm], scale: float, generations: int, draws: int, seed: int = 0
) -> Float[np.ndarray, "S T D"]:
    """Draw paths [S, G + 1, D] of the mean at a scale, in standard deviations of generation 0.

    `arms` are those of a scan. Generation 1 is as measured at a scale that was scanned.
    """
    rng = np.random.default_rng([seed, 1])
    first, off = response(arms, scale)
    T, T_off = response(arms, 1.0)
    D = len(first)
    first = first + off * rng.normal(size=(draws, D))
    T = T + T_off * rng.normal(size=(draws, D))
    S = first - T if scale != 1 else np.zeros((draws, D))
    T = first - S
    a_T, a_S = (
        np.clip(centre + spread * rng.normal(size=(draws, D)), 0.0, 1.0)
        for centre, spread in (TRANSMITTED, SELECTED)
    )
    size, x = np.abs(S), abs(np.log(max(scale, _LEAST)))
    spread = UNSEEN[0] + UNSEEN[1] * size + x * (UNSEEN[2] + UNSEEN[3] * np.abs(T))
    d = spread * rng.normal(size=(draws, D))
    e = (CHANCE[0] + CHANCE[1] * size) * rng.normal(size=(generations - 1, draws, D))
    e = np.concatenate([np.zeros((1, draws, D)), e])
    responses = np.stack([S] + (generations - 1) * [S + d])
    transmitted = accumulated(np.broadcast_to(T, responses.shape), a_T)
    selected = accumulated(responses, a_S, e)
    paths = np.asarray(transmitted + selected)
    # T + S is the first generation up to rounding, which a forecast repeats as measured.
    return np.concatenate([paths[:1], first[None], paths[2:]]).swapaxes(0, 1)
