"""Effects of ReDiFine and of its parts at generation 6, of two seeds of kept chains."""

from tests.verification._redifine import ALL, DROPPED, SCHEDULED, measured
from tests.verification.tables import markdown, signed

_NAMES = {"within": "ln V_W", "between": "ln V_B"}


def table() -> str:
    """Return the changes of ln V_W and ln V_B with standard errors between seeds."""
    parts = measured()
    rows = []
    for quantity, label in _NAMES.items():
        effects = [parts[quantity, part] for part in (SCHEDULED, DROPPED)]
        cells = [f"{signed(effect)} ± {error:.2f}" for effect, error in effects]
        rows.append([label, signed(parts[quantity, ALL][0]), *cells])
    return markdown(["", "in all", "decaying scale", "condition drop"], "lrrr", rows)
