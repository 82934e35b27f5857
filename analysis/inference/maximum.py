"""Maximum likelihood: multi-start with exact gradients, the curvature there, warnings."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import OptimizeResult, minimize
from scipy.stats import qmc

from analysis._threads import one_thread
from analysis.arms.design import Design
from analysis.inference.likelihood import PROCESS, all_parameters, linked, loss_and_gradient
from analysis.models import Model, Parameter, priors
from empirical.errors import UserError

STARTS = 6
LEVEL = 0.9
_NOWHERE = 1e12
# So much of the prior's log density enters the search: next to nothing where the data say
# something, and an end to wandering where they do not.
RIDGE = 0.02
_NOISES = {p.name for p in PROCESS}
_STEP = 1e-4


@dataclass(frozen=True)
class Maximum:
    """A model at its maximum likelihood.

    `x` [k] and `covariance` [k, k] are on the scale of the search. The covariance holds for
    parameters that are neither at a bound nor `silent` (without any influence on this data); these
    have rows of zeros. Along directions that the data do not identify the prior stands in.
    """

    model: Model
    parameters: tuple[Parameter, ...]
    x: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]
    log_likelihood: float
    observations: int
    taken: int
    stuck: Bool[np.ndarray, " k"]
    silent: Bool[np.ndarray, " k"]
    vague: Bool[np.ndarray, " k"]
    warnings: tuple[str, ...]

    @property
    def values(self) -> dict[str, float]:
        """Estimates by name, in the parameters' units."""
        return {p.name: float(p.from_real(self.x[i])) for i, p in self.own()}

    def own(self) -> list[tuple[int, Parameter]]:
        """Return the parameters with their place in `x`, without those of other links."""
        general = {p.name for p in self.model.general.parameters}
        others = general - {p.name for p in self.model.parameters}
        return [(i, p) for i, p in enumerate(self.parameters) if p.name not in others]

    @property
    def unidentified(self) -> list[str]:
        """Names of parameters of which the data say less than the prior, or nothing."""
        unknown = self.vague | self.silent
        return [p.name for i, p in self.own() if unknown[i]]

    @property
    def count(self) -> int:
        """Number of fitted parameters, and of numbers that the model takes from the data."""
        return int((~self.silent).sum()) + self.taken

    @property
    def aicc(self) -> float:
        """Akaike's criterion corrected for few observations; infinite with too few."""
        k, n = self.count, self.observations
        return -2 * self.log_likelihood + 2 * k * n / (n - k - 1) if n > k + 1 else float("inf")

    @property
    def inflation(self) -> float:
        """n/(n - k): by how much maximum likelihood takes variances for too small, having fitted k
        parameters to n quantities."""
        n, k = self.observations, int((~self.silent & ~self.stuck).sum())
        return n / max(n - k, 1)

    @property
    def centre(self) -> Float[np.ndarray, " k"]:
        """Where intervals are centred [k]: the maximum, process deviations freed of their bias."""
        noises = np.array([p.name in _NOISES for p in self.parameters])
        return self.x + np.where(noises & ~self.stuck & ~self.silent, np.log(self.inflation) / 2, 0)


