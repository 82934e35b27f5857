"""Directional selection, by the cumulant function."""

import sympy as sp


def derive() -> dict[str, sp.Basic]:
    """Derive mean, variance and third cumulant after fitness e^{bz} on N(m, V), in `m`, `V`, `b`.

    With K(q) = ln int e^{qz} p(z) dz, selection gives K*(q) = ln [int e^{qz} e^{bz} p(z) dz /
    int e^{bz} p(z) dz] = K(q + b) - K(b).
    """
    m, z, q, b = sp.symbols("m z q b", real=True)
    V = sp.symbols("V", positive=True)
    p = sp.exp(-((z - m) ** 2) / (2 * V)) / sp.sqrt(2 * sp.pi * V)
    generating = sp.integrate(sp.exp(q * z) * p, (z, -sp.oo, sp.oo))
    K = sp.expand(sp.expand_log(sp.log(sp.simplify(generating)), force=True))
    selected = K.subs(q, q + b) - K.subs(q, b)
    mean, variance, third = (sp.simplify(sp.diff(selected, q, k).subs(q, 0)) for k in (1, 2, 3))
    return {"mean": mean, "variance": variance, "third_cumulant": third}
