"""Noise schedules: the noise levels that a sampler visits."""

from typing import Literal

import equinox as eqx
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import real, require, require_integer, require_positive


class NoiseLevels(eqx.Module):
    """The noise levels s_0 > s_1 > ... > s_K >= 0 of a sampler of K steps.

    A level is the ratio of noise to signal in y = z + s e (feature units), so `levels` [K + 1] is
    any schedule, continuous ones included. `start` is the standard deviation of the initial noise,
    s_0 unless given; `signal` is the factor a of the last level's a z + b e, 1 for samplers that
    end without noise: samples are a y.

    Raises ValueError if there are fewer than two levels, they do not fall, one is negative or not
    finite, or `start` or `signal` is not greater than 0.
    """

    levels: Float[Array, " levels"]
    start: Float[Array, ""]
    signal: Float[Array, ""]

    def __init__(self, levels: ArrayLike, start: ArrayLike | None = None, signal: ArrayLike = 1.0):
        s = np.asarray(levels, np.float64)
        if s.ndim != 1 or len(s) < 2:
            raise ValueError(f"levels must have shape [K + 1] with K at least 1, got {s.shape}.")
        require("levels", s, "finite and at least 0", lambda x: np.isfinite(x) & (x >= 0))
        require("a step from one level to the next", np.diff(s), "less than 0", lambda x: x < 0)
        self.levels = real(s)
        self.start = real(s[0] if start is None else start)
        self.signal = real(signal)
        require_positive("start", self.start)
        require_positive("signal", self.signal)

    @property
    def steps(self) -> int:
        """K."""
        return len(self.levels) - 1

    @classmethod
    def exploding(cls, low: float, high: float, steps: int, power: float = 7.0) -> "NoiseLevels":
        """Make K levels from `high` down to `low`, even in s^(1/power), and then 0.

        Raises ValueError unless 0 < low < high, and for steps < 2 or a power not greater than 0.

        Source: Karras, Aittala, Aila & Laine, arXiv 2206.00364, equation 5.
        """
        K = require_integer("steps", steps, least=2)
        require_positive("low", low)
        require_positive("power", power)
        require("high", high, f"finite and greater than low = {low:g}",
                lambda x: np.isfinite(x) & (x > low))  # fmt: skip
        s = np.linspace(high ** (1 / power), low ** (1 / power), K) ** power
        return cls(np.append(s, 0.0))

    @classmethod
    def preserving(
        cls,
        steps: int,
        alphas_cumprod: ArrayLike | None = None,
        spacing: Literal["leading", "trailing"] = "trailing",
        offset: int = 1,
        final: float = 1.0,
    ) -> "NoiseLevels":
        """Take K of the levels of a variance-preserving model, sqrt(A) z + sqrt(1 - A) e.

        `alphas_cumprod` are its A, falling, one for each of T training levels, those of
        `scaled_linear()` unless given; s = sqrt((1 - A)/A). "trailing" takes the noisiest level and
        every (T/K)-th below it; "leading" takes `offset`, offset + T // K, and so on. `final` is
        the A at which sampling ends: 1, or `alphas_cumprod[0]` as in diffusers with
        `set_alpha_to_one` off. Sampling starts from a z + b e ~ N(0, 1) as such models do.

        Raises ValueError if `steps` is not from 1 to T, `alphas_cumprod` do not fall within (0, 1),
        `final` is not in (0, 1], or the spacing is unknown.
        """
        A = np.asarray(scaled_linear() if alphas_cumprod is None else alphas_cumprod, float)
        require("alphas_cumprod", A, "between 0 and 1", lambda x: (x > 0) & (x < 1))
        require("final", final, "greater than 0 and at most 1", lambda x: (x > 0) & (x <= 1))
        K, T = require_integer("steps", steps, least=1), len(A)
        if K > T:
            raise ValueError(f"steps must be at most {T}, the levels of the model, got {K}.")
        if spacing == "trailing":
            chosen = np.round(np.arange(T, 0, -T / K)).astype(int)[:K] - 1
        elif spacing == "leading":
            chosen = np.minimum(np.arange(K)[::-1] * (T // K) + offset, T - 1)
        else:
            raise ValueError(f"spacing must be one of leading, trailing, got {spacing!r}.")
        A = np.append(A[chosen], final)
        return cls(np.sqrt((1 - A) / A), 1 / np.sqrt(A[0]), np.sqrt(final))


def scaled_linear(
    low: float = 0.00085, high: float = 0.012, levels: int = 1000
) -> Float[np.ndarray, " T"]:
    """Return Stable Diffusion's A = prod (1 - beta), sqrt(beta) even from `low` to `high`.

    Raises ValueError unless 0 < low < high < 1 and there is at least one level.
    """
    require_positive("low", low)
    require("high", high, f"greater than low = {low:g} and less than 1", lambda x: low < x < 1)
    beta = np.linspace(low**0.5, high**0.5, require_integer("levels", levels, least=1)) ** 2
    return np.cumprod(1 - beta)
