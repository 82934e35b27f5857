"""Mutation from residuals of prompt means: the sampling part that leverage leaves in them."""

from typing import Any

import sympy as sp


def derive() -> dict[str, sp.Basic]:
    """Derive the expected sum of squared residuals of offspring means on parent means.

    Four prompts with parents -p, -q, q, p and offspring h x_c + r_c + e_c: r of variance `V_m`, the
    sampling error e_c of `v_c`. Least squares leaves `squares`, which is (C - 2) V_m and the part
    `sampling`, of each prompt (1 - h_c) v_c, where its leverage h_c = 1/C + x_c^2/sum x^2 is
    `outer` at -p and p, `inner` at -q and q. So [squares - sampling]/(C - 2) is `mutation`.
    """
    p, q, h, V_m = sp.symbols("p q h V_m", positive=True)
    v = sp.symbols("v_1:5", positive=True)
    noise = sp.symbols("noise_1:5", real=True)
    x = sp.Matrix([-p, -q, q, p])
    design = sp.Matrix.hstack(sp.ones(4, 1), x)
    hat: Any = design * (design.T * design).inv() * design.T
    y = h * x + sp.Matrix(noise)
    residual: Any = (y - hat * y).applyfunc(sp.expand)
    # Residuals are linear in the noise, whose terms are independent.
    parts = [
        sp.simplify(sp.Add(*(entry.diff(symbol) ** 2 for entry in residual))) for symbol in noise
    ]
    squares = sp.Add(*(part * (V_m + error) for part, error in zip(parts, v, strict=True)))
    sampling = sp.Add(*(part * error for part, error in zip(parts, v, strict=True)))
    return {
        "outer": sp.simplify(hat[0, 0]),
        "inner": sp.simplify(hat[1, 1]),
        "sampling": sp.collect(sampling, v, sp.factor),
        "squares": sp.collect(sp.simplify(squares - sampling), V_m) + sp.collect(sampling, v),
        "mutation": sp.simplify((squares - sampling) / 2),
    }
