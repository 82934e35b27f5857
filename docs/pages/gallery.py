"""The gallery: every figure of the study with its caption and its command, drawn from kept runs."""

import io
import tempfile
from functools import cache
from pathlib import Path

from PIL import Image

from figures import fitted, write
from figures.gallery import every_figure
from figures.study import Study

from .text import prose

FOLDER = "gallery"
# Pixels: a page of 7 in at 200 dpi.
_WIDTH = 1400
_INTRODUCTION = """# Gallery

`qtm figures --out figures` draws all figures of the study from the kept chains and the kept fit, as
PDF and PNG with their captions; `--runs` and `--fit` take others. Named results need neither. Each
caption names the recipe of its data. The figures on this page were drawn when it was built.
"""


def page() -> str:
    """Return the gallery as Markdown, without its pictures."""
    parts = [_INTRODUCTION]
    for name, module in every_figure().items():
        label = write.title(module)
        parts += [
            f"## {module.NUMBER}. {prose(label)} {{ #{name} }}",
            f"![{label}]({FOLDER}/{name}.png){{ loading=lazy }}",
            prose(module.CAPTION),
            f"Data: {prose(module.MADE_BY)}.",
            f"```sh\nqtm figures {name} --out figures\n```",
        ]
    return "\n\n".join(parts) + "\n"


@cache
def pictures() -> dict[str, bytes]:
    """Return the figures of the kept runs as PNG, by their path on the site."""
    from empirical.runs import kept

    study = Study(tuple(kept.runs()), fitted.Fitted(fitted.KEPT))
    drawn = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, module in every_figure().items():
            write.write(module, study, Path(folder), ["png"])
            drawn[f"{FOLDER}/{name}.png"] = _compressed(Path(folder) / f"{name}.png")
    return drawn


def _compressed(path: Path) -> bytes:
    """Return a picture at the width of the site, in 256 colours."""
    with Image.open(path) as image:
        plain = image.convert("RGB")
    if plain.width > _WIDTH:
        height = round(plain.height * _WIDTH / plain.width)
        plain = plain.resize((_WIDTH, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    plain.quantize(256, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return buffer.getvalue()
