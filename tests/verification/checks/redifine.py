"""The measured effects of ReDiFine and of its parts at generation 6."""

from tests.verification._redifine import ALL, DROPPED, SCHEDULED, measured
from tests.verification.expectations import Claim, rounded

CLAIMS = (
    Claim("docs/fits.md", "ReDiFine combines a decaying scale with condition drop, and acts by "
    "weakening selection."),
    Claim("docs/fits.md", "Changes at generation 6 against CFG 7.5, rate 15, two seeds, with "
    "standard errors between seeds:"),
)  # fmt: skip
EXPECTED = {
    "change of ln V_W": rounded(1.06, 2),
    "decaying scale": rounded(0.92, 2),
    "its standard error": rounded(0.08, 2),
    "condition drop": rounded(0.15, 2),
    "its standard error, too": rounded(0.08, 2),
    "seeds of an arm": rounded(2),
}
SECONDS, MEMORY = 10, 0.5


def measure() -> dict[str, float]:
    from tests.verification._redifine import cells

    parts = measured()
    (schedule, schedule_error), (drop, drop_error) = (
        parts["within", part] for part in (SCHEDULED, DROPPED)
    )
    return {
        "change of ln V_W": parts["within", ALL][0],
        "decaying scale": schedule,
        "its standard error": schedule_error,
        "condition drop": drop,
        "its standard error, too": drop_error,
        "seeds of an arm": min(map(len, cells())),
    }
