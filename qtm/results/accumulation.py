"""Where images accumulate, the variance stays, and the mean strays by pi^2/6 of its first error.

A Gaussian is refitted to the images of all generations so far, N of each. Its expected variance,
and the squared displacement of its mean, are

    E[V_t] = V_0 prod_{j=1}^{t+1} (1 - 1/(N j^2))  ->  V_0 sin(x)/x,   x = pi/sqrt(N),
    E[(m_t - m)^2] = V_0 - E[V_t]                  ->  (V_0/N) pi^2/6   for large N,

where refitting to the latest images alone loses all variance, and the mean strays without bound.
The second limit is the constant by which the risk of an estimate grows, in many families.

    >>> import qtm
    >>> cycle = qtm.LifeCycle(qtm.Refit(accumulate=True), size=500)
    >>> path = qtm.evolve(cycle, qtm.Moments(0.0, 1 - 1 / 500), generations=2000)
    >>> print(f"{path.variance[-1]:.5f}")
    0.99671
"""

import math

import jax.numpy as jnp
import jax.random as jr
import numpy as np

import qtm
from qtm.results._result import Check, Panel, Reproduction, Series, average, curve, of_samples

SOURCE = "Gerstgrasser et al., arXiv 2404.01413; Dey & Donoho, arXiv 2410.22812"

_IMAGES, _GENERATIONS, _REPLICATES = 500, 100, 8_000
_MANY_IMAGES, _LONG = 10**6, 10_000


def compute() -> Reproduction:
    """Evolve the expectation far enough, and replicates to see how far means stray."""
    limit = _expected_variance(_IMAGES)
    x = math.pi / math.sqrt(_IMAGES)
    risk = _MANY_IMAGES * (1 - _expected_variance(_MANY_IMAGES))

    first = qtm.LifeCycle(size=_IMAGES)
    start = first.step(qtm.Moments(jnp.zeros(_REPLICATES), 1.0), jr.key(0))
    cycle = qtm.LifeCycle(qtm.Refit(accumulate=True), size=_IMAGES)
    path = qtm.evolve(cycle, start, _GENERATIONS, key=jr.key(1))
    squares = np.asarray(_IMAGES * jnp.square(path.mean))

    j = np.arange(1, _GENERATIONS + 2)
    law = _IMAGES * (1 - np.cumprod(1 - 1 / (_IMAGES * j**2)))
    replaced = _IMAGES * (1 - (1 - 1 / _IMAGES) ** j)
    shown = np.array([0, 1, 3, 8, 24, _GENERATIONS])
    mean, error = average(squares[shown])
    return Reproduction(
        (
            Check("V/V_0, N = 500", limit, math.sin(x) / x, accuracy=1 / (_IMAGES * _LONG)),
            Check(
                "N squared displacement, N = 500",
                _IMAGES * (1 - limit),
                _IMAGES * (1 - math.sin(x) / x),
                accuracy=1 / _LONG,
            ),
            Check("the same, N = 10^6: pi^2/6", risk, math.pi**2 / 6, accuracy=1.1 / _LONG),
            of_samples(
                "the same, of 8,000 means, N = 500, t = 100",
                squares[-1],
                float(law[-1]),
            ),
        ),
        Panel(
            "accumulation",
            "sets of images",
            "$N$ squared error",
            (
                Series("replace", curve(j, replaced)),
                Series("accumulate", curve(j, law), curve(j[shown], mean), error),
            ),
            logarithmic="xy",
            level=math.pi**2 / 6,
        ),
    )


def _expected_variance(images: int) -> float:
    cycle = qtm.LifeCycle(qtm.Refit(accumulate=True), size=images)
    path = qtm.evolve(cycle, qtm.Moments(0.0, 1 - 1 / images), generations=_LONG)
    return float(path.variance[-1])
