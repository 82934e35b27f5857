"""Selection gradients of two correlated traits: what the entries of gamma measure."""

import sympy as sp


def derive() -> dict[str, sp.Basic]:
    """Derive beta and gamma of fitness exp(-(z - theta)' Q (z - theta)/2) on N(0, P), P and Q of
    two traits (`P_ij`, `Q_ij`).

    The selected are normal, with the precision P^-1 + Q and the mean where density times fitness is
    greatest. From their moments `beta_1` is that of P^-1 S and `gamma_11`, `gamma_12` those of P^-1
    (P* - P + S S') P^-1. They are the mean slope of relative fitness (`slope_1`) and its mean
    second derivatives, with respect to trait 1 (`curvature_11`) and to both (`curvature_12`), so
    that gamma_12 is correlational selection (Lande & Arnold 1983).
    """
    matrix = lambda name: sp.Matrix(
        2, 2, lambda i, j: sp.Symbol(f"{name}_{min(i, j) + 1}{max(i, j) + 1}", real=True)
    )
    P, Q = matrix("P"), matrix("Q")
    traits = sp.symbols("z_1:3", real=True)
    z, theta = sp.Matrix(traits), sp.Matrix(sp.symbols("theta_1:3", real=True))
    log_fitness = -((z - theta).T * Q * (z - theta))[0] / 2
    log_selected = log_fitness - (z.T * P.inv() * z)[0] / 2
    slopes = [log_selected.diff(x) for x in traits]
    solution = sp.solve(slopes, list(traits), dict=True)[0]
    mean = sp.Matrix([solution[x] for x in traits]).applyfunc(sp.factor)
    after = (-sp.hessian(log_selected, list(traits))).inv().applyfunc(sp.factor)
    inverse = P.inv()
    beta = (inverse * mean).applyfunc(sp.factor)
    gamma = (inverse * (after - P + mean * mean.T) * inverse).applyfunc(sp.factor)

    # w''/w = (ln w)'' + (ln w)' (ln w)', and (ln w)' is linear in z: its mean over the selected.
    gradient = sp.Matrix([log_fitness.diff(x) for x in traits])
    curved = sp.hessian(log_fitness, list(traits))
    at_mean = gradient.subs(solution)
    curvature = (curved + curved * after * curved.T + at_mean * at_mean.T).applyfunc(sp.factor)
    return {
        "beta_1": beta[0],
        "slope_1": sp.factor(at_mean[0]),
        "gamma_11": gamma[0, 0],
        "curvature_11": curvature[0, 0],
        "gamma_12": gamma[0, 1],
        "curvature_12": curvature[0, 1],
    }
