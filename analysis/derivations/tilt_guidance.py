"""The tilt p_c^w p_u^(1-w) of two Gaussians, and the selection equivalent to it."""

import sympy as sp

from analysis.derivations._algebra import integrate_gaussian


def derive() -> dict[str, sp.Basic]:
    """Derive the `mean` and `variance` of the tilt, in `w`, `m_c`, `V_c`, `m_u` and `V_u`; the
    fitness that turns p_c into it, as the `gradient` b and the `inverse_width2` 1/omega^2 in
    exp(b z - z^2/(2 omega^2)), and the gradient at V_u = V_c, where selection is directional.
    """
    w, m_c, m_u, z, q = sp.symbols("w m_c m_u z q", real=True)
    V_c, V_u = sp.symbols("V_c V_u", positive=True)
    log_c = -((z - m_c) ** 2) / (2 * V_c)
    log_u = -((z - m_u) ** 2) / (2 * V_u)
    log_tilt = w * log_c + (1 - w) * log_u

    # ln int e^{qz} p dz generates the cumulants
    K = sp.log(integrate_gaussian(sp.exp(sp.expand(q * z + log_tilt)), z))
    fitness = sp.expand(log_tilt - log_c)
    gradient = sp.factor(sp.diff(fitness, z).subs(z, 0))
    return {
        "mean": sp.factor(sp.simplify(sp.diff(K, q).subs(q, 0))),
        "variance": sp.factor(sp.simplify(sp.diff(K, q, 2).subs(q, 0))),
        "gradient": gradient,
        "inverse_width2": sp.factor(-sp.diff(fitness, z, 2)),
        "equal_gradient": sp.factor(gradient.subs(V_u, V_c)),
    }
