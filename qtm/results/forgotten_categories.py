"""A category is forgotten after a time that is proportional to its count.

A model that learns the frequencies of categories from N draws of the generation before is neutral
drift: each of k images leaves a Poisson number of copies, of mean 1, where N is large. The
probability that none is left after t generations is q_t^k, with

    q_{t+1} = exp(q_t - 1),  q_0 = 0,  so that  q_t^k ~ exp(-2k/t):

a category of twice the count lasts twice as long. For finite N the same follows exactly from powers
of the matrix of binomial probabilities (Wright and Fisher).

    >>> import jax
    >>> import jax.numpy as jnp
    >>> import qtm
    >>> is_cat = qtm.Individuals(jnp.arange(100.0) < 2)  # 2 of 100 images
    >>> path = qtm.evolve(qtm.LifeCycle(), is_cat, 200, key=jax.random.key(0))
    >>> float(path.mean[0]), bool(path.mean[-1] == 0)
    (0.02, True)
"""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.stats import binom

import qtm
from qtm.results._result import Check, Panel, Reproduction, Series, average, curve, of_samples

SOURCE = "Suresh, Thangaraj & Khandavally, arXiv 2412.17646; Wright-Fisher model"

_IMAGES, _COUNTS, _GENERATIONS, _REPLICATES = 100, (1, 3, 9), 54, 800


def compute() -> Reproduction:
    """Resample categories of three counts, and compare with the exact probabilities."""
    in_category = np.arange(_IMAGES)[:, None] < np.asarray(_COUNTS)
    images = qtm.Individuals(jnp.asarray(in_category, float))
    frequency = lambda key: qtm.evolve(qtm.LifeCycle(), images, _GENERATIONS, key).mean
    frequencies = jax.jit(jax.vmap(frequency))(jr.split(jr.key(0), _REPLICATES))
    lost = np.moveaxis(np.asarray(frequencies == 0, float), 0, -1)  # [T, counts, replicates]

    exact = _lost_exactly()
    chosen = [(3 * count, i) for i, count in enumerate(_COUNTS)]
    fractions, errors = np.transpose([average(lost[place]) for place in chosen])
    ratio = fractions[2] / fractions[1]
    t = np.arange(_GENERATIONS + 1)
    series = []
    for i, count in enumerate(_COUNTS):
        shown = np.unique(np.round(count * np.array([1, 2, 3, 4, 6])).astype(int))
        mean, error = average(lost[shown, i])
        line = t <= 6 * count
        series.append(
            Series(f"count {count}", curve(t[line] / count, exact[line, i]),
                   curve(shown / count, mean), error)
        )  # fmt: skip
    return Reproduction(
        (
            *(
                of_samples(
                    f"forgotten after {3 * count} generations, count {count}",
                    lost[3 * count, i], float(exact[3 * count, i]),
                )
                for i, count in enumerate(_COUNTS)
            ),
            Check(
                "ratio of these, count 9 over count 3", float(ratio),
                float(exact[chosen[2]] / exact[chosen[1]]),
                standard_error=float(ratio * np.hypot(*(errors / fractions)[1:])),
            ),
        ),
        Panel("forgetting", "generations / count", "fraction forgotten", tuple(series),
              legend="lower right"),
    )  # fmt: skip


def _lost_exactly() -> np.ndarray:
    """Return the probability `[T, counts]` that a category of N images is lost by generation t."""
    copies = np.arange(_IMAGES + 1)
    step = binom.pmf(copies[None, :], _IMAGES, copies[:, None] / _IMAGES)
    state = np.eye(_IMAGES + 1)[list(_COUNTS)]
    rows = [state[:, 0]]
    for _ in range(_GENERATIONS):
        state = state @ step
        rows.append(state[:, 0])
    return np.stack(rows)
