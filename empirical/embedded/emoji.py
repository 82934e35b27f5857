"""Drawings in colour, each with a caption of its own: ``a red apple``, ``a sleeping face``.

991 drawings of 32 x 32 pixels on white by the designers of Fluent Emoji, whom the embedded model
`emoji` has never seen: 500 real ones, of which 99 have names that it has not seen either, and 491
for reference.
"""

from empirical.embedded import _drawings
from empirical.embedded._captioned import Captioned


def captioned(part: str) -> Captioned:
    """Return the real drawings or those for reference."""
    return _drawings.chosen("part", part, "caption")
