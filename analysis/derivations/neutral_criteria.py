"""The neutral scale by V_B and by the slope of prompt means: why the two differ."""

import sympy as sp

from analysis.derivations._algebra import covariance_of


def derive() -> dict[str, sp.Basic]:
    """Derive V_B of offspring y = b x + r of prompt means x, of variance `V_x`, r of `V_r`.

    It changes by `change`. Where the slope b is 1 it grows by `at_slope_one`, the scatter r; it is
    constant where the slope is `slope_at_constant_variance`, below 1. With b = b_1 + k ln w, where
    b_1 is the slope without guidance, the slope is 1 at the scale `by_slope`, V_B constant at
    `by_variance`, the lower one, and their ratio is `ratio`.
    """
    b, b_1 = sp.symbols("b b_1", positive=True)
    x, r = sp.symbols("x r", real=True)
    V_x, V_r, k, w = sp.symbols("V_x V_r k w", positive=True)
    offspring = b * x + r
    between = covariance_of(offspring, offspring, {x: V_x, r: V_r})
    change = sp.expand(between - V_x)
    (constant,) = sp.solve(change, b)
    scale_of = lambda slope: sp.solve(b_1 + k * sp.log(w) - slope, w)[0]
    by_slope, by_variance = scale_of(1), scale_of(constant)
    return {
        "change": sp.collect(change, V_x),
        "at_slope_one": change.subs(b, 1),
        "slope_at_constant_variance": constant,
        "by_slope": by_slope,
        "by_variance": by_variance,
        "ratio": sp.simplify(by_slope / by_variance),
    }
