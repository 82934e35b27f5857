"""Every exported name, and every public method of it, has a docstring."""

import importlib
import inspect
import re
from functools import cached_property

import pytest

import qtm
from docs.pages import reference

PACKAGES = ("qtm", "qtm.mixture", "qtm.results", "empirical", "analysis.trait_series")
# Names on the pages of the API, by the path of their definition.
DOCUMENTED = sorted(set(re.findall(r"^::: (\S+)", "".join(reference.pages().values()), re.M)))


def named(path):
    """The object of a dotted path."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            thing = getattr(thing, part)
        return thing
    raise AssertionError(path)


def is_described(thing):
    """Whether an object has a written docstring; dataclasses generate one from fields."""
    text = (thing.__doc__ or "").strip()
    return bool(text) and not text.startswith(f"{getattr(thing, '__name__', '')}(")


def undescribed(thing, path):
    """The public name and methods without a docstring; an overriding method inherits it."""
    missing = [] if is_described(thing) else [path]
    if not inspect.isclass(thing):
        return missing
    for name, member in vars(thing).items():
        kinds = property | cached_property | classmethod | staticmethod
        if name.startswith("_") or not (isinstance(member, kinds) or inspect.isroutine(member)):
            continue
        bases = (vars(base).get(name) for base in thing.__mro__)
        if not any(each is not None and each.__doc__ for each in bases):
            missing.append(f"{path}.{name}")
    return missing


@pytest.mark.parametrize("path", DOCUMENTED)
def test_documented_names_are_described(path):
    if path.startswith(("empirical.chain", "empirical.generator")):
        pytest.importorskip("torch")
    assert undescribed(named(path), path) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_exported_names_are_described(package):
    if package == "empirical":
        pytest.importorskip("torch")
    module = importlib.import_module(package)
    assert module.__doc__
    exported = [name for name in module.__all__ if not name.isupper()]
    assert exported
    assert [n for name in exported for n in undescribed(getattr(module, name), name)] == []


def test_a_missing_docstring_is_found():
    class Described:
        """A class."""

        def f(self):
            pass

        @property
        def g(self):
            """Describe."""

    class Deriving(Described):
        def g(self):
            pass

    assert undescribed(Described, "D") == ["D.f"]
    assert undescribed(Deriving, "E") == ["E"]
    assert undescribed(qtm.Truncation, "T") == []
