"""Generation 6 of the kept chains, two seeds where two were run."""

from collections.abc import Iterable

from tests.verification._kept import End, baseline, end, every_run
from tests.verification.tables import markdown

# Label -> name of the runs, with a place for the seed.
CHAINS = {
    **{f"CFG {w:g}": baseline(w, "{}") for w in (1, 1.1, 1.2, 1.25, 1.5, 2.5, 5, 7.5)},
    "CFG 7.5, condition drop": "condition_drop,seed={}",
    "CFG 7.5 decaying at rate 2": "decay,seed={}",
    "CFG 7.5 decaying at rate 15": "decay_rate,seed={}",
    "CFG 7.5, ReDiFine (rate 15)": "redifine_rate,seed={},remedy.rate=15",
    "CFG 7.5, 50 % real images": "real_data,seed={},remedy.fraction=0.5",
    "CFG 7.5 on real images only (control)": "training_set,seed={},finetune.training_set=real",
}


def table(labels: Iterable[str] = tuple(CHAINS)) -> str:
    """Return V_W, V_B, the fraction recognised and the Fréchet distance of each chain."""
    head = ["chain", "within, V_W", "between, V_B", "recognised", "Fréchet"]
    rows = []
    for label in labels:
        names = [name for seed in (0, 1) if (name := CHAINS[label].format(seed)) in every_run()]
        seeds = [end(name) for name in names]
        percent = [
            ", ".join(f"{100 * seed[i]:.0f} %" for seed in seeds)
            for i in (End._fields.index(name) for name in ("within", "between", "recognised"))
        ]
        rows.append([label, *percent, ", ".join(f"{seed.frechet:.0f}" for seed in seeds)])
    return markdown(head, "lrrrr", rows)
