"""Do fits find the truth? Experiments drawn from each theory itself, fitted and compared.

python -m tests.trials.recovery --out FOLDER [--sets 200] [--contests 12] [--shares 1]
                                [--workers CORES] [THEORY ...]

The design is that of a real grid: one seed of five CFG scales, six generations, 500 images of ten
prompts. Every experiment has other parameters, drawn from the priors, and is passed over where
V_W or V_B moves by more than a factor of e^5, as no images do; as the drawn data alone decide that,
intervals stay what they are. Of every theory: how often 90 % intervals hold the truth, and how
often the theory wins against the others where that is no tie. Results are appended to FOLDER as
they come, and finished experiments are not repeated. A theory stays in one process, or in as many
as it has shares.
"""

import argparse
import csv
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

FURTHEST = 5.0
ROOT = Path(__file__).resolve().parents[2]


def candidates() -> dict[str, str]:
    """One model a theory, the saturating link where it has links: theory -> name."""
    from analysis.models import every_model

    found = {}
    for name, model in every_model().items():
        if model.theory not in found or model.link == "saturating":
            found[model.theory] = name
    return found


def one_set(theory: str, seed: int, compared: bool) -> tuple[list[tuple], list[tuple]]:
    """Draw one experiment and fit it: rows of parameters, rows of rivals; none where it is passed
    over."""
    import numpy as np

    from analysis.arms.design import design
    from analysis.comparison.contest import contest
    from analysis.inference.importance import draw_posterior
    from analysis.inference.maximum import maximize
    from analysis.models import every_model
    from analysis.prediction.synthetic import draw_arms, draw_values
    from empirical.seeds import seed_of

    models, names = every_model(), candidates()
    model = models[names[theory]]
    # Seeds differ between theories: an unlikely draw of one is not one of all.
    own_seed = seed_of("recovery", theory, seed)
    values = draw_values(model, own_seed)
    of = design(draw_arms(model, values, seed=own_seed))
    if np.abs(of.measured - of.measured[:, :1])[:, :, 1:].max() > FURTHEST:
        return [], []
    draws = draw_posterior(maximize(model, of, 3, prior=1.0), of)
    learnt = dict(zip((p.name for p in draws.mode.parameters), draws.contraction, strict=True))
    rows = [
        (theory, seed, name, values[name], draws.mode.values[name], low, high, learnt[name],
         draws.k_hat)
        for name, (low, high) in draws.interval().items()
    ]  # fmt: skip
    if not compared:
        return rows, []
    own, rivals = maximize(model, of, 4, draws.mode.x), []
    for rival in names:
        if rival != theory:
            met = contest(own, maximize(models[names[rival]], of, 4), of)
            rivals.append((theory, seed, rival, met.gap, met.error, met.distinct, met.tie))
    return rows, rivals


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("theories", nargs="*")
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--sets", type=int, default=200)
    words.add_argument("--contests", type=int, default=12)
    words.add_argument("--shares", type=int, default=1)
    words.add_argument("--workers", type=int, default=os.cpu_count())
    asked = words.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    asked.out.mkdir(parents=True, exist_ok=True)
    intervals, contests = asked.out / "intervals.csv", asked.out / "contests.csv"
    heads = {
        intervals: [
            "theory",
            "set",
            "parameter",
            "truth",
            "estimate",
            "low",
            "high",
            "learnt",
            "k_hat",
        ],
        contests: ["theory", "set", "rival", "gap", "error", "distinct", "tie"],
    }
    for path, head in heads.items():
        if not path.exists():
            path.write_text(",".join(head) + "\n")
    with intervals.open(newline="") as file:
        done = {(row["theory"], int(row["set"])) for row in csv.DictReader(file)}
    theories = asked.theories or [t for t in candidates() if t != "linear extrapolation"]
    with ProcessPoolExecutor(asked.workers) as pool:
        ends = [
            pool.submit(
                _share, theory, range(share, sys.maxsize, asked.shares),
                {s for t, s in done if t == theory and s % asked.shares == share},
                asked.sets // asked.shares, asked.contests, heads,
            )
            for share in range(asked.shares)
            for theory in theories
        ]  # fmt: skip
        for end in ends:
            end.result()
    report(asked.out)


def _share(
    theory: str,
    seeds: Iterable[int],
    done: set[int],
    sets: int,
    contests: int,
    heads: dict[Path, list[str]],
) -> None:
    """Do experiments of a theory, of which some are done, until there are `sets`."""
    count = len(done)
    for seed in seeds:
        if count >= sets:
            return
        if seed in done:
            continue
        # Contests first: a set counts as done once its intervals are there.
        tables = one_set(theory, seed, seed < contests)
        for path, rows in zip(reversed(heads), reversed(tables), strict=True):
            with path.open("a", newline="") as file:
                csv.writer(file).writerows(rows)
        count += bool(tables[0])


def report(folder: Path) -> None:
    """Print coverage by parameter, and contests by theory."""
    import numpy as np
    import pandas as pd

    table = pd.read_csv(folder / "intervals.csv")
    table["known"] = np.isfinite(table["low"])
    table["held"] = (table["low"] <= table["truth"]) & (table["truth"] <= table["high"])
    known = table[table["known"]].groupby(["theory", "parameter"], sort=False)
    by = table.groupby(["theory", "parameter"], sort=False)
    found = pd.DataFrame({"sets": by.size(), "identified": by["known"].mean()})
    found["coverage"] = known["held"].mean()
    print(found.round(3).to_string())
    contests = pd.read_csv(folder / "contests.csv")
    if len(contests):
        contests["won"] = contests["gap"] > 0
        decided = contests[~contests["tie"]].groupby("theory")["won"]
        shown = pd.DataFrame({"decided": decided.size(), "won": decided.mean()})
        shown["ties"] = contests.groupby("theory")["tie"].sum()
        print(shown.round(3).to_string())


if __name__ == "__main__":
    main()
