"""Refitting to the images of all generations so far, where collapse is bounded."""

from typing import Any

import sympy as sp

from analysis.derivations._algebra import kept_by_sampling


def derive() -> dict[str, sp.Basic]:
    """Derive the expected `variance` of the pool of t sets of `N` > 1 images, the first of the real
    variance `V_0`; its `limit` for many sets; the expected squared displacement of the mean of the
    pool (`displacement`), and the constant `sum` of the two.

    Each set is drawn from the Gaussian fitted to the pool so far, by maximum likelihood.
    """
    N, U, V_0, D = sp.symbols("N U V_0 D", positive=True)
    j, t = sp.symbols("j t", integer=True, positive=True)
    root = sp.symbols("root", positive=True)  # of 1/N

    # A set of N from N(M, U) has the variance kept U and a mean with the error variance U/N. It is
    # 1/j of a pool of j sets, whose variance is that within the parts plus that between them.
    kept, off, fraction = kept_by_sampling(N), U / N, 1 / j
    pooled = (1 - fraction) * U + fraction * kept * U + fraction * (1 - fraction) * off
    moved = D + fraction**2 * off
    # the sum of variance and displacement is conserved: V_0
    total = sp.simplify(pooled + moved).subs({U: V_0, D: 0})

    factor = sp.factor(sp.simplify(pooled / U).subs(N, 1 / root**2))
    product: Any = sp.product(factor, (j, 1, t))
    product = product.rewrite(sp.gamma)
    product = product.replace(sp.Piecewise, lambda *branches: branches[0][0])  # root < 1
    scale, varying = product.as_independent(t)
    limit = sp.gammasimp(scale * sp.limit(varying, t, sp.oo))
    back = {root: 1 / sp.sqrt(N)}
    variance = V_0 * product.subs(back)
    return {
        "variance": variance,
        "limit": V_0 * limit.subs(back),
        "displacement": total - variance,
        "sum": total,
    }
