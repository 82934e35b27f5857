"""The root mean square of selection differentials: its bias, and what pairing by seed leaves."""

import sympy as sp

from analysis.derivations._algebra import covariance_of


def derive() -> dict[str, sp.Basic]:
    """Derive the bias of the square of S_c, measured on n images of a prompt.

    Unguided images are u = e, guided ones of the same seeds S + b e + f, with e of variance `V_W`
    and f of `V_f`. The measured S_c has the mean square `square`; the sampling part `bias` is the
    variance of paired differences (`paired`) over n, so that `corrected` is S^2. With other seeds
    the sampling part is `unpaired`. Where S = 0, the mean of a normal |S_c| is `absolute`.
    """
    S, b = sp.symbols("S b", real=True)
    e, f, other = sp.symbols("e f other", real=True)
    V_W, V_f, n = sp.symbols("V_W V_f n", positive=True)
    variance = lambda g: covariance_of(g, g, {e: V_W, other: V_W, f: V_f})
    paired = sp.expand(variance(b * e + f - e))
    # The mean of n independent differences.
    square = S**2 + paired / n
    v, x = sp.symbols("v x", positive=True)
    density = sp.exp(-(x**2) / (2 * v)) / sp.sqrt(2 * sp.pi * v)
    absolute = sp.simplify(2 * sp.integrate(x * density, (x, 0, sp.oo)))
    return {
        "paired": sp.collect(paired, V_W, sp.factor),
        "square": square,
        "bias": sp.simplify(square - S**2),
        "corrected": sp.simplify(square - paired / n),
        "unpaired": sp.collect(sp.expand(variance(b * e + f - other)), V_W) / n,
        "absolute": absolute.subs(v, paired / n),
    }
