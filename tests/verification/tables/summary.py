"""Generation 6 of five of the kept chains: collapse, the best scale, and the best remedies."""

from tests.verification.tables import chains

CHAINS = (
    "CFG 1",
    "CFG 1.1",
    "CFG 7.5",
    "CFG 7.5, ReDiFine (rate 15)",
    "CFG 7.5, 50 % real images",
)


def table() -> str:
    """Return the rows of these chains as in the table of all."""
    return chains.table(CHAINS)
