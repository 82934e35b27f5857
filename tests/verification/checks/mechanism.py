"""The effects of ReDiFine (rate 15) at CFG 7.5, part by part, in the best model of the kept fit.

The model is fitted to all chains of the grid; intervals are those of its posterior.
"""

from tests.verification.expectations import Claim, at_most, near, rounded

MODEL = "late guidance, log"
CLAIMS = (
    Claim("docs/fits.md", "In the best model condition drop acts as mutation (+0.01 of ln V_W, "
    "90 %: 0.00 to 0.02), and the unconditional branch, which could follow the data, contributes "
    "nothing (0.00, −0.05 to 0.00;"),
    Claim("docs/fits.md", "The model does not describe the effect of condition drop on V_B."),
)  # fmt: skip
# Ends of intervals are quantiles of 1,000 draws, which scatter by a tenth of their width.
EXPECTED = {
    "mutation by condition drop, ln V_W": rounded(0.01, 2),
    "mutation, low": rounded(0.00, 2),
    "mutation, high": near(0.02, 0.005),
    "unconditional branch, ln V_W": rounded(0.00, 2),
    "unconditional branch, low": near(-0.05, 0.01),
    "unconditional branch, high": rounded(0.00, 2),
    "effect of condition drop on ln V_B in it": near(0.0, 0.04),
    "k-hat": at_most(0.7),
}
SECONDS, MEMORY = 35, 1.0


def measure(model: str = MODEL) -> dict[str, float]:
    from analysis.arms.design import design
    from analysis.comparison.mechanism import parts_of
    from analysis.inference.importance import draw_posterior
    from analysis.inference.maximum import maximize
    from analysis.models import every_model
    from tests.verification._redifine import cells, every_arm

    fitted, stacked = every_model()[model], design(every_arm())
    drawn = draw_posterior(maximize(fitted, stacked, prior=1), stacked)
    plain, *_, both = cells()
    table = parts_of(maximize(fitted, stacked), plain[0], both[0], drawn.x[:1000])
    print(table.round(3).to_string(index=False))
    parts = {(row.quantity, row.part): row for row in table.itertuples()}
    mutation, branch = (parts["within", part] for part in ("mutation", "unconditional"))
    return {
        "mutation by condition drop, ln V_W": mutation.effect,
        "mutation, low": mutation.low,
        "mutation, high": mutation.high,
        "unconditional branch, ln V_W": branch.effect,
        "unconditional branch, low": branch.low,
        "unconditional branch, high": branch.high,
        "effect of condition drop on ln V_B in it": sum(
            parts["between", part].effect for part in ("mutation", "unconditional")
        ),
        "k-hat": drawn.k_hat,
    }
