"""Write figures: a bitmap, a vector graphic and the caption, side by side."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from empirical import files
from figures import style
from figures.study import Study
from figures.text import literally, quiet_boxes

FORMATS = ("pdf", "png", "svg")
_OTHERS = (
    "What follows was written for the kept chains of digits: panels and marks are the same here, "
    "results may differ."
)
# No dates in files: the same data give the same files.
_METADATA = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}


def write(
    module: ModuleType,
    study: Study,
    out: Path,
    formats: Sequence[str] = ("pdf", "png"),
    others: bool = False,
) -> list[Path]:
    """Draw one figure and write it as ``out/NAME.FORMAT``, with its caption in ``out/NAME.txt``.

    With `others`, the caption names the runs that are drawn, and says that its text was written for
    the kept chains of digits.

    Raises `UserError`, and writes nothing, where the runs lack the data of the figure.
    """
    name = module.__name__.rpartition(".")[2]
    text = f"Figure {module.NUMBER}. {title(module)}. "
    # A caption may depend on the runs.
    caption = module.caption(study) if hasattr(module, "caption") else module.CAPTION
    if others:
        text += f"Made from: {_sources(study)}.\n\n{_OTHERS} {caption}\n"
    else:
        text += f"{caption}\n\nMade by: {module.MADE_BY}.\n"
    return write_drawn(lambda: module.draw(study), out / name, text, formats)


def _sources(study: Study) -> str:
    """Return the runs of a study in words: their number, models, data, seeds and first names."""
    recipes = [run.recipe.settings for run in study.runs]
    parts = {
        "model": {recipe.model.name for recipe in recipes},
        "data": {name for recipe in recipes for name in recipe.data.names},
        "seed": {str(recipe.seed) for recipe in recipes},
    }
    words = [f"{name} {', '.join(sorted(values))}" for name, values in parts.items()]
    names = [run.name for run in study.runs]
    shown = ", ".join(names[:3]) + ", ..." * (len(names) > 3)
    return f"{len(names)} run{'s' * (len(names) > 1)} ({shown}; {'; '.join(words)})"


def write_drawn(
    draw: Callable[[], Figure], place: Path, caption: str, formats: Sequence[str] = ("pdf", "png")
) -> list[Path]:
    """Write the figure of `draw` as ``place.FORMAT``, with its caption in ``place.txt``."""
    with plt.style.context(style.FILE):
        figure = draw()
        literally(figure)
        # One layout serves all formats.
        with quiet_boxes():
            figure.draw_without_rendering()
        figure.set_layout_engine("none")
        pictures = {kind: render(figure, kind) for kind in formats}
    paths = []
    for kind, content in pictures.items():
        paths.append(place.with_name(f"{place.name}.{kind}"))
        files.write_bytes(paths[-1], content)
    paths.append(place.with_name(f"{place.name}.txt"))
    files.write_text(paths[-1], caption)
    return paths


def render(figure: Figure, kind: str) -> bytes:
    """Return a figure as the bytes of a file, deterministically."""
    buffer = io.BytesIO()
    literally(figure)
    with plt.rc_context({"svg.hashsalt": "figure"}), quiet_boxes():
        figure.savefig(buffer, format=kind, metadata=_METADATA[kind])
    return buffer.getvalue()


def title(module: ModuleType) -> str:
    """Return the first line of a figure's docstring, without its full stop."""
    return (module.__doc__ or "").strip().splitlines()[0].rstrip(".")
