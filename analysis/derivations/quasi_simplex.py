"""V_B from the covariance of generations, with one image a prompt: an upper bound."""

import sympy as sp

from analysis.derivations._algebra import covariance_of


def derive() -> dict[str, sp.Basic]:
    """Derive cov(0, 1) cov(1, 2)/cov(0, 2) of the images of three generations.

    Image t is v_t + e_t, prompt value and deviation, and v_{t+1} = r (v_t + a e_t) + u_{t+1}: the
    fraction a of an image's own deviation is inherited. With a = 0 the ratio is V_B of generation 1
    (`simplex`; Heise 1969), in general it is `bound`, which exceeds V_B by `excess`: never below 0.
    """
    r, a = sp.symbols("r a", positive=True)
    v, e = sp.symbols("v", real=True), sp.symbols("e_0:3", real=True)
    u = sp.symbols("u_1:3", real=True)
    V_0, V_u, V_W = sp.symbols("V_0 V_u V_W", positive=True)
    V_B = sp.symbols("V_B", positive=True)
    variances = {v: V_0, **dict.fromkeys(u, V_u), **dict.fromkeys(e, V_W)}
    values = [v]
    for t in range(2):
        values.append(sp.expand(r * (values[t] + a * e[t]) + u[t]))
    images = [value + deviation for value, deviation in zip(values, e, strict=True)]
    covariance = lambda x, y: covariance_of(x, y, variances)
    ratio = covariance(images[0], images[1]) * covariance(images[1], images[2])
    ratio = sp.cancel(ratio / covariance(images[0], images[2]))
    between = covariance(values[1], values[1])
    # In terms of V_B of generation 1 rather than of what it came from.
    bound = sp.expand(ratio.subs(V_u, sp.solve(between - V_B, V_u)[0]))
    return {
        "bound": bound,
        "simplex": bound.subs(a, 0),
        "excess": sp.factor(sp.simplify(ratio - between)),
    }
