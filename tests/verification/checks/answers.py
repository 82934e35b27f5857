"""Answers of `qtm scan` and `qtm forecast` on the kept chains of digits: scale, rounds, real data.

In generation 1 all baseline arms of a seed share one finetuned model, so that the arms at other
scales are its guided draws: a scan of six scales. The neutral scale is that of the eight leading
axes, whose single images are kept. The forecast of a run knows generations 0 to 2 of the chain at
CFG 2.5.
"""

from tests.verification.expectations import Claim, between, exactly, near

README = "README.md"
CLAIMS = (
    Claim(README, "Of the kept chains of 500 digits, at CFG 2.5 (the scale by the eight leading "
    "axes of the latents):"),
    Claim(README, "neutral guidance scale: 1.07 (90 %: below 1 to 1.13)"),
    Claim(README, "V_W, within prompts, below half of generation 0: generation 3 (90 %: generation "
    "3 to not yet)"),
    Claim(README, "fraction of real images in each training set that keeps V_W and V_B above half: "
    "0.25 (90 %: 0 to 0.65)"),
)  # fmt: skip
EXPECTED = {
    "digits": exactly(500),
    "neutral scale": near(1.07, 0.005),
    "its lower end, 0 below 1": exactly(0),
    "its upper end": near(1.13, 0.005),
    "generation below half": exactly(3),
    "its lower end": exactly(3),
    "whether its upper end is not yet": exactly(1),
    # Quantiles of draws, which depend on the order of arithmetic.
    "real fraction": near(0.25, 0.03),
    "lower end of the fraction": between(0, 0.02),
    "upper end of the fraction": near(0.65, 0.05),
}
SECONDS, MEMORY = 25, 0.8
SEED, SCALE, GENERATIONS, KNOWN = 0, 2.5, 6, 2


def measure() -> dict[str, float]:
    import numpy as np

    from analysis.arms.read import arms
    from analysis.prediction.forecast import forecast, half_lives, quantiles
    from analysis.scans import neutral
    from analysis.scans.forecast import forecast as from_scan
    from empirical.runs import kept
    from tests.verification._kept import baseline
    from tests.verification._scans import curve

    first = curve("embedded", SEED)
    estimate = neutral.by_variance(first)
    assert estimate is not None
    print(neutral.sentence(estimate, first.positive))
    names = {baseline(scale, SEED) for scale in first.scales}
    grid = arms([run for run in kept.runs("embedded") if run.name in names])[0]
    ahead = from_scan([arm.until(1) for arm in grid], SCALE, GENERATIONS)
    low, middle, high = half_lives(ahead.paths)["within"]
    (chain,) = [arm for arm in grid if arm.label == SCALE]
    real = quantiles(forecast([chain.until(KNOWN)], GENERATIONS - KNOWN).real)
    return {
        "digits": float(len(first.parents.values)),
        "neutral scale": estimate.scale,
        "its lower end, 0 below 1": estimate.low,
        "its upper end": estimate.high,
        "generation below half": middle,
        "its lower end": low,
        "whether its upper end is not yet": float(np.isinf(high)),
        "real fraction": real[1],
        "lower end of the fraction": real[0],
        "upper end of the fraction": real[2],
    }
