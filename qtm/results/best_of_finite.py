"""The best K of N are less extreme than the best fraction K/N of infinitely many.

The mean of the best K of N draws lies above that of all by i standard deviations, with

    i = i(p) - (N - K)/[2 K (N + 1) i(p)],   p = K/N,

where i(p) = phi(x)/p, x = Phi^-1(1 - p), is the intensity of selection in an infinite population:
Burrows' correction for N images, of which a filter keeps K.

    >>> import qtm
    >>> infinite = qtm.Truncation(0.2).moments(qtm.Moments(0.0, 1.0)).mean
    >>> best_of_five = qtm.BestOf(5).moments(qtm.Moments(0.0, 1.0)).mean
    >>> print(f"{infinite:.3f} {best_of_five:.3f}")
    1.400 1.163
"""

import jax.numpy as jnp
import jax.random as jr
import numpy as np

import qtm
from qtm.results._result import Check, Panel, Reproduction, Series, average, curve, of_samples

SOURCE = "Burrows (1972), Biometrics 28:1091-1100"

_FRACTION = 0.2
_SIZES, _DRAWN = (10, 50, 200), 100_000


def compute() -> Reproduction:
    """Select the best fifth of populations of individuals, and the best of five exactly."""
    unit = qtm.Moments(0.0, 1.0)
    infinite = float(qtm.Truncation(_FRACTION).moments(unit).mean)
    best = float(qtm.BestOf(5.0).moments(unit).mean)
    chosen = {N: _means_of_the_best(N) for N in _SIZES}
    means, errors = np.transpose([average(chosen[N]) for N in _SIZES])
    N = np.geomspace(5, 250, 60)
    allowed = lambda N: (infinite - _burrows(infinite, N)) ** 2 / 20  # terms of higher order
    return Reproduction(
        (
            Check("best of 5, exact", best, _burrows(infinite, 5), accuracy=allowed(5)),
            *(
                of_samples(
                    f"best {n // 5} of {n}, individuals", chosen[n], _burrows(infinite, n),
                    accuracy=allowed(n),
                )
                for n in _SIZES
            ),
        ),
        Panel(
            "best fifth of N",
            "N",
            "intensity i",
            (Series("Burrows", curve(N, _burrows(infinite, N)), curve(_SIZES, means), errors),),
            logarithmic="x",
            level=infinite,
            legend="lower right",
        ),
    )  # fmt: skip


def _burrows(infinite, N):
    K = _FRACTION * N
    return infinite - (N - K) / (2 * K * (N + 1) * infinite)


def _means_of_the_best(size: int) -> np.ndarray:
    """Return the mean of the survivors of truncation, in many populations of `size` images."""
    images = qtm.Individuals.normal(jr.key(size), jnp.zeros(_DRAWN // size), 1.0, size)
    alive = jnp.exp(qtm.Truncation(_FRACTION).log_fitness(images.values, images))
    return np.asarray(jnp.sum(alive * images.values, axis=0) / jnp.sum(alive, axis=0))
