"""DDIM guidance of two Gaussians, from the probability-flow ODE.

In the noise variance t the flow is dx/dt = -s(x, t)/2 with the guided score
s = w s_c + (1 - w) s_u, where s_c = -(x - m_c)/(V_c + t) and s_u likewise. It is linear in x and
runs from t = inf to t = 0.
"""

import sympy as sp


def derive() -> dict[str, sp.Basic]:
    """Derive the `variance` in `w`, `V_c`, `V_u`; `response_integrand` in `w`, `r` = V_c/V_u and
    `q`, whose integral over q from 0 to 1 is A(w); and `equal_response`, A(w) where V_c = V_u.
    """
    t, V_c, V_u, V, T = sp.symbols("t V_c V_u V T", positive=True)
    w = sp.symbols("w", real=True)

    # A deviation d of one solution from another has d' = rate d/2, so ln variance has slope rate.
    rate = w / (V_c + t) + (1 - w) / (V_u + t)
    log_growth = sp.integrate(rate, t)
    # At high noise T both densities are N(., T): the variance falls from T to T e^{-growth}.
    down = sp.expand(log_growth.subs(t, T) - log_growth.subs(t, 0) - sp.log(T))
    rest = sp.limit(sp.simplify(down.subs(T, 1 / t)), t, 0, "+")
    variance = sp.simplify(sp.exp(-sp.expand_log(rest, force=True)))

    # The mean follows d' = rate d/2 - pull/2: variation of constants, with the integrating factor
    # I that falls from 1 at t = 0. The part of m_c in pull is w m_c/(V_c + t).
    I = sp.exp(-(log_growth - log_growth.subs(t, 0)) / 2)  # noqa: E741
    kernel = I * w / (2 * (V_c + t))

    # Substitute t = V_c (1/q^2 - 1), V_c = r V_u.
    q, r = sp.symbols("q r", positive=True)
    path = V_c * (1 / q**2 - 1)
    inside = (kernel.subs(t, path) * -sp.diff(path, q)).subs(V_c, r * V_u)
    integrand = sp.simplify(sp.powsimp(sp.expand_log(sp.simplify(inside), force=True)))

    equal = kernel.subs(V_u, V).subs(V_c, V)
    equal_response = sp.integrate(sp.powsimp(sp.simplify(equal)), (t, 0, sp.oo))
    return {
        "variance": variance,
        "response_integrand": integrand,
        "equal_response": sp.simplify(equal_response),
    }
