"""Fits of walks beside those that the package paleoTS published, to the last printed digit."""

from tests.verification.expectations import Claim, at_most, exactly

CLAIMS = (
    Claim("docs/trait-series.md", "The walks reproduce the log likelihoods and AICc that paleoTS "
    "published to every digit, and its estimates to six decimals."),
)  # fmt: skip
EXPECTED = {
    "published numbers": exactly(12),
    "of these equal to the last digit": exactly(12),
    "largest difference of an estimate": at_most(5e-7),
}
SECONDS, MEMORY = 10, 0.4


def measure() -> dict[str, float]:
    import numpy as np

    from analysis.trait_series import fit_series, series
    from tests.helpers.published_walks import FIRST, PARAMETERS, PUBLISHED, SECOND

    equal, count, largest = 0, 0, 0.0
    for model, printed in PUBLISHED.items():
        for means, V, numbers in zip((FIRST, SECOND), (1.0, 4.0), printed, strict=True):
            T = len(means)
            (fit,) = fit_series(series(range(T), means, np.full(T, V), np.full(T, 20)), [model])
            for value, number in zip((fit.log_likelihood, fit.aicc), numbers, strict=True):
                equal += f"{value:.{_decimals(number)}f}" == f"{number:.{_decimals(number)}f}"
                count += 1
            if model == "directional walk" and means is FIRST:
                largest = max(abs(fit.values[name] - value) for name, value in PARAMETERS.items())
    return {
        "published numbers": count,
        "of these equal to the last digit": equal,
        "largest difference of an estimate": largest,
    }


def _decimals(number: float) -> int:
    """Return the decimals of a number as R printed it, five or six; a last 0 was not written."""
    return max(5, len(str(number).split(".")[1]))
