"""Drift of a Gaussian that is refitted, by maximum likelihood, to N draws from it."""

import sympy as sp


def derive() -> dict[str, sp.Basic]:
    """Derive the expected variance, the expected squared displacement of the mean, their sum, and
    the expected step of ln V, in `N`, the generation `t` and the first variance `V_0`.

    The refitted variance is V chi2_{N-1}/N and the refitted mean is N(m, V/N).
    """
    N, x, V_0 = sp.symbols("N x V_0", positive=True)
    t, s = sp.symbols("t s", integer=True, nonnegative=True)
    n, q = sp.symbols("n q", positive=True)

    # E[(chi2_n/N)^q] for n = N - 1 degrees of freedom: q = 1 gives the mean, d/dq at 0 that of ln.
    density = x ** (n / 2 - 1) * sp.exp(-x / 2) / (2 ** (n / 2) * sp.gamma(n / 2))
    power = sp.integrate(x**q * density, (x, 0, sp.oo), conds="none") / N**q
    kept = sp.gammasimp(power.subs(q, 1)).subs(n, N - 1)
    log_step = sp.simplify(sp.diff(power, q).subs(q, 0)).subs(n, N - 1)

    # V_{t+1} = kept V_t; the squared displacement gains V_t/N each generation.
    f = sp.Function("f")
    variance = sp.sympify(sp.rsolve(f(t + 1) - kept * f(t), f(t), {f(0): V_0}))
    displacement = sp.sympify(sp.summation(variance.subs(t, s) / N, (s, 0, t - 1)))
    total = sp.sympify(variance) + displacement  # pyright: ignore[reportOperatorIssue]
    return {
        "variance": sp.simplify(variance),
        "displacement": sp.simplify(displacement),
        "sum": sp.simplify(total),
        "log_step": log_step,
    }
