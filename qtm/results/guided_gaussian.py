"""Guided samplers do not sample the tilted density: three operators, three variances.

With the conditional N(0, 1), the unconditional N(0, 2) and the guidance scale w = 2.5, the tilted
density p_c^w p_u^(1-w) and two samplers of the guided score, with exact scores, have the variances

    tilt   1/[w/V_c + (1 - w)/V_u]                                                    0.571
    DDIM   V_c^w V_u^(1-w)                                                            0.354
    DDPM   V_c^(2w) V_u^(2-2w) (r^(1-2w) - 1)/[(V_u - V_c)(2w - 1)],  r = V_c/V_u     0.469

They are computed without these forms: the tilt as the density of a grid, the samplers as integrals
over the noise, and by sampling step by step.

    >>> import qtm
    >>> for operator in ("tilt", "ddim", "ddpm"):
    ...     guidance = qtm.Guidance(2.5, qtm.Moments(0.0, 2.0), operator)
    ...     print(operator, f"{guidance.moments(qtm.Moments(0.0, 1.0)).variance:.3f}")
    tilt 0.571
    ddim 0.354
    ddpm 0.469
"""

from typing import Literal

import jax.numpy as jnp
import jax.random as jr
import numpy as np

import qtm
from qtm import mixture
from qtm.results._result import Check, Panel, Reproduction, Series, curve

SOURCE = "setting of Bradley & Nakkiran, arXiv 2408.09000"

_CONDITIONAL, _UNCONDITIONAL, _SCALE = 1.0, 2.0, 2.5
_SAMPLES, _STEPS = 4_000, 1_600
_SHOWN = (1.0, 2.5, 4.0)


def compute() -> Reproduction:
    """Tilt a density, integrate over the noise, and sample."""
    everything = qtm.Moments(0.0, _UNCONDITIONAL)
    population = qtm.Moments(0.0, _CONDITIONAL)
    tilted = qtm.Guidance(_SCALE, everything, "tilt").density(qtm.Density.normal(0.0, _CONDITIONAL))
    constant = qtm.ByNoise(lambda sigma: _SCALE + 0 * sigma)
    expected = {
        "tilt": 1 / (_SCALE / _CONDITIONAL + (1 - _SCALE) / _UNCONDITIONAL),
        "ddim": _CONDITIONAL**_SCALE * _UNCONDITIONAL ** (1 - _SCALE),
        "ddpm": _ddpm(_SCALE),
    }
    checks = [Check("tilt, density", float(tilted.variance), expected["tilt"], accuracy=1e-9)]
    operators: tuple[Literal["ddim", "ddpm"], ...] = ("ddim", "ddpm")
    for name in operators:
        integral = qtm.Guidance(constant, everything, name).moments(population).variance
        label = f"{name.upper()}, integral over the noise"
        checks.append(Check(label, float(integral), expected[name], accuracy=1e-8))
    w = np.linspace(0.0, 4.2, 64)
    tilt = curve(w, 1 / (w / _CONDITIONAL + (1 - w) / _UNCONDITIONAL))
    series = [Series("tilt", tilt, curve([_SCALE], float(tilted.variance)))]
    laws = (_CONDITIONAL**w * _UNCONDITIONAL ** (1 - w), _ddpm(w))
    for name, law in zip(operators, laws, strict=True):
        V = [_sampled(scale, name) for scale in _SHOWN]
        # DDIM maps its noise linearly, which leaves no error of sampling; DDPM draws.
        relative = np.sqrt(2 / _SAMPLES) if name == "ddpm" else 0.0
        computed = V[_SHOWN.index(_SCALE)]
        checks.append(
            Check(
                f"{name.upper()}, {_STEPS} steps", computed, expected[name],
                standard_error=relative * computed, accuracy=0.01 * computed,
            )
        )  # fmt: skip
        marks = curve(_SHOWN, V)
        series.append(Series(name.upper(), curve(w, law), marks, relative * marks[1]))
    return Reproduction(
        tuple(checks),
        Panel(
            "three operators", "guidance scale w", "variance", tuple(series), legend="upper right"
        ),
    )


def _ddpm(w):
    r = _CONDITIONAL / _UNCONDITIONAL
    power = _CONDITIONAL ** (2 * w) * _UNCONDITIONAL ** (2 - 2 * w) * (r ** (1 - 2 * w) - 1)
    return power / ((_UNCONDITIONAL - _CONDITIONAL) * (2 * w - 1))


def _sampled(scale: float, operator: Literal["ddim", "ddpm"]) -> float:
    """Return the variance of guided samples with exact scores."""
    conditional, unconditional = (
        mixture.Mixture.of(np.ones(1), np.zeros((1, 1)), np.full((1, 1, 1), V))
        for V in (_CONDITIONAL, _UNCONDITIONAL)
    )
    levels = mixture.NoiseLevels.exploding(0.01, 100.0, _STEPS)
    draw = lambda sampler, count: mixture.sample(
        conditional, unconditional, np.zeros(count, int),
        mixture.keys_of(jr.key(0), 0, count), sampler,
    )  # fmt: skip
    guided = mixture.Sampler(levels, scale, operator)
    if operator == "ddpm":
        return float(jnp.var(draw(guided, _SAMPLES)))
    unguided = mixture.Sampler(levels, 1.0)
    return _CONDITIONAL * float((draw(guided, 1) / draw(unguided, 1))[0, 0] ** 2)
