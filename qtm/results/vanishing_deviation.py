"""A Gaussian refitted to N draws loses its standard deviation in about N generations.

Expectations mislead: E[V_t] falls by 1/N a generation by maximum likelihood, and not at all where
the variance is unbiased, while almost every chain loses all of it. Its logarithm falls by

    E[ln V_t] = ln V_0 + t [psi((N - 1)/2) + ln(2/N)]  ~  ln V_0 - 2 t/N

(ln(2/(N - 1)) for the unbiased variance, -t/N then), so that a typical standard deviation is
exp(-t/N) of the first, and 1/e of it after N generations.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> import qtm
    >>> cycle, start = qtm.LifeCycle(qtm.Refit(), size=20), qtm.Moments(jnp.zeros(2000), 1.0)
    >>> path = qtm.evolve(cycle, start, 20, key=jax.random.key(0))
    >>> -1.2 < jnp.log(path.variance[-1]).mean() / 2 < -1.0
    Array(True, dtype=bool)
"""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.special import digamma

import qtm
from qtm.results._result import Panel, Reproduction, Series, average, curve, of_samples

SOURCE = "Suresh, Thangaraj & Khandavally, arXiv 2412.17646; Alemohammad et al., arXiv 2307.01850"

_SIZES, _REPLICATES = (10, 100), 4_000


def compute() -> Reproduction:
    """Refit many Gaussians for N generations, for two N, and by the unbiased variance."""
    checks, series = [], []
    for N in _SIZES:
        log_sd = _log_deviation(qtm.Refit(), N)
        rate = (digamma((N - 1) / 2) + np.log(2 / N)) / 2
        checks.append(
            of_samples(f"mean ln sd after N = {N} generations", log_sd[-1], float(rate * N))
        )
        t = np.arange(N + 1)
        shown = np.linspace(0, N, 6).astype(int)
        mean, error = average(log_sd[shown])
        series.append(
            Series(f"N = {N}", curve(t / N, np.exp(rate * t)), curve(shown / N, np.exp(mean)),
                   np.exp(mean) * error)
        )  # fmt: skip
    N = _SIZES[0]
    unbiased = _log_deviation(qtm.Refit(ddof=1), N)[-1]
    rate = (digamma((N - 1) / 2) + np.log(2 / (N - 1))) / 2
    checks.append(of_samples(f"the same, unbiased, N = {N}", unbiased, float(rate * N)))
    mean_variance = "mean V after as many, unbiased (expected not to fall)"
    checks.append(of_samples(mean_variance, np.exp(2 * unbiased), 1.0))
    return Reproduction(
        tuple(checks),
        Panel(
            "vanishing sd",
            "generations / N",
            "geometric mean sd",
            tuple(series),
            logarithmic="y",
            legend="lower left",
        ),
    )


def _log_deviation(refit: qtm.Refit, size: int) -> np.ndarray:
    """Return ln sd `[N + 1, R]` of the models of N generations that start from N(0, 1)."""
    start = qtm.Moments(jnp.zeros(_REPLICATES), 1 - refit.ddof / size)
    path = qtm.evolve(qtm.LifeCycle(refit, size=size), start, size, key=jr.key(size))
    # A training set is recorded with the divisor N, a model has N - ddof.
    return np.asarray(jnp.log(path.variance * size / (size - refit.ddof)) / 2)
