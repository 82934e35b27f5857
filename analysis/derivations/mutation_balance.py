"""Mutation-selection balance in an asexual Gaussian trait (Kimura 1965)."""

import sympy as sp

from analysis.derivations import derived
from analysis.derivations._algebra import positive_root


def derive() -> dict[str, sp.Basic]:
    """Derive the `mean` and `variance` at equilibrium, in the optimum `theta`, the width `V_s` of
    selection and the variance `V_m` of mutation; f(b) = V/V_s as `in_widths`, in b = V_m/V_s, which
    generalises to matrices (Lande 1979); and `approach`, the factor by which a small deviation of V
    shrinks in a generation.

    A generation is selection, then mutation: V' = V V_s/(V + V_s) + V_m.
    """
    m = sp.symbols("m", real=True)
    V, V_s, V_m, w2, b = sp.symbols("V V_s V_m w2 b", positive=True)
    selected = derived("stabilizing")
    (mean,) = sp.solve(selected["mean"] - m, m)
    after = selected["variance"].subs(w2, V_s) + V_m
    variance = positive_root(after - V, V)
    return {
        "mean": mean,
        "variance": variance,
        "in_widths": sp.simplify(variance.subs(V_m, b * V_s) / V_s),
        "approach": sp.simplify(sp.diff(after, V).subs(V, variance)),
    }
