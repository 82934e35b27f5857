"""The breeder's equation of a chain: the response to a known selection differential."""

import sympy as sp

from analysis.derivations import derived
from analysis.derivations._algebra import covariance_of, over_generations


def derive() -> dict[str, sp.Basic]:
    """Derive the response of unguided images to selection among what the model learns from.

    Training images x ~ N(m, V), selected with fitness e^{bx}: the `differential` S; unguided images
    y = (1 - h) m_b + h x + noise, so that their mean moves by `response`, of which the fraction
    `realised_heritability` of S remains, which is also the `slope` of y on x. A chain that starts
    at m_b and is moved by S in each generation is at `cumulative` after t of them (Lush 1937;
    Lande 1979 with G = h P).
    """
    h, S, x, e, m, m_b = sp.symbols("h S x e m m_b", real=True)
    V, V_m = sp.symbols("V V_m", positive=True)
    t = sp.symbols("t", integer=True, nonnegative=True)

    offspring = lambda mean: (1 - h) * m_b + h * mean
    selected = derived("directional")["mean"]
    differential = sp.simplify(selected - m)
    response = sp.simplify(offspring(selected) - offspring(m))
    variances = {x: V, e: V_m}
    slope = covariance_of(x, h * x + e, variances) / covariance_of(x, x, variances)
    path = over_generations(lambda d: h * d + S, 0, t)
    return {
        "differential": differential,
        "response": response,
        "realised_heritability": sp.simplify(response / differential),
        "slope": sp.simplify(slope),
        "cumulative": sp.simplify(path),
    }
