"""Remarks on many files, collected into one warning."""

import warnings
from collections.abc import Sequence


class Notes:
    """The files that each remark applies to; `warn` reports all in one warning, with counts."""

    def __init__(self, place: object) -> None:
        self.place = str(place)
        self._names: dict[str, list[str]] = {}

    def add(self, remark: str, *names: str) -> None:
        """Note that a remark applies to the files or columns of these names."""
        if names:
            self._names.setdefault(remark, []).extend(names)

    def warn(self) -> None:
        """Warn once of everything noted, if anything."""
        if self._names:
            parts = [f"{remark}: {counted(names)}" for remark, names in self._names.items()]
            warnings.warn(f"'{self.place}': {'; '.join(parts)}", stacklevel=2)
        self._names = {}


def counted(names: Sequence[str]) -> str:
    """Return how many names there are, and the first of them."""
    shown = ", ".join(f"'{name}'" for name in names[:2])
    return f"{len(names)} ({shown}{', ...' if len(names) > 2 else ''})"
