"""The figures of the study, one file each.

A figure is a module here with ``draw(study)``, which returns a matplotlib figure as large as it is
printed, or raises `UserError` where the runs lack its data; `CAPTION`; `MADE_BY`, the recipes and
calls behind it; and `NUMBER`, its position. It is found by listing this package.
"""

import importlib
import pkgutil
from types import ModuleType


def every_figure() -> dict[str, ModuleType]:
    """Return each figure's module by name, in order."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return dict(sorted(modules.items(), key=lambda item: item[1].NUMBER))
