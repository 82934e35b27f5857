"""V_W and V_B from several images of a prompt: the sampling part of prompt means."""

import sympy as sp

from analysis.derivations._algebra import covariance_of


def derive() -> dict[str, sp.Basic]:
    """Derive the expectations of the estimators by replicates.

    Image i of prompt c is v_c + e_i, v of variance `V_B`, e of `V_W`. Half the squared difference
    of two images of a prompt is V_W (`within`), and their covariance V_B (`covariance`). The means
    of two prompts with `n_1` and `n_2` images vary by `raw`, which exceeds V_B by V_W mean(1/n_c)
    (`sampling`); with two images each, half of V_W is taken from it (`between`).
    """
    V_W, V_B, n_1, n_2 = sp.symbols("V_W V_B n_1 n_2", positive=True)
    v_1, v_2, e_1, e_2, m_1, m_2 = sp.symbols("v_1 v_2 e_1 e_2 m_1 m_2", real=True)
    # m is the mean of the deviations of a prompt's images.
    variances = {v_1: V_B, v_2: V_B, e_1: V_W, e_2: V_W, m_1: V_W / n_1, m_2: V_W / n_2}
    covariance = lambda f, g: covariance_of(f, g, variances)
    first, second = v_1 + e_1, v_1 + e_2
    within = covariance(first - second, first - second) / 2
    difference = v_1 + m_1 - v_2 - m_2
    raw = sp.expand(covariance(difference, difference) / 2)
    return {
        "within": within,
        "covariance": covariance(first, second),
        "raw": raw,
        "sampling": sp.factor(raw - V_B),
        "between": sp.expand(raw.subs({n_1: 2, n_2: 2}) - within / 2),
    }
