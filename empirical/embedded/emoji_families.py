"""Drawings in colour, captioned by their category: ``a fruit``, ``a sea animal``.

The drawings of `emoji` whose category has 14 or more, 732 of 30 categories: 500 real ones, and 232
for reference, in each category in the same proportion.
"""

from empirical.embedded import _drawings
from empirical.embedded._captioned import Captioned


def captioned(part: str) -> Captioned:
    """Return the real drawings or those for reference."""
    return _drawings.chosen("family_part", part, "category")
