"""The theory of prompts beside fitted models, on the same held-out data of one trait."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from analysis.prediction.holdout import possible_splits
from analysis.prompts.chains import PromptChain
from analysis.prompts.coordinates import with_latents
from analysis.prompts.reading import chains as read_chains
from analysis.prompts.scores import INTERPOLATED, LINE, THEORY, UNCHANGED, predictions
from empirical.errors import UserError
from empirical.runs.prompts import LATENT
from empirical.runs.record import Run

if TYPE_CHECKING:
    from analysis.comparison.fit import Result

NAME = "theory of prompts"
COLUMNS = ("holdout", "quantity", "model", "error", "chains")
_PLACE = ["run", "generation", "quantity"]


def prompt_chains(runs: Sequence[Run], trait: str) -> tuple[list[PromptChain], list[str]]:
    """Return the chains of runs that the theory describes, with one trait, and why others were left
    out: runs that are unlike the first, and those whose captions it would follow in groups.

    Raises `UserError` where nothing can be held out of those that are left, for two runs of one
    name, and for a trait whose prompt means they do not have.
    """
    folders = {run.name: run for run in runs}
    if len(folders) < len(runs):
        raise UserError("two runs have one name, by which the theory of prompts finds them")
    read, left_out = read_chains(runs, () if trait == LATENT else (trait,))
    chains = []
    for chain in read:
        if not chain.groups.of_single_captions:
            left_out.append(f"captions of the run '{chain.name}' are followed in groups")
        elif (chain.unguided is None) != (read[0].unguided is None):
            left_out.append(
                f"'{chain.name}' differs from '{read[0].name}' in having draws without guidance"
            )
        else:
            chains.append(with_latents(folders[chain.name], chain) if trait == LATENT else chain)
    if not chains or not possible_splits(chains):
        reasons = "; ".join(left_out) or "they have one generation, scale and seed"
        raise UserError(f"the theory of prompts has nothing that can be held out: {reasons}")
    for chain in chains:
        if trait not in chain.traits:
            raise UserError(f"the run '{chain.name}' has no latents of prompts")
    return chains, left_out


def held_out_errors(
    result: "Result",
    chains: Sequence[PromptChain],
    trait: str,
    progress: Callable[[], object] = lambda: None,
) -> pd.DataFrame:
    """Return mean absolute errors of mean (standard deviations of generation 0), ln V_W and ln V_B
    of a trait, by kind of holdout: of the theory of prompts, the best theory of a fit, and naive
    forecasts.

    All are of the same generations of the same chains, predicted from the same generation on; the
    models may have been fitted to more chains. Later generations are left out where those of the
    fit are others. Columns: holdout, quantity (mean, within, between), model, error, chains (their
    number). Raises `UserError` for a fit to more than one component, and for chains that it lacks.
    """
    theirs = result.held_out
    if not theirs.empty and theirs["component"].nunique() > 1:
        raise UserError(
            f"the theory of prompts is compared on traits of one component, and '{trait}' has more"
        )
    known = {arm.name for arm in result.arms}
    chains = [chain for chain in chains if chain.name in known]
    ways = possible_splits(chains) if chains and not theirs.empty else {}
    longest = max((arm.generations for arm in result.arms), default=0)
    rows = []
    for kind in ways:
        if kind == "generations" and chains[0].generations != longest:
            continue
        ours = predictions(chains, kind, progress, widen=False)
        ours = ours[ours["trait"] == trait]
        if trait == LATENT:
            # Their mean is one of coordinates with different origins, and says nothing.
            ours = ours[ours["quantity"] != "mean"]
        best = theirs[(theirs["kind"] == kind) & (theirs["model"] == result.best_theory)]
        places = best[_PLACE].merge(ours[_PLACE].drop_duplicates(), on=_PLACE)
        both = pd.concat([ours, best]).merge(places, on=_PLACE)
        both = both[both["model"].isin((THEORY, result.best_theory, INTERPOLATED, UNCHANGED, LINE))]
        both = both.assign(error=(both["predicted"] - both["measured"]).abs())
        each = both.groupby(["quantity", "model"], sort=False)["error"].agg(["mean", "size"])
        # A model that predicts fewer of these says nothing beside the others.
        full = each["size"] == each["size"].groupby("quantity").transform("max")
        count = places["run"].nunique()
        rows += [(kind, *key, value, count) for key, value in each.loc[full, "mean"].items()]
    if not rows:
        raise UserError(
            "the theory of prompts and the models have no held-out generation of a chain in common"
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).replace({"model": {THEORY: NAME}})
