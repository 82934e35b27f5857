"""All theories fitted without the chains at CFG 1, and their predictions of V_B there.

Changes of ln V_B from generation 0 to 6, averaged over the two seeds, by the median of predictions.
"""

from tests.verification.expectations import Claim, at_most, exactly

CLAIMS = (
    Claim("docs/measured.md", "**None of these predicts how far V_B falls at CFG 1** when that "
    "scale is held out: no other arm shows it."),
)  # fmt: skip
EXPECTED = {
    "measured change of ln V_B": at_most(-0.4),
    "theories": exactly(39),
    "theories that predict half of the fall": exactly(0),
    "largest fraction of the fall that is predicted": at_most(0.5),
}
SECONDS, MEMORY = 150, 1.5
LAST = 6


def measure() -> dict[str, float]:
    from analysis.comparison.fit import NAIVE
    from analysis.models import every_model
    from analysis.prediction.holdout import predictions, splits
    from tests.verification._redifine import every_arm

    arms = every_arm()
    split = next(s for s in splits(arms, "scale") if s.name == "scale 1")
    start = {arm.name: float(arm.measured[0, 2].mean()) for arm in arms}
    fractions = {}
    for name, model in every_model().items():
        if name in NAIVE:
            continue
        table = predictions(model, arms, split)
        last = table[(table["generation"] == LAST) & (table["quantity"] == "between")]
        last = last[last["run"].str.startswith("baseline")]
        before = last["run"].map(start)
        fall = float((last["measured"] - before).mean())
        fractions[name] = float((last["predicted"] - before).mean()) / fall
        print(f"{name:35} {fractions[name]:6.2f} of the fall", flush=True)
    return {
        "measured change of ln V_B": fall,
        "theories": len(fractions),
        "theories that predict half of the fall": sum(f >= 0.5 for f in fractions.values()),
        "largest fraction of the fall that is predicted": max(fractions.values()),
    }
