"""Docstrings as this project writes them, for mkdocstrings."""

import inspect
from importlib import import_module
from typing import Any

import griffe

from pages.text import prose


class PlainDocstrings(griffe.Extension):
    """Show docstrings literally, and the fields of Equinox modules as parameters.

    Docstrings are plain text with equations, code between backticks and indented code; Markdown
    would read stars and underscores of equations as emphasis.
    """

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Escape the docstring of an object."""
        if obj.docstring is not None:
            obj.docstring.value = prose(obj.docstring.value)

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Add the generated constructor of an Equinox module, which no source states."""
        if not cls.path.startswith("qtm.") or "__init__" in cls.members:
            return
        import equinox

        kind: Any = import_module(cls.module.path)
        for name in cls.path.removeprefix(f"{cls.module.path}.").split("."):
            kind = getattr(kind, name)
        if not (inspect.isclass(kind) and issubclass(kind, equinox.Module)):
            return
        fields = list(inspect.signature(kind).parameters.values())
        if fields:
            parameters = griffe.Parameters(
                griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword),
                *(_parameter(field, cls) for field in fields),
            )
            cls.set_member("__init__", griffe.Function("__init__", parameters=parameters))


def _parameter(field: inspect.Parameter, cls: griffe.Class) -> griffe.Parameter:
    """Return a field as a parameter, with the annotation that the source states."""
    stated = cls.members.get(field.name)
    annotation = stated.annotation if isinstance(stated, griffe.Attribute) else None
    default = None if field.default is field.empty else repr(field.default)
    kind = griffe.ParameterKind(
        "keyword-only"
        if field.kind is field.KEYWORD_ONLY
        else griffe.ParameterKind.positional_or_keyword.value
    )
    return griffe.Parameter(field.name, annotation=annotation, kind=kind, default=default)
