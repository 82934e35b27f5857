"""Do 90 % intervals of selection and transmission contain the truth, for the target they name?

One generation of simulated individuals with known parameters on eight axes, drawn anew each time
with its prompts, at the two designs of real chains: ten prompts of 50 images, and 500 prompts of
one image with a replicate. Variances of prompts are unequal (a coefficient of variation of 1/2). An
interval for these prompts must contain the value of the very prompts of its draw; one for a
population of prompts the parameter of the simulation. Quantities of one trait are of the leading
axis, "averaged" those of all. S, beta, transmission, V_W and V_B count; the others are printed
beside them.
"""

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
from tests.verification.expectations import Claim, Measured, between, rounded

CLAIMS = (
    Claim("LOG.md", "90 % intervals contain the truth, on average over quantities, in 90.1 % with "
    "10 prompts x 50 images and in 90.1 % with 500 prompts x 1 image and a replicate."),
    Claim("LOG.md", "No quantity is below 87.7 or above 93.0."),
)  # fmt: skip
EXPECTED = {
    "10 x 50: mean (%)": rounded(90.1, 1, errors=2),
    "10 x 50: lowest (%)": between(87.7, 93.0, errors=2),
    "10 x 50: highest (%)": between(87.7, 93.0, errors=2),
    "500 x 1 + 1: mean (%)": rounded(90.1, 1, errors=2),
    "500 x 1 + 1: lowest (%)": between(87.7, 93.0, errors=2),
    "500 x 1 + 1: highest (%)": between(87.7, 93.0, errors=2),
}
SECONDS, MEMORY = 240, 0.5
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


def measure(draws: int = 1000, seed: int = 0) -> dict[str, Measured]:
    values = {}
    for name, design in DESIGNS.items():
        fractions = {}
        print(f"{name}, {draws} draws, intervals of {intervals.LEVEL:.0%}")
        grouped = defaultdict(list)
        for (label, quantity, target), held in coverage(design, draws, seed).items():
            if quantity in REQUIRED:
                fractions[label, target] = np.mean(held)
            grouped[quantity or label, target].append(np.mean(held))
        for (quantity, target), each in grouped.items():
            beside = "" if quantity in REQUIRED else "  (beside)"
            several = f" ({min(each):.1%} to {max(each):.1%})" if len(each) > 1 else ""
            print(f"  {quantity:28s} {target:22s} {np.mean(each):.1%}{several}{beside}")
        # Quantities of a draw share its images: the error of their mean is at most that of one.
        error = 100 * (0.9 * 0.1 / draws) ** 0.5
        percent = 100 * np.array(list(fractions.values()))
        values[f"{name}: mean (%)"] = Measured(float(percent.mean()), error)
        values[f"{name}: lowest (%)"] = Measured(float(percent.min()), error)
        values[f"{name}: highest (%)"] = Measured(float(percent.max()), error)
    return values
