"""A claim of a document, the numbers that it states, and how near a measurement must come."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Claim:
    """A sentence of a document, or the part of it that states something."""

    place: str
    text: str


class Measured(NamedTuple):
    """A measured value with its standard error, 0 where it is exact."""

    value: float
    error: float = 0.0

    def __str__(self) -> str:
        error = f" ± {self.error:.2g}" if self.error else ""
        return f"{self.value:.4g}{error}"


@dataclass(frozen=True)
class Expected:
    """A range [low, high] of a value, or `errors` standard errors beside it; `claimed`
    describes it."""

    low: float
    high: float
    claimed: str
    errors: float = 0.0

    def __str__(self) -> str:
        return f"{self.claimed} ({self.errors:g} s.e.)" if self.errors else self.claimed

    def holds(self, measured: Measured) -> bool:
        """Return whether a measurement agrees; nan never does."""
        slack = self.errors * measured.error
        return self.low - slack <= measured.value <= self.high + slack


def rounded(value: float, digits: int = 0, errors: float = 0.0) -> Expected:
    """Expect a value that rounds to `value` at `digits` decimals (negative: tens, hundreds)."""
    # A half may be rounded either way, and kept runs have six digits.
    half = 0.5 * 10.0**-digits * (1 + 1e-3)
    claimed = f"{value:,.{max(digits, 0)}f}"
    return Expected(value - half, value + half, claimed, errors)


def between(low: float, high: float, errors: float = 0.0) -> Expected:
    """Expect a value from `low` to `high`."""
    return Expected(low, high, f"{low:g} to {high:g}", errors)


def at_least(low: float, errors: float = 0.0) -> Expected:
    """Expect `low` or more."""
    return Expected(low, float("inf"), f"at least {low:g}", errors)


def at_most(high: float, errors: float = 0.0) -> Expected:
    """Expect `high` or less."""
    return Expected(float("-inf"), high, f"at most {high:g}", errors)


def near(value: float, tolerance: float, errors: float = 0.0) -> Expected:
    """Expect a value at most `tolerance` from `value`."""
    claimed = f"{value:g} ± {tolerance:g}" if tolerance else f"{value:g}"
    return Expected(value - tolerance, value + tolerance, claimed, errors)


def exactly(value: float) -> Expected:
    """Expect a number to its last digit, as counts are."""
    return Expected(value, value, f"{value:g}")
