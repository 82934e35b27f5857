"""Refitting with an inflow: a fraction a of the N images is drawn from the real data."""

import sympy as sp


def derive() -> dict[str, sp.Basic]:
    """Derive the equilibrium in `N`, `a` and the variance `V_0` of the real data: the expected
    `variance` of the N images and the expected squared `displacement` of their mean from that of
    the real data; and the variance `without_wandering`, where the mean of the model is held at the
    real one.
    """
    V, V_0, D, N, a = sp.symbols("V V_0 D N a", positive=True)

    def after(D: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
        """Return the next expected variance (divisor N) and squared displacement."""
        # (1 - a) N images are N(m, V) and a N are N(m_0, V_0): their mean is the weighted mean of
        # two means, with the errors V/((1 - a) N) and V_0/(a N).
        moved = (1 - a) ** 2 * (D + V / ((1 - a) * N)) + a**2 * V_0 / (a * N)
        # The mean square around m_0 is the variance plus the squared displacement of the mean.
        square = (1 - a) * (V + D) + a * V_0
        return square - moved, moved

    variance, displacement = after(D)
    rest = sp.solve([variance - V, displacement - D], [V, D], dict=True)[0]
    (held,) = sp.solve(after(sp.Integer(0))[0] - V, V)
    return {
        "variance": sp.factor(rest[V]),
        "displacement": sp.factor(rest[D]),
        "without_wandering": sp.factor(held),
    }
