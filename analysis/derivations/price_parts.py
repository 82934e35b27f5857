"""The Price decomposition of one generation: inflow, transmission, selection of prompts."""

import sympy as sp

from analysis.derivations._algebra import covariance_of


def derive() -> dict[str, sp.Basic]:
    """Derive the parts of a change of mean and V_B.

    Two images z_1 and z_2 with w_1 and w_2 places in the training set: how far its mean is from
    that of all images (`inflow`), and Cov(w, z)/mean(w), which is the same (`covariance`; Robertson
    1966, Price 1970); and of the variance, divisor n (`inflow_variance`), Cov(w, (z - m)^2)/mean(w)
    - inflow^2 (`covariance_variance`).

    Prompt means of the training set x with variance `V_x`, of unguided images y = h x + r, r of
    variance `V_r`, of guided images y + S with S = a y + e, e of variance `V_e`: what transmission
    and selection add to V_B (`between_transmission`, `between_selection`).
    """
    z, w = (sp.symbols(f"{name}_1:3", real=True) for name in ("z", "w"))
    mean = lambda values, weights=(1, 1): (
        sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)
    )
    m, selected = mean(z), mean(z, w)
    squares = [(value - m) ** 2 for value in z]
    around = [(value - selected) ** 2 for value in z]
    fitness = lambda values: mean([a * b for a, b in zip(w, values, strict=True)])
    ratio = lambda values: (fitness(values) - mean(w) * mean(values)) / mean(w)

    h, a = sp.symbols("h a", real=True)
    x, r, e = sp.symbols("x r e", real=True)
    V_x, V_r, V_e = sp.symbols("V_x V_r V_e", positive=True)
    variance = lambda f: covariance_of(f, f, {x: V_x, r: V_r, e: V_e})
    unguided = h * x + r
    guided = unguided + a * unguided + e
    return {
        "inflow": sp.factor(selected - m),
        "covariance": sp.factor(ratio(z)),
        "inflow_variance": sp.factor(mean(around, w) - mean(squares)),
        "covariance_variance": sp.factor(ratio(squares) - ratio(z) ** 2),
        "between_transmission": sp.collect(sp.expand(variance(unguided) - V_x), V_x),
        "between_selection": sp.factor(variance(guided) - variance(unguided) - V_e) + V_e,
    }
