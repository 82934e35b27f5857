"""Regression to the base model: finetuning starts from N(m_b, V_b), with heritability h."""

import sympy as sp

from analysis.derivations._algebra import over_generations


def derive() -> dict[str, sp.Basic]:
    """Derive the `mean` at equilibrium and in generation t (`path`, from `m_0`), where selection
    moves it by `S`; and the `variance` at equilibrium, where selection removes the fraction `k`.
    In `h`, `m_b`, `V_b`.

    m' = (1 - h) m_b + h m + S,   V' = (1 - k) [(1 - h) V_b + h V]
    """
    m, m_b, m_0, S = sp.symbols("m m_b m_0 S", real=True)
    V, V_b, h, k = sp.symbols("V V_b h k", positive=True)
    t = sp.symbols("t", integer=True, nonnegative=True)

    moved = (1 - h) * m_b + h * m + S
    path = over_generations(lambda x: moved.subs(m, x), m_0, t)
    (mean,) = sp.solve(moved - m, m)
    (variance,) = sp.solve((1 - k) * ((1 - h) * V_b + h * V) - V, V)
    return {
        "mean": m_b + sp.factor(mean - m_b),
        "path": sp.collect(sp.expand(sp.simplify(path)), h**t, sp.factor),
        "variance": sp.factor(variance),
    }
