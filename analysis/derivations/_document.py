"""The derivations as one LaTeX document."""

import re
from collections.abc import Iterable

from analysis import derivations

_SPECIAL = {
    "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}  # fmt: skip
_HEAD = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{amsmath}
\usepackage[margin=2.5cm]{geometry}
\begin{document}
"""


def document(names: Iterable[str]) -> str:
    """Return a LaTeX document with a section for each result: description and expressions.

    Raises `UserError` for an unknown name.
    """
    sections = [_section(name) for name in names]
    return _HEAD + "\n".join(sections) + "\\end{document}\n"


def _section(name: str) -> str:
    module = derivations.result(name)
    title, _, body = (module.__doc__ or name).partition("\n")
    lines = [rf"\section*{{{_escaped(title.rstrip('.'))}}}"]
    for paragraph in f"{body}\n\n{module.derive.__doc__ or ''}".split("\n\n"):
        lines += ["", _escaped(" ".join(paragraph.split()))]
    for key, expression in derivations.latex(name).items():
        lines += [r"\begin{equation*}", rf"\text{{{_escaped(key)}}}: \quad {expression}"]
        lines += [r"\end{equation*}"]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Return plain text as LaTeX, with text between backticks set as code."""
    plain = re.sub(r"[\\^~&%$#_{}]", lambda match: _SPECIAL[match.group()], text)
    return re.sub(r"`([^`]*)`", r"\\texttt{\1}", plain)
