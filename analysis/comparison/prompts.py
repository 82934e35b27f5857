"""The theory of prompts beside fitted models, on the same held-out data of one trait."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from analysis.prediction.holdout import possible_splits
from analysis.prompts.chains import PromptChain
from analysis.prompts.coordinates import BETWEEN, with_latents
from analysis.prompts.reading import chains as read_chains
from analysis.prompts.scores import INTERPOLATED, LINE, THEORY, UNCHANGED, predictions
from empirical.errors import UserError
from empirical.runs.prompts import LATENT
from empirical.runs.record import Run

if TYPE_CHECKING:
    from analysis.comparison.fit import Result

NAME = "theory of prompts"
COLUMNS = ("holdout", "quantity", "model", "error", "chains")


def prompt_chains(runs: Sequence[Run], trait: str) -> tuple[list[PromptChain], list[str]]:
    """Return the chains of runs that the theory describes, with one trait, and why others were left
    out.

    Raises `UserError` where none is left, and for a trait whose prompt means they do not have.
    """
    read, left_out = read_chains(runs)
    folders = {run.name: run for run in runs}
    if trait == LATENT:
        read = [with_latents(folders[chain.name], chain) for chain in read]
    names = [trait, BETWEEN] if trait == LATENT else [trait]
    for chain in read:
        if trait not in chain.traits:
            raise UserError(
                f"the theory of prompts does not know the trait '{trait}' of the run "
                f"'{chain.name}', it knows {', '.join(chain.traits) or 'none'}"
            )
    only = lambda chain: {name: chain.traits[name] for name in names}
    return [replace(chain, traits=only(chain)) for chain in read], left_out


def held_out_errors(
    result: "Result",
    chains: Sequence[PromptChain],
    trait: str,
    progress: Callable[[], object] = lambda: None,
) -> pd.DataFrame:
    """Return mean absolute errors of mean (standard deviations of generation 0), ln V_W and ln V_B
    of a trait, by kind of holdout: of the theory of prompts, the best theory of a fit, and naive
    forecasts.

    All are of the same generations of the same chains, which the theory of prompts describes; the
    other theories may have been fitted to more. Columns: holdout, quantity (mean, within, between),
    model, error, chains (their number). Raises `UserError` for a fit to more than one component.
    """
    if result.held_out["component"].nunique() > 1:
        raise UserError(
            f"the theory of prompts is compared on traits of one component, and '{trait}' has more"
        )
    rows = []
    for kind in possible_splits(chains):
        table = _renamed(predictions(chains, kind, progress, widen=False), trait)
        ours = table[table["model"].isin((THEORY, INTERPOLATED, UNCHANGED, LINE))]
        theirs = result.held_out
        theirs = theirs[(theirs["kind"] == kind) & (theirs["model"] == result.best_theory)]
        place = ["run", "generation", "quantity"]
        both = pd.concat([ours, theirs.merge(ours[place].drop_duplicates(), on=place)])
        both = both.assign(error=(both["predicted"] - both["measured"]).abs())
        each = both.groupby(["quantity", "model"], sort=False)["error"].mean()
        count = ours["run"].nunique()
        rows += [(kind, *key, value, count) for key, value in each.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS)).replace({"model": {THEORY: NAME}})


def _renamed(table: pd.DataFrame, trait: str) -> pd.DataFrame:
    """Return the rows of a trait; of the latents, with V_B as that of `LATENT`."""
    rows = table[table["trait"] == trait]
    if trait != LATENT:
        return rows
    # Their mean is one of coordinates with different origins, and says nothing.
    within = rows[rows["quantity"] == "within"]
    between = table[(table["trait"] == BETWEEN) & (table["quantity"] == "within")]
    return pd.concat([within, between.assign(trait=LATENT, quantity="between")])
