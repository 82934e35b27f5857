"""The effects of ReDiFine, part by part: measured in the kept grid, and explained by a theory.

python -m tests.trials.mechanism [MODEL]

Chains at CFG 7.5 with neither part, with the decaying scale, with condition drop, and with both;
the model is fitted to all chains of the grid, with intervals of its posterior.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("JAX_PLATFORMS", "cpu")

MODEL = "late guidance, log"
PLAIN, SCHEDULE, DROP, BOTH = (
    "baseline,seed={},guidance.scale=7.5",
    "decay_rate,seed={}",
    "condition_drop,seed={}",
    "redifine_rate,seed={},remedy.rate=15",
)


def main() -> None:
    from analysis.arms.design import design
    from analysis.arms.read import arms
    from analysis.comparison.mechanism import measured_parts, parts_of
    from analysis.inference.importance import draw_posterior
    from analysis.inference.maximum import maximize
    from analysis.models import every_model
    from empirical.runs import kept

    every = arms(kept.runs())[0]
    named = {arm.name: arm for arm in every}
    cells = [
        [named[name.format(seed)] for seed in (0, 1)] for name in (PLAIN, SCHEDULE, DROP, BOTH)
    ]
    print("measured\n", measured_parts(*cells).round(3).to_string(index=False))
    model, of = every_model()[" ".join(sys.argv[1:]) or MODEL], design(every)
    drawn = draw_posterior(maximize(model, of, prior=1), of)
    parts = parts_of(maximize(model, of), cells[0][0], cells[3][0], drawn.x[:1000])
    print(f"{model.name}, k-hat {drawn.k_hat:.2f}\n", parts.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
