"""Steps that several derivations share."""

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp


def integrate_gaussian(f: sp.Expr, z: sp.Symbol) -> sp.Expr:
    """Return int f dz for f = k exp(c + b z - a z^2), integrated for symbols a and b."""
    a, b = sp.symbols("a b", positive=True)
    scale, exponential = f.as_independent(z)
    c2, c1, c0 = sp.Poly(sp.log(exponential).expand(force=True), z).all_coeffs()
    plain = sp.integrate(sp.exp(b * z - a * z**2), (z, -sp.oo, sp.oo))
    plain = sp.simplify(plain.rewrite(sp.erf))
    return scale * sp.exp(c0) * plain.subs({a: -c2, b: c1}, simultaneous=True)


def positive_root(equation: sp.Expr, unknown: sp.Symbol) -> sp.Expr:
    """Return the positive of two roots whose product is negative for all values of the symbols.

    Real roots that are never 0 keep their signs, so that one point decides which is positive.
    """
    plain = sp.Dummy()  # sympy drops roots of a positive symbol whose sign it cannot tell
    roots = sp.solve(equation.subs(unknown, plain), plain)
    at_a_half = [root.subs(dict.fromkeys(root.free_symbols, sp.Rational(1, 2))) for root in roots]
    (root,) = (root for root, value in zip(roots, at_a_half, strict=True) if value > 0)
    return sp.simplify(root)


def over_generations(step: Callable[[Any], Any], start: sp.Expr | int, t: sp.Symbol) -> Any:
    """Return x(t) where x(t + 1) = step(x(t)), a linear recurrence, and x(0) = start."""
    x = sp.Function("x")
    return sp.sympify(sp.rsolve(x(t + 1) - step(x(t)), x(t), {x(0): start}))


def over_time(slope: Callable[[Any], Any], start: sp.Expr | int, t: sp.Symbol) -> Any:
    """Return x(t) where dx/dt = slope(x), a linear equation, and x(0) = start."""
    x = sp.Function("x")
    solution: Any = sp.dsolve(x(t).diff(t) - slope(x(t)), x(t), ics={x(0): start})
    return solution.rhs


def kept_by_sampling(N: sp.Symbol) -> sp.Expr:
    """Return E[s^2]/V = E[chi2_{N-1}/N] for the variance s^2, divisor N, of N normal draws."""
    x, n = sp.symbols("x n", positive=True)
    density = x ** (n / 2 - 1) * sp.exp(-x / 2) / (2 ** (n / 2) * sp.gamma(n / 2))
    mean = sp.integrate(x * density, (x, 0, sp.oo), conds="none")
    return sp.gammasimp(mean).subs(n, N - 1) / N


def covariance_of(f: sp.Expr, g: sp.Expr, variances: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """Return Cov(f, g) of functions linear in independent symbols with these variances."""
    slopes = lambda h, symbol: sp.expand(h).coeff(symbol)
    return sp.expand(
        sum(slopes(f, symbol) * slopes(g, symbol) * V for symbol, V in variances.items())
    )
