"""A population that follows a moving, fluctuating optimum (Bürger & Lynch 1995)."""

from typing import Any

import sympy as sp

from analysis.derivations import derived
from analysis.derivations._algebra import over_generations


def derive() -> dict[str, sp.Basic]:
    """Derive the fraction `s` of the distance to the optimum that a generation covers, in the
    variance `V_g` and the width `V_s`; then, in `s`, the `mean` of generation t behind an optimum
    `k` t, from `m_0`, and the `lag` at selection in generation t, from a start on the optimum; and
    the `variance` of the mean between replicates of N images whose optimum fluctuates with
    variance `V_theta`, in `V_g`, `V_s` and t.

    The optimum of generation t acts while t is produced. The variance V_g is constant.
    """
    m, theta, k, m_0 = sp.symbols("m theta k m_0", real=True)
    V, w2, V_g, V_s, V_theta, N = sp.symbols("V w2 V_g V_s V_theta N", positive=True)
    s, stays, noise = sp.symbols("s stays noise", positive=True)
    t = sp.symbols("t", integer=True, nonnegative=True)

    selected = derived("stabilizing")["mean"].subs({V: V_g, w2: V_s})
    of_optimum, of_mean = (sp.simplify(sp.diff(selected, x)) for x in (theta, m))  # s and 1 - s

    step = lambda mean: stays * mean + (1 - stays) * k * (t + 1)
    mean = sp.simplify(over_generations(step, m_0, t))
    # selection in generation t meets the optimum k t and the mean of t - 1
    lag = sp.factor(sp.simplify(k * t - mean.subs({t: t - 1, m_0: 0}, simultaneous=True)))

    # every generation adds sampling variance of N images and fluctuation of the optimum
    new = V_g / N + of_optimum**2 * V_theta
    spread: Any = sp.factor(over_generations(lambda spread: stays**2 * spread + noise, 0, t))
    at_rest, grown = spread.as_independent(t)
    at_rest = sp.factor(at_rest.subs({noise: new, stays: of_mean}, simultaneous=True))
    return {
        "share": of_optimum,
        "mean": mean.subs(stays, 1 - s),
        "lag": lag.subs(stays, 1 - s),
        "variance": at_rest * grown.subs(stays, of_mean),
    }
