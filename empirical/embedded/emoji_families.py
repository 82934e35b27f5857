"""Drawings in colour, captioned by their family: ``a fruit``, ``a sea animal``.

The drawings of `emoji` whose family has 14 or more: 500 real ones of 30 families, 14 to 18 of each,
and the others of these families, 232, for reference.
"""

from empirical.embedded import _drawings
from empirical.embedded._captioned import Captioned


def captioned(part: str) -> Captioned:
    """Return the real drawings or those for reference."""
    return _drawings.chosen("family_part", part, "family")
