"""Warnings of a report: caveats about its numbers, each with the run that it concerns."""

import math
from collections.abc import Sequence

from analysis.comparison.fit import NAIVE, Result
from empirical.runs.record import Run
from figures import missing
from figures.evidence import Evidence
from figures.pieces import probes
from figures.study import metrics
from figures.text import printable

_ALL = "all runs"
_INSTEAD = {
    "accuracy": "; `qtm measure {folder} clip_score --features clip` compares images with "
    "captions by CLIP, where its weights are on this machine or can be downloaded"
}


def warnings_of(
    evidence: Evidence, refused: Sequence[tuple[str, str]] = ()
) -> list[dict[str, str]]:
    """Return caveats about the numbers, each with the run that it concerns."""
    messages = [(run.name, text) for run in evidence.runs for text in _of_run(run)]
    messages += [(_ALL, text) for text in _of_fits(evidence)]
    messages += list(refused)
    return [{"run": printable(run), "text": printable(text)} for run, text in messages]


def has_few_data(result: Result) -> bool:
    """Return whether a fit has fewer data than its best theory has parameters."""
    return math.isinf(result.of(result.best_theory).aicc)


def has_verdicts(result: Result) -> bool:
    """Return whether the differences of theories have standard errors: those of the scores of a
    single run have none."""
    if result.held_out.empty:
        return not has_few_data(result)
    return result.held_out["run"].nunique() > 1


def _of_run(run: Run) -> list[str]:
    generations, planned = run.generations(), run.recipe.generations
    messages = []
    if len(generations) <= planned:
        messages.append(f"{len(generations) - 1} of {planned} generations are done")
    if all(probes(generation) is None for generation in generations):
        messages.append("its probes are not stored: it has no contact sheet")
    how = _how(run)
    if how is not None:
        messages.append(how)
    messages += run.warnings()
    messages += _missing(run)
    cautions = {
        f"{row['measure']}: {row['caution']}"
        for generation in generations
        for row in metrics(generation).get("measures", [])
        if row["caution"]
    }
    return messages + sorted(cautions)


def _how(run: Run) -> str | None:
    """Return how V_W and V_B are known where most prompts have one image."""
    if not (run.folder / "moments.csv").is_file():
        return None
    table = run.moments()
    ways = set(table["how"]) if "how" in table else set()
    if "replicates" in ways:
        first = " of generation 0 that of the base model," if "base model" in ways else ""
        return (
            f"most prompts have one image: V_W is measured by further images of each prompt,"
            f"{first} and V_B is the rest of the variance"
        )
    if "total" in ways:
        return (
            f"every prompt has one image, so that variance within and variance between prompts are "
            f"unknown: `qtm measure {run.folder} unguided replicates` draws further images"
        )
    return None


def _missing(run: Run) -> list[str]:
    """Return why measures of the summary are missing, and what gives them."""
    last = run.generations()[-1]
    measured = metrics(last)
    lacking = [name for name in ("accuracy", "frechet") if measured.get(name) is None]
    messages = [
        f"{missing.NAMES[name]}: unknown, because "
        f"{missing.reason(name, measured, last.captions)}"
        f"{_INSTEAD.get(name, '').format(folder=run.folder)}"
        for name in lacking
    ]
    if measured.get("frechet") is not None and not missing.is_held_out(measured):
        messages.append(
            f"{missing.NOT_HELD_OUT}; `qtm measure {run.folder} frechet --reference FOLDER` takes "
            f"those of another folder"
        )
    return messages


def _of_fits(evidence: Evidence) -> list[str]:
    few = [label for label, result in evidence.fits.items() if has_few_data(result)]
    messages = []
    if few:
        messages.append(
            f"{_amount(evidence.fits[few[0]])} not identify the parameters of a theory "
            f"({', '.join(few)}): most of them rest on the prior; more generations, and runs at "
            f"other CFG scales, would identify them"
        )
    scored = [result for result in evidence.fits.values() if not result.held_out.empty]
    if not all(has_verdicts(result) for result in scored):
        messages.append(
            "no verdict about theories: the scores of a single run have no standard error, so that "
            "their order may be chance"
        )
    for label, result in evidence.fits.items():
        if has_verdicts(result) and result.best in NAIVE:
            messages.append(f"{label}: no theory predicts better than {result.best}")
        messages += [f"{label}, {text}" for text in _of_best(result)]
    prediction = next(iter(evidence.forecasts.values()), None)
    if prediction is not None and prediction.fitted.unidentified:
        fitted = prediction.fitted
        every = [p.name for _, p in fitted.indexed_parameters()]
        known = [name for name in every if name not in fitted.unidentified]
        names = ", ".join(fitted.unidentified)
        if len(known) < len(every) / 2:
            names = f"all parameters but {', '.join(known)}" if known else "all parameters"
        messages.append(f"forecast: {names} rest on the prior")
    return messages


def _of_best(result: Result) -> list[str]:
    """Return caveats about the best theory: unidentified parameters in one sentence, unless the
    data are few for all of them, then those at a bound. The list below the table of theories names
    the data that would identify them."""
    fitted = result.of(result.best_theory)
    names = "" if has_few_data(result) else ", ".join(fitted.unidentified)
    unknown = [f"the data do not identify {names}"] if names else []
    return [f"{result.best_theory}: {text}" for text in (*unknown, *fitted.bounds)]


def _amount(result: Result) -> str:
    """Return the number of generations of a fit's runs in words, as a subject with its verb."""
    counts = [arm.generations for arm in result.arms]
    least, most = min(counts), max(counts)
    runs = f"of {len(result.arms)} run{'s' * (len(result.arms) > 1)}"
    if most == 1:
        return f"1 generation {runs} does"
    numbers = f"{most}" if least == most else f"{least} to {most}"
    return f"{numbers} generations {runs} do"
