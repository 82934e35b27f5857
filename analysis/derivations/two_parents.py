"""Weights of parent and base: the error of the base model's prompt means taken out."""

import sympy as sp

from analysis.derivations._algebra import covariance_of


def derive() -> dict[str, sp.Basic]:
    """Derive the weights of the regression of offspring means on parent and base means.

    Parent means x have variance `V_x`, base means are c x + q with q of variance `V_q`, measured
    with an error of variance `v`; offspring are alpha x + beta (c x + q). Least squares gives
    `naive_parent` and `naive_base`, the latter too small: part of it goes to the parent. With v
    taken from the variance of the measured base they are `parent` and `base` (Fuller 1987).
    """
    alpha, beta, c = sp.symbols("alpha beta c", real=True)
    x, q, error = sp.symbols("x q error", real=True)
    V_x, V_q, v = sp.symbols("V_x V_q v", positive=True)
    covariance = lambda f, g: covariance_of(f, g, {x: V_x, q: V_q, error: v})
    base = c * x + q
    offspring = alpha * x + beta * base
    predictors = (x, base + error)
    products = sp.Matrix(2, 2, lambda i, j: covariance(predictors[i], predictors[j]))
    with_offspring = sp.Matrix([covariance(f, offspring) for f in predictors])
    naive = products.LUsolve(with_offspring)
    corrected = (products - sp.diag(0, v)).LUsolve(with_offspring)
    return {
        "naive_parent": alpha + sp.factor(naive[0] - alpha),
        "naive_base": sp.factor(naive[1]),
        "parent": sp.simplify(corrected[0]),
        "base": sp.simplify(corrected[1]),
    }
