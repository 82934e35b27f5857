"""The reference of the API: pages of exported names with their docstrings, by mkdocstrings."""

import ast
import importlib.util
from collections.abc import Iterable
from pathlib import Path

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
# Names that users import from elsewhere than the module that defines them.
_IMPORTED_AS = {
    "empirical.chain.loop.Chain": "empirical.Chain",
    "empirical.recipe.Recipe": "empirical.Recipe",
    "analysis.comparison.fit.fit": "analysis.fit",
    "analysis.comparison.fit.Result": "analysis.Result",
}
# Further pages: title, sentence, and modules with their documented names (all exported ones by ()).
_FURTHER: dict[str, tuple[str, str, dict[str, tuple[str, ...]]]] = {
    "qtm-mixture": (
        "Gaussian mixtures under guidance",
        "Exact scores, samplers and chains of Gaussian mixtures: `qtm.mixture`.",
        {"qtm.mixture": ()},
    ),
    "qtm-results": (
        "Named results",
        "Reproduce the [named results](../named-results.md): `qtm.results`.",
        {"qtm.results": ()},
    ),
    "empirical-chains": (
        "Chains and recipes",
        "Run chains, read recipes, and draw images under any guidance rule.",
        {
            "empirical.chain.loop": ("Chain",),
            "empirical.recipe": ("Recipe", "Settings", "read", "parse", "dump", "differences"),
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
            "empirical.guidance._base": ("GuidanceRule", "Levels"),
            "empirical.guidance": ("every_rule",),
            "empirical.remedies._base": ("Remedy",),
            "empirical.measuring.traits": ("View", "every_trait"),
            "empirical.measuring.metrics.measures": ("every_measure",),
            "empirical.measuring.metrics.measures._base": ("Sample", "Pair"),
            "empirical.embedded._captioned": ("Captioned",),
            "empirical.embedded": ("names", "load"),
        },
    ),
    "analysis-fits": (
        "Fits and forecasts",
        "Fit models of collapse to runs, compare them, and forecast chains.",
        {
            "analysis.comparison.fit": ("fit", "Result"),
            "analysis.prediction.forecast": ("forecast", "Forecast"),
            "analysis.prompts.forecast": ("given", "forecast", "PromptForecast"),
            "analysis.models._base": ("Model", "Parameter", "Setting"),
            "analysis.models._parts": ("Theory",),
            "analysis.models": ("every_model",),
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
    """Return the pages of the reference as Markdown for mkdocstrings, by their path.

    Sources are read, not imported: this needs neither JAX nor torch.
    """
    written = {}
    homes = {name: f"qtm.{home}" for name, home in qtm._HOME.items()} | _forms.all_modules()
    for folder, (title, bases) in _OF_QTM.items():
        entries = [_entry(f"qtm.{folder}._base", name) for name in bases]
        entries += [
            _entry(home, name, f"qtm.{name}")
            for name, home in sorted(homes.items())
            if f"{home}.".startswith(f"qtm.{folder}.")
        ]
        written[f"{FOLDER}/qtm-{folder}.md"] = _page(title, "", entries)
    for name, (title, sentence, modules) in _FURTHER.items():
        entries = [
            _entry(module, exported)
            for module, names in modules.items()
            for exported in names or exported_names(module)
        ]
        written[f"{FOLDER}/{name}.md"] = _page(title, sentence, entries)
    written[f"{FOLDER}/index.md"] = _index(written)
    return dict(sorted(written.items()))


def exported_names(module: str) -> list[str]:
    """Return the names in `__all__` of a module, without constants."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [name for name in ast.literal_eval(node.value) if not name.isupper()]
    raise ValueError(f"'{module}' has no list '__all__'")


def _entry(module: str, name: str, public: str | None = None) -> str:
    """Return the block of mkdocstrings for a name, headed as users import it."""
    path = f"{module}.{name}"
    without_private = ".".join(part for part in path.split(".") if not part.startswith("_"))
    heading = public or _IMPORTED_AS.get(path, without_private)
    return f"::: {path}\n    options:\n      heading: {heading}"


def _page(title: str, sentence: str, entries: Iterable[str]) -> str:
    return "\n\n".join(part for part in (f"# {title}", sentence, *entries) if part) + "\n"


def _index(written: dict[str, str]) -> str:
    lines = ["# API", "", "Pages of exported names; their text is that of the docstrings.", ""]
    for path, text in written.items():
        title = text.partition("\n")[0].removeprefix("# ")
        file = path.removeprefix(f"{FOLDER}/")
        package = file.removesuffix(".md").partition("-")[0]
        lines.append(f"- `{package}`: [{title}]({file})")
    return "\n".join(lines) + "\n"
