"""Find the forms of selection, mutation and inheritance in the folders of this package.

A form is a public class in a public file of its folder that descends from the folder's abstract
class. Class statements are read from the sources: the names are known without imports, and an added
file needs no entry in a list.
"""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ABSTRACT = {"selection": "Selection", "mutation": "Mutation", "inheritance": "Inheritance"}
"""The abstract class of each folder."""

_CLASS = re.compile(r"^class\s+(\w+)\s*\(([^)]*)\)", re.MULTILINE)
_IMPORT = re.compile(r"^from\s+\S+\s+import\s+(\([^)]*\)|.*)", re.MULTILINE)
_ALIAS = re.compile(r"\b(\w+)\s+as\s+(\w+)")


@cache
def modules(folder: str) -> dict[str, str]:
    """Return the module of every form in a folder, by the name of the class.

    Raises ImportError if two files define a form of the same name.
    """
    bases: dict[str, list[str]] = {}
    homes: dict[str, str] = {}
    for path in sorted((Path(__file__).parent / folder).glob("*.py")):
        source = path.read_text(encoding="utf-8")
        imports = "\n".join(_IMPORT.findall(source))
        aliases = {alias: name for name, alias in _ALIAS.findall(imports)}
        for name, parents in _CLASS.findall(source):
            plain = [parent.split(".")[-1].strip() for parent in parents.split(",")]
            bases[name] = [aliases.get(parent, parent) for parent in plain]
            if path.name.startswith("_") or name.startswith("_"):
                continue
            if name in homes:
                raise ImportError(f"{homes[name]}.py and {path.name} both define the form {name}.")
            homes[name] = path.stem

    def descends(name: str) -> bool:
        parents = bases.get(name, [])
        return ABSTRACT[folder] in parents or any(map(descends, parents))

    return {name: f"qtm.{folder}.{home}" for name, home in homes.items() if descends(name)}


@cache
def all_modules() -> dict[str, str]:
    """Return the module of every form of all folders, by the name of the class.

    Raises ImportError if two forms have the same name.
    """
    homes: dict[str, str] = {}
    for folder in ABSTRACT:
        for name, module in modules(folder).items():
            if name in homes:
                raise ImportError(f"{homes[name]} and {module} both define the form {name}.")
            homes[name] = module
    return homes


def loader(folder: str, namespace: dict[str, Any]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a folder: it imports a form when its name is first used."""

    def load(name: str) -> Any:
        if name not in modules(folder):
            raise AttributeError(f"module 'qtm.{folder}' has no attribute {name!r}")
        namespace[name] = getattr(import_module(modules(folder)[name]), name)
        return namespace[name]

    return load
