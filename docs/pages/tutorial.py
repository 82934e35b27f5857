"""Tutorials: Markdown whose Python is executed, and shown with its output and plots.

They are text notebooks in the Markdown format of jupytext: each block of Python is a cell. All
cells of a page share their names, and start in an empty folder.
"""

import ast
import contextlib
import io
import re
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from figures import style
from figures.write import render

FOLDER = "tutorials"
_CELL = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def executed(text: str, name: str) -> tuple[str, dict[str, bytes]]:
    """Execute the cells of a tutorial; return its Markdown with outputs, and pictures by name.

    A cell shows the text that it prints, and the value of its last expression: figures of
    matplotlib as pictures, other values as text. Raises RuntimeError that names the line of a cell
    that fails.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    pictures: dict[str, bytes] = {}

    def shown(match: re.Match[str]) -> str:
        line = text[: match.start()].count("\n") + 2
        try:
            printed, value = _run(match.group(1), names)
        except Exception as error:
            raise RuntimeError(
                f"{name}, cell of line {line}: {type(error).__name__}: {error}"
            ) from error
        parts = [match.group()]
        is_figure = hasattr(value, "savefig")
        output = printed if value is None or is_figure else f"{printed}{value!r}\n"
        if output.strip():
            parts.append(f'```text title="Output"\n{output.rstrip()}\n```')
        if is_figure:
            picture = f"{name}-{len(pictures) + 1}.png"
            pictures[picture] = render(value, "png")
            parts.append(f"![Output of the code above]({picture})")
        return "\n\n".join(parts)

    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        plt.style.context([style.FILE, {"savefig.dpi": 150}]),
    ):
        return _CELL.sub(shown, text), pictures


def pages(folder: Path) -> dict[str, str | bytes]:
    """Return the executed tutorials of a folder and their pictures, by their path on the site."""
    content: dict[str, str | bytes] = {}
    for path in sorted(folder.glob("*.md")):
        shown, pictures = executed(path.read_text(), path.stem)
        content[f"{FOLDER}/{path.name}"] = shown
        content |= {f"{FOLDER}/{name}": picture for name, picture in pictures.items()}
    return content


def _run(source: str, names: dict[str, Any]) -> tuple[str, Any]:
    """Execute a cell; return the text it printed and the value of its last expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        exec(compile(tree, "<tutorial>", "exec"), names)
        value = None if last is None else eval(ast.unparse(last.value), names)
    return printed.getvalue(), value
