"""The Price decomposition: what inflow, transmission and selection each change.

    after - before = [training - previous] + [unguided - training] + [guided - unguided]

(Price 1970; Frank 2012). Every quantity is a function of a set of images, and the parts are its
differences along these steps. So they add up to the change, whatever the training set is.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analysis.selection.draws import Draws, Sample
from empirical.runs import moments

PARTS = ("inflow", "transmission", "selection")
_SEPARATED = ("within", "between")


@dataclass(frozen=True)
class Change:
    """A quantity before and after a generation, and its change in three parts.

    quantity: `mean`, `variance`, `within`, `between` as in moments.csv, or `prompt_mean`, with the
    code of the prompt. component: None for an average over components. A part is nan where the
    quantity is not defined on a side of it.
    """

    quantity: str
    component: int | None
    prompt: int | None
    before: float
    inflow: float
    transmission: float
    selection: float
    after: float


def decompose(draws: Draws, average: bool = False) -> list[Change]:
    """Return the changes of a generation, of each component or averaged over components.

    Mean and prompt means are of the images of the chain. Variances are of all draws, replicates
    included (ddof 1, with the sampling part of `between`); where the training set is the previous
    generation it has the variances of that, known by replicates or not. Where most prompts have one
    image, `variance` is of the images of the chain, and `within` and `between` are those of prompts
    by replicates, as in moments.csv: without the sampling part, and of real images by the base
    model. A prompt without a training
    image has no inflow: its change until the unguided images is transmission. Prompt means are of
    prompts that the generation and the one before both have.
    """
    realised = [s.realised() for s in (draws.previous, draws.training)]
    realised += [s.realised() for s in (draws.unguided, draws.guided)]
    all_draws = [draws.previous, draws.parents, draws.unguided, draws.guided]
    means, variances = _table(realised), _table(all_draws)
    steps = {"mean": means["mean"]}
    steps |= {name: variances[name] for name in ("variance", "within", "between")}
    if draws.distinct:
        parts = [_separated(sample, draws) for sample in all_draws]
        steps["variance"] = means["variance"]
        steps |= {name: np.stack([part[i] for part in parts]) for i, name in enumerate(_SEPARATED)}
    changes = []
    for name, values in steps.items():
        values = values.mean(axis=1, keepdims=True) if average else values
        changes += [
            change(name, None if average else j, None, values[:, j]) for j in range(values.shape[1])
        ]
    return changes if average else changes + _prompt_means(realised)


def _table(samples: list[Sample]) -> dict[str, Float[np.ndarray, "4 k"]]:
    """Return the moments of the four sets, [4, k]."""
    by_set = [moments.moments(sample.values, list(map(str, sample.prompts))) for sample in samples]
    return {
        name: np.stack([m[name] for m in by_set])
        for name in ("mean", "variance", "within", "between")
    }


def _separated(
    sample: Sample, draws: Draws
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Return V_W and V_B of a set of which most prompts have one image; nan where unknown."""
    base = draws.base
    replicates = draws.unguided.replicates > 0
    unknown = np.full(sample.values.shape[1], np.nan)
    is_real = sample is draws.previous and not sample.replicates
    if replicates and is_real and base is not None and base.freedom:
        return moments.by_base_model(sample.values, np.diag(base.covariance))
    if not sample.freedom:
        return unknown, unknown
    families = list(map(str, sample.prompts))
    if replicates:
        return moments.separated(sample.values, families, sample.values[:0], [])
    part = moments.moments(sample.values, families)
    return part["within"], part["between"]


def _prompt_means(samples: list[Sample]) -> list[Change]:
    previous, training, unguided, guided = samples
    changes = []
    for code in np.intersect1d(previous.codes, guided.codes):
        before = _mean(previous, code)
        trained_on = _mean(training, code) if code in training.codes else before
        values = np.stack([before, trained_on, _mean(unguided, code), _mean(guided, code)])
        changes += [
            change("prompt_mean", j, int(code), values[:, j]) for j in range(values.shape[1])
        ]
    return changes


def _mean(sample: Sample, code: int) -> Float[np.ndarray, " k"]:
    return sample.means[np.searchsorted(sample.codes, code)]


def change(
    quantity: str, component: int | None, prompt: int | None, values: Float[np.ndarray, " 4"]
) -> Change:
    """Return the change of a quantity from its values of the four sets: of the previous generation,
    of the training set, of unguided and of guided images."""
    inflow, transmission, selection = map(float, np.diff(values))
    return Change(
        quantity,
        component,
        prompt,
        before=float(values[0]),
        inflow=inflow,
        transmission=transmission,
        selection=selection,
        after=float(values[-1]),
    )
