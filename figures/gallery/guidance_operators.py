"""Selection as guidance: three operators against sampled diffusion, on Gaussians and a mixture."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import qtm
from figures.pieces import letters, plain_logarithm
from figures.study import Study, require_families
from figures.style import PAGE, Look
from figures.text import formula
from qtm import mixture

NUMBER = 10
MADE_BY = (
    "qtm.Guidance, and qtm.mixture.sample with exact scores (key 0); the crosses in e and f are "
    "generation 1 of empirical/recipes/grid/embedded.toml, arm baseline"
)
CAPTION = (
    "The effect of guided sampling on a prompt, by three operators (lines) and by diffusion with "
    "exact scores (marks). (a, b) Prompt N(1, 0.5), unconditional N(0, 1): samples of DDIM and "
    "DDPM lie on the lines of their operators, and neither on that of the tilted density, from "
    "which guided samplers do not draw. (c) The outermost of four prompts on a line at CFG 4, and "
    "(d) its variance against the scale; the lines, except the exact tilt, approximate the mixture "
    "of prompts by a Gaussian of equal moments: they overestimate selection, because at low noise "
    "the mixture identifies its prompt. (e, f) The same for the ten prompts of the digits, in "
    "eight principal latent axes: V_W and V_B after one generation, relative to before; crosses "
    "are the trained network. Between prompts it is close to exact scores of the mixture, at high "
    "scales a third of the effect of one Gaussian; within prompts it loses variance where the "
    "mixture in eight axes loses none, but far less than by the Gaussian laws."
)
_SCALES = np.array([0.0, 0.5, 1.0, 1.5, 2.5, 4.0, 5.5, 7.5])
_LOOKS = {
    "tilt": Look("tilt", "#777777", "", (0, (4, 1.5))),
    "ddim": Look("DDIM", "#0072B2", "o", "-"),
    "ddpm": Look("DDPM", "#D55E00", "s", (0, (1, 1))),
}
_MEAN, _VARIANCE = 1.0, 0.5
# Four prompts of equal weight, of which the last is drawn.
_CENTRES, _WITHIN, _CHOSEN, _SHOWN_SCALE = (-1.5, -0.5, 0.5, 1.5), 0.05, 3, 4.0
_LEVELS = mixture.NoiseLevels.exploding(0.01, 20.0, 200)
_IMAGES = 1000
_TRAIT = "latent_pc"


def draw(study: Study) -> Figure:
    """Draw operators and samples, and generation 1 of the runs."""
    figure = Figure(figsize=(PAGE, 4.3))
    axes = figure.subplots(2, 3)
    _gaussian(axes[0, 0], axes[0, 1])
    _prompts_on_a_line(axes[0, 2], axes[1, 0])
    _digits(axes[1, 1], axes[1, 2], study)
    for axis in (axes[0, 0], axes[0, 1], axes[1, 0], axes[1, 1], axes[1, 2]):
        axis.set_xlabel("CFG scale w")
        axis.axvline(1, color="0.8", linewidth=0.8, zorder=0)
    axes[0, 0].legend(loc="lower left")
    letters(axes.flat)
    return figure


def _gaussian(first: Axes, second: Axes) -> None:
    # One Gaussian as four equal ones, so that the next panel reuses the compiled sampler.
    prompt, everything = (_gaussians([m] * 4, V) for m, V in ((_MEAN, _VARIANCE), (0.0, 1.0)))
    drawn = samples(prompt, everything, np.full(_IMAGES, _CHOSEN))
    w = np.linspace(_SCALES[0], _SCALES[-1], 76)
    for name, look in _LOOKS.items():
        after = _operator(w, name, _MEAN, _VARIANCE, qtm.Moments(0.0, 1.0))
        first.plot(w, after.variance, **_line(look))
        second.plot(w, after.mean, **_line(look))
    for operator, z in drawn.items():
        look = _LOOKS[operator]
        first.plot(_SCALES, z[..., 0].var(axis=1), look.marker, color=look.colour)
        second.plot(_SCALES, z[..., 0].mean(axis=1), look.marker, color=look.colour)
    first.set(yscale="log", title="Gaussian: variance", ylabel="variance", ylim=(0.004, 1.4))
    plain_logarithm(first.yaxis, [0.01, 0.03, 0.1, 0.3, 1])
    second.set(title="Gaussian: mean", ylabel="mean", ylim=(-0.2, 2.8))


def _prompts_on_a_line(first: Axes, second: Axes) -> None:
    base = _gaussians(_CENTRES, _WITHIN)
    drawn = samples(base, base, np.full(_IMAGES, _CHOSEN))
    z = np.linspace(-4.0, 5.0, 1801)[:, None]
    log_prompt = np.asarray(base.family(_CHOSEN).log_density(z))
    log_mixture = np.asarray(base.log_density(z))

    def tilted(w: float) -> np.ndarray:
        log_p = w * log_prompt + (1 - w) * log_mixture
        p = np.exp(log_p - log_p.max())
        return p / (p.sum() * (z[1, 0] - z[0, 0]))

    first.fill_between(z[:, 0], np.exp(log_prompt), color="0.85", linewidth=0, label="prompt")
    shown = int(np.argmin(np.abs(_SCALES - _SHOWN_SCALE)))
    bins = np.linspace(0, 4, 81).tolist()
    for operator, values in drawn.items():
        look = _LOOKS[operator]
        first.hist(values[shown, :, 0], bins, density=True, histtype="step", color=look.colour,
                   linestyle=look.line, linewidth=1.0, label=look.label)  # fmt: skip
    first.plot(z[:, 0], tilted(_SHOWN_SCALE), **_line(_LOOKS["tilt"]))
    first.set(title=f"four prompts: CFG {_SHOWN_SCALE:g}", xlabel="trait", ylabel="density",
              xlim=(0.5, 3.2))  # fmt: skip
    first.legend(loc="upper right")

    w = np.linspace(_SCALES[0], _SCALES[-1], 76)
    everything = qtm.Moments(0.0, _WITHIN + np.var(_CENTRES))
    for name in ("ddim", "ddpm"):
        after = _operator(w, name, _CENTRES[_CHOSEN], _WITHIN, everything)
        second.plot(w, after.variance, **_line(_LOOKS[name]))
    densities = [tilted(x) for x in w]
    means = [np.average(z[:, 0], weights=p) for p in densities]
    variances = [
        np.average(np.square(z[:, 0] - m), weights=p) for m, p in zip(means, densities, strict=True)
    ]
    second.plot(w, variances, **_line(_LOOKS["tilt"]))
    for operator, values in drawn.items():
        look = _LOOKS[operator]
        second.plot(_SCALES, values[..., 0].var(axis=1), look.marker, color=look.colour)
    second.set(yscale="log", title="four prompts: variance", ylabel="variance", ylim=(1e-3, 2))
    plain_logarithm(second.yaxis, [0.001, 0.01, 0.1, 1])


def _digits(first: Axes, second: Axes, study: Study) -> None:
    scales = study.scales()
    first_run = next(iter(scales.values()))[0]
    require_families(first_run)
    start = first_run.generation(0)
    values, captions = start.trait(_TRAIT).astype(np.float64), start.captions
    base = mixture.Mixture.fit(values, captions)
    V_W, V_B = (np.asarray(x) for x in (base.within, base.between))
    _, families = np.unique(captions, return_inverse=True)
    levels = mixture.NoiseLevels.preserving(steps=50)
    for operator, z in samples(base, base, families, levels).items():
        look = _LOOKS[operator]
        after = [mixture.Mixture.fit(scores, captions) for scores in z]
        for axis, part, before in ((first, "within", V_W), (second, "between", V_B)):
            ratio = [np.asarray(getattr(fit, part)).mean() / before.mean() for fit in after]
            axis.plot(_SCALES, ratio, look.marker, color=look.colour)
    w = np.linspace(_SCALES[0], _SCALES[-1], 76)[:, None]
    for name in ("ddim", "ddpm"):
        after = _operator(w, name, np.ones_like(V_W), V_W, qtm.Moments(0.0, V_W + V_B))
        first.plot(
            w[:, 0], np.asarray(after.variance).mean(axis=1) / V_W.mean(), **_line(_LOOKS[name])
        )
        grown = (np.square(np.asarray(after.mean)) * V_B).mean(axis=1) / V_B.mean()
        second.plot(w[:, 0], grown, **_line(_LOOKS[name]))
    for axis, part in ((first, "within"), (second, "between")):
        for scale, runs in scales.items():
            ends = study.variance(runs, part, _TRAIT).each[:, 1]
            axis.plot([scale] * len(ends), ends, "kx", markersize=4, markeredgewidth=1)
        axis.set_yscale("log")
        axis.plot([], [], "kx", label="trained network")
    first.set(title="digits: within prompts", ylabel="$V_W$ after / before", ylim=(0.03, 4))
    second.set(title="digits: between prompts", ylabel="$V_B$ after / before", ylim=(0.02, 20))
    for axis in (first, second):
        formula(axis.yaxis.label)
    plain_logarithm(first.yaxis, [0.03, 0.1, 0.3, 1, 3])
    plain_logarithm(second.yaxis, [0.1, 0.3, 1, 3, 10])
    first.legend(loc="lower left")


def _operator(w: Any, name: Any, mean: Any, variance: Any, everything: qtm.Moments) -> qtm.Moments:
    shape = np.broadcast_shapes(np.shape(w), np.shape(mean))
    state = qtm.Moments(np.broadcast_to(mean, shape), np.broadcast_to(variance, shape))
    return qtm.Guidance(w, everything, name).moments(state)


def _line(look: Look) -> dict:
    return {**look.settings(), "marker": None}


def _gaussians(centres: Any, variance: float) -> mixture.Mixture:
    count = len(centres)
    covariances = np.full((count, 1, 1), variance)
    return mixture.Mixture.of(np.ones(count), np.reshape(centres, (count, 1)), covariances)


def samples(
    conditional: mixture.Mixture,
    unconditional: mixture.Mixture,
    families: Int[np.ndarray, " images"],
    levels: mixture.NoiseLevels = _LEVELS,
) -> dict[str, Float[np.ndarray, "scales images traits"]]:
    """Return guided samples [scales, images, traits] by operator."""
    keys = mixture.keys_of(jax.random.key(0), 0, len(families))
    by_operator = {}
    for operator in ("ddim", "ddpm"):
        samplers = [mixture.Sampler(levels, float(scale), operator) for scale in _SCALES]
        rows = [mixture.sample(conditional, unconditional, families, keys, s) for s in samplers]
        by_operator[operator] = np.asarray(rows)
    return by_operator
