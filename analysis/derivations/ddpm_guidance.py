"""DDPM guidance of two Gaussians, from the reverse stochastic equation.

In the noise variance t, which falls from inf to 0, the sampler follows dx = s(x, t) |dt| + dW with
the guided score s = w s_c + (1 - w) s_u, where s_c = -(x - m_c)/(V_c + t) and s_u likewise. It is
linear in x, so its moments follow linear equations.
"""

import sympy as sp


def derive() -> dict[str, sp.Basic]:
    """Derive the `variance` in `w`, `V_c`, `V_u`, with its limits `equal_variance` for V_u = V_c
    and `half_variance` for w = 1/2; and A(w), the factor of m_c - m_u, as `response` in `w` and
    `r` = V_c/V_u, with its limit `equal_response` for r = 1.
    """
    t, V_c, V_u, apart, y, r = sp.symbols("t V_c V_u D y r", positive=True)
    w = sp.symbols("w", real=True)

    # Forward in t, with the rate R' below, m' = R' m - w m_c/(V_c + t) - (1 - w) m_u/(V_u + t) and
    # V' = 2 R' V - 1. Variation of constants, with e^{-R}, which is 1 at t = 0 and of order 1/t at
    # t = inf: the pure noise there, of mean 0 and variance t, contributes e^{-2R} t = 0, so
    # V = int e^{-2R} dt, and the part of m_c in m is A = int e^{-R} w/(V_c + t) dt.
    R = sp.integrate(w / (V_c + t) + (1 - w) / (V_u + t), t)
    growth = sp.exp(-(R - R.subs(t, 0)))
    # Every power of y cancels where t = D/y - V_c and V_u = V_c + D.
    path = {V_u: V_c + apart, t: apart / y - V_c}

    def integral(f: sp.Expr) -> sp.Expr:
        """Return int_0^inf f dt for general w."""
        inside = f.subs(path, simultaneous=True) * -sp.diff(path[t], y)
        logs = sp.expand_log(sp.log(inside), force=True)
        logs = logs.replace(sp.log, lambda argument: sp.log(sp.factor(argument)))
        scale, power = sp.expand(sp.expand_log(logs, force=True)).as_independent(y)
        exponent = sp.simplify((1 + y) * sp.diff(power, y))  # of 1 + y, the only factor left
        integrated = sp.integrate((1 + y) ** exponent, (y, 0, apart / V_c)).args[0][0]
        value = sp.simplify((sp.exp(scale) * integrated).subs(apart, V_u - V_c))
        return sp.powsimp(sp.expand_power_base(sp.powdenest(value, force=True), force=True))

    variance = integral(growth**2)
    response = sp.simplify(integral(growth * w / (V_c + t)).subs(V_c, r * V_u))
    near = sp.expand_log(sp.simplify(variance.subs(V_u, V_c * (1 + y))), force=True)
    return {
        "variance": variance,
        "equal_variance": sp.simplify(sp.limit(near, y, 0)),
        "half_variance": sp.factor(sp.limit(variance, w, sp.Rational(1, 2))),
        "response": response,
        "equal_response": sp.limit(response, r, 1),
    }
