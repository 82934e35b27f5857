"""Scores of models of collapse on held-out chains of drawings, from the kept fits."""

import pandas as pd

from figures.fitted import KEPT
from tests.verification._worlds import WORLDS
from tests.verification.tables import markdown, plain

_ALWAYS = ("late guidance, log", "no change", "linear extrapolation")


def table() -> str:
    """Return scores and errors of the best model, and of three that are in every table."""
    head = ["chains", "model", "generations 4–6: score", "errors V_W, V_B", "CFG scale: score",
            "errors V_W, V_B", "CFG scale: in 90 %"]  # fmt: skip
    rows = []
    for world in WORLDS[1:]:
        scores = pd.read_csv(KEPT.parent / world.fit / "comparison.csv").set_index("model")
        for name in dict.fromkeys((scores.index[0], *_ALWAYS)):
            row, cells = scores.loc[name], []
            for kind in ("generations", "scale"):
                errors = (plain(row[f"{kind}_{part}_error"]) for part in ("within", "between"))
                cells += [plain(row[f"{kind}_log_score"]), ", ".join(errors)]
            rows.append([world.label, name, *cells, f"{100 * row['scale_coverage']:.0f} %"])
    return markdown(head, "llrrrrr", rows)
