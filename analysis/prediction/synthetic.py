"""Arms drawn from a model, for tests of recovery and for planning experiments."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import truncnorm

from analysis.arms.design import design
from analysis.arms.levels import COUNT, SIGMA
from analysis.arms.read import Arm
from analysis.inference.likelihood import all_parameters
from analysis.models import Model, priors
from analysis.prediction.paths import simulate
from empirical.errors import UserError

SCALES = (1.0, 1.5, 2.5, 5.0, 7.5)


def vector(
    model: Model, values: Mapping[str, float], components: int = 1
) -> Float[np.ndarray, " k"]:
    """Return values by name on the scale of the search, typical values where missing.

    Raises `UserError` for a name that the model does not have.
    """
    parameters = all_parameters(model, components)
    unknown = set(values) - {p.name for p in parameters}
    if unknown:
        raise UserError(f"the model '{model.name}' has no parameter '{min(unknown)}'")
    return np.array([p.to_real(values.get(p.name, p.typical)) for p in parameters])


def draw_values(model: Model, seed: int) -> dict[str, float]:
    """Draw the parameters of a model and of the process from their priors, for one component."""
    parameters, rng = all_parameters(model, 1), np.random.default_rng([seed, 2])
    low, high, typical, spread = priors(parameters)
    cut = (low - typical) / spread, (high - typical) / spread
    x = truncnorm.rvs(*cut, typical, spread, random_state=rng)
    return {p.name: float(p.from_real(v)) for p, v in zip(parameters, x, strict=True)}


def draw_arms(
    model: Model,
    values: Mapping[str, float],
    scales: Sequence[float] = SCALES,
    seeds: Sequence[int] = (0,),
    generations: int = 6,
    images: int = 500,
    families: int = 10,
    within: float = 0.68,
    seed: int = 0,
) -> list[Arm]:
    """Draw an arm for each CFG scale and seed, with process variance and sampling error.

    Generation 0 has the fraction `within` of its variance within families; there is one component.
    The sampling error is that of generation 0 throughout.
    """
    first = np.array([0.0, np.log(within), np.log(1 - within)])[:, None]
    errors = np.array(
        [
            within / images,
            2 / (images - families),
            4 * within * families / (images * (families - 1) * (1 - within)),
        ]
    )[:, None]
    blank = [
        Arm(
            f"scale {w:g}, seed {s}", s, "z",
            np.broadcast_to(first, (generations + 1, 3, 1)),
            np.broadcast_to(errors, (generations + 1, 3, 1)),
            np.ones(1), np.zeros(1), np.full((generations, COUNT), float(w)),
            np.square(SIGMA)[:, None], float(w), 0.0, 0.0, np.zeros(1), families, images, False,
        )
        for s in seeds for w in scales
    ]  # fmt: skip
    start = np.zeros(len(blank), int)
    paths = simulate(model, vector(model, values)[None], design(blank), start, seed)[0]
    return [Arm(**{**vars(arm), "measured": path}) for arm, path in zip(blank, paths, strict=True)]
