"""Training on N images drawn from all so far plateaus between accumulating and replacing.

Each generation adds N images to a pool, and finetuning takes N of the pool. Two draws of N images
then lie between two pools, where accumulating everything has one. With draws with replacement and
c^2 = (2 - 1/N)/N, the expected variance of the pool, and the squared error of the model's mean, are

    U_t = V_0 (1 - 1/N) prod_{j=2}^{t+1} (1 - c^2/j^2)
        ->  V_0 (1 - 1/N) sin(pi c)/[pi c (1 - c^2)],
    N E[(m_t - m)^2] = N (V_0 - U_t) + U_t  ->  V_0 pi^2/3  for large N,

twice that of accumulating everything, and bounded, where replacing grows with t. The limit is a
derivation of this project in the setting of the source (N = 89, seven traits, 100 generations).

    >>> import qtm
    >>> pools = qtm.results.result("accumulate_subsample").pools(generations=2)
    >>> pools.mean.shape
    (3, 1500, 7)
"""

import math

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import ArrayLike, PRNGKeyArray

import qtm
from qtm.results._result import Check, Panel, Reproduction, Series, average, curve, of_samples

SOURCE = "setting of Kazdan et al., arXiv 2410.16713; the limit is derived here"

_IMAGES, _TRAITS, _GENERATIONS, _REPLICATES = 89, 7, 100, 1_500


class Subsampled(eqx.Module):
    """A pool of images as a population: finetune on N of it, draw N images, and add them.

    The pool is given by its moments; N images of it have the mean and the variance of N draws.
    """

    size: int = eqx.field(static=True)

    def model(self, pool: qtm.Moments, key: PRNGKeyArray) -> qtm.Moments:
        """Return the Gaussian fitted to N images of the pool."""
        return qtm.LifeCycle(size=self.size).step(pool, key)

    def step(
        self,
        state: qtm.Moments,
        key: PRNGKeyArray | None = None,
        generation: ArrayLike | None = None,
    ) -> qtm.Moments:
        """Return the pool with the images of `generation`; needs both arguments."""
        to_train, to_draw = jr.split(key)  # pyright: ignore
        cycle = qtm.LifeCycle(qtm.Refit(), size=self.size)
        images = cycle.step(self.model(state, to_train), to_draw)
        pooled = qtm.Refit(accumulate=True).training_set(state, None, generation)  # pyright: ignore
        return pooled.moments(images)


def pools(generations: int) -> qtm.Trajectory:
    """Evolve the pool of every replicate and trait `[R, D]`, from one of N real images."""
    real = qtm.Moments(jnp.zeros((_REPLICATES, _TRAITS)), 1.0)
    first = qtm.LifeCycle(size=_IMAGES).step(real, jr.key(0))
    return qtm.evolve(Subsampled(_IMAGES), first, generations, key=jr.key(1))


def compute() -> Reproduction:
    """Simulate pools of seven traits, and fit a model to each."""
    path = pools(_GENERATIONS)
    t = np.arange(_GENERATIONS + 1)
    factors = 1 - (2 - 1 / _IMAGES) / _IMAGES / np.maximum(t + 1, 2) ** 2
    variance = (1 - 1 / _IMAGES) * np.cumprod(np.where(t > 0, factors, 1.0))
    c = math.sqrt((2 - 1 / _IMAGES) / _IMAGES)
    limit = (1 - 1 / _IMAGES) * math.sin(math.pi * c) / (math.pi * c * (1 - c**2))
    risk = lambda variance: _IMAGES * (1 - variance) + variance

    shown = np.array([0, 1, 3, 8, 24, 50, 100])
    errors = []
    for i in shown:
        pool = qtm.Moments(path.mean[i], path.variance[i])
        model = Subsampled(_IMAGES).model(pool, jr.fold_in(jr.key(2), i))
        # Traits are independent, and so count as replicates.
        errors.append(np.asarray(_IMAGES * jnp.square(model.mean)).ravel())
    mean, standard = average(errors)
    replaced = _IMAGES * (1 - (1 - 1 / _IMAGES) ** (t + 1))
    accumulated = _IMAGES * (1 - np.cumprod(1 - 1 / (_IMAGES * (t + 1.0) ** 2)))
    sets = t + 1
    return Reproduction(
        (
            of_samples(
                "variance of the pool, t = 100", np.ravel(path.variance[-1]), float(variance[-1])
            ),
            of_samples("N squared error of the model, t = 100", errors[-1], risk(variance[-1])),
            Check("the same, over its limit", float(mean[-1]) / risk(limit), 1.0,
                  standard_error=float(standard[-1]) / risk(limit), accuracy=2 / _GENERATIONS),
            Check("the same, over accumulating", float(mean[-1] / accumulated[-1]), above=1.5,
                  standard_error=float(standard[-1] / accumulated[-1])),
            Check("the same, over replacing", float(mean[-1] / replaced[-1]), below=0.1,
                  standard_error=float(standard[-1] / replaced[-1])),
        ),
        Panel(
            "subsampling",
            "sets of images",
            "$N$ squared error",
            (
                Series("replace", curve(sets, replaced)),
                Series("subsample", curve(sets, risk(variance)), curve(shown + 1, mean), standard),
                Series("accumulate", curve(sets, accumulated)),
            ),
            logarithmic="xy",
            level=risk(limit),
        ),
    )  # fmt: skip
