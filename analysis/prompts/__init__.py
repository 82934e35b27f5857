"""A theory of prompts: how their mean vectors move along the leading axes of the latents.

    M_c <- M_c + R(M_c) + S(M_c, w)        transmission and selection of prompt c (`motion`)
    V_W <- (V_W + u)/(1 + u) e^(r + s(w))  renewal and narrowing within prompts (`variances`)
    T_c = T_c(base) + f(M_c - M_c(base))   means of traits (`traits`)

where M_c and V_W on the right are those of the training set (`chains`), V_W in units of the base's.
R, S, r, s and f are Gaussian processes (`process`), fitted to all chains at once; S and s vanish at
CFG 1 (`guided`). `paths` runs them ahead, `forecast` from a running chain, `scores` compares
held-out predictions with naive ones. Prompts of one image are followed in `groups`.
"""
