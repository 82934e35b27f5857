"""No schedule of guidance above 1 keeps the variance; a window of negative guidance does.

Where classes are many, the unconditional distribution is one broad Gaussian. A schedule w(t) over
the noise variance t then leaves a class the variance (probability flow)

    ln(V/V_c) = - int [w(t) - 1] [1/(V_c + t) - 1/(V_u + t)] dt,

which is below 0 for every schedule with w >= 1 that is not 1 everywhere, constant, rising, falling
or in an interval. A window with w < 1 gives the variance back: with w_0 above t_1 and w_1 between
t_2 and t_1, V = V_c for

    w_1 = 1 - (w_0 - 1) L(t_1, inf)/L(t_2, t_1),
    L(s, t) = ln[(V_c + t)(V_u + s)/((V_c + s)(V_u + t))].

Means stay further apart than without guidance. The numbers are derived here; the source has the
theorem, and networks guided in this way.

    >>> import qtm
    >>> window = qtm.results.result("negative_guidance").window()
    >>> after = qtm.Guidance(window, qtm.Moments(0.0, 1.0)).moments(qtm.Moments(1.0, 0.3))
    >>> print(f"{after.variance:.4f}", bool(after.mean > 1))
    0.3000 True
"""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.scipy.special import ndtri
from jaxtyping import Array

import qtm
from qtm import mixture
from qtm.results._result import Check, Panel, Reproduction, Series, curve

SOURCE = "Ventura, Achilli, Ambrogioni & Lucibello, arXiv 2602.00716"

_WITHIN, _ALL = 0.3, 1.0
_SCALE, _FROM, _TO = 3.0, 0.1, 1.0  # the window, as variances of noise
_CLASSES, _IMAGES = 60, 3_000


def window() -> qtm.ByNoise:
    """Return strong guidance at high noise, and negative guidance in a window below it."""
    high = _lost(_TO, np.inf)
    negative = 1 - (_SCALE - 1) * high / _lost(_FROM, _TO)
    edges = (_FROM**0.5, _TO**0.5)

    def scale(sigma: Array) -> Array:
        inside = jnp.where(sigma >= edges[0], negative, 1.0)
        return jnp.where(sigma >= edges[1], _SCALE, inside)

    return qtm.ByNoise(scale, breaks=edges)


def compute() -> Reproduction:
    """Integrate four usual schedules and the window; sample many classes with exact scores."""
    extra = _SCALE - 1
    schedules = {
        "constant": qtm.ByNoise(lambda s: _SCALE + 0 * s),
        "falling": qtm.ByNoise(lambda s: 1 + extra * s / (1 + s)),
        "rising": qtm.ByNoise(lambda s: 1 + extra / (1 + s)),
        "interval": qtm.ByNoise(lambda s: jnp.where((s >= 0.3) & (s < 1), _SCALE, 1.0), [0.3, 1.0]),
        "window": window(),
    }
    population, everything = qtm.Moments(1.0, _WITHIN), qtm.Moments(0.0, _ALL)
    after = {name: qtm.Guidance(w, everything).moments(population) for name, w in schedules.items()}
    ratio = {name: float(state.variance) / _WITHIN for name, state in after.items()}
    checks = [
        Check(f"V/V_c, {name}", ratio[name], below=1.0) for name in schedules if name != "window"
    ]
    V, V_constant = (_sampled(schedules[name]) for name in ("window", "constant"))
    error = float(np.sqrt(2 / _IMAGES))
    law = (_WITHIN / _ALL) ** extra
    checks += [
        Check("V/V_c, window", ratio["window"], 1.0, accuracy=1e-8),
        Check("distance of means, window", float(after["window"].mean), above=1.0),
        Check(f"V/V_c, window, {_CLASSES} classes sampled", V, 1.0, standard_error=error * V,
              accuracy=0.03),
        Check(f"V/V_c, constant, {_CLASSES} classes sampled", V_constant, law,
              standard_error=error * V_constant, accuracy=0.06 * law),
    ]  # fmt: skip
    places = np.arange(len(ratio))
    sampled = curve([0, places[-1]], [V_constant, V])
    return Reproduction(
        tuple(checks),
        Panel(
            "many classes",
            "",
            "$V/V_c$",
            (
                Series("Gaussian", None, curve(places, list(ratio.values()))),
                Series("60 classes", None, sampled, error * sampled[1]),
            ),
            level=1.0,
            legend="center left",
            ticks=tuple(ratio),
        ),
    )


def _lost(low: float, high: float) -> float:
    """Compute L(low, high), the integral of 1/(V_c + t) - 1/(V_u + t)."""
    upper = 0.0 if high == np.inf else np.log((_WITHIN + high) / (_ALL + high))
    return float(upper - np.log((_WITHIN + low) / (_ALL + low)))


def _sampled(schedule: qtm.ByNoise) -> float:
    """Return V/V_c within classes whose centres are quantiles of a Gaussian, exact scores."""
    centres = ndtri((jnp.arange(_CLASSES) + 0.5) / _CLASSES)
    centres = np.asarray(centres * np.sqrt((_ALL - _WITHIN) / jnp.var(centres)))
    covariances = np.full((_CLASSES, 1, 1), _WITHIN)
    classes = mixture.Mixture.of(np.ones(_CLASSES), centres[:, None], covariances)
    # Classes in the middle, where the mixture is like one Gaussian.
    families = np.arange(_IMAGES) % 20 + (_CLASSES - 20) // 2
    keys = mixture.keys_of(jr.key(0), 0, _IMAGES)
    levels = mixture.NoiseLevels.exploding(0.01, 30.0, 300)
    sampler = mixture.Sampler(levels, schedule.at)
    z = np.asarray(mixture.sample(classes, classes, families, keys, sampler))[:, 0]
    fit = mixture.Mixture.fit(z[:, None], families)
    return float(fit.within[0]) / _WITHIN
