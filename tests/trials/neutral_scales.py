"""Neutral scales of the embedded model from generation 1 of the kept chains, each seed.

In generation 1 all baseline arms of a seed share one finetuned model. The raw V_B of all latents is
kept in moments, without images; errors are of the eight leading axes, whose images are kept. Near
the neutral scale further chains tell how good the line between 1 and 1.25 is. Six generations of
the chains put the neutral scale at 1.086 and 1.103.

python -m tests.trials.neutral_scales
"""

import numpy as np


def main() -> None:
    from analysis.scans import neutral
    from analysis.scans.curves import Curve
    from analysis.selection.draws import Sample
    from empirical.runs import kept

    every = [(e, run) for e in ("embedded", "neutral") for run in kept.runs(e)]
    for seed in (0, 1):
        runs = {
            float(run.recipe.settings.generate.guidance.scale): (experiment, run)
            for experiment, run in every
            if run.name.startswith(f"baseline,seed={seed},")
        }
        grid = sorted(w for w, (experiment, _) in runs.items() if experiment == "embedded")
        first = runs[grid[0]][1]
        codes = np.unique(first.generation(0).captions, return_inverse=True)[1]
        samples = [
            Sample(run.generation(t).trait("latent_pc").astype(float), codes)
            for run, t in [(first, 0), *((runs[w][1], 1) for w in grid)]
        ]
        curve = Curve(tuple(grid), tuple(samples[1:]), samples[0])
        for estimate in (neutral.by_variance(curve), neutral.by_slope(curve)):
            assert estimate is not None
            print(
                f"seed {seed}, eight axes, {estimate.criterion}: {estimate.scale:.3f} "
                f"+- {estimate.standard_error:.3f} (90 %: {estimate.low:.3f} to "
                f"{estimate.high:.3f})"
            )
        for name, scales in (("scales of the grid", grid), ("and those near it", sorted(runs))):
            tables = [runs[w][1].moments().query("feature == 'latent'") for w in scales]
            V_B = [t.set_index("generation")["between"] for t in tables]
            root = np.sqrt([float(v[1] / v[0]) for v in V_B]) - 1
            x, i = np.log(scales), int(np.flatnonzero(root >= 0)[0])
            at = x[i - 1] - root[i - 1] * (x[i] - x[i - 1]) / (root[i] - root[i - 1])
            print(f"seed {seed}, V_B of all latents, {name}: {np.exp(at):.3f}")


if __name__ == "__main__":
    main()
