"""Selection as guidance: three operators against sampled diffusion, on Gaussians and a mixture."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import qtm
from figures.pieces import letters, plain_logarithm
from figures.study import Study
from figures.style import PAGE, Look
from qtm import mixture

NUMBER = 10
MADE_BY = (
    "no chain: qtm.Guidance, and qtm.mixture.sample with exact scores, 2,000 images, 400 steps, "
    "key 0"
)
CAPTION = (
    "What guided sampling does to a prompt, by three operators (lines) and by diffusion with exact "
    "scores (marks, two standard errors at most as large as they are). (a, b) Prompt N(1, 0.5), "
    "everything N(0, 1): variance and mean against the CFG scale. DDIM and DDPM samples lie on their "
    "own lines and neither on that of the tilted density, which guided samplers do not draw from. (c) "
    "The same for one of four prompts, where the unconditional score is that of the mixture and not "
    "of one Gaussian: lines, which take the mixture for a Gaussian of equal moments, overrate "
    "guidance, and marks level off, because at low noise the mixture knows its prompt. (d) Density of "
    "that prompt at CFG 4: the tilt, and histograms of samples."
)
_SCALES = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.5, 7.5])
_LOOKS = {
    "tilt": Look("tilt", "#777777", "", (0, (4, 1.5))),
    "ddim": Look("DDIM", "#0072B2", "o", "-"),
    "ddpm": Look("DDPM", "#D55E00", "s", (0, (1, 1))),
}
_MEAN, _VARIANCE = 1.0, 0.5
# Four prompts of equal weight: that of interest is the third.
_CENTRES, _WITHIN, _CHOSEN, _SHOWN_SCALE = (-1.5, -0.5, 0.5, 1.5), 0.05, 2, 4.0
_IMAGES, _STEPS = 2000, 400


def draw(study: Study) -> Figure:
    """Draw operators and samples; needs nothing of the runs."""
    figure = Figure(figsize=(PAGE, 4.2))
    axes = figure.subplots(2, 2)
    conditional = _gaussians([_MEAN], _VARIANCE)
    unconditional = _gaussians([0.0], 1.0)
    found = samples(conditional, unconditional, 0)
    _lines(axes[0, 0], axes[0, 1], qtm.Moments(_MEAN, _VARIANCE), qtm.Moments(0.0, 1.0))
    for operator, z in found.items():
        look = _LOOKS[operator]
        axes[0, 0].plot(_SCALES, z.var(axis=1), look.marker, color=look.colour)
        axes[0, 1].plot(_SCALES, z.mean(axis=1), look.marker, color=look.colour)
    axes[0, 0].set(yscale="log", title="Gaussian: variance", ylabel="variance (prompt's own: 0.5)")
    plain_logarithm(axes[0, 0].yaxis, [0.01, 0.03, 0.1, 0.3, 1])
    axes[0, 0].set_ylim(0.004, 1.4)
    axes[0, 1].set(title="Gaussian: mean", ylabel="mean (prompt's own: 1)", ylim=(-0.2, 3.2))

    base = _gaussians(_CENTRES, _WITHIN)
    chosen, whole = _CENTRES[_CHOSEN], qtm.Moments(0.0, _WITHIN + np.var(_CENTRES))
    found = samples(base, base, _CHOSEN)
    _lines(axes[1, 0], None, qtm.Moments(chosen, _WITHIN), whole)
    for operator, z in found.items():
        look = _LOOKS[operator]
        axes[1, 0].plot(_SCALES, z.var(axis=1), look.marker, color=look.colour)
    axes[1, 0].set(yscale="log", title="mixture: variance", ylabel="variance (prompt's own: 0.05)")
    plain_logarithm(axes[1, 0].yaxis, [0.001, 0.01, 0.1, 1])
    axes[1, 0].set_ylim(1e-3, 2)
    for axis in (axes[0, 0], axes[0, 1], axes[1, 0]):
        axis.set_xlabel("CFG scale w")
        axis.axvline(1, color="0.8", linewidth=0.8, zorder=0)
    _densities(axes[1, 1], base, found)
    axes[0, 0].legend(loc="lower left")
    letters(axes.flat)
    return figure


def _lines(first: Axes, second: Axes | None, conditional: Any, unconditional: Any) -> None:
    w = np.linspace(_SCALES[0], _SCALES[-1], 76)
    for name, look in _LOOKS.items():
        operator: Any = name
        after = qtm.Guidance(w, unconditional, operator).moments(
            qtm.Moments(jnp.full_like(w, conditional.mean), jnp.full_like(w, conditional.variance))
        )
        line = {**look.settings(), "marker": None}
        first.plot(w, after.variance, **line)
        if second is not None:
            second.plot(w, after.mean, **line)


def _densities(axis: Axes, base: mixture.Mixture, found: dict[str, np.ndarray]) -> None:
    z = np.linspace(-1.5, 3.0, 901)[:, None]
    own = np.asarray(base.family(_CHOSEN).log_density(z))
    log_p = _SHOWN_SCALE * own + (1 - _SHOWN_SCALE) * np.asarray(base.log_density(z))
    tilted = np.exp(log_p - log_p.max())
    tilted /= tilted.sum() * (z[1, 0] - z[0, 0])
    at = int(np.argmin(np.abs(_SCALES - _SHOWN_SCALE)))
    bins = np.linspace(-1.5, 3.0, 91).tolist()
    axis.fill_between(z[:, 0], np.exp(own), color="0.85", linewidth=0, label="prompt")
    for operator, samples_ in found.items():
        look = _LOOKS[operator]
        axis.hist(samples_[at], bins, density=True, histtype="step", color=look.colour,
                  linestyle=look.line, linewidth=1.0, label=look.label)  # fmt: skip
    axis.plot(z[:, 0], tilted, **{**_LOOKS["tilt"].settings(), "marker": None})
    axis.set(title=f"mixture at CFG {_SHOWN_SCALE:g}", xlabel="trait", ylabel="density", xlim=(-1, 2))
    axis.legend(loc="upper left")


def _gaussians(centres: Any, variance: float) -> mixture.Mixture:
    count = len(centres)
    covariances = np.full((count, 1, 1), variance)
    return mixture.Mixture.of(np.ones(count), np.reshape(centres, (count, 1)), covariances)


def samples(
    conditional: mixture.Mixture, unconditional: mixture.Mixture, family: int
) -> dict[str, np.ndarray]:
    """Return guided samples of one family [scales, images], by the operator."""
    levels = mixture.NoiseLevels.exploding(0.002, 80.0, _STEPS)
    keys = mixture.keys_of(jax.random.key(0), 0, _IMAGES)
    families = np.full(_IMAGES, family)
    found = {}
    for operator in ("ddim", "ddpm"):
        rows = []
        for scale in _SCALES:
            sampler = mixture.Sampler(levels, float(scale), operator)
            rows.append(mixture.sample(conditional, unconditional, families, keys, sampler)[:, 0])
        found[operator] = np.asarray(rows)
    return found
