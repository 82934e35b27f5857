"""Scores and errors of models of collapse on held-out data, from the kept fit."""

from tests.verification._kept import comparison
from tests.verification.tables import markdown, plain

# The best model, the best link of three other families, and both naive forecasts.
MODELS = (
    "late guidance, log", "bounded family, linear", "log-linear, saturating",
    "bounded mixture, linear", "stabilizing, saturating", "no change", "linear extrapolation",
)  # fmt: skip


def table() -> str:
    """Return the scores of generations, a CFG scale and a seed that were held out."""
    head = [
        "model", "generations 4–6 from 0–3: score", "errors V_W, V_B", "in 90 %",
        "CFG scale: score", "errors", "in 90 %", "seed: score",
    ]  # fmt: skip
    rows = []
    for name in MODELS:
        row = comparison().loc[name]
        cells = [name]
        for kind in ("generations", "scale"):
            errors = (plain(row[f"{kind}_{part}_error"]) for part in ("within", "between"))
            cells += [plain(row[f"{kind}_log_score"]), ", ".join(errors)]
            cells.append(f"{100 * row[f'{kind}_coverage']:.0f} %")
        rows.append([*cells, plain(row["seed_log_score"])])
    return markdown(head, "lrrrrrrr", rows)
