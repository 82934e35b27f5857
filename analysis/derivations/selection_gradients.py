"""Selection gradients of Gaussian fitness: what beta and gamma measure."""

import sympy as sp

from analysis.derivations._algebra import integrate_gaussian


def derive() -> dict[str, sp.Basic]:
    """Derive beta and gamma of fitness exp(-(z - theta)^2/(2 w2)) on N(0, V).

    From the moments of the selected: `beta` = S/V and `gamma` = (V* - V + S^2)/V^2, the estimator
    P^-1 (P* - P + S S^T) P^-1 of one trait. They are the mean slope and curvature of relative
    fitness, mean(w')/mean(w) (`slope`) and mean(w'')/mean(w) (`curvature`) (Lande & Arnold 1983).
    """
    z, theta = sp.symbols("z theta", real=True)
    V, w2 = sp.symbols("V w2", positive=True)
    density = sp.exp(-(z**2) / (2 * V)) / sp.sqrt(2 * sp.pi * V)
    fitness = sp.exp(-((z - theta) ** 2) / (2 * w2))
    q = sp.symbols("q", real=True)

    # Moments by derivatives of int e^{qz} w p dz, all of which are Gaussian integrals.
    generating = integrate_gaussian(density * fitness * sp.exp(q * z), z)
    moment = lambda k: sp.simplify(sp.diff(generating, q, k).subs(q, 0))
    mean = sp.simplify(moment(1) / moment(0))
    variance = sp.simplify(moment(2) / moment(0) - mean**2)

    average = lambda f: sp.simplify(
        sum(
            coefficient * moment(power[0])
            for power, coefficient in sp.Poly(sp.expand(f), z).terms()
        )
        / moment(0)
    )
    slope = sp.simplify(sp.diff(fitness, z) / fitness)
    curvature = sp.simplify(sp.diff(fitness, z, 2) / fitness)
    return {
        "beta": sp.factor(mean / V),
        "gamma": sp.factor((variance - V + mean**2) / V**2),
        "slope": sp.factor(average(slope)),
        "curvature": sp.factor(average(curvature)),
    }
