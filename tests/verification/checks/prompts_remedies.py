"""Remedies by the theory of prompts: 26 chains of the kept grid, predicted from generation 0.

The theory is fitted to the twelve chains without a remedy alone, then to these and five chains with
one (two decays and an interval of guidance, condition drop at CFG 7.5 and 1; seed 0). Predicted are
the 26 others: decays of other rates and scales, ReDiFine, real images, accumulation, fresh real
images, condition drop with the other seed. Errors of ln V_W and ln V_B of the latent axes are
absolute, averaged over six generations and chains. The bounded family model is fitted to the same
chains, with V_W and V_B of all latents, and predicts those 23 of the 26 that it describes. What the
parts of ReDiFine do to generation 6 is predicted from the theory fitted to the 17 chains, none of
which has ReDiFine.
"""

from tests.verification.expectations import Claim, at_least, between, exactly, rounded

PLACE = "docs/fits.md"
CLAIMS = (
    Claim(PLACE, "REPLACE"),
)  # fmt: skip
EXPECTED = {
    "chains": exactly(26),
    "from chains without a remedy: ln V_W": rounded(0.13, 2),
    "from chains without a remedy: ln V_B": rounded(0.08, 2),
    "ln V_W": rounded(0.11, 2),
    "ln V_B": rounded(0.06, 2),
    "no change: ln V_W": rounded(0.77, 2),
    "no change: ln V_B": rounded(1.01, 2),
    "bounded family: ln V_W": rounded(0.10, 2),
    "bounded family: ln V_B": rounded(0.20, 2),
    "chains whose ln V_B is nearer than by the bounded family": at_least(1),
    "ReDiFine, ln V_W: both": between(0, 2),
    "ReDiFine, ln V_W: decay": between(0, 2),
    "ReDiFine, ln V_W: condition drop": between(-1, 1),
    "ReDiFine, ln V_B: both": between(-2, 0),
    "ReDiFine, ln V_B: decay": between(-2, 0),
    "ReDiFine, ln V_B: condition drop": between(-1, 1),
    "noise at which guidance moves prompts": between(0.5, 3),
    "noise at which guidance narrows them": between(0.5, 3),
}
SECONDS, MEMORY = 300, 2.5
SOME = (
    "decay,seed=0",
    "decay_rate,seed=0",
    "interval,seed=0",
    "condition_drop,seed=0",
    "weak_condition_drop,seed=0",
)
RATE_15 = "redifine_rate,seed=0,remedy.rate=15"
QUANTITIES = {"within": "ln V_W", "between": "ln V_B"}


def measure() -> dict[str, float]:
    from analysis.prompts.chains import chains
    from analysis.prompts.paths import fit
    from empirical.runs import kept

    runs = kept.runs("embedded")
    read = chains(runs)[0]
    plain = [chain for chain in read if chain.plain]
    fitted = plain + [chain for chain in read if chain.name in SOME]
    rest = [chain for chain in read if chain not in fitted]
    values: dict[str, float] = {"chains": len(rest)}
    alone = errors(fit(plain), rest)
    theory = fit(fitted)
    errs = errors(theory, rest)
    family = by_bounded_family(runs, [chain.name for chain in plain] + list(SOME), rest)
    print(
        alone.join(errs, lsuffix=", without remedies", rsuffix="").join(family).round(2).to_string()
    )
    for quantity, name in QUANTITIES.items():
        values[f"from chains without a remedy: {name}"] = alone[quantity].mean()
        values[name] = errs[quantity].mean()
        values[f"no change: {name}"] = errs[f"{quantity}, no change"].mean()
        values[f"bounded family: {name}"] = family[f"{quantity}, family"].mean()
    both = errs.join(family, how="inner")
    nearer = both["between"] < both["between, family"]
    values["chains whose ln V_B is nearer than by the bounded family"] = nearer.sum()
    values |= mechanism(theory, read)
    values["noise at which guidance moves prompts"] = theory.motion.values["guided_noise"]
    values["noise at which guidance narrows them"] = theory.variances.values["guided_noise"]
    return values


def errors(theory, chains):
    """Return mean absolute errors of V_W and V_B of the axes, by chain."""
    import numpy as np
    import pandas as pd

    from analysis.prompts.quantities import AXES, measurements

    rows = {}
    for chain in chains:
        y, row = measurements(chain), {}
        for quantity in QUANTITIES:
            known = y[AXES, quantity]
            error = np.abs(expected(theory, chain)[quantity] - known)[1:]
            row[quantity] = error.mean()
            row[f"{quantity}, no change"] = np.abs(known - known[0])[1:].mean()
        rows[chain.name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def expected(theory, chain):
    """Return the medians of ln V_W and ln V_B of the axes [T], predicted from generation 0."""
    import numpy as np

    from analysis.prompts.paths import paths
    from analysis.prompts.quantities import AXES, predicted

    drawn = predicted(chain, paths(theory, chain, 0))
    return {quantity: np.median(drawn[AXES, quantity], axis=0) for quantity in QUANTITIES}


def by_bounded_family(runs, fitted, rest):
    """Return the same errors by the bounded family model, of V_W and V_B of all latents."""
    import numpy as np

    from analysis.arms.read import arms
    from analysis.models import every_model
    from analysis.prediction.forecast import MODEL
    from analysis.prediction.holdout import Split, predictions

    names = [chain.name for chain in rest]
    described = [arm for arm in arms(runs)[0] if arm.name in (*fitted, *names)]
    seen = np.array([arm.name in fitted for arm in described])
    G = max(arm.generations for arm in described)
    each = lambda mask: np.repeat(mask[:, None], G, axis=1)
    split = Split("remedies", each(seen), np.where(seen, G, 0), each(~seen))
    table = predictions(every_model()[MODEL], described, split)
    table["error"] = (table["predicted"] - table["measured"]).abs()
    by_chain = table.groupby(["run", "quantity"])["error"].mean().unstack()
    return by_chain[list(QUANTITIES)].add_suffix(", family")


def mechanism(theory, read):
    """Return what ReDiFine at rate 15 and its parts change in generation 6 at CFG 7.5."""
    from dataclasses import replace

    redifine = next(chain for chain in read if chain.name == RATE_15)
    without = next(
        chain for chain in read if chain.plain and (chain.label, chain.seed) == (7.5, redifine.seed)
    )
    arms = {
        "none": without,
        "both": redifine,
        "decay": replace(redifine, dropped=0.0),
        "condition drop": replace(without, dropped=redifine.dropped),
    }
    ends = {name: expected(theory, arm) for name, arm in arms.items()}
    return {
        f"ReDiFine, {name}: {part}": float(ends[part][quantity][-1] - ends["none"][quantity][-1])
        for quantity, name in QUANTITIES.items()
        for part in ("both", "decay", "condition drop")
    }
