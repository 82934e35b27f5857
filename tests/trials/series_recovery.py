"""Do fits of trait series find the truth? Series drawn from each life cycle, fitted and compared.

python -m tests.trials.series_recovery --out FOLDER [--sets 1000] [--contests 200] [--n 400]
                                       [--generations 13] [--workers CORES] [TRUTH ...]

For every truth: how often 90 % intervals hold its parameters, and how often, in the first sets, its
theory has the best AICc of all life cycles and walks, or is within 2 of one that contains it.
Series are 13 generations of samples of n = 400, normal, without drift unless the truth says so.
Results are appended to FOLDER as they come, and finished ones are not repeated.
"""

import argparse
import csv
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

START = {"start_mean": 2.0, "start_variance": 1.0}
# Name -> (theory, parameter values); a population size is estimated where the truth has one.
TRUTHS: dict[str, tuple[str, dict[str, float]]] = {
    "neutral": ("neutral", {**START, "mutation_variance": 0.05}),
    "truncation": ("truncation", {**START, "fraction": 0.9, "mutation_variance": 0.1}),
    "directional": ("directional", {**START, "gradient": 0.1, "mutation_variance": 0.05}),
    "stabilizing": (
        "stabilizing", {**START, "optimum": 0.0, "width2": 6.0, "mutation_variance": 0.05},
    ),
    "disruptive": (
        "disruptive", {**START, "optimum": 1.0, "width2": 30.0, "mutation_variance": 0.05},
    ),
    "moving optimum": (
        "moving optimum",
        {**START, "optimum": 0.0, "optimum_rate": 0.3, "width2": 6.0, "mutation_variance": 0.05},
    ),
    "neutral, drift": (
        "neutral", {**START, "mutation_variance": 0.05, "population_size": 100.0},
    ),
    "stabilizing, drift": (
        "stabilizing",
        {**START, "optimum": 0.0, "width2": 6.0, "mutation_variance": 0.05,
         "population_size": 100.0},
    ),
}  # fmt: skip
HEADS = {
    "intervals": ["truth", "set", "parameter", "value", "estimate", "low", "high", "k_hat"],
    "contests": ["truth", "set", "model", "log_likelihood", "aicc"],
}


def one_set(
    truth: str, number: int, generations: int, n: int, compared: bool
) -> dict[str, list[tuple]]:
    """Draw a series and fit it: rows of intervals, and of contests if it is to be compared."""
    import numpy as np

    from analysis.trait_series.comparison import compare
    from analysis.trait_series.synthetic import draw_series
    from empirical.seeds import seed_of

    theory, values = TRUTHS[truth]
    s = draw_series(theory, values, generations, n, seed_of("series recovery", truth, number))
    size = None if "population_size" in values else np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of variances that are not equal, as they should be
        models = None if compared else [theory]
        result = compare(s, models, population_size=size, predicted=False)
    draws = result.cycles[theory].draws
    intervals = [
        (truth, number, name, values[name], draws.mode.values[name], low, high, draws.k_hat)
        for name, (low, high) in draws.interval().items()
    ]
    table = result.comparison()
    columns = table[["model", "log_likelihood", "aicc"]].itertuples(index=False)
    contests = [(truth, number, *row) for row in columns] if compared else []
    return {"intervals": intervals, "contests": contests}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truths", nargs="*")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--contests", type=int, default=200)
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--generations", type=int, default=13)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    args.out.mkdir(parents=True, exist_ok=True)
    paths = {name: args.out / f"{name}.csv" for name in HEADS}
    for name, path in paths.items():
        if not path.exists():
            path.write_text(",".join(HEADS[name]) + "\n")
    with paths["intervals"].open(newline="") as file:
        done = {(row["truth"], int(row["set"])) for row in csv.DictReader(file)}
    truths = args.truths or list(TRUTHS)
    # Sets in turn, so that an interrupted count has some of every truth.
    todo = [(t, k) for k in range(args.sets) for t in truths if (t, k) not in done]
    with ProcessPoolExecutor(args.workers) as pool:
        size = len(todo)
        work = pool.map(
            one_set, *zip(*todo, strict=True), [args.generations] * size, [args.n] * size,
            [number < args.contests for _, number in todo], chunksize=8,
        ) if todo else []  # fmt: skip
        for tables in work:
            # Contests first: a set counts as done once its intervals are there.
            for name in reversed(HEADS):
                with paths[name].open("a", newline="") as file:
                    csv.writer(file).writerows(tables[name])
    report(args.out)


def report(folder: Path) -> None:
    """Print coverage by parameter, and how often the true theory wins."""
    import pandas as pd

    from analysis.trait_series.cycles import cycle_models

    table = pd.read_csv(folder / "intervals.csv")
    # An interval that is not given does not hold the truth.
    table["held"] = (table["low"] <= table["value"]) & (table["value"] <= table["high"])
    by = table.groupby(["truth", "parameter"], sort=False)
    found = pd.DataFrame({"sets": by.size(), "given": by["low"].count() / by.size()})
    found["coverage"] = by["held"].mean()
    found["k_hat > 0.7"] = by["k_hat"].agg(lambda k: (k > 0.7).mean())
    print(found.round(3).to_string())
    contests = pd.read_csv(folder / "contests.csv")
    models = cycle_models()
    for truth, rows in contests.groupby("truth", sort=False):
        theory = TRUTHS[str(truth)][0]
        aicc = rows.pivot_table(index="set", columns="model", values="aicc")
        best = aicc.idxmin(axis=1)
        containing = {name for name, cls in models.items() if theory in cls.contains}
        near = best.isin(containing) & (aicc[theory] - aicc.min(axis=1) < 2)
        first = best == theory
        others = best[~first].value_counts().to_dict()
        print(
            f"{truth}: first {first.mean():.1%}, within 2 of a model that contains it "
            f"{(first | near).mean():.1%} of {len(aicc)}; else first: {others}"
        )
    means = found.groupby("truth", sort=False)["coverage"].mean()
    print("mean coverage:", means.round(3).to_dict())


if __name__ == "__main__":
    main()
