"""In a loop with fresh data, few synthetic images help, and beyond a threshold they harm.

Each generation fits a Gaussian to n_r fresh images and n_s of the model before, of which sampling
keeps the fraction lambda of the variance (images chosen for quality). Its error is measured by the
number n_e of real images that would do as well alone. Without bias, synthetic images always help to
find the mean, at most by a factor of 2:

    n_e/n_r = (n_r + 2 n_s)/(n_r + n_s)   (mean, lambda = 1).

With bias they also shrink the variance, to V = w V_0/[1 - (1 - w) lambda], w = n_r/(n_r + n_s), and
many of them harm; the stronger the bias, the fewer. The forms are derived here to first order in
1/n, with n_e of the squared Wasserstein distance of Gaussians; the source reports the threshold.

    >>> import qtm
    >>> loop = qtm.Refit(bias=0.8, inflow=0.5, fresh=qtm.Moments(0.0, 1.0))
    >>> rest = qtm.equilibrium(qtm.LifeCycle(loop), qtm.Moments(0.0, 1.0))
    >>> print(f"{rest.variance:.4f}")
    0.8333
"""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

import qtm
from qtm.results._result import Check, Panel, Reproduction, Series, average, curve, of_samples

SOURCE = "Alemohammad et al., arXiv 2307.01850; first-order forms derived here"

_REAL, _SYNTHETIC, _BIASES = 200, (20, 200, 1000), (1.0, 0.9, 0.7)
_GENERATIONS, _REPLICATES = 25, 6_000


def compute() -> Reproduction:
    """Evolve loops with three numbers of synthetic images and three biases."""
    real = qtm.Moments(jnp.zeros((_REPLICATES, len(_BIASES))), 1.0)
    alone = qtm.LifeCycle(size=_REAL).step(real, jr.key(0))
    reference, reference_error = average(np.asarray(_distance(alone)).ravel())
    ratio, error, squares = [], [], {}
    for count in _SYNTHETIC:
        size = _REAL + count
        loop = qtm.Refit(bias=jnp.asarray(_BIASES), inflow=_REAL / size, fresh=real)
        path = qtm.evolve(qtm.LifeCycle(loop, size=size), real, _GENERATIONS, key=jr.key(count))
        mean, standard = average(np.asarray(_distance(path.final)).T)
        ratio.append(reference / mean)
        error.append(ratio[-1] * np.hypot(standard / mean, reference_error / reference))
        squares[count] = np.asarray(_REAL * jnp.square(path.final.mean[:, 0]))
    ratio, error = np.array(ratio), np.array(error)  # [numbers, biases]

    def harm(count: int, bias: float, **bounds: float) -> Check:
        i, k = _SYNTHETIC.index(count), _BIASES.index(bias)
        return Check(f"n_e/n_r, n_s = {count}, lambda = {bias:g}", float(ratio[i, k]),
                     standard_error=float(error[i, k]), **bounds)  # fmt: skip

    n = np.geomspace(10, 2000, 60)
    x = np.asarray(_SYNTHETIC) / _REAL
    return Reproduction(
        (
            *(
                of_samples(
                    f"n_r squared error of mean, n_s = {count}, lambda = 1", squares[count],
                    (_REAL + count) / (_REAL + 2 * count), accuracy=2 / _REAL,
                )
                for count in (200, 1000)
            ),
            harm(1000, 1.0, above=1.2),
            harm(20, 0.9, above=1.0),
            harm(1000, 0.9, below=0.5),
            harm(200, 0.7, below=0.5),
        ),
        Panel(
            "fresh-data loop",
            "$n_s/n_r$",
            "$n_e/n_r$",
            tuple(
                Series(f"bias {bias:g}", curve(n / _REAL, _law(n, bias)), curve(x, ratio[:, k]),
                       error[:, k])
                for k, bias in enumerate(_BIASES)
            ),
            logarithmic="xy",
            level=1.0,
            legend="lower left",
        ),
    )  # fmt: skip


def _distance(state: Any) -> Array:
    """The squared Wasserstein distance of a Gaussian to N(0, 1)."""
    return jnp.square(state.mean) + jnp.square(jnp.sqrt(state.variance) - 1)


def _law(synthetic, bias: float):
    """Compute n_e/n_r to first order in 1/n."""
    w = _REAL / (_REAL + synthetic)
    kept = (1 - w) * bias
    V = w / (1 - kept)
    of_mean = (w**2 / _REAL + (1 - w) ** 2 * bias * V / synthetic) / (1 - (1 - w) ** 2)
    errors = 2 * w**2 / _REAL + 2 * (kept * V) ** 2 / synthetic
    of_variance = errors / (1 - kept**2)
    return 1.5 / _REAL / (of_mean + of_variance / (4 * V) + (np.sqrt(V) - 1) ** 2)
