"""Gaussian stabilizing selection on a Gaussian trait."""

import sympy as sp


def derive() -> dict[str, sp.Basic]:
    """Mean, variance and mean fitness, in `m`, `V`, the optimum `theta` and the width `w2`.

    The moment generating function after selection is int e^{qz} w(z) p(z) dz up to a constant, so
    the derivatives of its logarithm at q = 0 are the cumulants.
    """
    m, theta, z, q = sp.symbols("m theta z q", real=True)
    V, w2 = sp.symbols("V w2", positive=True)
    p = sp.exp(-((z - m) ** 2) / (2 * V)) / sp.sqrt(2 * sp.pi * V)
    w = sp.exp(-((z - theta) ** 2) / (2 * w2))
    generating = _integrate_gaussian(sp.powsimp(sp.exp(q * z) * w * p), z)
    K = sp.expand_log(sp.log(generating), force=True)
    return {
        "mean": sp.factor(sp.simplify(sp.diff(K, q).subs(q, 0))),
        "variance": sp.factor(sp.simplify(sp.diff(K, q, 2).subs(q, 0))),
        "mean_fitness": sp.simplify(generating.subs(q, 0)),
    }


def _integrate_gaussian(f: sp.Expr, z: sp.Symbol) -> sp.Expr:
    """int f dz for f = k exp(c + b z - a z^2): integrated with a, b plain, which sympy can do."""
    a, b = sp.symbols("a b", positive=True)
    scale, exponential = f.as_independent(z)
    c2, c1, c0 = sp.Poly(sp.log(exponential).expand(force=True), z).all_coeffs()
    plain = sp.integrate(sp.exp(b * z - a * z**2), (z, -sp.oo, sp.oo))
    plain = sp.simplify(plain.rewrite(sp.erf))
    return scale * sp.exp(c0) * plain.subs({a: -c2, b: c1}, simultaneous=True)
