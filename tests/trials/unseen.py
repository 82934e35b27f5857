"""CFG scales that no fit has seen: chains predicted from generation 0 by fits to other chains.

python -m tests.trials.unseen [--seen embedded] [--unseen neutral] [MODEL ...]

Models are fitted to the kept runs of one experiment and predict those of another from its
generation 0 alone; beside them, what the runs of the nearest lower and higher scale say if one
interpolates linearly between them.
"""

import argparse
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("JAX_PLATFORMS", "cpu")

MODELS = ("late guidance, log", "log-linear, saturating", "bounded family, saturating", "no change")


def main() -> None:
    import numpy as np
    import pandas as pd

    from analysis.arms.read import arms
    from analysis.models import every_model
    from analysis.prediction.holdout import Split, predictions, score
    from empirical.runs import kept

    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("models", nargs="*", default=list(MODELS))
    words.add_argument("--seen", default="embedded")
    words.add_argument("--unseen", default="neutral")
    asked = words.parse_args()
    seen, unseen = (arms(kept.runs(name))[0] for name in (asked.seen, asked.unseen))
    new = np.arange(len(seen) + len(unseen)) >= len(seen)
    G = seen[0].generations
    wanted = np.repeat(new[:, None], G, axis=1)
    split = Split("unseen", ~wanted, np.where(new, 0, G), wanted)
    of_arms = pd.DataFrame(
        [(arm.name, arm.seed, arm.label, arm.measured[0, 2].mean()) for arm in unseen],
        columns=["run", "seed", "scale", "start"],
    )
    rows = []
    for name in asked.models:
        table = predictions(every_model()[name], [*seen, *unseen], split)
        rows.append({"model": name, **vars(score(table))})
        last = table[(table["generation"] == G) & (table["quantity"] == "between")].merge(of_arms)
        crossing = _crossings(last, "predicted")
        print(f"{name}: V_B of generation {G} is that of generation 0 at {crossing}")
    print(f"measured: at {_crossings(last, 'measured')}")
    rows.append({"model": "interpolation", **_interpolated(seen, unseen)})
    print(pd.DataFrame(rows).round(3).to_string(index=False))


def _crossings(last, column: str) -> str:
    """The CFG scale at which ln V_B of the last generation is that of generation 0, by seed."""
    import numpy as np

    found = []
    for seed, own in last.sort_values("scale").groupby("seed"):
        scales, growth = own["scale"].to_numpy(), (own[column] - own["start"]).to_numpy()
        if growth[0] > 0:
            where = f"below {scales[0]:g}"
        elif growth[-1] < 0:
            where = f"above {scales[-1]:g}"
        else:
            where = f"{np.interp(0.0, growth, scales):.3f}"
        found.append(f"{where} (seed {seed})")
    return ", ".join(found)


def _interpolated(seen, unseen) -> dict[str, float]:
    """Errors of what lies between the runs of the two neighbouring scales, the seeds averaged."""
    import numpy as np

    plain = [arm for arm in seen if arm.constant]
    scales = np.unique([arm.label for arm in plain])
    mean = [np.mean([a.measured for a in plain if a.label == w], axis=0) for w in scales]
    errors = []
    for arm in unseen:
        place = np.clip(np.searchsorted(scales, arm.label), 1, len(scales) - 1)
        share = (arm.label - scales[place - 1]) / (scales[place] - scales[place - 1])
        between = (1 - share) * mean[place - 1] + share * mean[place]
        errors.append(np.abs(between - arm.measured)[1:])
    errors = np.stack(errors)
    return {"within_error": errors[:, :, 1].mean(), "between_error": errors[:, :, 2].mean()}


if __name__ == "__main__":
    main()
