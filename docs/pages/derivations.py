"""The derivations of the theory: every result with its description and its expressions."""

from functools import cache

from analysis import derivations

from .text import description, prose, title

_INTRODUCTION = """# Derivations

The closed forms of the theory, derived independently of its code with sympy: by integrating,
differentiating or solving, never written down. The tests compare the code of `qtm` with these
expressions. This page is generated; `qtm derive NAME` prints the LaTeX of one result, `qtm derive
--tex theory.tex` writes all as a document, and `analysis.derivations` has them as expressions of
sympy.
"""


@cache
def page() -> str:
    """Return all derivations as Markdown with LaTeX between double dollar signs."""
    return "\n\n".join([_INTRODUCTION, *map(_section, derivations.__all__)]) + "\n"


def _section(name: str) -> str:
    module = derivations.result(name)
    body = (module.__doc__ or "").strip().partition("\n")[2]
    parts = [f"## {title(module)} {{ #{name} }}", f"`qtm derive {name}`", prose(body.strip())]
    parts.append(description(module.derive))
    for key, expression in derivations.latex(name).items():
        parts.append(f"`{key}`\n\n$$\n{expression}\n$$")
    return "\n\n".join(part for part in parts if part)
