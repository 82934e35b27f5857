"""Refitting with mutation, under selection that removes a fixed fraction of the variance."""

import sympy as sp

from analysis.derivations._algebra import kept_by_sampling, over_generations


def derive() -> dict[str, sp.Basic]:
    """Derive the expected variance of the `model` at equilibrium and of the `images` it is refitted
    to, and of the images in generation t (`path`, from `V_0`), in the fraction `k` that selection
    removes, `V_m` and `N`.

    A model is the Gaussian fitted to N images by maximum likelihood, then selected and mutated.
    """
    V, V_0, V_m, k, N = sp.symbols("V V_0 V_m k N", positive=True)
    t = sp.symbols("t", integer=True, nonnegative=True)
    kept = kept_by_sampling(N)
    (model,) = sp.solve((1 - k) * kept * V + V_m - V, V)
    path = over_generations(lambda images: kept * ((1 - k) * images + V_m), V_0, t)
    return {
        "model": sp.factor(model),
        "images": sp.factor(kept * model),
        "path": sp.simplify(path),
    }
