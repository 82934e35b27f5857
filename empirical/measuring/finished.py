"""Traits and metrics of finished runs or image folders."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from empirical import files
from empirical.errors import UserError
from empirical.keys import did_you_mean
from empirical.measuring import extractors
from empirical.measuring.generation import Samples
from empirical.measuring.metrics import (
    GENERATION_0,
    HELD_OUT,
    PREVIOUS,
    TRAINING_SET,
    every_measure,
)
from empirical.measuring.metrics.intervals import RESAMPLES
from empirical.measuring.sources import Source
from empirical.measuring.traits import every_trait
from empirical.progress import Progress, silent
from empirical.runs import moments
from empirical.runs.record import Run

KEYS = ("generation", "measure", "features", "reference")
_ORDER = (None, GENERATION_0, PREVIOUS, HELD_OUT, TRAINING_SET)
COLUMNS = (*KEYS, "value", "low", "high", "n", "caution")


@dataclass(frozen=True)
class Requested:
    """The names of what is to be measured, sorted into traits (or extractors) and measures."""

    traits: tuple[str, ...]
    measures: tuple[str, ...]


def sort_names(names: Sequence[str]) -> Requested:
    """Sort names into traits and measures; raise `UserError` with the nearest of unknown ones."""
    traits = {*every_trait(), *extractors.every_extractor()}
    measures = every_measure()
    for name in names:
        known = extractors.split(name)[0] in extractors.every_extractor()
        if name not in traits and name not in measures and not known:
            question = did_you_mean(name, [*traits, *measures], count=3)
            hint = f", {question}" if question else ""
            raise UserError(
                f"there is no trait or measure '{name}'{hint} (qtm measure --list shows all)"
            )
    distinct = tuple(dict.fromkeys(names))
    return Requested(
        tuple(name for name in distinct if name not in measures),
        tuple(name for name in distinct if name in measures),
    )


def measure_traits(
    source: Source,
    names: Sequence[str],
    progress: Progress = silent,
    skip_undefined: bool = False,
) -> list[tuple[dict[str, Float[np.ndarray, "_ _"]], tuple[str, ...] | None]]:
    """Return each generation's traits by the names they are stored under, and its captions.

    Names of extractors give their features. Traits that the images do not have are left out with a
    warning, or without one where `skip_undefined` is true; raises `UserError` where no trait
    is left.
    """
    measured: list[tuple[dict[str, Float[np.ndarray, "_ _"]], tuple[str, ...] | None]] = []
    undefined: dict[str, str] = {}
    for number, label in enumerate(source.labels):
        view, captions = source.view(number)
        values = {}
        for name in names:
            array = source.features(view, name)
            if array is not None:
                values[extractors.stored_as(name)] = array
            elif not skip_undefined:
                undefined.setdefault(name, label)
            progress(1)
        _require_any_defined(undefined, names, "trait")
        measured.append((values, captions))
    for name, label in undefined.items():
        warnings.warn(
            f"the trait '{name}' is not defined for the images of {label}: it is left out",
            stacklevel=2,
        )
    return measured


def _require_any_defined(undefined: Mapping[str, str], names: Sequence[str], kind: str) -> None:
    """Raise `UserError` where none of the requested names is defined."""
    if undefined and set(undefined) == set(names):
        name, label = next(iter(undefined.items()))
        raise UserError(f"the {kind} '{name}' is not defined for the images of {label}")


def keep_traits(
    run: Run, measured: Sequence[tuple[dict[str, Float[np.ndarray, "_ _"]], object]]
) -> None:
    """Write traits into a run's features, and derive its moments again."""
    for generation, (values, _) in zip(run.generations(), measured, strict=True):
        for name, array in values.items():
            generation.write(name, array)
    run.rebuild_moments()


def table_of_traits(
    measured: Sequence[tuple[dict[str, Float[np.ndarray, "_ _"]], tuple[str, ...] | None]],
) -> pd.DataFrame:
    """Return the moments of traits, as in ``moments.csv``; without captions there are no families,
    and within and between are nan."""
    frames = []
    for number, (values, captions) in enumerate(measured):
        size = len(next(iter(values.values())))
        frame = moments.table(number, values, captions or [""] * size)
        if captions is None:
            frame[["within", "between"]] = np.nan
            frame["how"] = "total"
        frames.append(frame)
    return pd.DataFrame(pd.concat(frames, ignore_index=True))


def measure_sets(
    source: Source,
    names: Sequence[str],
    features: str | None,
    seed: int,
    resamples: int = RESAMPLES,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Measure every generation alone, against generation 0, the one before and real images.

    `features` names a trait or an extractor; None takes that of the source. A measure that is
    defined in one space only is measured in that one. Returns a row for each generation, measure
    and reference, with 95 % intervals; `seed` draws their halves. Warns of a measure that is
    defined for no generation; raises `UserError` where none is.
    """
    modules = every_measure()
    default = features or source.space
    spaces: dict[str, list[str]] = {}
    for name in names:
        required = getattr(modules[name], "FEATURES", None)
        space = default if required in (None, extractors.split(default)[0]) else required
        spaces.setdefault(space, []).append(name)
    rows: list[list[object]] = []
    refused: list[UserError] = []
    lost: set[str] = set()
    for space, chosen in spaces.items():
        try:
            rows += _in_one_space(source, space, chosen, seed, resamples, progress)
        except UserError as error:
            # Measures of other spaces do not depend on this one.
            refused.append(error)
            lost.update(chosen)
    if refused and not rows:
        raise refused[0]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    undefined = [name for name in names if name not in {*table["measure"], *lost}]
    reasons = [str(error) for error in refused] + [
        f"the measure '{name}' is not defined for these images: they are too few, or lack "
        f"captions, a classifier that knows them, or a reference"
        for name in undefined
    ]
    if reasons and table.empty:
        raise UserError(reasons[0])
    for reason in reasons:
        warnings.warn(reason, stacklevel=2)
    return table.sort_values(["generation", "measure"], kind="stable", ignore_index=True)


def keep_measures(run: Run, table: pd.DataFrame) -> None:
    """Add rows to a run's ``measures.csv``, in place of older ones of the same things."""
    path = run.folder / "measures.csv"
    if path.is_file():
        older = pd.read_csv(path)
        if list(older.columns) != list(COLUMNS):
            raise UserError(f"'{path}' has other columns than {', '.join(COLUMNS)}: move it away")
        table = pd.DataFrame(pd.concat([older, table], ignore_index=True))
        # As text, because an absent reference is nan here and None there.
        keys = table[list(KEYS)].fillna("").astype(str)
        table = pd.DataFrame(table[~keys.duplicated(keep="last")])
    table = table.sort_values(list(KEYS), kind="stable")
    files.write_text(path, table.to_csv(index=False, float_format="%.17g"))


def _in_one_space(
    source: Source,
    space: str,
    names: Sequence[str],
    seed: int,
    resamples: int,
    progress: Progress,
) -> list[list[object]]:
    samples, rows = Samples(source, space, names), []
    for number in range(len(source.labels)):
        measurements = samples.measure(number, seed, resamples)
        for each in sorted(measurements, key=lambda each: _ORDER.index(each.reference)):
            row = [each.reference, each.value, each.low, each.high, each.n, each.caution]
            rows.append([number, each.measure, extractors.stored_as(space), *row])
        progress(len(names))
    return rows
