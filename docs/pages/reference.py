"""The reference of the API: pages of exported names with their docstrings, by mkdocstrings."""

import inspect
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import Any

import qtm
from qtm import _forms

FOLDER = "api"
# Pages of qtm by the folder of their names, with the public classes that forms derive from.
_OF_QTM = {
    "states": ("States of a population", ()),
    "cycle": ("Life cycles", ()),
    "selection": ("Selection", ("Selection", "FitnessSelection")),
    "inheritance": ("Inheritance", ("Inheritance",)),
    "mutation": ("Mutation", ("Mutation",)),
    "sweeps": ("Sweeps", ()),
}
# Further pages: title, sentence, and modules with their documented names (all exported ones by ()).
_FURTHER: dict[str, tuple[str, str, dict[str, tuple[str, ...]]]] = {
    "qtm-mixture": (
        "Gaussian mixtures under guidance",
        "Exact scores, samplers and chains of Gaussian mixtures: `qtm.mixture`.",
        {"qtm.mixture": ()},
    ),
    "empirical-chains": (
        "Chains and recipes",
        "Run chains, read recipes, and draw images under any guidance rule.",
        {
            "empirical": (),
            "empirical.recipe": ("Settings", "read", "parse", "dump", "differences"),
            "empirical.chain.scan": ("plan", "scan", "Plan"),
            "empirical.generator.sampling": ("draw",),
        },
    ),
    "empirical-runs": (
        "Runs, without torch",
        "Read the folders of runs and scans, and the runs that are kept in the package.",
        {
            "empirical.runs.record": ("open_run", "Run", "Generation"),
            "empirical.runs.scans": ("open_scan", "Scan"),
            "empirical.runs.kept": ("names", "runs", "keep"),
        },
    ),
    "empirical-parts": (
        "Rules, remedies, traits and measures",
        "Base classes, and the arguments of functions that [extensions](../extending.md) define.",
        {
            "empirical.guidance": ("GuidanceRule", "Levels", "every_rule"),
            "empirical.remedies": ("Remedy",),
            "empirical.measuring.traits": ("View", "every_trait"),
            "empirical.measuring.metrics.measures": ("every_measure",),
            "empirical.measuring.metrics.measures._base": ("Sample", "Pair"),
            "empirical.embedded": ("Captioned", "names", "load"),
        },
    ),
    "analysis-fits": (
        "Fits and forecasts",
        "Fit models of collapse to runs, compare them, and forecast chains.",
        {
            "analysis": ("fit", "Result"),
            "analysis.prediction.forecast": ("forecast", "Forecast"),
            "analysis.models": ("Model", "Theory", "Parameter", "Setting", "every_model"),
        },
    ),
    "analysis-selection": (
        "Selection and scans",
        "Selection and transmission of runs, and forecasts from a scan.",
        {
            "analysis.selection.read": ("Measured",),
            "analysis.selection.tables": ("tables", "Tables"),
            "analysis.scans.responses": ("table",),
            "analysis.scans.forecast": ("forecast", "ScanForecast"),
        },
    ),
    "analysis-series": (
        "Trait series",
        "Fit walks and life cycles to a series of means and variances.",
        {"analysis.trait_series": ()},
    ),
    "analysis-derivations": (
        "Derivations",
        "Expressions of the [derivations](../derivations.md) as sympy and LaTeX.",
        {"analysis.derivations": ("result", "derived", "latex")},
    ),
    "figures": (
        "Figures",
        "Draw the figures of the study from any runs.",
        {
            "figures.gallery": ("every_figure",),
            "figures.study": ("Study", "Curve"),
            "figures.write": ("write", "write_drawn"),
        },
    ),
}


def pages() -> dict[str, str]:
    """Return the pages of the reference as Markdown for mkdocstrings, by their path."""
    written = {}
    for folder, (title, bases) in _OF_QTM.items():
        names = [name for name in qtm.__all__ if _home(getattr(qtm, name)).startswith(f"{folder}.")]
        entries = [*(_entry(f"qtm.{folder}", name) for name in bases)]
        entries += [_entry("qtm", name) for name in names]
        written[f"{FOLDER}/qtm-{folder}.md"] = _page(title, "", entries)
    for name, (title, sentence, modules) in _FURTHER.items():
        entries = [
            _entry(module, exported)
            for module, names in modules.items()
            for exported in names or exported_names(import_module(module))
        ]
        written[f"{FOLDER}/{name}.md"] = _page(title, sentence, entries)
    written[f"{FOLDER}/index.md"] = _index(written)
    return dict(sorted(written.items()))


def exported_names(module: ModuleType) -> list[str]:
    """Return the classes and functions that a module exports."""
    return [name for name in module.__all__ if not _is_constant(getattr(module, name))]


def _is_constant(value: Any) -> bool:
    return not (inspect.isclass(value) or inspect.isfunction(value))


def _home(value: Any) -> str:
    """Return the module of a name of qtm below the package, "" for a module."""
    return "" if inspect.ismodule(value) else value.__module__.removeprefix("qtm.")


def _entry(module: str, name: str) -> str:
    """Return the block of mkdocstrings for a name, headed as users import it."""
    value = getattr(import_module(module), name)
    public = ".".join(part for part in (module, name) if not part.startswith("_"))
    public = public.replace("._base.", ".")
    return f"::: {value.__module__}.{value.__qualname__}\n    options:\n      heading: {public}"


def _page(title: str, sentence: str, entries: Iterable[str]) -> str:
    return "\n\n".join(part for part in (f"# {title}", sentence, *entries) if part) + "\n"


def _index(written: dict[str, str]) -> str:
    lines = ["# API", "", "Pages of exported names; their text is that of the docstrings.", ""]
    for path, text in written.items():
        title = text.partition("\n")[0].removeprefix("# ")
        package = path.removeprefix(f"{FOLDER}/").removesuffix(".md").partition("-")[0]
        lines.append(f"- `{package}`: [{title}]({path.removeprefix(FOLDER + '/')})")
    forms = sum(len(_forms.modules(folder)) for folder in _forms.ABSTRACT)
    lines += ["", f"`qtm` has {forms} forms of selection, mutation and inheritance (`qtm forms`)."]
    return "\n".join(lines) + "\n"
