"""Text in figures: names given by users are drawn literally, in fonts that have their letters.

Matplotlib interprets dollar signs as mathematics, omits labels that begin with an underscore from
legends, and draws a box, with a warning each, for letters that its font lacks. `literally` corrects
all texts of a figure, and is applied to every figure before it is drawn. `formula` marks the
formulas of this package.
"""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

# Legends ignore labels that begin with an underscore.
_FORMULA = "_formula"
# Has a box for every letter.
_LAST_RESORT = "Last Resort"
_MISSING = r"Glyph \d+ .* missing from"


def printable(text: str) -> str:
    """Return a name in one line, with a replacement character for everything that is not printable:
    control characters, and undecodable bytes of a file name."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def shortened(text: str, most: int) -> str:
    """Return a name in at most `most` characters: the middle of a longer one becomes an ellipsis,
    since names of runs often differ at their ends."""
    text = printable(text)
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def formula(text: Text) -> Text:
    """Mark a text as a formula, with mathematics between dollar signs."""
    text.set_label(_FORMULA)
    text.set_parse_math(True)
    return text


def is_formula(text: Text) -> bool:
    """Return whether a text was marked as a formula."""
    return text.get_label() == _FORMULA


def name_lines(legend: Legend, labels: Iterable[str]) -> None:
    """Set the labels of a legend, including those that begin with an underscore."""
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)


def literally(figure: Figure) -> None:
    """Draw all texts of a figure literally, except formulas and tick numbers.

    Letters that the font lacks come from other fonts of this machine; one warning names those that
    no font has.
    """
    numbers = {id(label) for axis in _numbered(figure) for label in _tick_labels(axis)}
    lost: dict[str, None] = {}
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if id(text) in numbers or is_formula(text):
            continue
        text.set_parse_math(False)
        families = text.get_fontfamily()
        missing = [c for c in dict.fromkeys(text.get_text()) if not _has(_file_of(text), c)]
        substitutes = {c: _family_with(c) for c in missing if not c.isspace()}
        more = [
            f for f in dict.fromkeys(substitutes.values()) if f is not None and f not in families
        ]
        if more:
            text.set_fontfamily([*families, *more])
        lost |= {c: None for c, family in substitutes.items() if family is None}
    if lost:
        warnings.warn(
            f"no font of this machine has {' '.join(lost)}: boxes are drawn instead; install a "
            f"font such as Noto Sans CJK or Noto Emoji",
            stacklevel=3,
        )


@contextmanager
def quiet_boxes() -> Iterator[None]:
    """Silence matplotlib's warning for each missing letter: `literally` has warned once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _MISSING)
        yield


def _numbered(figure: Figure) -> Iterator:
    """Yield the axes (x, y) whose tick labels are numbers formatted by matplotlib."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if not isinstance(axis.get_major_formatter(), FixedFormatter | FuncFormatter):
                yield axis


def _tick_labels(axis) -> list[Text]:
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [label for tick in ticks for label in (tick.label1, tick.label2)]


def _file_of(text: Text) -> str:
    return str(font_manager.findfont(text.get_fontproperties()))


@lru_cache(maxsize=256)
def _letters_of(file: str) -> frozenset[int]:
    try:
        return frozenset(FT2Font(file).get_charmap())
    except (OSError, RuntimeError):  # bitmap emoji fonts, say
        return frozenset()


def _has(file: str, letter: str) -> bool:
    return letter == "\n" or ord(letter) in _letters_of(file)


@lru_cache(maxsize=4096)
def _family_with(letter: str) -> str | None:
    """Return the name of a font family of this machine that has a letter, or None."""
    _find_new_fonts()
    for entry in font_manager.fontManager.ttflist:
        if not entry.name.startswith(_LAST_RESORT) and _has(entry.fname, letter):
            return entry.name
    return None


@lru_cache(maxsize=1)
def _find_new_fonts() -> None:
    """Add fonts installed since matplotlib cached those of this machine."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for file in sorted(font_manager.findSystemFonts()):
        if file not in known:
            with suppress(OSError, RuntimeError, ValueError):
                font_manager.fontManager.addfont(file)
