"""Figures of a report, for any runs: one file each.

A figure is a module here with `CAPTION`; `ORDER`, its position in a report; and ``draw(evidence)``,
which returns a matplotlib figure, as wide as a column or a page, or None where the evidence lacks
its data. Where panels depend on the data, ``caption(evidence)`` returns the caption of those that
are drawn. It is found by listing this package.
"""

import importlib
import pkgutil
from types import ModuleType

from figures.evidence import Evidence


def every_plot() -> dict[str, ModuleType]:
    """Return each figure's module by name, in the order of a report."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return dict(sorted(modules.items(), key=lambda item: item[1].ORDER))


def caption_of(module: ModuleType, evidence: Evidence) -> str:
    """Return the caption of a figure, as it is drawn of the evidence."""
    return module.caption(evidence) if hasattr(module, "caption") else module.CAPTION
