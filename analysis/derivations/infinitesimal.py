"""The infinitesimal model under truncation and stabilizing selection (Bulmer 1971)."""

import sympy as sp

from analysis.derivations import derived
from analysis.derivations._algebra import positive_root


def derive() -> dict[str, sp.Basic]:
    """Derive V_A under selection, in the variances `V_A` of breeding values at birth, `V_E` of the
    environment and `V_a` of breeding values at linkage equilibrium: the `next` V_A after selection
    that removes the fraction `k` of the phenotypic variance, the V_A at equilibrium (`truncated`)
    and the `heritability` there, in `k` and H = V_a/(V_a + V_E); and V_A at equilibrium under
    stabilizing selection (`stabilized`), in `V_a` and `V_s` = omega^2 + V_E.

    A phenotype is z = a + e. Offspring are the mean of two parents plus segregation N(0, V_a/2).
    """
    a, z, m = sp.symbols("a z m", real=True)
    V_A, V_E, V_a, V_s, V, w2, k, H, h2 = sp.symbols("V_A V_E V_a V_s V w2 k H h2", positive=True)

    # Given its phenotype a breeding value is Gaussian: ln p(a) p(e = z - a) is quadratic in a.
    exponent = -((a - m) ** 2) / (2 * V_A) - (z - a) ** 2 / (2 * V_E)
    (expected,) = sp.solve(sp.diff(exponent, a), a)
    rest = -1 / sp.diff(exponent, a, 2)
    slope = sp.diff(expected, z)  # h^2

    def born(phenotypic: sp.Expr) -> sp.Expr:
        """Return V_A at the next birth, given the variance of phenotypes after selection."""
        parents = rest + slope**2 * phenotypic  # the law of total variance
        # the mean of two independent parents has half of that variance
        return sp.Add(sp.factor(parents / 2 + V_a / 2))

    under_k = born((1 - k) * (V_A + V_E))
    by_ratios = {V_A: V_E * h2 / (1 - h2), V_a: V_E * H / (1 - H)}
    in_ratios = sp.numer(sp.together((under_k - V_A).subs(by_ratios)))

    narrowed = derived("stabilizing")["variance"].subs({V: V_A + V_E, w2: V_s - V_E})
    return {
        "next": under_k,
        "truncated": positive_root(under_k - V_A, V_A),
        "heritability": positive_root(in_ratios, h2),
        "stabilized": positive_root(sp.simplify(born(narrowed)) - V_A, V_A),
    }