@one_thread
def maximize(
    model: Model,
    design: Design,
    starts: int = STARTS,
    near: Float[np.ndarray, " k"] | None = None,
    prior: float = RIDGE,
) -> Maximum:
    """Fit a model to what it may see of a design.

    `prior` is the share of the priors' log density that is added to the likelihood; 1 gives the
    posterior mode, for data that are too few for more parameters than they can tell.

    L-BFGS-B with exact gradients from the typical values, from quasi-random points over the middle
    half of the ranges, and from `near` where it is given; the best end is kept. Raises `UserError`
    where nothing may be seen, or where the likelihood is finite nowhere.
    """
    if not design.observations:
        raise UserError(f"the model '{model.name}' was given no transition to fit")
    parameters = all_parameters(model, design.components)
    low, high, typical, spread = priors(parameters)
    compiled, design = loss_and_gradient(model.general), linked(model, design)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        f, g = compiled(x, design)
        away = (x - typical) / spread
        f, g = float(f) + prior * away @ away / 2, np.asarray(g) + prior * away / spread
        return (f, g) if np.isfinite(f) and np.all(np.isfinite(g)) else (_NOWHERE, 0 * x)

    unit = qmc.Halton(len(low), rng=np.random.default_rng(0)).random(max(starts, 3))
    wide = low + (0.25 + 0.5 * unit) * (high - low)
    # A parameter without influence has no slope anywhere.
    slopes = np.array([compiled(x, design)[1] for x in (typical, *wide[:3])])
    silent = np.all(slopes == 0, axis=0)
    begin = ([] if near is None else [near]) + [typical, *wide]
    limits = np.where(silent, typical, low), np.where(silent, typical, high)
    bounds = list(zip(*limits, strict=True))

    def climb(x: np.ndarray, **how: float) -> OptimizeResult:
        return minimize(loss, x, jac=True, method="L-BFGS-B", bounds=bounds, options=how)

    # Every start shows in a few steps where it leads; the best is then followed to its end.
    ends = [climb(np.clip(x, *limits), ftol=1e-6, maxiter=100) for x in begin[:starts]]
    best = climb(min(ends, key=lambda end: end.fun).x, ftol=1e-10)
    if best.fun >= _NOWHERE:
        raise UserError(f"the likelihood of the model '{model.name}' is finite nowhere")
    margin = 1e-3 * (high - low)
    stuck = ~silent & ((best.x - low < margin) | (high - best.x < margin))
    covariance, vague, directions = _curvature(
        model, best.x, design, ~(stuck | silent), parameters, prior
    )
    return Maximum(
        model,
        parameters,
        best.x,
        covariance,
        -float(compiled(best.x, design)[0]),
        design.observations,
        model.taken * design.components * int((design.seen.sum(axis=1) > 0).sum()),
        stuck,
        silent,
        vague,
        tuple(_warnings(model, parameters, best.x - low < margin, stuck, silent, directions)),
    )


def _curvature(
    model: Model,
    x: np.ndarray,
    design: Design,
    free: np.ndarray,
    parameters: tuple[Parameter, ...],
    prior: float,
) -> tuple[np.ndarray, np.ndarray, list[dict[str, float]]]:
    """Covariance by central differences of exact gradients; what is vague; flat directions.

    A direction is flat where the data say less of it than the prior. Its length is then the
    prior's, and the parameters that it moves are vague.
    """
    k, at = len(x), np.flatnonzero(free)
    covariance, vague = np.zeros((k, k)), np.zeros(k, bool)
    if not len(at):
        return covariance, vague, []
    nudges = _STEP * np.eye(k)[at]
    slope = lambda x: np.asarray(loss_and_gradient(model.general)(x, design)[1])
    hessian = np.array([slope(x + e) - slope(x - e) for e in nudges])[:, at] / (2 * _STEP)
    spread = np.asarray([p.spread for p in parameters])[at]
    # In units of the prior's standard deviation a curvature of 1 is as much as the prior says.
    scaled = np.nan_to_num(hessian + hessian.T) / 2 * np.outer(spread, spread)
    scales, axes = np.linalg.eigh(scaled)
    inverse = axes @ np.diag(1 / np.maximum(scales + prior, 1)) @ axes.T
    covariance[np.ix_(at, at)] = inverse * np.outer(spread, spread)
    flat = axes[:, scales < 1]
    vague[at] = np.square(flat).sum(axis=1) > 0.1
    names = [parameters[i].name for i in at]
    return covariance, vague, [dict(zip(names, axis, strict=True)) for axis in flat.T]


def _warnings(
    model: Model,
    parameters: tuple[Parameter, ...],
    low: np.ndarray,
    stuck: np.ndarray,
    silent: np.ndarray,
    directions: list[dict[str, float]],
) -> list[str]:
    by_name = {p.name: p for p in parameters}
    of_other_links = {p.name for p in model.general.parameters}
    of_other_links -= {p.name for p in model.parameters}
    said = []
    for p, is_low, is_stuck, is_silent in zip(parameters, low, stuck, silent, strict=True):
        if p.name in of_other_links:
            continue
        if is_silent:
            said.append(f"{p.name} does not enter: it would take {p.from_data}")
        elif is_stuck and not p.name.startswith("process_"):
            bound = f"lower bound {p.low:g}" if is_low else f"upper bound {p.high:g}"
            said.append(f"{p.name} is at its {bound}")
    for direction in directions:
        parts = sorted(
            ((n, c) for n, c in direction.items() if abs(c) > 0.3), key=lambda part: -abs(part[1])
        )
        if not parts:
            continue
        what = " and ".join(n if c * parts[0][1] > 0 else f"(against it) {n}" for n, c in parts)
        needed = ", ".join(dict.fromkeys(by_name[n].from_data for n, _ in parts))
        said.append(f"not identified: {what}; it would take {needed}")
    return said
