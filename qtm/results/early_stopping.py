"""A sampler that stops early adds its noise to every generation: V = V_0 + tau/a.

A reverse diffusion that stops at noise variance tau draws from its data blurred by N(0, tau). With
the fraction a of fresh data in each training set, an image descends from fresh data over k + 1
generations with the probability a (1 - a)^k, so that the limit is a mixture of blurred data:

    p = sum_k a (1 - a)^k N(m, V_0 + (k + 1) tau),   V = V_0 + tau/a,
    excess kurtosis 3 tau^2 (1 - a)/a^2 / V^2.

    >>> import qtm
    >>> refit = qtm.Refit(inflow=0.1, fresh=qtm.Moments(0.0, 1.0))
    >>> early = qtm.GaussianMutation(0.05)
    >>> sets = qtm.equilibrium(qtm.LifeCycle(refit, mutation=early), qtm.Moments(0.0, 1.0))
    >>> print(f"{early.moments(sets).variance:.4f}")
    1.5000
"""

from typing import cast

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import ArrayLike, PRNGKeyArray

import qtm
from qtm import mixture
from qtm.results._result import Check, Panel, Reproduction, Series, curve

SOURCE = "after Khelifa, Turner & Venkataramanan, arXiv 2606.13796"

_TAU, _FRACTIONS, _GENERATIONS = 0.05, (0.1, 0.2, 0.5), 120


class Recursion(eqx.Module):
    """Training sets that are fresh by the fraction a, and a sampler that stops at noise tau.

    A cycle of densities without refitting: the model is its training set.
    """

    fresh: qtm.LifeCycle
    sampling: qtm.LifeCycle

    def step(
        self,
        state: qtm.Density,
        key: PRNGKeyArray | None = None,
        generation: ArrayLike | None = None,
    ) -> qtm.Density:
        return self.sampling.step(self.fresh.step(state))


def compute() -> Reproduction:
    """Iterate the density, and stop a sampler with exact scores early."""
    a = np.asarray(_FRACTIONS)
    # A mutant is a fresh image.
    cycle = Recursion(
        qtm.LifeCycle(mutation=qtm.HouseOfCards(a, 0.0, 1.0)),
        qtm.LifeCycle(mutation=qtm.GaussianMutation(_TAU)),
    )
    data = qtm.Density.normal(jnp.zeros(len(a)), 1.0, -16.0, 16.0, 513)
    path = qtm.evolve(cycle, data, _GENERATIONS)
    final = cast(qtm.Density, path.final)
    fourth = np.asarray(jnp.sum(final.nodes**4 * final.density, axis=0) * final.step)
    V = np.asarray(path.variance)
    limit = 1 + _TAU / a
    kurtosis = 3 * _TAU**2 * (1 - a) / a**2 / limit**2
    added, accuracy = _added_by_a_sampler()
    t = np.arange(31)
    shown = t[::4]
    return Reproduction(
        (
            Check("variance that the sampler adds", added, _TAU, accuracy=accuracy),
            Check("V, a = 0.1", float(V[-1, 0]), float(limit[0]), accuracy=1e-4),
            Check("V, a = 0.5", float(V[-1, 2]), float(limit[2]), accuracy=1e-9),
            Check(
                "excess kurtosis, a = 0.1", float(fourth[0] / V[-1, 0] ** 2 - 3),
                float(kurtosis[0]), accuracy=1e-3,
            ),
        ),
        Panel(
            "early stopping",
            "generation",
            "$V_t/V_0$",
            tuple(
                Series(
                    f"a = {a:g}", curve(t, 1 + _TAU * (1 - (1 - a) ** t) / a),
                    curve(shown, V[shown, i]),
                )
                for i, a in enumerate(_FRACTIONS)
            ),
        ),
    )  # fmt: skip


def _added_by_a_sampler() -> tuple[float, float]:
    """Return the variance that stopping adds to N(0, 1), and the change by half of the steps.

    DDIM maps one noise linearly: its end with and without early stopping has the ratio of the
    standard deviations.
    """
    data = mixture.Mixture.of(np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1)))
    keys = mixture.keys_of(jr.key(0), 0, 1)
    added = []
    for steps in (2_000, 4_000):
        high = np.geomspace(30.0, np.sqrt(_TAU), steps)
        low = np.geomspace(np.sqrt(_TAU), 1e-3, steps)[1:]
        ends = [
            mixture.sample(
                data, data, np.zeros(1, int), keys, mixture.Sampler(mixture.NoiseLevels(levels))
            )
            for levels in (high, np.append(np.concatenate([high, low]), 0.0))
        ]
        added.append(float((ends[0] / ends[1])[0, 0] ** 2 - 1))
    return added[1], 2 * abs(added[1] - added[0])
