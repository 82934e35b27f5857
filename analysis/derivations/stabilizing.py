"""Gaussian stabilizing selection on a Gaussian trait."""

import sympy as sp

from analysis.derivations._algebra import integrate_gaussian


def derive() -> dict[str, sp.Basic]:
    """Derive mean, variance and mean fitness, in `m`, `V`, the optimum `theta` and the width `w2`.

    The moment generating function after selection is int e^{qz} w(z) p(z) dz up to a constant, so
    the derivatives of its logarithm at q = 0 are the cumulants.
    """
    m, theta, z, q = sp.symbols("m theta z q", real=True)
    V, w2 = sp.symbols("V w2", positive=True)
    p = sp.exp(-((z - m) ** 2) / (2 * V)) / sp.sqrt(2 * sp.pi * V)
    w = sp.exp(-((z - theta) ** 2) / (2 * w2))
    generating = integrate_gaussian(sp.powsimp(sp.exp(q * z) * w * p), z)
    K = sp.expand_log(sp.log(generating), force=True)
    return {
        "mean": sp.factor(sp.simplify(sp.diff(K, q).subs(q, 0))),
        "variance": sp.factor(sp.simplify(sp.diff(K, q, 2).subs(q, 0))),
        "mean_fitness": sp.simplify(generating.subs(q, 0)),
    }
