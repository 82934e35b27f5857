"""Forecasts of a running chain by the theory of prompts, beside chains at other CFG scales.

The theory is fitted to the generations that the chain has, and to all of the other chains. It runs
from the last measured generation to the last that others have: what lies beyond no chain has shown.
Where none has more, it runs four generations beyond them all.
All draws of a quantity, about their median and in units in which it is a mean in standard
deviations or a logarithm, are widened by the errors of the same forecast of each of the others
(`analysis.prompts.scores.widening`); where none has more, by those of the later generations of all
from the earlier ones. Others may be shorter, such as a scan, which is one generation at each scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.arms.read import QUANTITIES
from analysis.arms.record import Record
from analysis.prediction.trajectories import LEVELS, trajectories
from analysis.prompts import motion, scores
from analysis.prompts.chains import PromptChain, common_traits
from analysis.prompts.coordinates import BETWEEN, with_latents
from analysis.prompts.paths import DRAWS, Path, Theory, fit, paths
from analysis.prompts.process import Process
from analysis.prompts.quantities import AXES, deviation, predicted
from analysis.prompts.reading import AXES as SCORES
from analysis.prompts.reading import prompt_chain, with_one_base
from empirical.errors import UserError
from empirical.runs.prompts import LATENT

# With fewer other CFG scales the family model forecasts V_B better. Where no others have gone
# further, the theory is the better one from generation `EARLY` on, for `AHEAD` generations, and was
# scored at scales by at most this factor beyond those of the others: see docs/fits.md.
SCALES = 3
EARLY, AHEAD, FACTOR = 2, 4, 1.5
# Places between the scales of the chains at which the growth of V_B is tested.
_STEPS = 40


@dataclass(frozen=True)
class PromptForecast:
    """Predicted generations of a running chain.

    `paths` maps a trait to draws [S, T, 3, D] of mean, ln V_W and ln V_B, in its standard deviation
    and in units of its V_W + V_B in generation 0, measured up to generation `last`; `units` maps it
    to its mean and its standard deviation there, [D] each. `latent` is averaged over coordinates.
    `neutral` [S] is the CFG scale at which V_B of the leading axes neither grows nor falls in
    generation 1: the least of all `scales` where it grows there already, infinite where it falls at
    the greatest.
    """

    name: str
    last: int
    scale: float
    scales: tuple[float, ...]
    paths: Mapping[str, Float[np.ndarray, "S T 3 _"]]
    units: Mapping[str, tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]]
    neutral: Float[np.ndarray, " S"]
    theory: Theory

    def table(self, traits: Sequence[str] | None = None) -> pd.DataFrame:
        """Return a row for each trait, generation, component and quantity: see `trajectories`."""
        frames = []
        for name in self.paths if traits is None else traits:
            y, (centre, sd) = self.paths[name], self.units[name]
            components = range(y.shape[3])
            frames.append(trajectories(name, components, centre, sd**2, y, self.last))
        return pd.concat(frames, ignore_index=True)

    def means(self) -> pd.DataFrame:
        """Return low, median, high of the means of traits of one component, in standard deviations
        of generation 0 relative to its mean: generation, trait, low, median, high, measured."""
        rows = [
            (t, name, *ends, t <= self.last)
            for name, y in self.paths.items()
            if name not in (LATENT, SCORES)
            for t, ends in enumerate(np.quantile(y[:, :, 0, 0], LEVELS, axis=0).T)
        ]
        return pd.DataFrame(
            rows, columns=["generation", "trait", "low", "median", "high", "measured"]
        )


@dataclass(frozen=True)
class Given:
    """A running chain, and others like it: longer ones, and shorter ones such as those of a scan,
    which has one generation at each scale. `left_out` says which are unlike it."""

    chains: tuple[PromptChain, ...]
    left_out: tuple[str, ...] = ()

    @property
    def scales(self) -> tuple[float, ...]:
        """The CFG scales of the other chains."""
        return tuple(sorted({chain.label for chain in self.chains[1:]}))

    @property
    def reach(self) -> int:
        """The last generation of the other chains."""
        return max(chain.generations for chain in self.chains[1:])

    @property
    def further(self) -> tuple[float, ...]:
        """The CFG scales of chains that have gone further than the first, but for its own."""
        return self._others(self.chains[0].generations + 1)

    @property
    def early(self) -> bool:
        """Whether the first is at the generation from which the theory is the better one without
        chains that have gone further, and these are few."""
        return self.chains[0].generations == EARLY and len(self.further) < SCALES

    @property
    def ahead(self) -> int:
        """By how many generations the first is forecast, unless asked otherwise."""
        last = self.chains[0].generations
        return max(self.reach - last, AHEAD if self.early else 0) or AHEAD

    def doubt(self, generations: int | None = None) -> str:
        """Why the theory is not the better one for these chains, or not as far as that, by `ahead`
        by default; empty where it is."""
        first = self.chains[0]
        beyond = self._beyond(generations)
        if beyond:
            return beyond
        like = f"'{first.name}' and otherwise like it"
        if first.generations != EARLY:
            return self._few(self.further, f"longer than {like}", 1.0)
        others = self._others(EARLY) if self.early else self.further
        return self._few(others, f"as long as {like}", FACTOR if self.early else 1.0)

    def doubt_of_means(self, generations: int | None = None) -> str:
        """Why the theory is not the better one for means of traits alone, empty where it is: of a
        chain at generation `EARLY`, one generation at other scales is enough for these."""
        first = self.chains[0]
        if first.generations != EARLY:
            return f"'{first.name}' is at generation {first.generations}, not {EARLY}"
        if first.unguided is None:
            return f"'{first.name}' has no draws without guidance"
        if not self.early:
            return self.doubt(generations)
        few = self._few(self._others(1), f"or a scan, otherwise like '{first.name}'", FACTOR)
        return self._beyond(generations) or few

    def _others(self, least: int) -> tuple[float, ...]:
        """Return the CFG scales but that of the first, of chains of `least` generations or more."""
        first, *others = self.chains
        labels = {chain.label for chain in others if chain.generations >= least}
        return tuple(sorted(labels - {first.label}))

    def _beyond(self, generations: int | None) -> str:
        last = self.chains[0].generations
        generation = last + (self.ahead if generations is None else generations)
        if self.early and generation > max(self.reach, EARLY + AHEAD):
            return f"generation {generation} is beyond generation {max(self.reach, EARLY + AHEAD)}"
        if self.early or generation <= self.reach:
            return ""
        if last >= self.reach:
            return f"no other run has gone further than generation {last}"
        return f"generation {generation} is beyond the other runs, which end at {self.reach}"

    def _few(self, others: tuple[float, ...], which: str, factor: float) -> str:
        first = self.chains[0]
        if len(others) < SCALES:
            return (
                f"it takes runs at {SCALES} other CFG scales or more, {which}, and there are "
                f"{len(others)}"
            )
        if not others[0] / factor <= first.label <= others[-1] * factor:
            return (
                f"CFG {first.label:g} is not between the scales of the other runs, "
                f"{others[0]:g} to {others[-1]:g}, and beyond them it extrapolates"
            )
        return ""


def given(runs: Sequence[Record], trait: str = SCORES) -> Given:
    """Read the first run, and those of the others that the theory can learn from.

    These have its prompts, axes and settings but for seed and scale, a constant scale, and the
    trait, if the first has it. Of several with one seed and scale, which are the same chain, the
    longest is read. Raises `UserError` where the theory does not describe the first run, or where
    there are no others at another scale.
    """
    first = with_latents(runs[0], _constant(runs[0]))
    longest, left_out = {(first.seed, first.label): first}, []
    for run in runs[1:]:
        try:
            chain = with_latents(run, _constant(run))
        except UserError as error:
            left_out.append(str(error))
            continue
        if _alike(chain) != _alike(first):
            left_out.append(
                f"the run '{run.name}' has other prompts, axes or settings than '{first.name}'"
            )
        elif trait in first.traits and trait not in chain.traits:
            left_out.append(f"the run '{run.name}' has no trait '{trait}'")
        else:
            place = chain.seed, chain.label
            if place not in longest or chain.generations > longest[place].generations:
                longest[place] = chain
    every = [first, *(chain for chain in longest.values() if chain is not first)]
    if not {chain.label for chain in every} - {first.label}:
        raise UserError(
            f"it takes runs at other CFG scales, or a scan, otherwise like '{first.name}', and "
            f"there are 0"
        )
    names = common_traits(every)
    chains = with_one_base([chain.limited(names) for chain in every])
    return Given(tuple(chains), tuple(left_out))


def _constant(run: Record) -> PromptChain:
    chain = prompt_chain(run)
    if not chain.plain:
        raise UserError(f"the run '{run.name}' has a schedule of the CFG scale or a remedy")
    if not chain.groups.of_single_captions:
        raise UserError(f"the run '{run.name}' has one image for most prompts, or many prompts")
    return chain


def _alike(chain: PromptChain) -> tuple[object, ...]:
    return chain.groups, chain.means.shape[-1], chain.conditions


def forecast(
    known: Given,
    generations: int | None = None,
    draws: int = DRAWS,
    near: Theory | None = None,
) -> PromptForecast:
    """Forecast the first chain by `generations` generations, by default as far as the others go, or
    four where these have no more.

    The fit starts from `near`, if given.
    """
    first = known.chains[0]
    last = first.generations
    target = _continued(first, known.ahead if generations is None else generations)
    G = max(target.generations, known.reach)
    seen = np.array([np.arange(G) < chain.generations for chain in known.chains])
    theory = fit(known.chains, seen, near)
    values = _of_path(target, paths(theory, target, last, draws))
    factors = (
        scores.widening(known.chains[1:], scores.CHAIN, theory, draws, last)
        if known.further
        else scores.widening(
            [chain.until(last) for chain in known.chains], scores.LATER, theory, draws
        )
    )
    wide = {
        key: np.median(y, axis=0) + factors.get(scores.kind(key), 1.0) * (y - np.median(y, axis=0))
        for key, y in values.items()
    }
    every, units = {}, {}
    for name, trait in first.traits.items():
        if name != BETWEEN:
            every[name] = _stacked(wide, [name])
            units[name] = np.array([trait.means[0].mean()]), np.array([deviation(first, name)])
    every[SCORES] = _stacked(wide, [_axis(k) for k in range(len(first.unit))])
    units[SCORES] = first.means[0].mean(axis=0), np.sqrt(first.unit)
    neutral = neutral_scales(theory.motion, first, known.chains, draws)
    place = first.name, last, first.label, known.scales
    return PromptForecast(*place, every, units, neutral, theory)


def _continued(chain: PromptChain, ahead: int) -> PromptChain:
    """Return a chain whose guidance stays as in its last generation."""
    scales = np.concatenate([chain.scales, np.repeat(chain.scales[-1:], ahead, axis=0)])
    return replace(chain, scales=scales)


def _axis(k: int) -> str:
    return f"{AXES} {k}"


def _of_path(chain: PromptChain, path: Path) -> dict[tuple[str, str], Float[np.ndarray, "S T"]]:
    """Return draws of mean, ln V_W and ln V_B of all traits and of each of the axes."""
    K, values = len(chain.unit), dict(predicted(chain, path))
    base = np.diagonal(chain.base_within.mean(axis=0))
    within = path.levels[..., :K] + np.log(base / chain.unit)
    between = np.log(path.means.var(axis=2, ddof=1) / chain.unit)
    for k in range(K):
        values[_axis(k), "within"] = within[..., k]
        values[_axis(k), "between"] = between[..., k]
    return values


def _stacked(
    values: Mapping[tuple[str, str], Float[np.ndarray, "S T"]], names: Sequence[str]
) -> Float[np.ndarray, "S T 3 D"]:
    each = [np.stack([values[name, q] for q in QUANTITIES], axis=2) for name in names]
    return np.stack(each, axis=3)


def neutral_scales(
    process: Process, chain: PromptChain, chains: Sequence[PromptChain], draws: int = DRAWS
) -> Float[np.ndarray, " S"]:
    """Return draws of the CFG scale at which V_B of the axes stays as it is in generation 1, by the
    motion of prompts.

    It lies between the scales of the chains: the least of these where V_B grows at all, infinite
    where at none.
    """
    ends = [float(each.strengths.mean()) for each in chains]
    strengths = np.linspace(min(ends), max(ends), _STEPS)
    C, K = chain.base_means.shape
    first, unit = chain.means[0], np.sqrt(chain.unit)
    each = [motion.inputs(chain, first, 0, float(np.exp(x))) for x in strengths]
    rows = {name: np.concatenate([part[name] for part in each]) for name in each[0]}
    repeated = {k: np.repeat(v[None], draws, axis=0) for k, v in rows.items()}
    step = process.draws(draws, 3)(repeated, noisy=False).reshape(draws, _STEPS, C, K)
    # A chain draws once, whatever its scale: noise of each scale would cross early by chance.
    drift = process.values["noise"] * np.random.default_rng(4).standard_normal((draws, 1, C, K))
    step = step + drift
    V_B = (first + unit * step).var(axis=2, ddof=1).sum(axis=-1)
    growth = np.log(V_B / first.var(axis=0, ddof=1).sum())
    scales = np.full(draws, np.inf)
    for s in np.flatnonzero((growth > 0).any(axis=1)):
        i = int(np.argmax(growth[s] > 0))
        x = strengths[0]
        if i:
            before, after = growth[s, i - 1], growth[s, i]
            x = strengths[i] - (strengths[i] - strengths[i - 1]) * after / (after - before)
        scales[s] = np.exp(x)
    return scales
