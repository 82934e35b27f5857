"""Curation by a reward is selection: mean fitness rises by Var(w)/mean(w) in every step.

Users who choose images in proportion to w = exp(r), r their reward, turn p into p w/mean(w). The
mean of w is then mean(w^2)/mean(w), a rise by

    Delta mean(w) = Var(w)/mean(w),

for any distribution and any reward (the fundamental theorem of natural selection; the secondary
theorem for other traits). A reward r = b z of a Gaussian of variance V has the mean fitness
exp[b^2 V (t + 1/2)] in generation t, as long as finetuning passes everything on.

    >>> import qtm
    >>> path = qtm.evolve(
    ...     qtm.LifeCycle(selection=qtm.Directional(0.5)), qtm.Density.normal(0.0, 1.0), 3
    ... )
    >>> print(f"{path.mean[-1]:.6f}")
    1.500000
"""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

import qtm
from qtm.results._result import Check, Panel, Reproduction, Series, curve, of_samples

SOURCE = "Fisher (1930); Robertson (1966), Anim. Prod. 8:95-108; Ferbach et al., arXiv 2407.09499"

_GRADIENT, _GENERATIONS = 0.5, 4


def compute() -> Reproduction:
    """Curate a density by two rewards, and populations of individuals."""
    rewards = {"r = b z": _linear, "r = tanh z": _bounded}
    series, checks = [], []
    for label, reward in rewards.items():
        cycle = qtm.LifeCycle(selection=qtm.Fitness(reward))
        state, fitness, rise = qtm.Density.normal(0.0, 1.0, -14.0, 16.0), [], []
        for _ in range(_GENERATIONS + 1):
            w, p = jnp.exp(reward(state.nodes)), state.density * state.step
            fitness.append(float(jnp.sum(w * p)))
            rise.append(float(jnp.sum(jnp.square(w - fitness[-1]) * p)) / fitness[-1])
            state = cycle.step(state)
        expected = fitness[0] + np.concatenate([[0.0], np.cumsum(rise[:-1])])
        t = np.arange(_GENERATIONS + 1)
        series.append(Series(label, curve(t, expected), curve(t, fitness)))
        checks.append(
            Check(f"mean fitness after 4 steps, {label}", fitness[-1], float(expected[-1]),
                  accuracy=1e-9)
        )  # fmt: skip
        if reward is _linear:
            law = float(np.exp(_GRADIENT**2 * (_GENERATIONS + 0.5)))
            checks.append(Check("the same, exp[b^2 V (t + 1/2)]", fitness[-1], law, accuracy=1e-9))

    images = qtm.Individuals.normal(jr.key(0), jnp.zeros(400), 1.0, 500)
    chosen = qtm.LifeCycle(selection=qtm.Fitness(_bounded)).step(images, jr.key(1))
    w, after = (jnp.exp(_bounded(z.values)) for z in (images, chosen))
    risen = w.mean(axis=0) + w.var(axis=0) / w.mean(axis=0)
    checks.append(
        of_samples("400 populations of 500 images: after less mean(w) + Var(w)/mean(w)",
                   after.mean(axis=0) - risen, 0.0)
    )  # fmt: skip
    return Reproduction(
        tuple(checks),
        Panel("curation", "generation", "mean fitness", tuple(series)),
    )


def _linear(z: Array) -> Array:
    return _GRADIENT * z


def _bounded(z: Array) -> Array:
    return jnp.tanh(z)
