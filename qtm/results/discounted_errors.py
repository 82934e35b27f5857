"""Fresh data discount the error of a generation m generations ago by (1 - a)^2m.

Where the fraction a of each training set is fresh, a displacement of the mean shrinks by 1 - a in a
generation, and its square by (1 - a)^2. The squared error of generation t is the discounted sum of
the errors that all generations made, here (V/N) each:

    E[(m_t - m)^2] = (V/N) sum_{m<t} (1 - a)^(2m)  ->  (V/N)/[1 - (1 - a)^2].

Without fresh data all errors stay, and their sum grows without bound.

    >>> import qtm
    >>> fresh = qtm.Moments(0.0, 1.0)
    >>> cycle = qtm.LifeCycle(qtm.Refit(inflow=0.25, fresh=fresh))
    >>> path = qtm.evolve(cycle, qtm.Moments(1.0, 1.0), generations=5)
    >>> print(f"{path.mean[-1] ** 2:.4f}")
    0.0563
"""

import jax.numpy as jnp
import jax.random as jr
import numpy as np

import qtm
from qtm.results._result import Check, Panel, Reproduction, Series, average, curve, of_samples

SOURCE = "Khelifa, Turner & Venkataramanan, arXiv 2602.16601"

_FRACTIONS = (0.0, 0.1, 0.25, 0.5)
# So many images that the variance hardly drifts.
_IMAGES, _GENERATIONS, _REPLICATES = 10_000, 20, 4_000


def compute() -> Reproduction:
    """Follow an error of 1 without sampling, and the sum of the errors of sampling."""
    a = jnp.asarray(_FRACTIONS)
    cycle = qtm.LifeCycle(qtm.Refit(inflow=a, fresh=qtm.Moments(0.0, 1.0)))
    displaced = qtm.evolve(cycle, qtm.Moments(1.0, 1.0), 5)
    remainder = np.asarray(jnp.square(displaced.mean[-1]))
    # Every replicate has fresh images that no other has.
    start = qtm.Moments(jnp.zeros((_REPLICATES, len(_FRACTIONS))), 1.0)
    cycle = qtm.LifeCycle(qtm.Refit(inflow=a, fresh=start), size=_IMAGES)
    mean = qtm.evolve(cycle, start, _GENERATIONS, key=jr.key(0)).mean
    squares = np.asarray(_IMAGES * jnp.square(mean)).swapaxes(1, 2)  # [T, fractions, replicates]

    t = np.arange(_GENERATIONS + 1)
    kept = (1 - np.asarray(_FRACTIONS)) ** 2
    sums = np.concatenate([np.zeros((1, len(kept))), np.cumsum(kept ** t[:-1, None], axis=0)])
    shown = t[1::3]
    centre, error = average(squares[shown])
    chosen = _FRACTIONS.index(0.25)
    return Reproduction(
        (
            Check(
                "squared error after 5 generations, a = 0.25", float(remainder[chosen]),
                float(kept[chosen] ** 5), accuracy=1e-12,
            ),
            Check(
                "the same, a = 0.1", float(remainder[_FRACTIONS.index(0.1)]), 0.9**10,
                accuracy=1e-12,
            ),
            of_samples(
                "N squared error in generation 20, a = 0.25", squares[-1, chosen],
                float(sums[-1, chosen]),
            ),
            of_samples("the same, a = 0", squares[-1, 0], float(sums[-1, 0]), accuracy=0.02),
        ),
        Panel(
            "discounted errors",
            "generation",
            "$N$ squared error",
            tuple(
                Series(f"a = {a:g}", curve(t, sums[:, i]), curve(shown, centre[:, i]), error[:, i])
                for i, a in enumerate(_FRACTIONS)
            ),
        ),
    )  # fmt: skip
