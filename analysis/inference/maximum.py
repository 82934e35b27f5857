"""Maximum likelihood: multi-start with exact gradients, curvature, warnings."""

from collections.abc import Mapping
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
# Fraction of the prior's log density in the search: negligible where the data are informative, and
# enough to make the maximum unique where they are not.
RIDGE = 0.02
_NOISES = {p.name for p in PROCESS}
_STEP = 1e-4


@dataclass(frozen=True)
class Maximum:
    """A model at its maximum likelihood.

    `x` [k] and `covariance` [k, k] are on the scale of the search. The covariance holds for
    parameters that are neither `at_bound` nor `inactive` (without influence on these data), which
    have rows of zeros. Along directions that the data do not identify it is that of the prior;
    parameters along them are `weakly_identified`. `directions` are these directions, each a weight
    for every parameter by name, in units of the prior's standard deviations.
    """

    model: Model
    parameters: tuple[Parameter, ...]
    x: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]
    log_likelihood: float
    observations: int
    taken: int
    at_bound: Bool[np.ndarray, " k"]
    inactive: Bool[np.ndarray, " k"]
    weakly_identified: Bool[np.ndarray, " k"]
    directions: tuple[Mapping[str, float], ...]

    @property
    def values(self) -> dict[str, float]:
        """Estimates by name, in the parameters' units."""
        return {p.name: float(p.from_real(self.x[i])) for i, p in self.indexed_parameters()}

    def indexed_parameters(self) -> list[tuple[int, Parameter]]:
        """Return the parameters with their index in `x`, without those of other links."""
        general = {p.name for p in self.model.general.parameters}
        others = general - {p.name for p in self.model.parameters}
        return [(i, p) for i, p in enumerate(self.parameters) if p.name not in others]

    @property
    def unidentified(self) -> list[str]:
        """Names of parameters about which the data are less informative than the prior."""
        unknown = self.weakly_identified | self.inactive
        return [p.name for i, p in self.indexed_parameters() if unknown[i]]

    @property
    def bounds(self) -> list[str]:
        """A sentence for each parameter at the end of its range, other than those of the
        process."""
        return list(self._bounds.values())

    @property
    def uninfluential(self) -> list[str]:
        """A sentence for each parameter without influence on these data, with data that would have
        one."""
        return list(self._uninfluential.values())

    @property
    def unidentified_directions(self) -> list[str]:
        """A sentence for each direction that the data do not identify, with data that would."""
        by_name = {p.name: p for p in self.parameters}
        sentences = []
        for direction in self.directions:
            large = [(name, weight) for name, weight in direction.items() if abs(weight) > 0.3]
            parts = sorted(large, key=lambda part: -abs(part[1]))
            if not parts:
                continue
            sign = parts[0][1]
            what = " and ".join(n if c * sign > 0 else f"(against it) {n}" for n, c in parts)
            needed = ", ".join(dict.fromkeys(by_name[n].from_data for n, _ in parts))
            sentences.append(f"not identified: {what}; identifying it takes {needed}")
        return sentences

    @property
    def warnings(self) -> list[str]:
        """All of these sentences: those of parameters in their order, then those of directions."""
        by_name = self._bounds | self._uninfluential
        ordered = [by_name[p.name] for _, p in self.indexed_parameters() if p.name in by_name]
        return ordered + self.unidentified_directions

    @property
    def _bounds(self) -> dict[str, str]:
        sentences = {}
        for i, p in self.indexed_parameters():
            if self.at_bound[i] and not p.name.startswith("process_"):
                to_low, to_high = (abs(self.x[i] - p.to_real(end)) for end in (p.low, p.high))
                bound = f"lower bound {p.low:g}" if to_low < to_high else f"upper bound {p.high:g}"
                sentences[p.name] = f"{p.name} is at its {bound}"
        return sentences

    @property
    def _uninfluential(self) -> dict[str, str]:
        return {
            p.name: f"{p.name} has no influence: identifying it takes {p.from_data}"
            for i, p in self.indexed_parameters()
            if self.inactive[i]
        }

    @property
    def count(self) -> int:
        """Number of fitted parameters, and of numbers that the model takes from the data."""
        return int((~self.inactive).sum()) + self.taken

    @property
    def aicc(self) -> float:
        """Akaike's criterion corrected for few observations; infinite with too few."""
        k, n = self.count, self.observations
        return -2 * self.log_likelihood + 2 * k * n / (n - k - 1) if n > k + 1 else float("inf")

    @property
    def inflation(self) -> float:
        """n/(n - k), which corrects the bias of maximum-likelihood variances for k parameters
        fitted to n quantities."""
        n, k = self.observations, int((~self.inactive & ~self.at_bound).sum())
        return n / max(n - k, 1)

    @property
    def centre(self) -> Float[np.ndarray, " k"]:
        """Centre of intervals [k]: the maximum, with standard deviations of the process corrected
        for bias."""
        noises = np.array([p.name in _NOISES for p in self.parameters])
        return self.x + np.where(
            noises & ~self.at_bound & ~self.inactive, np.log(self.inflation) / 2, 0
        )


