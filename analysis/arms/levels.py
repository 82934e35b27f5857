"""The noise levels at which guidance is compared, and the scale of a recipe at each."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analysis.arms.record import Record
from empirical.errors import UserError
from empirical.recipe import Settings
from qtm.mixture.levels import NoiseLevels

COUNT = 24
_ALL = np.asarray(NoiseLevels.preserving(steps=1000).levels)[:-1]
# Log-spaced from pure noise down: noise standard deviations in units of the latents.
SIGMA = np.geomspace(_ALL[0], _ALL[-1], COUNT)

RULES = ("constant", "decay", "generation_decay", "interval")


@dataclass(frozen=True)
class Visited:
    """The levels that a sampler visits, with the attributes that guidance rules read."""

    sigma: Float[np.ndarray, " K"]

    @property
    def alpha_cumprod(self) -> Float[np.ndarray, " K"]:
        return 1 / (1 + np.square(self.sigma))

    @property
    def progress(self) -> Float[np.ndarray, " K"]:
        return np.arange(len(self.sigma)) / len(self.sigma)


def scales(
    run: Record, generations: int, sigma: Float[np.ndarray, " L"] = SIGMA
) -> Float[np.ndarray, "G L"]:
    """Return the guidance scale at each of the noise levels `sigma` in generations 1 to G.

    Raises `UserError` for a guidance rule that is not a schedule of the scale.
    """
    return schedule(run.recipe.settings, generations, sigma, f"the run '{run.name}'")


def schedule(
    settings: Settings, generations: int, sigma: Float[np.ndarray, " L"], what: str = "the recipe"
) -> Float[np.ndarray, "G L"]:
    """Return the same of settings, those of `what`."""
    rule = settings.generate.guidance
    if rule.rule not in RULES:
        raise UserError(f"{what} is guided by '{rule.rule}', but models describe {_listed(RULES)}")
    steps = settings.generate.steps
    visited = Visited(np.asarray(NoiseLevels.preserving(steps=steps).levels)[:-1])
    by_generation = []
    for generation in range(1, generations + 1):
        w = np.broadcast_to(rule.scales(visited, generation), (steps,))
        # Between two levels the scale is that of the noisier one, where the step starts.
        visit = np.searchsorted(-visited.sigma, -sigma, side="right") - 1
        by_generation.append(w[np.clip(visit, 0, steps - 1)])
    return np.stack(by_generation).astype(np.float64)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)
