"""The code that computed a sweep: a digest of qtm's sources, and versions."""

import ast
import io
import tokenize
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from qtm.sweeps.fingerprint import values

_PACKAGE = Path(__file__).parents[1]
# The command line changes no number; its results are part of the traced program.
_LEFT_OUT = ("commands", "__main__.py")


@lru_cache(maxsize=1)
def code() -> dict[str, str]:
    """Return the versions of qtm and of JAX, and a digest of qtm's sources.

    Comments, docstrings and blank lines are left out: they change no number.
    """
    sources = {
        path.relative_to(_PACKAGE).as_posix(): bare(path.read_text(encoding="utf-8-sig"))
        for path in sorted(_PACKAGE.rglob("*.py"))
        if path.relative_to(_PACKAGE).parts[0] not in _LEFT_OUT
    }
    return {"qtm": _version("diffusion-qtm"), "source": values(sources), "jax": _version("jax")}


def bare(text: str) -> str:
    """Return a Python source without its comments, docstrings and blank lines."""
    text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
            continue
        if isinstance(node.value.value, str):
            for row in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                lines[row - 1] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
