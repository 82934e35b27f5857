"""The effects of ReDiFine (rate 15) at CFG 7.5, part by part, in the best model of the kept fit.

The model is fitted to all chains of the grid; intervals are those of its posterior.
"""

from tests.verification.expectations import Claim, Measured, at_most, near, rounded

MODEL = "late guidance, log"
CLAIMS = (
    Claim("docs/fits.md", "In the best model condition drop acts as mutation (+0.01 of ln V_W, "
    "90 %: 0.00 to 0.02), and the unconditional branch, which could follow the data, contributes "
    "nothing (0.00, −0.05 to 0.00;"),
    Claim("docs/fits.md", "The model does not describe the effect of condition drop on V_B."),
)  # fmt: skip
# Ends of intervals are quantiles of draws; parts of the draws say how far they scatter.
PARTS = 8
EXPECTED = {
    "mutation by condition drop, ln V_W": rounded(0.01, 2),
    "mutation, low": rounded(0.00, 2, errors=3),
    "mutation, high": rounded(0.02, 2, errors=3),
    "unconditional branch, ln V_W": rounded(0.00, 2),
    "unconditional branch, low": rounded(-0.05, 2, errors=3),
    "unconditional branch, high": rounded(0.00, 2, errors=3),
    "effect of condition drop on ln V_B in it": near(0.0, 0.04),
    "k-hat": at_most(0.7),
}
SECONDS, MEMORY = 35, 1.0


def measure(model: str = MODEL) -> dict[str, float | Measured]:
    import numpy as np

    from analysis.arms.design import design
    from analysis.comparison.mechanism import parts_of
    from analysis.inference.importance import draw_posterior
    from analysis.inference.maximum import maximize
    from analysis.models import every_model
    from tests.verification._redifine import cells, every_arm

    fitted, stacked = every_model()[model], design(every_arm())
    drawn = draw_posterior(maximize(fitted, stacked, prior=1), stacked)
    plain, *_, both = cells()
    best = maximize(fitted, stacked)
    draws = np.array_split(drawn.x, PARTS)
    tables = [parts_of(best, plain[0], both[0], x) for x in (drawn.x, *draws)]
    print(tables[0].round(3).to_string(index=False))
    effects = tables[0].set_index(["quantity", "part"])["effect"]

    def end(part: str, side: str) -> Measured:
        value, *scattered = (
            table.set_index(["quantity", "part"]).loc[("within", part), side] for table in tables
        )
        return Measured(float(value), float(np.std(scattered, ddof=1) / PARTS**0.5))

    return {
        "mutation by condition drop, ln V_W": effects["within", "mutation"],
        "mutation, low": end("mutation", "low"),
        "mutation, high": end("mutation", "high"),
        "unconditional branch, ln V_W": effects["within", "unconditional"],
        "unconditional branch, low": end("unconditional", "low"),
        "unconditional branch, high": end("unconditional", "high"),
        "effect of condition drop on ln V_B in it": sum(
            effects["between", part] for part in ("mutation", "unconditional")
        ),
        "k-hat": drawn.k_hat,
    }
