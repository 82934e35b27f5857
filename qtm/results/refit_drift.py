"""A Gaussian refitted to N draws loses the fraction 1/N of its variance in every generation.

Fitted by maximum likelihood to the N images of the generation before, and without selection, its
expected variance is

    E[V_t] = V_0 (1 - 1/N)^t,

because the mean of the images takes V/N of their variance with it. With 500 images, six generations
lose 1.2 %. A chain that loses more does not lose it by drift.

    >>> import qtm
    >>> cycle = qtm.LifeCycle(qtm.Refit(), size=500)
    >>> path = qtm.evolve(cycle, qtm.Moments(0.0, 1.0), generations=6)
    >>> print(f"{path.variance[-1]:.5f}")
    0.98806
"""

import jax.numpy as jnp
import jax.random as jr
import numpy as np

import qtm
from qtm.results._result import Check, Panel, Reproduction, Series, average, curve, of_samples

SOURCE = "Shumailov et al. (2024), Nature 631:755-759"

_IMAGES, _GENERATIONS = 500, 6


def compute() -> Reproduction:
    """Evolve the expectation, 10,000 drifting Gaussians, and 1,000 populations of individuals."""
    cycle = qtm.LifeCycle(qtm.Refit(), size=_IMAGES)
    start = qtm.Moments(0.0, 1.0)
    expectation = np.asarray(qtm.evolve(cycle, start, _GENERATIONS).variance)
    many = qtm.Moments(jnp.zeros(10_000), 1.0)
    drifting = qtm.evolve(cycle, many, _GENERATIONS, key=jr.key(0)).variance
    images = qtm.Individuals.normal(jr.key(1), jnp.zeros(1_000), 1.0, _IMAGES)
    populations = qtm.evolve(qtm.LifeCycle(qtm.Refit()), images, _GENERATIONS, jr.key(2)).variance
    left = populations / populations[0]  # generation 0 is a sample, too

    t = np.arange(_GENERATIONS + 1)
    law = (1 - 1 / _IMAGES) ** t
    mean, error = average(drifting)
    means, errors = average(left)
    return Reproduction(
        (
            Check("V_6/V_0, expectation", float(expectation[-1]), float(law[-1]), accuracy=1e-12),
            of_samples("V_6/V_0, 10,000 drifting Gaussians", drifting[-1], float(law[-1])),
            of_samples("V_6/V_0, 1,000 populations of 500", left[-1], float(law[-1])),
        ),
        Panel(
            "refitting",
            "generation",
            "$V_t/V_0$",
            (
                Series("Gaussians", curve(t, law), curve(t, mean), error),
                Series("individuals", None, curve(t, means), errors),
            ),
            legend="lower left",
        ),
    )
