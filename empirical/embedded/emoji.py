"""Drawings in colour, each with another caption: ``a red apple``, ``a sleeping face``.

991 drawings of 32 x 32 pixels on white by the designers of Fluent Emoji: 500 real ones, of which 99
have names that `qtm pretrain emoji` does not teach its model, and 491 for reference.
"""

from empirical.embedded import _drawings
from empirical.embedded._captioned import Captioned


def captioned(part: str) -> Captioned:
    """Return the real drawings or those for reference."""
    return _drawings.chosen("part", part, "caption")
