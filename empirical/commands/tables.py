"""Tables, durations and sizes for the output of commands."""

from collections.abc import Sequence


def show(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of texts in aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def duration(seconds: float) -> str:
    """Return seconds in readable units: 45 s, 3 min 20 s, 5 h 10 min, 2 d 4 h."""
    total = round(seconds)
    for large, small, size in (("d", "h", 3600), ("h", "min", 60), ("min", "s", 1)):
        factor = {"d": 24, "h": 60, "min": 60}[large]
        if total >= factor * size:
            units = round(total / size)
            rest = f" {units % factor} {small}" if units % factor else ""
            return f"{units // factor} {large}{rest}"
    return f"{total} s"


def amount(size: int) -> str:
    """Return bytes as GB or MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 0.1):.1f} MB"
