"""Tables of selection and transmission: selection.csv, price.csv, and the matrices.

selection.csv, a row for each estimate and target:

- run, generation, trait
- component: of the trait, empty for an average over components; pair: the second component of an
  entry of gamma
- quantity: see `analysis.selection.differentials`, `transmission` and `variances`. `V_W` and `V_B`
  are of guided images (of generation 0: the real ones), with `_unguided` of images at scale 1 (of
  generation 0: of the base model); `V` is the total variance of the images of the chain
- estimate, low, high: in feature units, or squared, as the quantity says; 90 % interval
- target: "these prompts", "population of prompts", empty without an interval
- how: V_W was known by "families", "replicates", the "base model" (of real images with one image
  a prompt), or not at all: "total" or "upper bound"

Of kept runs, which have no latents of single images, moments of prompts give the trait `latent`:
`analysis.selection.of_summaries` names the estimates and intervals that these leave out.

price.csv, a row for each change: run, generation, trait, component, quantity, prompt, before,
inflow, transmission, selection, after, how (see `analysis.selection.price`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from analysis.selection import differentials, of_summaries, price, transmission, variances
from analysis.selection.draws import Draws, Sample
from analysis.selection.intervals import Estimate
from analysis.selection.read import Measured, is_averaged
from qtm.progress import Progress, no_progress

if TYPE_CHECKING:
    import xarray as xr

AXES = "latent_pc"
SELECTION = (
    "run", "generation", "trait", "component", "pair", "quantity", "estimate", "low", "high",
    "target", "how",
)  # fmt: skip
PRICE = (
    "run", "generation", "trait", "component", "quantity", "prompt", "before", *price.PARTS,
    "after", "how",
)  # fmt: skip


@dataclass(frozen=True)
class Tables:
    """The tables of runs; `matrices` is None where no run has the leading axes of the latents."""

    selection: pd.DataFrame
    price: pd.DataFrame
    matrices: "xr.Dataset | None"


def tables(
    runs: Sequence[Measured],
    traits: Sequence[str] | None = None,
    progress: Progress = no_progress,
) -> Tables:
    """Return the tables of runs, of the traits named or of all that a run has.

    `progress` is called for each trait of each run. Raises `UserError` for an unknown trait.
    """
    from analysis.selection.matrix_table import matrix_table

    for measured in runs:
        for trait in traits or ():
            measured.require(trait)
    selection, changes = [], []
    for measured in runs:
        for trait in traits or measured.offered:
            selection += _selection(measured, trait)
            changes += _price(measured, trait)
            progress(1)
    with_axes = [measured for measured in runs if AXES in measured.traits]
    return Tables(
        _frame(selection, SELECTION, ("component", "pair")),
        _frame(changes, PRICE, ("component",)),
        matrix_table(with_axes, AXES) if with_axes else None,
    )


def notes(measured: Measured) -> list[str]:
    """Return sentences on what the captions of a run leave unknown; none for families."""
    number = measured.numbers[-1]
    sample = measured.guided(number, measured.traits[0])
    name, C = measured.run.name, len(sample.codes)
    several = int((sample.sizes > 1).sum())
    sentences = []
    if measured.summarised:
        sentences.append(
            f"the run '{name}' has moments of prompts in place of the latents of single images: "
            f"'latent' has no intervals for these prompts, no mutation and no interval of V_B"
            f"{_without_pairs(measured)}"
        )
    if C == 1:
        sentences.append(
            f"the run '{name}' has one prompt, so that nothing varies between prompts: V_B, "
            f"transmission and mutation are left out"
        )
    if not several:
        sentences.append(
            f"every prompt of the run '{name}' has one image and no replicate, so that V_W and "
            f"gradients are unknown and V_B is an upper bound: `qtm measure {measured.run.folder} "
            f"unguided replicates` draws some"
        )
    elif several < C / 2:
        sentences.append(
            f"V_W and what follows from it rest on {several} of the {C} prompts of the run "
            f"'{name}', those with several images"
        )
    return sentences


def _without_pairs(measured: Measured) -> str:
    if measured.summaries(measured.numbers[-1]).paired is not None:
        return ""
    return (
        ", and no S_rms, since it was kept without the variance of the differences of guided and "
        "unguided images"
    )


def _frame(rows: list[dict], columns: Sequence[str], integers: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns))
    return frame.astype(dict.fromkeys(integers, "Int64"))


def _selection(measured: Measured, trait: str) -> Iterator[dict]:
    for number in [0, *measured.numbers]:
        head = {"run": measured.run.name, "generation": number, "trait": trait}
        moments = trait in measured.summarised
        rows = of_summaries.estimates if moments else partial(_estimates, trait=trait)
        for e, how in rows(measured, number):
            yield {
                **head,
                "component": e.component,
                "pair": e.pair,
                "quantity": e.quantity,
                "estimate": e.value,
                "low": e.low,
                "high": e.high,
                "target": e.target,
                "how": how,
            }


def _estimates(measured: Measured, number: int, trait: str) -> Iterator[tuple[Estimate, str]]:
    """Yield every estimate of a generation, with how its variances are known."""
    guided, unguided = measured.guided(number, trait), measured.unguided(number, trait)
    for suffix, sample in (("", guided), ("_unguided", unguided)):
        if sample is None:
            continue
        for index in _components(trait, sample):
            part = sample if index is None else sample.component(index)
            yield from _placed(variances.total(part, f"V{suffix}"), index, variances.TOTAL)
            both = variances.within(part, f"V_W{suffix}") + variances.between(part, f"V_B{suffix}")
            yield from _placed(both, index, variances.how(sample, measured.distinct))
    if number == 0 and measured.distinct and unguided is not None:
        for index in _components(trait, guided):
            real, base = (s if index is None else s.component(index) for s in (guided, unguided))
            yield from _placed(variances.by_base_model(real, base), index, variances.BASE)
    if not guided.freedom and 0 < number < len(measured.complete) - 1:
        before, after = (measured.guided(number + step, trait) for step in (-1, 1))
        for index in _components(trait, guided):
            x, y, z = (s if index is None else s.component(index) for s in (before, guided, after))
            yield from _placed(variances.upper_bound(x, y, z), index, variances.BOUND)
    if number:
        draws = measured.draws(number, trait)
        how = variances.how(draws.unguided, measured.distinct)
        for index in _components(trait, guided):
            part = draws if index is None else draws.component(index)
            yield from _placed(_of_generation(part), index, how)
        if not is_averaged(trait, _width(guided)):
            vectors = [*differentials.gradients(draws), *differentials.quadratic(draws)]
            yield from ((_of_vector(e), how) for e in vectors)


def _of_generation(draws: Draws) -> list[Estimate]:
    return [
        *differentials.differential(draws),
        *transmission.transmission(draws),
        *transmission.two_parents(draws),
    ]


def _width(sample: Sample) -> int:
    return sample.values.shape[1]


def _components(trait: str, sample: Sample) -> list[int | None]:
    """Return the components that are described: each, and None for their average."""
    count = _width(sample)
    if is_averaged(trait, count):
        return [None]
    return [*range(count), None] if count > 1 else [0]


def _placed(
    estimates: Iterable[Estimate], component: int | None, how: str
) -> Iterator[tuple[Estimate, str]]:
    return ((replace(e, component=component), how) for e in estimates)


def _of_vector(e: Estimate) -> Estimate:
    """Name the components of a scalar trait, for which the vector has one entry."""
    return e if e.component is not None else replace(e, component=0)


def _price(measured: Measured, trait: str) -> Iterator[dict]:
    for number in measured.numbers:
        head = {"run": measured.run.name, "generation": number, "trait": trait}
        if trait in measured.summarised:
            draws = measured.summaries(number)
            how = variances.how(draws.guided, measured.distinct)
            for change in of_summaries.decompose(draws):
                yield {**head, **asdict(change), "how": how}
            continue
        draws = measured.draws(number, trait)
        how = variances.how(draws.guided, measured.distinct)
        for index in _components(trait, draws.guided):
            # Components come together, their average apart.
            if index in (0, None):
                for change in price.decompose(draws, average=index is None):
                    prompt = None if change.prompt is None else measured.prompts[change.prompt]
                    yield {**head, **asdict(change), "prompt": prompt, "how": how}
