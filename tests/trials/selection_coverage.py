"""Do 90 % intervals of selection and transmission hold the truth, for the target they name?

python -m tests.trials.selection_coverage [--draws 1000] [--seed 0]

One generation of simulated individuals with known parameters on eight axes, drawn anew each time
with its prompts, at the two designs of real chains: ten prompts of 50 images, and 500
prompts of one image with a replicate. Variances of prompts are unequal (a coefficient of variation
of 1/2). An interval for these prompts must hold the value of the very prompts of its draw; one for
a population of prompts the parameter of the simulation. Quantities of one trait are of the leading
axis, "averaged" those of all. Ends with code 1 where the mean coverage of S, beta, transmission,
V_W and V_B is not 88 to 92 % or one's is not 84 to 96 %; the others are printed beside them.
"""

import argparse
import sys
from collections import defaultdict

import numpy as np

from analysis.selection import differentials, intervals, transmission, variances
from analysis.selection.draws import Draws
from analysis.selection.intervals import THESE, Estimate
from tests.helpers.simulated_generations import (
    DISTINCT,
    TEN,
    Design,
    Generation,
    Truth,
    simulate,
)

DESIGNS = {"10 x 50": TEN, "500 x 1 + 1": DISTINCT}
REQUIRED = {"S", "S_standardised", "beta", "beta_standardised", "transmission", "V_W", "V_B"}
Counts = dict[tuple[str, str, str], list[bool]]


def estimates(draws: Draws) -> list[Estimate]:
    """Return the estimates of the leading axis, and those of a vector."""
    first = draws.component(0)
    return [
        *differentials.differential(first),
        *transmission.transmission(first),
        *variances.within(first.unguided),
        *variances.between(first.unguided),
        *differentials.gradients(draws),
        *differentials.quadratic(draws),
    ]


def averaged(draws: Draws) -> list[Estimate]:
    """Return the estimates that average over all axes."""
    return [
        *differentials.differential(draws),
        *transmission.transmission(draws),
        *variances.within(draws.unguided),
        *variances.between(draws.unguided),
    ]


def truth_of(e: Estimate, truth: Truth, g: Generation, design: Design, axes: slice) -> float:
    """Return the value that an interval must hold: of a vector's entry, or averaged over axes."""
    these = e.target == THESE
    # Variances pool the factors of prompts, which are one on average.
    P = (g.factors.mean() if these else 1.0) * truth.P
    S, square = truth.S, truth.S_variance + np.outer(truth.S, truth.S)
    B = truth.h**2 * (truth.B + truth.P / design.images) + truth.M
    if these:
        S = g.differentials.mean(axis=0)
        square = g.differentials.T @ g.differentials / len(g.differentials)
        B = np.cov(g.unguided, rowvar=False)
    mean = lambda M: float(np.diag(M)[axes].mean())
    inverse, sd = np.linalg.inv(P), np.sqrt(np.diag(P))
    x = (g.training - g.training.mean(axis=0))[:, axes]
    slope = lambda y: float((x * y[:, axes]).sum() / (x * x).sum())
    i, j = e.component or 0, e.pair or 0
    match e.quantity:
        case "S":
            return float(S[axes].mean())
        case "S_standardised":
            return float(S[axes].mean()) / mean(P) ** 0.5
        case "S_rms":
            return mean(square) ** 0.5
        case "S_rms_standardised":
            return (mean(square) / mean(P)) ** 0.5
        case "beta":
            return (inverse @ S)[i]
        case "beta_standardised":
            return (inverse @ S)[i] * sd[i]
        case "gamma":
            after = P * np.outer(truth.narrowing, truth.narrowing)
            gamma = inverse @ (after - P + square) @ inverse
            return gamma[i, j] * sd[i] * sd[j]
        case "transmission":
            return slope(g.unguided) if these else truth.h
        case "parent_offspring":
            return slope(g.unguided + g.differentials) if these else truth.h
        case "V_W":
            return mean(P)
        case "V_B":
            return mean(B)
        case "drift":
            return mean(P) / design.images
        case "mutation":
            return mean(truth.M)
    raise KeyError(e.quantity)


def coverage(design: Design, draws: int, seed: int = 0) -> Counts:
    """Return of each estimate, by its name, quantity and target, whether each interval held."""
    truth, held = Truth.of_axes(), defaultdict(list)
    two = Truth.of_axes(h=1.9, base=-1.0)
    weights = {"parent_weight": 1.9, "base_weight": -1.0}
    for number in range(draws):
        rng = np.random.default_rng([seed, number])
        g = simulate(rng, design, truth)
        for e in estimates(g.draws):
            index = "".join(f" {i + 1}" for i in (e.component, e.pair) if i is not None)
            value = truth_of(e, truth, g, design, slice(0, 1))
            held[e.quantity + index, e.quantity, e.target].append(e.low <= value <= e.high)
        for e in averaged(g.draws):
            value = truth_of(e, truth, g, design, slice(None))
            held[f"{e.quantity} averaged", "", e.target].append(e.low <= value <= e.high)
        for e in transmission.two_parents(simulate(rng, design, two).draws.component(0)):
            value = weights[e.quantity.removeprefix("transmission_")]
            held[e.quantity, e.quantity, e.target].append(e.low <= value <= e.high)
    return held


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    failed = False
    for name, design in DESIGNS.items():
        shares = {}
        print(f"{name}, {args.draws} draws, intervals of {intervals.LEVEL:.0%}")
        grouped = defaultdict(list)
        for (label, quantity, target), held in coverage(design, args.draws, args.seed).items():
            if quantity in REQUIRED:
                shares[label, target] = np.mean(held)
            grouped[quantity or label, target].append(np.mean(held))
        for (quantity, target), values in grouped.items():
            beside = "" if quantity in REQUIRED else "  (beside)"
            several = f" ({min(values):.1%} to {max(values):.1%})" if len(values) > 1 else ""
            print(f"  {quantity:28s} {target:22s} {np.mean(values):.1%}{several}{beside}")
        mean = np.mean(list(shares.values()))
        print(f"  mean of those that are required {mean:.1%}")
        failed |= not 0.88 <= mean <= 0.92
        failed |= not all(0.84 <= share <= 0.96 for share in shares.values())
    sys.exit(failed)


if __name__ == "__main__":
    main()