@one_thread
def maximize(
    model: Model,
    design: Design,
    starts: int = STARTS,
    near: Float[np.ndarray, " k"] | None = None,
    prior: float = RIDGE,
) -> Maximum:
    """Fit a model to the seen transitions of a design.

    `prior` is the fraction of the priors' log density that is added to the log likelihood; 1 gives
    the posterior mode, for data that do not identify all parameters.

    L-BFGS-B with exact gradients starts from the typical values, from quasi-random points over the
    middle half of the ranges, and from `near` if given; the best end is kept. Raises `UserError`
    where no transition is seen, or where the likelihood is finite nowhere.
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
    inactive = np.all(slopes == 0, axis=0)
    begin = ([] if near is None else [near]) + [typical, *wide]
    limits = np.where(inactive, typical, low), np.where(inactive, typical, high)
    bounds = list(zip(*limits, strict=True))

    def climb(x: np.ndarray, **how: float) -> OptimizeResult:
        return minimize(loss, x, jac=True, method="L-BFGS-B", bounds=bounds, options=how)

    # Run every start for a few steps, then the best to convergence.
    ends = [climb(np.clip(x, *limits), ftol=1e-6, maxiter=100) for x in begin[:starts]]
    best = climb(min(ends, key=lambda end: end.fun).x, ftol=1e-10)
    if best.fun >= _NOWHERE:
        raise UserError(f"the likelihood of the model '{model.name}' is finite nowhere")
    margin = 1e-3 * (high - low)
    at_bound = ~inactive & ((best.x - low < margin) | (high - best.x < margin))
    covariance, weakly_identified, directions = _curvature(
        model, best.x, design, ~(at_bound | inactive), parameters, prior
    )
    return Maximum(
        model,
        parameters,
        best.x,
        covariance,
        -float(compiled(best.x, design)[0]),
        design.observations,
        model.taken * design.components * int((design.seen.sum(axis=1) > 0).sum()),
        at_bound,
        inactive,
        weakly_identified,
        tuple(directions),
    )


def _curvature(
    model: Model,
    x: np.ndarray,
    design: Design,
    free: np.ndarray,
    parameters: tuple[Parameter, ...],
    prior: float,
) -> tuple[np.ndarray, np.ndarray, list[dict[str, float]]]:
    """Return the covariance, by central differences of exact gradients, which parameters are weakly
    identified, and flat directions.

    A direction is flat where the data are less informative than the prior. It then has the prior's
    width, and the parameters along it are weakly identified.
    """
    k, indices = len(x), np.flatnonzero(free)
    covariance, weak = np.zeros((k, k)), np.zeros(k, bool)
    if not len(indices):
        return covariance, weak, []
    nudges = _STEP * np.eye(k)[indices]
    slope = lambda x: np.asarray(loss_and_gradient(model.general)(x, design)[1])
    hessian = np.array([slope(x + e) - slope(x - e) for e in nudges])[:, indices] / (2 * _STEP)
    spread = np.asarray([p.spread for p in parameters])[indices]
    # In units of the prior's standard deviation the prior has a curvature of 1.
    scaled = np.nan_to_num(hessian + hessian.T) / 2 * np.outer(spread, spread)
    scales, axes = np.linalg.eigh(scaled)
    inverse = axes @ np.diag(1 / np.maximum(scales + prior, 1)) @ axes.T
    covariance[np.ix_(indices, indices)] = inverse * np.outer(spread, spread)
    flat = axes[:, scales < 1]
    weak[indices] = np.square(flat).sum(axis=1) > 0.1
    names = [parameters[i].name for i in indices]
    return covariance, weak, [dict(zip(names, axis, strict=True)) for axis in flat.T]
