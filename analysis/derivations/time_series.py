"""Moments of the time series models: random walk and Ornstein-Uhlenbeck process."""

import sympy as sp

from analysis.derivations._algebra import over_generations, over_time


def derive() -> dict[str, sp.Basic]:
    """Derive the `walk_mean` and `walk_variance` after t generations from `z_0`, whose steps have
    mean `mu` and variance `s2`; the variance of a measured step over dt generations between samples
    of `n_1` and `n_2` individuals (`step_variance`); and for a process that returns to `theta` at
    rate `k`, its `mean`, its `variance` and its `covariance` at t and `u` later, and the `rate` at
    which a generation covers the fraction `s` of the distance.

    dz = k (theta - z) dt + noise of variance s2 dt.
    """
    z_0, theta, mu = sp.symbols("z_0 theta mu", real=True)
    k, s2, u, dt, V_1, V_2, n_1, n_2, s = sp.symbols("k s2 u dt V_1 V_2 n_1 n_2 s", positive=True)
    t = sp.symbols("t", nonnegative=True)
    n = sp.symbols("n", integer=True, nonnegative=True)

    walk_mean = over_generations(lambda mean: mean + mu, z_0, n)
    walk_variance = over_generations(lambda variance: variance + s2, 0, n)
    step = walk_variance.subs(n, dt) + V_1 / n_1 + V_2 / n_2  # a step has the errors of both ends

    mean = over_time(lambda m: k * (theta - m), z_0, t)
    variance = over_time(lambda v: s2 - 2 * k * v, 0, t)
    # the deviation at t decays at the rate k, and later noise is uncorrelated with it
    later = over_time(lambda c: -k * c, variance, u)
    (rate,) = sp.solve(1 - sp.exp(-k) - s, k)
    return {
        "walk_mean": walk_mean.subs(n, t),
        "walk_variance": walk_variance.subs(n, t),
        "step_variance": step,
        "mean": sp.expand(mean),
        "variance": sp.simplify(variance),
        "covariance": sp.simplify(later),
        "rate": rate,
    }
