"""The theory of prompts, fitted, and its paths from a measured generation on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from analysis.prompts import motion, variances
from analysis.prompts.chains import PromptChain
from analysis.prompts.process import Process
from analysis.prompts.traits import TraitMap, trait_map
from empirical.errors import UserError

DRAWS = 64


@dataclass(frozen=True)
class Theory:
    """Motion of prompts, variances within them, and the map of traits (none without traits)."""

    motion: Process
    variances: Process
    traits: TraitMap | None

    @property
    def absent(self) -> tuple[str, ...]:
        """The names of hyperparameters that are 0, as `fit` takes them."""
        motion, within = self.motion.family.absent, self.variances.family.absent
        return (*(f"motion.{name}" for name in motion), *(f"variances.{name}" for name in within))

    def held(self) -> "Theory":
        """Return the theory whose hyperparameters stay as they are in fits from it."""
        hold = lambda process: replace(process, held=True)
        mapped = self.traits and replace(self.traits, process=hold(self.traits.process))
        return Theory(hold(self.motion), hold(self.variances), mapped)


@dataclass(frozen=True)
class Path:
    """S draws of a chain: prompts' `means` [S, T, C, K], `levels` [S, T, D] (ln V_W of axes and
    traits relative to the base) and means of traits by name [S, T, C]; as measured up to the
    start.
    """

    means: Float[np.ndarray, "S T C K"]
    levels: Float[np.ndarray, "S T D"]
    traits: dict[str, Float[np.ndarray, "S T C"]]


def fit(
    chains: Sequence[PromptChain],
    seen: Bool[np.ndarray, "R G"] | None = None,
    near: Theory | None = None,
    without: Sequence[str] = (),
) -> Theory:
    """Fit the theory to the seen transitions of chains, all by default; search from `near`.

    `without` are hyperparameters that are to be 0, "motion.NAME" or "variances.NAME": what a part
    of the theory contributes. Raises `UserError` for unknown ones.
    """
    absent: dict[str, list[str]] = {"motion": [], "variances": []}
    for name in without:
        process, _, parameter = name.partition(".")
        if process not in absent:
            raise UserError(
                f"a part to be left out is 'motion.NAME' or 'variances.NAME', not '{name}'"
            )
        absent[process].append(parameter)
    mask = np.ones((len(chains), chains[0].generations), bool) if seen is None else seen
    named = all(chain.traits for chain in chains)
    return Theory(
        motion.fit(chains, mask, near and near.motion, absent["motion"]),
        variances.fit(chains, mask, near and near.variances, absent["variances"]),
        trait_map(chains, mask, near and near.traits) if named else None,
    )


def paths(
    theory: Theory, chain: PromptChain, start: int, draws: int = DRAWS, seed: int = 0
) -> Path:
    """Run the theory freely from the measured generation `start` of a chain to its last one.

    Draw s of all its parts is one chain. Chains of the theory with another seed of draws differ.
    """
    unit, level = np.sqrt(chain.unit), variances.levels(chain)
    repeat = lambda value: np.repeat(value[None], draws, axis=0)
    means = [repeat(each) for each in chain.means[: start + 1]]
    levels = [repeat(each) for each in level[: start + 1]]
    move, follow = theory.motion.draws(draws, seed), theory.variances.draws(draws, seed + 1)
    for t in range(start, chain.generations):
        parents, y = chain.learnt_from(means, t), variances.learnt_from(chain, levels, t)
        state = motion.inputs(chain, parents, t, level=chain.learnt_from(levels, t))
        step = move(state)
        state = variances.inputs(chain, y[:, None], parents[:, None], t)
        means.append(parents + unit * step)
        levels.append(follow(state)[:, 0])
    path, traits = np.stack(means, axis=1), {}
    if theory.traits is not None:
        ahead = theory.traits.draws(chain, path[:, start + 1 :], seed + 2)
        for d, name in enumerate(theory.traits.names):
            known = repeat(chain.traits[name].means[: start + 1])
            traits[name] = np.concatenate([known, ahead[..., d]], axis=1)
    return Path(path, np.stack(levels, axis=1), traits)
