"""Moments of a standard normal truncated below x."""

import sympy as sp


def derive() -> dict[str, sp.Basic]:
    """Derive the surviving fraction, mean and variance, in the threshold `x` (standard deviations).

    The k-th raw moment of the survivors is int_x^inf z^k phi(z) dz / int_x^inf phi(z) dz.
    """
    x, z = sp.symbols("x z", real=True)
    phi = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)
    mass, first, second = (sp.integrate(z**k * phi, (z, x, sp.oo)) for k in range(3))
    mean = sp.simplify(first / mass)
    return {
        "fraction": sp.simplify(mass),
        "mean": mean,
        "variance": sp.simplify(second / mass - mean**2),
    }
