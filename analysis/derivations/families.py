"""Families of prompts under guidance, and the scale that preserves their differences."""

import sympy as sp

from analysis.derivations import derived


def derive() -> dict[str, sp.Basic]:
    """Derive one generation: the variance `within` families in `w`, `V_W`, `V_B` under DDIM, and
    that `between` them in `V_B`, the response `A` and the heritability `h`.

    Of A(w) under DDIM, in r = V_W/(V_W + V_B): its value at w = 3 (`response_three`), its slope at
    w = 1 (`slope_at_one`) and its approach to the limit for large w (`large_scale`). The slope is
    positive and the limit is approached from above, so A has a peak, higher than 1/(1 - r), and
    h A(w) = 1 has a root if and only if h is at least 1/max A.

    The neutral scale h A(w) = 1 where families do not differ (`neutral_equal`), and under DDPM
    (`neutral_ddpm`), whose A rises to 1/(1 - r) without a peak: there is one for h > 1 - r.
    """
    V_W, V_B, V_c, V_u = sp.symbols("V_W V_B V_c V_u", positive=True)
    h, A, c, q, r, y, e = sp.symbols("h A c q r y e", positive=True)
    w, d = sp.symbols("w d", real=True)
    ddim, ddpm = derived("ddim_guidance"), derived("ddpm_guidance")

    # A family is the conditional distribution, their mixture the unconditional one.
    within = ddim["variance"].subs({V_c: V_W, V_u: V_W + V_B}, simultaneous=True)
    # Deviations d ~ N(0, V_B) of families become A h d.
    normal = sp.exp(-(d**2) / (2 * V_B)) / sp.sqrt(2 * sp.pi * V_B)
    between = sp.integrate((A * h * d) ** 2 * normal, (d, -sp.oo, sp.oo))

    integrand = ddim["response_integrand"]
    at_three = sp.integrate(sp.expand(sp.simplify(integrand.subs(w, 3))), (q, 0, 1))
    # c^2 = V_B/V_W, so that r = 1/(1 + c^2) is below 1
    known, back = {r: 1 / (1 + c**2)}, {c: sp.sqrt((1 - r) / r)}
    tilted = sp.factor(sp.simplify(sp.diff(integrand, w).subs(w, 1)).subs(known))
    slope = sp.integrate(sp.expand_log(tilted, force=True), (q, 0, 1))

    # For large w the integral is near q = 1. With w = 1 + 1/e and r + (1 - r) q^2 = e^{-2ey}
    # the integrand is e^{-y} times a smooth function of e y.
    q_of_y = sp.sqrt((sp.exp(-2 * e * y) - r) / (1 - r))
    inside = integrand.subs(w, 1 + 1 / e).subs(q, q_of_y) * -sp.diff(q_of_y, y)
    smooth = sp.simplify(inside * sp.exp(y))
    series = sp.series(smooth, e, 0, 2).removeO().subs(known)
    large = sp.integrate(sp.expand(sp.simplify(series) * sp.exp(-y)), (y, 0, sp.oo))

    return {
        "within": within,
        "between": sp.simplify(between),
        "response_three": sp.factor(at_three),
        "slope_at_one": sp.simplify(slope.subs(back)),
        "large_scale": sp.factor(sp.simplify(large.subs(back)).subs(e, 1 / (w - 1))),
        "neutral_equal": sp.solve(h * ddim["equal_response"] - 1, w)[0],
        "neutral_ddpm": sp.simplify(sp.solve(h * ddpm["response"] - 1, w)[0]),
    }
